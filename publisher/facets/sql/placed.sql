-- Gives each thing its place among all, by its address.
CREATE TEMP TABLE placed AS
    SELECT (row_number() OVER (ORDER BY iri) - 1)::UINTEGER AS place, thing, kind, iri, title, language, begins, changed FROM things;
