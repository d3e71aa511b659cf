-- The terms of the statements; those that are descriptions only have no text, which may be long.
CREATE OR REPLACE TEMP TABLE texts AS
    SELECT id, CASE WHEN has_text THEN lexical END AS text, kind = 0 AS is_iri, nullif(language, '') AS language
    FROM terms JOIN (
        SELECT id, bool_or(has_text) AS has_text FROM (
            SELECT owner AS id, true AS has_text FROM statements UNION SELECT subject, true FROM statements
            UNION SELECT object, has_text FROM statements
        ) GROUP BY id
    ) USING (id);
