SELECT value::UBIGINT << $bits | bases AS mark, index FROM marks JOIN thing_index USING (thing)
WHERE value BETWEEN $first AND $last
ORDER BY mark, index
