-- The statuses of the sources, what is known of the registries, and how many records the last run of each withheld.
FROM (
    WITH registries AS MATERIALIZED (
        SELECT s, p, o FROM triples
        WHERE p IN (<dct:title>, <dct:license>, <dct:publisher>) AND s IN (SELECT s FROM triples WHERE p = <rdf:type> AND o = <dcat:Catalog>)
    )
    SELECT s, p, o FROM quads WHERE g = <status>
    UNION FROM registries
    UNION SELECT s, p, o FROM triples WHERE p = <foaf:name> AND s IN (SELECT o FROM registries)
    UNION SELECT s, p, o FROM triples
    WHERE p = <ops:withheldRecords> AND s IN (SELECT o FROM quads WHERE g = <status> AND p = <ops:lastRun>)
)
