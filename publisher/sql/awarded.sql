SELECT DISTINCT coalesce(year, '') AS year FROM prizes JOIN things USING (thing) WHERE $things
ORDER BY year DESC
