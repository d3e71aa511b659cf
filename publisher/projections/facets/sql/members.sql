SELECT index AS member, (dense_rank() OVER (ORDER BY cluster) - 1)::UINTEGER AS cluster
FROM thing_index JOIN groups USING (iri) ORDER BY index
