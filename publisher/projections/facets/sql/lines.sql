SELECT thing, iri, kind, source, title, language, begins, ends, issued, changed, venue, cancelled
FROM things
WHERE thing IN
