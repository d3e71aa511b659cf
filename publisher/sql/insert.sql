-- Insert the things among the topics, with what the tables statements and texts say of them. Of several values the least counts.
CREATE OR REPLACE TEMP TABLE inserted AS
    SELECT (coalesce((SELECT max(thing) FROM things), 0) + row_number() OVER (ORDER BY iri))::UINTEGER AS thing, * FROM topics WHERE kind IS NOT NULL;
INSERT INTO changed SELECT thing FROM inserted;
-- What is about a thing: its own statements, those of its record, and those of its prizes and of the remarks on it.
CREATE OR REPLACE TEMP TABLE facts AS
    SELECT thing, kind, about, subject, property, object, text, is_iri, language
    FROM (
        SELECT thing, kind, owner, subject, 'thing' AS about FROM inserted
        UNION ALL SELECT thing, kind, owner, owner, 'record' FROM inserted WHERE record IS NOT NULL
        UNION ALL SELECT thing, kind, owner, object, 'part'
            FROM inserted JOIN statements USING (owner, subject) WHERE property = 'award'
        UNION ALL SELECT thing, kind, owner, object, 'part'
            FROM inserted JOIN statements USING (owner) WHERE property = 'result' AND statements.subject = owner
    ) JOIN statements USING (owner, subject) JOIN texts ON id = object;
CREATE OR REPLACE TEMP TABLE titles AS
    SELECT thing, arg_min({'text': text, 'language': language}, {
        'rank': CASE WHEN language = 'en' THEN 0 WHEN language IS NULL THEN 1 ELSE 2 END, 'language': language, 'text': text
    }) AS title
    FROM facts WHERE about = 'thing' AND property = CASE WHEN kind = 5 THEN 'name' ELSE 'title' END
    GROUP BY thing;
INSERT INTO things
    SELECT thing, md5_number_lower(iri), iri, kind, source, record, title.text, title.language, list_filter(texts, lambda one: one <> title.text),
        begins, ends, issued, first_seen, changed, venue, wholes, page, coalesce(status LIKE '%Cancelled', false), lower(title.text),
        title_start(CASE WHEN title IS NULL THEN '2' WHEN title.language = 'en' THEN '0' ELSE '1' END || coalesce(lower(title.text), ''))
    FROM inserted LEFT JOIN titles USING (thing) LEFT JOIN (
        SELECT thing,
            min(text) FILTER (about = 'thing' AND property = 'begins') AS begins,
            min(text) FILTER (about = 'thing' AND property = 'ends') AS ends,
            min(text) FILTER (about = 'thing' AND property = 'issued') AS issued,
            min(text) FILTER (about = 'record' AND property = 'issued') AS first_seen,
            min(text) FILTER (about = 'record' AND property = 'modified') AS changed,
            min(text) FILTER (about = 'thing' AND property = 'venue') AS venue,
            list(DISTINCT text ORDER BY text) FILTER (about = 'thing' AND property = 'whole') AS wholes,
            list(DISTINCT text ORDER BY text) FILTER (about = 'thing' AND property = 'title') AS texts,
            min(text) FILTER (about = 'thing' AND property = 'page') AS page,
            min(text) FILTER (about = 'thing' AND property = 'event-status') AS status
        FROM facts
        WHERE property IN ('begins', 'ends', 'issued', 'modified', 'venue', 'whole', 'page', 'event-status', 'title')
        GROUP BY thing
    ) USING (thing);
CREATE OR REPLACE TEMP TABLE marked AS
    SELECT thing, kind, facet, code, bit_or(bits) AS bases FROM (
        SELECT thing, inserted.kind, 'kind' AS facet, name AS code, 7 AS bits FROM inserted JOIN kinds USING (kind)
        UNION ALL SELECT thing, kind, 'source', source, 7 FROM inserted
        UNION ALL SELECT thing, kind, 'language', lower(split_part(coalesce(language, 'en'), '-', 1)), 7
            FROM facts WHERE about = 'thing' AND property IN ('title', 'name', 'description', 'content') AND NOT is_iri
        UNION ALL SELECT thing, kind, facet, without(text, prefix), bits
            FROM facts JOIN coded USING (about, property)
            WHERE (is_iri OR with_texts) AND facet <> 'stakeholder' AND (facet <> 'document' OR kind = 3)
        UNION ALL SELECT thing, kind, 'basis', basis, 7 FROM facts JOIN coded USING (about, property) WHERE is_iri AND basis <> ''
        UNION ALL SELECT thing, kind, 'year', year, 7
            FROM (SELECT thing, things.kind, left(coalesce(nullif(begins, ''), issued), 4) AS year FROM things JOIN inserted USING (thing))
            WHERE regexp_full_match(year, '[0-9]{4}') AND year <> '0000'
    ) GROUP BY ALL;
INSERT INTO codes
    SELECT coalesce((SELECT max(value) FROM codes), 0) + row_number() OVER (ORDER BY facet, code), facet, code
    FROM (SELECT DISTINCT facet, code FROM marked) AS used ANTI JOIN codes USING (facet, code);
INSERT INTO marks SELECT thing, kind, value, bases FROM marked JOIN codes USING (facet, code);
CREATE OR REPLACE TEMP TABLE taking AS
    SELECT thing, kind, text AS iri, bit_or(CASE property WHEN 'lead' THEN 1 WHEN 'partner' THEN 2 ELSE 4 END) AS roles
    FROM facts WHERE about = 'thing' AND property IN ('lead', 'partner', 'funder') AND is_iri GROUP BY ALL
    UNION ALL SELECT DISTINCT thing, kind, iri, 0 FROM inserted JOIN facts USING (thing, kind) WHERE property = 'classification';
INSERT INTO organizations
    SELECT coalesce((SELECT max(organization) FROM organizations), 0) + row_number() OVER (ORDER BY iri), md5_number_lower(iri), iri
    FROM (SELECT DISTINCT iri FROM taking) AS used ANTI JOIN organizations USING (iri);
INSERT INTO parties SELECT thing, kind, organization, roles FROM taking JOIN organizations USING (iri);
INSERT INTO classes
    SELECT DISTINCT organization, without(text, prefix)
    FROM inserted JOIN organizations USING (iri) JOIN facts USING (thing, kind) JOIN coded USING (about, property)
    WHERE property = 'classification' AND is_iri;
INSERT INTO prizes
    SELECT thing, kind, min(code) FILTER (property = 'prize'), min(code) FILTER (property = 'stage'), min(code) FILTER (property = 'prizeyear')
    FROM (SELECT thing, kind, object AS subject FROM facts WHERE property = 'award' AND about = 'thing') LEFT JOIN (
        SELECT thing, subject, property, without(text, prefix) AS code FROM facts JOIN coded USING (about, property) WHERE about = 'part'
    ) USING (thing, subject)
    GROUP BY thing, kind, subject;
