SELECT DISTINCT coalesce(year, '') AS year FROM prizes WHERE true
-- narrowed
ORDER BY year DESC
