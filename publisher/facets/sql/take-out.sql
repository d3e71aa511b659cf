-- Takes out the things whose addresses wait in the temporary table going, and all that is told of them.
CREATE OR REPLACE TEMP TABLE leaving AS SELECT thing FROM things WHERE iri IN (SELECT iri FROM going);
DELETE FROM marks WHERE thing IN (SELECT thing FROM leaving);
DELETE FROM parties WHERE thing IN (SELECT thing FROM leaving);
DELETE FROM prizes WHERE thing IN (SELECT thing FROM leaving);
DELETE FROM classes WHERE organization IN (SELECT iri FROM going);
DELETE FROM things WHERE thing IN (SELECT thing FROM leaving);
