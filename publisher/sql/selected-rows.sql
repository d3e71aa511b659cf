SELECT place, s.rowid AS s, p, o.rowid AS o
FROM selected JOIN texts s ON s.id = selected.s JOIN texts o ON o.id = selected.o
