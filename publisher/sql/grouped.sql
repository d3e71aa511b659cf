-- The things that count together with others, each with the number of its cluster.
SELECT thing, (dense_rank() OVER (ORDER BY cluster))::UINTEGER AS cluster FROM groups ORDER BY thing
