-- What a journal entry changes: of several rows of one quad the last counts.
CREATE OR REPLACE TEMP TABLE change AS
    SELECT arg_max(added, n) AS added, g, s, p, o FROM staged GROUP BY g, s, p, o;
