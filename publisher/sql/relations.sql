-- The regions and areas in which areas count, and the members of clusters, as they are now.
CREATE OR REPLACE TEMP TABLE containers_now AS
    SELECT DISTINCT without(area.lexical, getvariable('country')) AS area, 'region' AS facet, without(region.lexical, getvariable('region')) AS code
    FROM triples JOIN terms AS area ON area.id = s JOIN terms AS region ON region.id = o
    WHERE p = getvariable('in_region') AND starts_with(region.lexical, getvariable('region'))
    UNION ALL SELECT area, 'area', code FROM areas;
-- Which of these are clusters is seen in the finished table: a filter of the texts of terms would read all of them.
CREATE OR REPLACE TEMP TABLE clusters_now AS
    SELECT DISTINCT member.lexical AS iri, cluster.lexical AS cluster
    FROM triples JOIN terms AS cluster ON cluster.id = s JOIN terms AS member ON member.id = o WHERE p = getvariable('has_member');
DELETE FROM clusters_now WHERE NOT starts_with(cluster, getvariable('clusters'));
