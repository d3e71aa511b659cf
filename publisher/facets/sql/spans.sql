-- Sets down when things begin and end, those of a kind together in the order of their beginnings.
DROP TABLE IF EXISTS spans;
CREATE TABLE spans AS
    SELECT kind, begins, begins[:10] AS first, coalesce(ends, begins)[:10] AS last, place, thing
    FROM things JOIN (SELECT thing, place FROM placed) AS those USING (thing) WHERE begins IS NOT NULL ORDER BY kind, begins, place;
