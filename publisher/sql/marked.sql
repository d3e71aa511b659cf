-- The things of each facet value, by the bases of its links.
SELECT facet, code, bases, list(thing) AS things FROM marks JOIN codes USING (value) GROUP BY ALL
