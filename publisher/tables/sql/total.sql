-- found
SELECT count(*) FROM things WHERE true
-- narrowed
