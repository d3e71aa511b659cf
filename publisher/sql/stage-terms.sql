-- The parts of terms from their N-Triples forms, the table arrived (id, check, text). The kinds are those of TermKind: 0 IRI, 2 string, 3 with a language, 5 instant, 6 date, 8 decimal, 9 other.
INSERT INTO staged_terms
    SELECT id, "check",
        CASE WHEN tail IS NULL THEN 0 WHEN tail = '' THEN 2
            WHEN tail[1] = '@' THEN 3
            WHEN tail = '^^<http://www.w3.org/2001/XMLSchema#dateTime>' THEN 5
            WHEN tail = '^^<http://www.w3.org/2001/XMLSchema#date>' THEN 6
            WHEN tail = '^^<http://www.w3.org/2001/XMLSchema#decimal>' THEN 8 ELSE 9 END,
        CASE WHEN tail IS NULL THEN text[2:-2] ELSE split_part(text, '"', 2) END,
        CASE WHEN tail IS NULL THEN '' WHEN tail = '' THEN 'http://www.w3.org/2001/XMLSchema#string'
            WHEN tail[1] = '@' THEN 'http://www.w3.org/1999/02/22-rdf-syntax-ns#langString' ELSE tail[4:-2] END,
        CASE WHEN tail[1] = '@' THEN tail[2:] ELSE '' END, NULL, NULL
    FROM (SELECT *, CASE WHEN text[1] <> '<' THEN split_part(text, '"', 3) END AS tail FROM arrived)
