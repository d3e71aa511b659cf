SELECT iri, title FROM things WHERE iri IN (SELECT unnest($iris))
