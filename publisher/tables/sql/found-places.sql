places AS MATERIALIZED (
    SELECT thing, place FROM things
    JOIN (SELECT unnest($among) AS iri, generate_subscripts($among, 1) AS place) AS named USING (iri)
),
