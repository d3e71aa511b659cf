SELECT things.iri, title, language, category, stage, year
FROM prizes JOIN things USING (thing, kind)
WHERE ($year IS NULL OR coalesce(year, '') = $year) AND $things
ORDER BY year DESC NULLS LAST, category, stage, things.iri
