SELECT thing FROM marks
WHERE value IN (SELECT value FROM terms WHERE facet = $facet AND code IN (SELECT unnest($codes))) AND bases & $bases <> 0
