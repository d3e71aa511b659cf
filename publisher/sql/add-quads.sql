INSERT INTO quads
    SELECT g, s, p, o FROM change ANTI JOIN quads USING (g, s, p, o) WHERE added;
INSERT INTO triples
    SELECT DISTINCT s, p, o FROM change ANTI JOIN triples USING (s, p, o) WHERE added;
