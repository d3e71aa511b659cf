-- What the other files need: the things that changed since the last commit, the kinds of things, and the properties whose values count
-- in a facet (CodedProperty of properties.py).
CREATE TEMP TABLE changed (thing UINTEGER);
CREATE TEMP TABLE kinds (kind UTINYINT, name VARCHAR);
CREATE TEMP TABLE coded (
    property VARCHAR, about VARCHAR, facet VARCHAR, prefix VARCHAR, with_texts BOOLEAN, bits UTINYINT, basis VARCHAR
);
CREATE TEMP MACRO without(text, prefix) AS CASE WHEN starts_with(text, prefix) THEN text[length(prefix) + 1:] ELSE text END;
