SELECT index FROM spans
WHERE kind IN (SELECT unnest($kinds)) AND first <= $last AND last >= $first AND ($ended_before IS NULL OR last < $ended_before)
-- narrowed
ORDER BY CASE WHEN $ended_before IS NOT NULL THEN last END DESC, begins, index
LIMIT $limit
