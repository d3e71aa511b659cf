-- The things that count once together, each with the address under which it counts: the members of a cluster, and an initiative with its
-- parts, as the lines _PARTS of filter_query.py say it in SPARQL. The whole of a part is the outermost initiative to which the addresses of
-- wholes lead, or the one with that title at the same source. Parts of one title count once also where no initiative has it; a part of an
-- address that is not published here counts by itself.
CREATE OR REPLACE TEMP TABLE named AS SELECT iri, kind, source, unnest(wholes) AS whole FROM things WHERE wholes IS NOT NULL;
CREATE OR REPLACE TEMP TABLE groups_now AS
WITH RECURSIVE reached AS (
    SELECT iri, whole AS above FROM named
    UNION SELECT reached.iri, whole FROM reached JOIN named ON named.iri = above
), titled AS (
    SELECT iri, source, unnest(list_append(other_titles, title)) AS title FROM things
    WHERE kind = 1 AND source IN (SELECT source FROM named)
), found AS (
    SELECT iri, above FROM reached
    UNION ALL SELECT named.iri, titled.iri FROM named JOIN titled ON titled.source = named.source AND title = whole
), inner_parts AS (
    SELECT named.iri FROM named JOIN things ON things.iri = whole WHERE things.kind = 1
), tops AS (
    SELECT part.iri, min(coalesce(cluster, above)) AS cluster, arg_min(above, coalesce(cluster, above)) AS above
    FROM found JOIN things AS part ON part.iri = found.iri JOIN things AS top ON top.iri = above LEFT JOIN clusters ON clusters.iri = above
    WHERE part.kind = 1 AND top.kind = 1 AND above NOT IN (FROM inner_parts)
    GROUP BY part.iri
), lost AS (
    SELECT iri, min(iri) OVER (PARTITION BY title) AS cluster
    FROM (SELECT iri, min(whole) AS title FROM named WHERE kind = 1 AND NOT contains(whole, '://') GROUP BY iri)
    WHERE iri NOT IN (SELECT iri FROM clusters) AND iri NOT IN (SELECT iri FROM tops)
)
SELECT thing, cluster FROM things JOIN (
    SELECT iri, min(cluster) AS cluster FROM clusters GROUP BY iri
    UNION ALL FROM lost
    UNION ALL
    SELECT iri, cluster
    FROM (SELECT iri, cluster FROM tops UNION SELECT above, above FROM tops WHERE above NOT IN (SELECT iri FROM tops UNION ALL SELECT iri FROM lost))
    WHERE iri NOT IN (SELECT iri FROM clusters)
) USING (iri);
