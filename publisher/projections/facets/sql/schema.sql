-- Tables of the published things: things, their facet values (marks), their organizations (parties). `kind` is an index into KINDS of queries.py.
CREATE TABLE things (
    thing UINTEGER, iri VARCHAR, kind UTINYINT, source VARCHAR, record VARCHAR, title VARCHAR, language VARCHAR, other_titles VARCHAR[],
    begins VARCHAR, ends VARCHAR, issued VARCHAR, first_seen VARCHAR, changed VARCHAR, venue VARCHAR, wholes VARCHAR[], page VARCHAR, cancelled BOOLEAN
);
CREATE TABLE terms (value UINTEGER, facet VARCHAR, code VARCHAR);
CREATE TABLE marks (thing UINTEGER, kind UTINYINT, value UINTEGER, bases UTINYINT);
CREATE TABLE parties (thing UINTEGER, kind UTINYINT, organization VARCHAR, roles UTINYINT);
CREATE TABLE classes (organization VARCHAR, code VARCHAR);
CREATE TABLE prizes (thing UINTEGER, kind UTINYINT, category VARCHAR, stage VARCHAR, year VARCHAR);
CREATE TABLE regions (area VARCHAR, region VARCHAR);
CREATE TABLE clusters (iri VARCHAR, cluster VARCHAR);
CREATE TABLE checkpoint (position BIGINT, entry VARCHAR, version VARCHAR);
CREATE SEQUENCE ids MAXVALUE 4294967295;
CREATE SEQUENCE term_ids MAXVALUE 4294967295;
