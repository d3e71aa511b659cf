-- The things of each facet value, by the bases of its links.
SELECT facet, code, bases, things FROM (SELECT value, bases, list(thing) AS things FROM marks GROUP BY ALL) JOIN codes USING (value)
