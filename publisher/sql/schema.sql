-- Tables of the published things: things, their facet values (marks), their organizations (parties). "sort_title" is in lower case. `kind` is an index into KINDS.
-- "hash" is of the IRI, and "title_start" has the first eight bytes of the key by which lists sort titles (KEYS in properties.py): a million
-- numbers are compared in a tenth of the time that texts take.
CREATE TABLE things (
    thing UINTEGER, hash UBIGINT, iri VARCHAR, kind UTINYINT, source VARCHAR, record VARCHAR, title VARCHAR, language VARCHAR, other_titles VARCHAR[],
    begins VARCHAR, ends VARCHAR, issued VARCHAR, first_seen VARCHAR, changed VARCHAR, venue VARCHAR, wholes VARCHAR[], page VARCHAR, cancelled BOOLEAN, sort_title VARCHAR, title_start UBIGINT
);
CREATE TABLE codes (value UINTEGER, facet VARCHAR, code VARCHAR);
CREATE TABLE marks (thing UINTEGER, kind UTINYINT, value UINTEGER, bases UTINYINT);
CREATE TABLE organizations (organization UINTEGER, hash UBIGINT, iri VARCHAR);
CREATE TABLE parties (thing UINTEGER, kind UTINYINT, organization UINTEGER, roles UTINYINT);
CREATE TABLE classes (organization UINTEGER, code VARCHAR);
CREATE TABLE prizes (thing UINTEGER, kind UTINYINT, category VARCHAR, stage VARCHAR, year VARCHAR);
CREATE TABLE containers (area VARCHAR, facet VARCHAR, code VARCHAR);  -- the regions and areas in which an area counts
CREATE TABLE clusters (iri VARCHAR, cluster VARCHAR);
CREATE TABLE groups (thing UINTEGER, cluster VARCHAR);  -- the things that count together with others, as groups.sql says
