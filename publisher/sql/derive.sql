-- Derive marks of the changed things from others: the regions and areas of their countries, the types of their parties. Things change with
-- the organizations that take part in them, and all do with the regions and areas.
INSERT INTO changed SELECT thing FROM things WHERE EXISTS (
    (FROM containers EXCEPT FROM containers_now) UNION ALL (FROM containers_now EXCEPT FROM containers)
);
INSERT INTO changed SELECT thing FROM parties WHERE organization IN (
    SELECT organization FROM organizations JOIN due USING (iri) WHERE is_organization);
INSERT INTO codes
    SELECT coalesce((SELECT max(value) FROM codes), 0) + row_number() OVER (ORDER BY facet, code), facet, code FROM (
        SELECT facet, code FROM containers_now
        UNION SELECT 'stakeholder', code FROM classes WHERE organization IN (SELECT organization FROM organizations JOIN due USING (iri) WHERE is_organization)
    ) AS used ANTI JOIN codes USING (facet, code);
DELETE FROM marks
    WHERE thing IN (SELECT thing FROM changed) AND value IN (SELECT value FROM codes WHERE facet IN ('area', 'region', 'stakeholder'));
INSERT INTO marks
    SELECT DISTINCT thing, marks.kind, container.value, 7
    FROM marks JOIN codes AS country ON country.value = marks.value AND country.facet = 'country'
    JOIN containers_now ON containers_now.area = country.code
    JOIN codes AS container ON container.code = containers_now.code AND container.facet = containers_now.facet
    WHERE thing IN (SELECT thing FROM changed);
INSERT INTO marks
    SELECT DISTINCT thing, parties.kind, type.value, 7
    FROM parties JOIN classes USING (organization) JOIN codes AS type ON type.code = classes.code AND type.facet = 'stakeholder'
    WHERE thing IN (SELECT thing FROM changed);
