-- The prizes of the records that are related to $thing: the nominations of a contest.
FROM (
    WITH awards AS MATERIALIZED (SELECT s FROM triples WHERE p = <dct:relation> AND o = $thing),
    prizes AS MATERIALIZED (SELECT s, p, o FROM triples WHERE p = <vivo:relatedBy> AND s IN (FROM awards))
    FROM prizes UNION ALL SELECT s, p, o FROM triples
    WHERE p IN (<wsis:prizeCategory>, <wsis:prizeStage>, <wsis:prizeYear>, <rdfs:label>) AND s IN (SELECT o FROM prizes)
)
