-- A row if two terms have one number.
SELECT 1 FROM staged_terms GROUP BY id HAVING min("check") <> max("check")
UNION ALL SELECT 1 FROM staged_terms JOIN terms USING (id) WHERE staged_terms."check" <> terms."check" LIMIT 1
