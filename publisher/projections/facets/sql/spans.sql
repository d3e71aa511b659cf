-- Store the first and last day of each thing, sorted by kind and first day.
DROP TABLE IF EXISTS spans;
CREATE TABLE spans AS
    SELECT kind, begins, begins[:10] AS first, coalesce(ends, begins)[:10] AS last, index, thing
    FROM things JOIN (SELECT thing, index FROM thing_index) AS indexed USING (thing) WHERE begins IS NOT NULL ORDER BY kind, begins, index;
