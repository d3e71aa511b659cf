SELECT entry, run, max(time) OVER (ORDER BY entry), added, removed, "rows"
FROM graph_changes JOIN entries ON number = entry WHERE graph = $graph ORDER BY entry
