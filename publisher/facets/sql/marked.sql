SELECT value::UBIGINT << $bits | bases AS mark, place FROM marks JOIN placed USING (thing)
WHERE value BETWEEN $first AND $last
ORDER BY mark, place
