-- The relations and macros that the columns of tables.toml read. BASE is the base of our IRIs; a name such as 'dct:title' is written as
-- the IRI in angle brackets. The statements of one part of the graphs are read at a time, since lists and sums of texts stay in memory.

CREATE MACRO path_of(term) AS CASE WHEN starts_with(term, '<BASE') THEN substr(term, length('<BASE') + 1, length(term) - length('<BASE') - 1) END;
CREATE MACRO year_of(date) AS nullif(TRY_CAST(regexp_extract(date, '^([0-9]{4})(-|$)', 1) AS BIGINT), 0);
CREATE MACRO csv_cell(value) AS CASE WHEN regexp_matches(value::VARCHAR, '[",\r\n]') THEN '"' || replace(value::VARCHAR, '"', '""') || '"' ELSE value::VARCHAR END;
CREATE TEMP TABLE areas (code VARCHAR, area_name VARCHAR, iso3 VARCHAR, itu_region VARCHAR);

-- part
CREATE OR REPLACE TEMP TABLE statements AS
WITH heads AS (
    SELECT g, split_part(path_of(g), '/', 1) AS type,
        CASE type WHEN 'id' THEN g ELSE arg_min(o, o) FILTER (WHERE s = g AND p = 'foaf:primaryTopic') END AS topic,
        coalesce(regexp_extract(arg_min(o, o) FILTER (WHERE s = g AND p = 'adms:status'), '([^#<]*)>$', 1), 'published') AS state,
        string_split(path_of(topic), '/') AS names
    FROM quads WHERE part = PART GROUP BY g HAVING type IN ('record', 'id', 'cluster')
), described AS (
    SELECT g, type, split_part(path_of(g), '/', CASE type WHEN 'id' THEN 3 ELSE 2 END) AS source,
        topic, state, CASE WHEN names[1] = 'id' AND names[2] IN (KINDS) THEN names[2] ELSE '' END AS kind
    FROM heads
), terms AS (
    SELECT g, s, p, o, starts_with(o, '<') AS is_iri, CASE WHEN is_iri THEN '' ELSE split_part(o, '"', -1) END AS tail,
        CASE WHEN is_iri THEN o[2:-2] WHEN contains(o, '\') THEN literal_text(o) ELSE substr(o, 2, length(o) - length(tail) - 2) END AS text,
        CASE WHEN starts_with(tail, '@') THEN substr(tail, 2) ELSE '' END AS language
    FROM quads WHERE part = PART
)
SELECT described.*, s, p, o, is_iri, text, language FROM described JOIN terms USING (g);

-- What is derived from a text is computed where it is read, since most statements are read without it.
CREATE OR REPLACE TEMP VIEW cells AS
SELECT *, g[2:-2] AS graph, topic[2:-2] AS thing, CASE WHEN is_iri THEN split_part(text, '/', -1) ELSE text END AS code,
    concat(CASE language WHEN 'en' THEN '0' WHEN '' THEN '1' ELSE '2' || language END, ' ', text) AS preference
FROM statements;

-- The parts of a record that its statements lead to: links, points, prizes.
CREATE OR REPLACE TEMP TABLE nodes AS
SELECT g, s, of_node('wsis:concept') AS concept, regexp_extract(of_node('wsis:basis'), '[^#]*$') AS basis, of_node('wsis:sourceWord') AS word,
    of_node('wsis:confidence') AS confidence, of_node('wgs:lat') AS latitude, of_node('wgs:long') AS longitude,
    arg_min(text, preference) FILTER (WHERE p = 'rdfs:label') AS label,
    replace(concat_ws('-', code_of_node('wsis:prizeCategory'), code_of_node('wsis:prizeStage'),
        code_of_node('wsis:prizeYear')), ' ', '_') AS prize
FROM cells WHERE type = 'record' AND s <> g GROUP BY g, s;

CREATE OR REPLACE TEMP VIEW initiative_cells AS
SELECT cells.*, prize, area_name, iso3, itu_region
FROM cells LEFT JOIN nodes ON nodes.g = cells.g AND nodes.s = o AND cells.p = 'vivo:relatedBy'
    LEFT JOIN areas ON areas.code = cells.code AND is_iri AND p = 'dct:spatial'
WHERE type = 'record' AND kind = 'initiative' AND state <> 'gone' AND cells.s IN (cells.g, topic);

CREATE OR REPLACE TEMP VIEW thing_cells AS
SELECT * FROM cells WHERE type = 'record' AND kind <> '' AND state <> 'gone' AND s = topic;

CREATE OR REPLACE TEMP VIEW party_cells AS
SELECT *
FROM thing_cells JOIN (VALUES ('dct:publisher', 'lead'), ('wsis:partner', 'partner'), ('schema:funder', 'funder')) roles (p, role) USING (p)
WHERE is_iri;

CREATE OR REPLACE TEMP VIEW link_cells AS
WITH ties (p, scheme, basis) AS (VALUES
    ('wsis:actionLine', 'action-line', 'declared'), ('wsis:crosswalkedActionLine', 'action-line', 'crosswalked'),
    ('wsis:suggestedActionLine', 'action-line', 'suggested'), ('wsis:goal', 'goal', 'declared'), ('wsis:crosswalkedGoal', 'goal', 'crosswalked'),
    ('wsis:suggestedGoal', 'goal', 'suggested'), ('wsis:target', 'target', 'declared'), ('wsis:crosswalkedTarget', 'target', 'crosswalked'),
    ('wsis:suggestedTarget', 'target', 'suggested')
), claims AS (SELECT g, concept, basis, arg_max({'word': word, 'confidence': confidence}, s) AS claim FROM nodes WHERE basis <> '' GROUP BY ALL)
SELECT cells.*, scheme, ties.basis, claim.word, claim.confidence
FROM thing_cells cells JOIN ties USING (p) LEFT JOIN claims ON claims.g = cells.g AND concept = text AND claims.basis = ties.basis;

CREATE OR REPLACE TEMP VIEW place_cells AS
SELECT cells.*, label, latitude, longitude FROM thing_cells cells LEFT JOIN nodes ON nodes.g = cells.g AND nodes.s = o
WHERE p = 'dct:spatial' OR (p = 'schema:location' AND latitude IS NOT NULL AND longitude IS NOT NULL);

CREATE OR REPLACE TEMP VIEW member_cells AS
SELECT * REPLACE (text AS thing, split_part(path_of(o), '/', 2) AS kind, split_part(path_of(o), '/', 3) AS source)
FROM cells WHERE type = 'cluster' AND s = g AND p = 'prov:hadMember';
