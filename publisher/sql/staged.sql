-- The rows of a journal entry, encoded, and the terms of them that are new.
CREATE OR REPLACE TEMP TABLE staged (n BIGINT, added BOOLEAN, g UBIGINT, s UBIGINT, p UBIGINT, o UBIGINT);
CREATE OR REPLACE TEMP TABLE staged_terms (
    id UBIGINT, "check" UINTEGER, kind UTINYINT, lexical VARCHAR, datatype VARCHAR, language VARCHAR,
    whole BIGINT, written VARCHAR
);
