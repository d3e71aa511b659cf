-- The organizations and records that the touched subjects and graphs are about, numbered in the order in which they are read.
CREATE OR REPLACE TEMP TABLE due AS
    SELECT id, lexical AS iri, is_organization, row_number() OVER (PARTITION BY is_organization ORDER BY id) AS n
    FROM terms JOIN (
        SELECT DISTINCT s AS id, true AS is_organization FROM touched UNION ALL SELECT DISTINCT g, false FROM touched
    ) USING (id)
    WHERE starts_with(lexical, getvariable('base') || CASE WHEN is_organization THEN 'id/organization/' ELSE 'record/' END);
