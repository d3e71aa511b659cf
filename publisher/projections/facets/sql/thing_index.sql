-- Number all things in the order of their IRIs.
CREATE TEMP TABLE thing_index AS
    SELECT (row_number() OVER (ORDER BY iri) - 1)::UINTEGER AS index, thing, kind, iri, title, language, begins, changed FROM things;
