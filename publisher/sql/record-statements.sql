-- The statements that the records of the batch are counted by.
CREATE OR REPLACE TEMP TABLE statements AS
    SELECT g AS owner, s AS subject, name AS property, o AS object, has_text
    FROM quads JOIN names USING (p) WHERE NOT of_organizations AND g IN (SELECT id FROM batch);
