-- The last entry that is announced at $now.
SELECT number, sequence, stamp FROM entries WHERE coalesce(announced, $announced) <= $now ORDER BY number DESC LIMIT 1
