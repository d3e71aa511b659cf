SELECT DISTINCT coalesce(year, '') AS year FROM prizes JOIN things USING (thing, kind) WHERE $things
ORDER BY year DESC
