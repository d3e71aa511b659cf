-- The organizations whose statements are in the tables statements and texts, as record-topics.sql makes the topics of records.
CREATE OR REPLACE TEMP TABLE topics AS
    SELECT DISTINCT owner, owner AS subject, names.text AS iri, NULL::VARCHAR AS record,
        split_part(without(names.text, getvariable('base') || 'id/organization/'), '/', 1) AS source, kinds.kind
    FROM statements JOIN texts AS classes ON classes.id = object JOIN texts AS names ON names.id = owner
    JOIN kinds ON name = 'organization'
    WHERE property = 'class' AND classes.text = getvariable('organization');
