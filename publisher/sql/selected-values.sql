SELECT lexical, CASE WHEN kind = 0 THEN 'uri' ELSE 'literal' END, nullif(language, ''),
    CASE WHEN datatype NOT IN ('', 'http://www.w3.org/2001/XMLSchema#string', 'http://www.w3.org/1999/02/22-rdf-syntax-ns#langString') THEN datatype END
FROM texts
