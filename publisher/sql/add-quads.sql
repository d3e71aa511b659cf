-- A semi join reads only the blocks that may have the rows of the change, an anti join all.
INSERT INTO quads
    SELECT g, s, p, o FROM change ANTI JOIN (FROM quads SEMI JOIN change USING (g, s, p, o)) USING (g, s, p, o) WHERE added;
INSERT INTO triples
    SELECT DISTINCT s, p, o FROM change ANTI JOIN (FROM triples SEMI JOIN change USING (s, p, o)) USING (s, p, o) WHERE added;
INSERT INTO object_kinds
    (SELECT p, kind FROM (SELECT DISTINCT p, o FROM change WHERE added) JOIN terms ON id = o
    UNION SELECT 0, kind FROM (SELECT s AS id FROM change UNION SELECT g FROM change) JOIN terms USING (id) WHERE kind = 1) EXCEPT FROM object_kinds;
