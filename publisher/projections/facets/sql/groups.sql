-- The things that count once together, each with the address under which it counts: the members of a cluster, and an initiative with its
-- parts. A part is in no cluster; its whole is the initiative with that IRI, or with that title at the same source. Parts of one title count
-- once also where no initiative has it. A part of a part counts with the outermost whole.
CREATE OR REPLACE TABLE groups AS
WITH RECURSIVE parts AS (
    SELECT iri, kind, source, whole FROM things WHERE whole IS NOT NULL AND iri NOT IN (SELECT iri FROM clusters)
), titled AS (
    SELECT things.kind, things.source, title AS whole, min(things.iri) AS found
    FROM things JOIN (SELECT DISTINCT kind, source, whole FROM parts) AS named
        ON things.kind = named.kind AND things.source = named.source AND title = named.whole
    GROUP BY ALL
), found_parts AS (
    SELECT parts.iri, parts.source, parts.whole, coalesce(same.iri, titled.found) AS found
    FROM parts
    LEFT JOIN things AS same ON same.iri = parts.whole AND same.kind = parts.kind
    LEFT JOIN titled ON titled.kind = parts.kind AND titled.source = parts.source AND titled.whole = parts.whole
), named AS (
    SELECT iri, min(iri) OVER (PARTITION BY source, whole) AS cluster
    FROM found_parts WHERE found IS NULL AND NOT contains(whole, '://')
), climbs AS (
    SELECT iri, found AS top, 1 AS step FROM found_parts WHERE found <> iri
    -- initiatives that are parts of each other end after ten steps, and count under the least of their addresses
    UNION ALL SELECT climbs.iri, found_parts.found, step + 1
    FROM climbs JOIN found_parts ON found_parts.iri = top WHERE found <> top AND step < 10
), tops AS (
    SELECT iri, CASE WHEN max(step) = 10 THEN min(top) ELSE arg_max(top, step) END AS top FROM climbs GROUP BY iri
), grouped AS (
    SELECT iri, cluster FROM clusters
    UNION ALL SELECT iri, cluster FROM named
    UNION ALL SELECT counted.iri, coalesce(clusters.cluster, named.cluster, top)
    FROM (SELECT iri, top FROM tops UNION SELECT top, top FROM tops) AS counted
    LEFT JOIN clusters ON clusters.iri = top LEFT JOIN named ON named.iri = top
)
SELECT iri, min(cluster) AS cluster FROM grouped GROUP BY iri;
