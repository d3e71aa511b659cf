DELETE FROM quads USING change
    WHERE NOT added AND quads.g = change.g AND quads.s = change.s
    AND quads.p = change.p AND quads.o = change.o;
DELETE FROM triples USING (
        SELECT s, p, o FROM (SELECT DISTINCT s, p, o FROM change WHERE NOT added)
        ANTI JOIN (SELECT s, p, o FROM quads SEMI JOIN change USING (s, p, o)) USING (s, p, o)
    ) AS gone
    WHERE triples.s = gone.s AND triples.p = gone.p AND triples.o = gone.o;
