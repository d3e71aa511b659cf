-- Delete the things whose IRIs are in the temporary table removed_iris, with their rows in all tables.
CREATE OR REPLACE TEMP TABLE removed AS SELECT thing FROM things WHERE iri IN (SELECT iri FROM removed_iris);
DELETE FROM marks WHERE thing IN (SELECT thing FROM removed);
DELETE FROM parties WHERE thing IN (SELECT thing FROM removed);
DELETE FROM prizes WHERE thing IN (SELECT thing FROM removed);
DELETE FROM classes WHERE organization IN (SELECT iri FROM removed_iris);
DELETE FROM things WHERE thing IN (SELECT thing FROM removed);
