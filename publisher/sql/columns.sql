-- The tables of the columns and of the history, beside those of things.
CREATE TABLE terms (  -- "check" are more bits of the hash; "written" is the N-Triples form if it does not follow from the rest
    id UBIGINT, "check" UINTEGER, kind UTINYINT, lexical VARCHAR, datatype VARCHAR, language VARCHAR,
    whole BIGINT, written VARCHAR
);
CREATE TABLE quads (g UBIGINT, s UBIGINT, p UBIGINT, o UBIGINT);
CREATE TABLE triples (s UBIGINT, p UBIGINT, o UBIGINT);
CREATE TABLE predicates (p UBIGINT, triples BIGINT, subjects BIGINT, objects BIGINT);
CREATE TABLE object_kinds (p UBIGINT, kind UTINYINT);  -- the kinds of terms that the objects of a predicate have had; 0 stands for subjects and graphs
CREATE TABLE checkpoint (position BIGINT, entry VARCHAR, fault VARCHAR);
CREATE TABLE status (g UBIGINT, s UBIGINT, p UBIGINT, o UBIGINT);  -- the quads that are not in the journal, which are in "quads" too
CREATE TABLE layout (sorted BIGINT);  -- how many quads there were when they were sorted last

-- "announced" is when this host first announced an entry to harvesters, NULL if that follows from the
-- snapshot. "graph" is the number of the graph's term. The columns from "sequence" on are those of
-- records: "sets" is such as " goal:4:declared: source:demo:", "previous" the sequence number of the
-- change before, 0 if there is none.
CREATE TABLE entries (
    number INTEGER, run VARCHAR, time BIGINT, stamp BIGINT, sequence INTEGER, announced BIGINT
);
CREATE TABLE graph_changes (
    graph UBIGINT, entry INTEGER, added INTEGER, removed INTEGER, "rows" BLOB, sequence INTEGER,
    previous INTEGER, record INTEGER, name VARCHAR, kind VARCHAR, sets VARCHAR, type UTINYINT, size INTEGER
);
