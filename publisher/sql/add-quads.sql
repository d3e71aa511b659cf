INSERT INTO quads
    SELECT g, s, p, o FROM change ANTI JOIN quads USING (g, s, p, o) WHERE added;
INSERT INTO triples
    SELECT DISTINCT s, p, o FROM change ANTI JOIN triples USING (s, p, o) WHERE added;
INSERT INTO object_kinds
    (SELECT p, kind FROM (SELECT DISTINCT p, o FROM change WHERE added) JOIN terms ON id = o
    UNION SELECT 0, kind FROM terms WHERE kind = 1) EXCEPT FROM object_kinds;
