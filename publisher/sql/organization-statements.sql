-- The statements of any graph that the organizations of the batch are counted by.
CREATE OR REPLACE TEMP TABLE statements AS
    SELECT s AS owner, s AS subject, name AS property, o AS object, has_text
    FROM triples JOIN names USING (p) WHERE of_organizations AND s IN (SELECT id FROM batch);
