-- The statements that are selected, and the names of what they point to.
WITH stated AS MATERIALIZED (SELECT s, p, o $stated LIMIT $most),
named AS MATERIALIZED (
    SELECT s, p, o FROM triples
    WHERE p IN (<dct:title>, <rdfs:label>, <skos:prefLabel>) AND s IN (SELECT o FROM stated)
),
read AS MATERIALIZED (SELECT false AS is_name, * FROM stated UNION ALL SELECT true, * FROM named),
texts AS MATERIALIZED (
    SELECT id, lexical, CASE WHEN kind = 0 THEN 'uri' ELSE 'literal' END AS kind, nullif(language, '') AS language,
        CASE WHEN datatype NOT IN ('', 'http://www.w3.org/2001/XMLSchema#string', 'http://www.w3.org/1999/02/22-rdf-syntax-ns#langString') THEN datatype END AS datatype
    FROM terms WHERE id IN (SELECT s FROM read UNION SELECT p FROM read UNION SELECT o FROM read)
)
SELECT is_name, subject.lexical, predicate.lexical, object.lexical, object.kind, object.language, object.datatype
FROM read JOIN texts subject ON subject.id = s JOIN texts predicate ON predicate.id = p JOIN texts object ON object.id = o
