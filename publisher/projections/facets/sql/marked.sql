-- Each mark, counted from the first, and in its lower 32 bits the index of a thing that has it.
SELECT ((value - $first)::UBIGINT << $bits | bases) << 32 | index AS mark FROM marks JOIN thing_index USING (thing)
WHERE value BETWEEN $first AND $last
