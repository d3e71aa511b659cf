INSERT INTO terms SELECT DISTINCT ON (id) * FROM staged_terms ANTI JOIN terms USING (id);
DELETE FROM staged_terms;
