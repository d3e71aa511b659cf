-- What the other files need: the kinds of things, the names of the properties that are read, those whose values count in a facet
-- (coded_properties of properties.py), the areas within areas, and the things that this transaction has changed.
CREATE OR REPLACE TEMP TABLE kinds (kind UTINYINT, name VARCHAR);
CREATE OR REPLACE TEMP TABLE names (p UBIGINT, name VARCHAR, of_organizations BOOLEAN, has_text BOOLEAN);
CREATE OR REPLACE TEMP TABLE coded (
    property VARCHAR, about VARCHAR, facet VARCHAR, prefix VARCHAR, with_texts BOOLEAN, bits UTINYINT, basis VARCHAR
);
CREATE OR REPLACE TEMP TABLE areas (area VARCHAR, code VARCHAR);
CREATE OR REPLACE TEMP TABLE changed (thing UINTEGER);
CREATE OR REPLACE TEMP MACRO title_start(key) AS ('0x' || rpad(hex(left(key, 8))[:16], 16, '0'))::UBIGINT;
CREATE OR REPLACE TEMP MACRO without(text, prefix) AS CASE WHEN starts_with(text, prefix) THEN text[length(prefix) + 1:] ELSE text END;
