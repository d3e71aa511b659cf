-- The topics of the records whose statements are in the tables statements and texts; one that is not published has no kind.
CREATE OR REPLACE TEMP TABLE topics AS
    SELECT owner, subject, iri, graphs.text AS record,
        split_part(without(graphs.text, getvariable('base') || 'record/'), '/', 1) AS source,
        CASE WHEN state IS DISTINCT FROM 'gone' THEN kinds.kind END AS kind
    FROM (
        SELECT owner,
            arg_min(object, text) FILTER (property = 'topic') AS subject,
            min(text) FILTER (property = 'topic') AS iri,
            split_part(min(text) FILTER (property = 'state'), '#', -1) AS state
        FROM statements JOIN texts ON id = object
        WHERE subject = owner AND property IN ('topic', 'state')
        GROUP BY owner
    ) JOIN texts AS graphs ON graphs.id = owner
    LEFT JOIN kinds ON name = split_part(without(iri, getvariable('base') || 'id/'), '/', 1) AND name <> 'organization'
    WHERE iri IS NOT NULL;
