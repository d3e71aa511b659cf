-- Insert the first of the staged terms with each number, unless there is one. Only numbers are grouped
-- and joined: grouping their texts takes several times as much memory as these.
INSERT INTO terms
    SELECT staged_terms.* FROM staged_terms
    SEMI JOIN (SELECT min(rowid) AS row FROM staged_terms GROUP BY id) ON staged_terms.rowid = row
    ANTI JOIN (SELECT id FROM terms SEMI JOIN staged_terms USING (id)) USING (id);
DELETE FROM staged_terms;
