-- Number the organizations that take part in anything, in the order of their IRIs.
DROP TABLE IF EXISTS bodies;
CREATE TABLE bodies AS
    SELECT (row_number() OVER (ORDER BY organization) - 1)::UINTEGER AS body, organization AS iri, title
    FROM (SELECT DISTINCT organization FROM parties WHERE roles <> 0) AS participants LEFT JOIN thing_index ON thing_index.iri = organization
    ORDER BY body;
CREATE TEMP TABLE roles AS
    SELECT index, body FROM parties JOIN thing_index USING (thing) JOIN bodies ON bodies.iri = organization WHERE roles <> 0;
CREATE TEMP TABLE pairs AS
    SELECT one.index AS index, one.body AS one, other.body AS other
    FROM roles AS one JOIN roles AS other USING (index) WHERE one.body < other.body;
