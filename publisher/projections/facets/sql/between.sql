SELECT index FROM spans
WHERE kind IN (SELECT unnest($kinds)) AND first <= $last AND last >= $first
-- narrowed
ORDER BY begins, index
LIMIT $limit
