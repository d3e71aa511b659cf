from __future__ import annotations

from pyoxigraph import NamedNode
from rows import each

from vocab.iris import BASE
from vocab.schemes import ONTOLOGIES, concepts, graph_triples, ontology_triples, schemes
from vocab.terms import DCT, RDFS


@each("name", [*schemes(), *ONTOLOGIES])
def test_every_concept_has_a_source_or_says_that_it_is_ours(name: str) -> None:
    triples = [*(ontology_triples(name) if name in ONTOLOGIES else graph_triples(name))]
    subjects = {item.subject.value for item in triples if isinstance(item.subject, NamedNode)}
    either = {
        item.subject.value
        for item in triples
        if item.predicate.value in (f"{DCT}source", f"{RDFS}isDefinedBy")
        and isinstance(item.subject, NamedNode)
    }

    terms = {iri for iri in subjects if iri.startswith(f"{BASE}{name}#")}
    members = terms if name in ONTOLOGIES else set(concepts(name))
    assert members
    assert members - either == set()


@each("name", schemes())
def test_every_concept_has_a_label_in_english(name: str) -> None:
    assert all(
        any(label.language == "en" for label in item.labels) for item in concepts(name).values()
    )
