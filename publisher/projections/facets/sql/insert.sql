-- Insert the rows of the temporary view new_rows, and new codes.
CREATE OR REPLACE TEMP TABLE inserted AS SELECT nextval('ids')::UINTEGER AS thing, * FROM new_rows;
INSERT INTO things
    SELECT thing, iri, kind, source, record, title, language, begins, ends, issued, first_seen, changed, venue, whole, cancelled FROM inserted;
CREATE OR REPLACE TEMP TABLE marked AS
    SELECT thing, kind, m.facet, m.code, m.bases FROM (SELECT thing, kind, unnest(marks) AS m FROM inserted);
INSERT INTO terms
    SELECT nextval('term_ids'), facet, code
    FROM (SELECT DISTINCT facet, code FROM marked) AS codes ANTI JOIN terms USING (facet, code);
INSERT INTO marks SELECT thing, kind, value, bases FROM marked JOIN terms USING (facet, code);
INSERT INTO parties SELECT thing, kind, p.organization, p.roles FROM (SELECT thing, kind, unnest(parties) AS p FROM inserted);
INSERT INTO classes SELECT iri, unnest(classes) FROM inserted;
INSERT INTO prizes SELECT thing, kind, p.category, p.stage, p.year FROM (SELECT thing, kind, unnest(prizes) AS p FROM inserted);
