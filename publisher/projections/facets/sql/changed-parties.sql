-- Add the things of a changed organization to the table changed.
INSERT INTO changed
    SELECT DISTINCT parties.thing FROM parties
    WHERE organization IN (SELECT things.iri FROM changed JOIN things USING (thing) WHERE things.record IS NULL)
        AND parties.thing NOT IN (SELECT thing FROM changed);
