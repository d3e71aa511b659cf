-- Tables of the published things: things, their facet values (marks), their organizations (parties). "sort_title" is in lower case. `kind` is an index into KINDS.
CREATE TABLE things (
    thing UINTEGER, iri VARCHAR, kind UTINYINT, source VARCHAR, record VARCHAR, title VARCHAR, language VARCHAR, other_titles VARCHAR[],
    begins VARCHAR, ends VARCHAR, issued VARCHAR, first_seen VARCHAR, changed VARCHAR, venue VARCHAR, wholes VARCHAR[], page VARCHAR, cancelled BOOLEAN, sort_title VARCHAR
);
CREATE TABLE codes (value UINTEGER, facet VARCHAR, code VARCHAR);
CREATE TABLE marks (thing UINTEGER, kind UTINYINT, value UINTEGER, bases UTINYINT);
CREATE TABLE organizations (organization UINTEGER, iri VARCHAR);
CREATE TABLE parties (thing UINTEGER, kind UTINYINT, organization UINTEGER, roles UTINYINT);
CREATE TABLE classes (organization UINTEGER, code VARCHAR);
CREATE TABLE prizes (thing UINTEGER, kind UTINYINT, category VARCHAR, stage VARCHAR, year VARCHAR);
CREATE TABLE containers (area VARCHAR, facet VARCHAR, code VARCHAR);  -- the regions and areas in which an area counts
CREATE TABLE clusters (iri VARCHAR, cluster VARCHAR);
CREATE TABLE groups (thing UINTEGER, cluster VARCHAR);  -- the things that count together with others, as groups.sql says
