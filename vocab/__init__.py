"""The vocabulary: ontology, schemes, crosswalks, the data model and the only writer of triples."""
