"""The words: ontology, schemes, crosswalks, the one model and the only writer of triples."""
