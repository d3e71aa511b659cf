SELECT things.iri, title, language, category, stage, year
FROM (SELECT * FROM prizes WHERE ($year IS NULL OR coalesce(year, '') = $year)
    -- narrowed
) AS prizes JOIN things USING (thing)
ORDER BY year DESC NULLS LAST, category, stage, things.iri
