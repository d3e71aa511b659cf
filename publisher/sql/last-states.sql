-- The last state of each of the graphs in the table arrived (graph).
SELECT DISTINCT ON (graph) graph, sequence, record, kind, sets, type, size
FROM graph_changes SEMI JOIN arrived USING (graph) ORDER BY graph, entry DESC, sequence DESC
