-- The official links between action lines and goals, and whether the editions of the matrix agree on them.
WITH named AS (
    SELECT id, lexical[length($ns) + 1:] AS name FROM terms
    WHERE kind = 0 AND lexical IN ($ns || 'linkLine', $ns || 'linkGoal', $ns || 'linkStatus')
),
stated AS (SELECT s, name, terms.lexical AS value FROM triples JOIN named ON named.id = p JOIN terms ON terms.id = o)
SELECT line.value, goal.value, status.value
FROM stated AS line JOIN stated AS goal USING (s) JOIN stated AS status USING (s)
WHERE line.name = 'linkLine' AND goal.name = 'linkGoal' AND status.name = 'linkStatus' ORDER BY ALL
