-- Numbers the organizations that take part in anything, by their addresses.
DROP TABLE IF EXISTS bodies;
CREATE TABLE bodies AS
    SELECT (row_number() OVER (ORDER BY organization) - 1)::UINTEGER AS body, organization AS iri, title
    FROM (SELECT DISTINCT organization FROM parties WHERE roles <> 0) AS named LEFT JOIN placed ON placed.iri = organization
    ORDER BY body;
CREATE TEMP TABLE roles AS
    SELECT place, body FROM parties JOIN placed USING (thing) JOIN bodies ON bodies.iri = organization WHERE roles <> 0;
CREATE TEMP TABLE pairs AS
    SELECT one.place AS place, one.body AS one, other.body AS other
    FROM roles AS one JOIN roles AS other USING (place) WHERE one.body < other.body;
