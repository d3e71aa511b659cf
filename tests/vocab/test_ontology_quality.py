"""The checks of OOPS!, FOOPS! and qSKOS, as far as a program can make them.

Sources: https://oops.linkeddata.es/catalogue.jsp (the codes of pitfalls), https://w3id.org/foops/ (tests of FAIR ontologies) and
https://github.com/cmader/qSKOS (issues of SKOS vocabularies).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
from pyoxigraph import Literal, NamedNode, Triple

from vocab.iris import BASE
from vocab.schemes import concepts, graph_triples, schemes
from vocab.terms import DCT, RDF, RDFS, SKOS

OWL, VANN = "http://www.w3.org/2002/07/owl#", "http://purl.org/vocab/vann/"
NS, ONTOLOGY = f"{BASE}ns#", f"{BASE}ns"
TRIPLES = graph_triples()
LANGUAGES = ("en", "fr", "es", "ar", "zh", "ru")

# Properties that say nothing of what they apply to or lead to, and why.
WITHOUT_RANGE = {
    "classified": "anything that is described",
    "basis": "one of three concepts of the ontology, which belong to no scheme",
    "linkStatus": "one of two concepts of the ontology, which belong to no scheme",
    "detectedOf": "anything that is described",
    "evidence": "a text with or without a language",
    "plannedStartDate": "a day, a month or a year",
    "plannedEndDate": "a day, a month or a year",
    "venue": "a text with or without a language",
}


def values(subject: str, predicate: str) -> list[str]:
    return [t.object.value for t in TRIPLES if t.subject == NamedNode(subject) and t.predicate.value == predicate
            and isinstance(t.object, NamedNode | Literal)]  # fmt: skip


def typed(*names: str) -> list[str]:
    return sorted({t.subject.value for t in TRIPLES if isinstance(t.subject, NamedNode) and t.predicate.value == f"{RDF}type"
                   and isinstance(t.object, NamedNode) and t.object.value in {f"{OWL}{name}" for name in names}
                   and t.subject.value.startswith(NS)})  # fmt: skip


TERMS = sorted({t.subject.value for t in TRIPLES if isinstance(t.subject, NamedNode) and t.subject.value.startswith(NS)})
PROPERTIES, CLASSES = typed("ObjectProperty", "DatatypeProperty"), typed("Class")


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.removeprefix(NS))
def test_p08_p34_every_term_has_a_type_a_definition_and_a_label_in_six_languages(term: str) -> None:
    labels = [t.object.language for t in TRIPLES if t.subject == NamedNode(term) and t.predicate.value == f"{RDFS}label"
              and isinstance(t.object, Literal)]  # fmt: skip

    assert values(term, f"{RDF}type")
    assert sorted(map(str, labels)) == sorted(LANGUAGES)
    assert len(values(term, f"{RDFS}comment")) == 1
    assert values(term, f"{RDFS}isDefinedBy") == [ONTOLOGY]


def test_p11_every_property_has_a_range_or_a_reason_for_none() -> None:
    without = {term.removeprefix(NS) for term in PROPERTIES if not values(term, f"{RDFS}range")}

    assert without == set(WITHOUT_RANGE)


def test_p19_no_property_has_several_domains_or_ranges() -> None:
    assert [term for term in PROPERTIES for name in ("domain", "range") if len(values(term, RDFS + name)) > 1] == []


def test_p22_names_follow_one_convention() -> None:
    assert [term for term in CLASSES if not re.fullmatch(r"[A-Z][A-Za-z]+", term.removeprefix(NS))] == []
    assert [term for term in TERMS if term not in CLASSES and not re.fullmatch(r"[a-z][A-Za-z]+", term.removeprefix(NS))] == []


def test_p27_p31_no_subproperty_or_class_contains_itself() -> None:
    parents = {term: {*values(term, f"{RDFS}subPropertyOf"), *values(term, f"{RDFS}subClassOf")} for term in TERMS}

    assert [term for term in TERMS if term in reachable(term, parents)] == []


def test_p05_the_ranges_of_a_subproperty_are_those_of_its_parent() -> None:
    wrong = [
        (term, parent)
        for term in PROPERTIES
        for parent in values(term, f"{RDFS}subPropertyOf")
        if values(term, f"{RDFS}range") != values(parent, f"{RDFS}range")
    ]

    assert wrong == []
    assert sum(bool(values(term, f"{RDFS}subPropertyOf")) for term in PROPERTIES) == 9


def test_p40_the_ontology_states_nothing_of_terms_of_others() -> None:
    assert {t.subject.value for t in TRIPLES if isinstance(t.subject, NamedNode) and not t.subject.value.startswith(ONTOLOGY)} == set()


def test_disjoint_classes_have_no_common_member_or_subclass() -> None:
    disjoint = {(term, other) for term in CLASSES for other in values(term, f"{OWL}disjointWith")}
    members = [
        (t.subject.value, one, other)
        for one, other in disjoint
        for t in TRIPLES
        if isinstance(t.subject, NamedNode) and {one, other} <= set(values(t.subject.value, f"{RDF}type"))
    ]

    assert (f"{NS}Initiative", f"{NS}Classification") in disjoint
    assert members == []
    assert not any(one == other for one, other in disjoint)


@pytest.mark.parametrize(
    "predicate",
    [f"{DCT}{name}" for name in ("title", "description", "creator", "publisher", "license", "created", "issued", "modified",
                                 "bibliographicCitation")]
    + [f"{OWL}{name}" for name in ("versionIRI", "versionInfo")]
    + [f"{VANN}preferredNamespace{name}" for name in ("Prefix", "Uri")],
)  # fmt: skip
def test_foops_the_header_has_each_statement_once(predicate: str) -> None:
    assert len(values(ONTOLOGY, predicate)) == 1


def test_foops_the_version_iri_ends_with_the_version_and_is_not_the_ontology() -> None:
    (iri,), (version,) = values(ONTOLOGY, f"{OWL}versionIRI"), values(ONTOLOGY, f"{OWL}versionInfo")

    assert iri == f"{ONTOLOGY}/{version}"
    assert values(ONTOLOGY, f"{VANN}preferredNamespaceUri") == [NS]


def reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    """Return what *start* leads to in one step or more."""
    found, waiting = set[str](), list(edges.get(start, ()))
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += edges.get(node, ())
    return found


def relations(scheme: str) -> dict[str, dict[str, set[str]]]:
    """Return the links between resources in a scheme's file by predicate (without SKOS's namespace) and subject."""
    links: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for triple in graph_triples(scheme):
        if triple.predicate.value.startswith(SKOS) and isinstance(triple.object, NamedNode) and isinstance(triple.subject, NamedNode):
            links[triple.predicate.value.removeprefix(SKOS)][triple.subject.value].add(triple.object.value)
    return links


def texts(scheme: str) -> Iterator[tuple[str, Triple, Literal]]:
    for triple in graph_triples(scheme):
        name = triple.predicate.value.removeprefix(SKOS)
        if name in {"prefLabel", "altLabel", "hiddenLabel"} and isinstance(triple.object, Literal):
            yield name, triple, triple.object


@pytest.mark.parametrize("scheme", schemes())
def test_qskos_labels_are_not_empty_have_a_language_and_are_of_one_kind(scheme: str) -> None:
    kinds: dict[tuple[str, str, str | None], set[str]] = defaultdict(set)
    for name, triple, text in texts(scheme):
        assert text.value.strip()
        assert text.language or name != "prefLabel"  # a name as a registry writes it has no language
        kinds[str(triple.subject), text.value, text.language].add(name)

    assert [key for key, names in kinds.items() if len(names) > 1] == []


@pytest.mark.parametrize("scheme", schemes())
def test_qskos_no_hierarchy_has_a_cycle_and_no_top_concept_a_broader_one(scheme: str) -> None:
    links = relations(scheme)

    assert [concept for concept in links["broader"] if concept in reachable(concept, links["broader"])] == []
    tops = {concept for concept, of in links["topConceptOf"].items() if f"{BASE}scheme/{scheme}" in of}
    assert {concept for concept in tops if links["broader"][concept] & set(concepts(scheme))} == set()


@pytest.mark.parametrize("scheme", schemes())
def test_qskos_no_two_relations_or_mappings_of_one_pair_clash(scheme: str) -> None:
    links = relations(scheme)
    pairs = {
        name: {(one, other) for one, others in links[name].items() for other in others}
        for name in ("exactMatch", "closeMatch", "broadMatch", "narrowMatch", "relatedMatch", "related", "broader")
    }

    assert pairs["related"] & pairs["broader"] == set()
    for name in ("closeMatch", "broadMatch", "narrowMatch", "relatedMatch"):
        assert pairs["exactMatch"] & pairs[name] == set()
    assert pairs["broadMatch"] & pairs["narrowMatch"] == set()


@pytest.mark.parametrize("scheme", schemes())
def test_qskos_every_concept_is_connected_to_its_scheme(scheme: str) -> None:
    linked = relations(scheme)["inScheme"]

    assert [concept for concept in concepts(scheme) if f"{BASE}scheme/{scheme}" not in linked[concept]] == []


@pytest.mark.parametrize("scheme", schemes())
def test_qskos_only_terms_that_skos_defines_are_used(scheme: str) -> None:
    known = {
        "broader", "narrower", "related", "inScheme", "topConceptOf", "hasTopConcept", "exactMatch", "closeMatch", "broadMatch",
        "narrowMatch", "relatedMatch", "member",
    }  # fmt: skip

    assert set(relations(scheme)) <= known
