-- Adds to the table changed the things that name an organization which has changed.
INSERT INTO changed
    SELECT DISTINCT parties.thing FROM parties
    WHERE organization IN (SELECT things.iri FROM changed JOIN things USING (thing) WHERE things.record IS NULL)
        AND parties.thing NOT IN (SELECT thing FROM changed);
