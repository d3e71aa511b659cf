-- What changes if the quads that are not in the journal are replaced by those that are staged.
CREATE OR REPLACE TEMP TABLE change AS
    SELECT true AS added, g, s, p, o FROM (SELECT DISTINCT g, s, p, o FROM staged)
        ANTI JOIN status USING (g, s, p, o)
    UNION ALL
    SELECT false, g, s, p, o FROM status ANTI JOIN staged USING (g, s, p, o);
DELETE FROM status;
INSERT INTO status SELECT DISTINCT g, s, p, o FROM staged;
