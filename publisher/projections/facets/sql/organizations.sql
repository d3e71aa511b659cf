-- Number the organizations that take part in anything, in the order of their IRIs.
CREATE TEMP TABLE participants AS SELECT DISTINCT organization AS iri FROM parties WHERE roles <> 0 ORDER BY iri;
DROP TABLE IF EXISTS bodies;
CREATE TABLE bodies AS
    SELECT participants.rowid::UINTEGER AS body, iri, title FROM participants LEFT JOIN thing_index USING (iri) ORDER BY body;
CREATE TEMP TABLE roles AS
    SELECT index, body FROM parties JOIN thing_index USING (thing) JOIN bodies ON bodies.iri = organization WHERE roles <> 0;
CREATE TEMP TABLE pairs AS
    SELECT one.index AS index, one.body AS one, other.body AS other
    FROM roles AS one JOIN roles AS other USING (index) WHERE one.body < other.body;
