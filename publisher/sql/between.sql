SELECT thing FROM things
WHERE begins[:10] <= $last AND coalesce(ends, begins)[:10] >= $first
    AND ($ended_before IS NULL OR coalesce(ends, begins)[:10] < $ended_before) AND $things
ORDER BY CASE WHEN $ended_before IS NOT NULL THEN coalesce(ends, begins)[:10] END DESC, begins, iri
LIMIT $limit
