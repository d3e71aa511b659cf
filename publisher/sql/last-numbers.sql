SELECT coalesce(max(graph_changes.sequence), 0), coalesce(max(record), 0), (SELECT max(stamp) FROM entries) FROM graph_changes
