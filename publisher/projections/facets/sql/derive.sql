-- Derive marks of the things in the temporary table changed from other graphs: regions of their countries, types of their parties.
INSERT INTO terms
    SELECT nextval('term_ids'), facet, code FROM (
        SELECT 'region' AS facet, region AS code FROM regions UNION SELECT 'stakeholder', code FROM classes
    ) AS codes ANTI JOIN terms USING (facet, code);
DELETE FROM marks
    WHERE thing IN (SELECT thing FROM changed) AND value IN (SELECT value FROM terms WHERE facet IN ('region', 'stakeholder'));
INSERT INTO marks
    SELECT DISTINCT marks.thing, marks.kind, region.value, 7
    FROM changed JOIN marks USING (thing)
    JOIN terms AS country ON country.value = marks.value AND country.facet = 'country'
    JOIN regions ON regions.area = country.code
    JOIN terms AS region ON region.code = regions.region AND region.facet = 'region';
INSERT INTO marks
    SELECT DISTINCT parties.thing, parties.kind, type.value, 7
    FROM changed JOIN parties USING (thing)
    JOIN classes USING (organization)
    JOIN terms AS type ON type.code = classes.code AND type.facet = 'stakeholder';
