-- Delete the things of the batch, with their rows in all tables.
CREATE OR REPLACE TEMP TABLE removed AS
    SELECT thing FROM things WHERE iri IN (SELECT iri FROM topics UNION SELECT iri FROM batch)
    UNION SELECT thing FROM things WHERE record IN (SELECT iri FROM batch);
DELETE FROM marks WHERE thing IN (SELECT thing FROM removed);
DELETE FROM parties WHERE thing IN (SELECT thing FROM removed);
DELETE FROM prizes WHERE thing IN (SELECT thing FROM removed);
DELETE FROM classes WHERE organization IN (SELECT organization FROM organizations JOIN batch USING (iri));
DELETE FROM things WHERE thing IN (SELECT thing FROM removed);
