"""The checks of OOPS!, FOOPS! and qSKOS, as far as a program can make them.

Sources: https://oops.linkeddata.es/catalogue.jsp (the codes of pitfalls), https://w3id.org/foops/
(tests of FAIR ontologies) and https://github.com/cmader/qSKOS (issues of SKOS vocabularies).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
from pyoxigraph import Literal, NamedNode, Triple
from rows import each

from vocab.iris import BASE
from vocab.schemes import ONTOLOGIES, concepts, graph_triples, ontology_triples, schemes
from vocab.terms import DCT, PROV, RDF, RDFS, SKOS

OWL, VANN = "http://www.w3.org/2002/07/owl#", "http://purl.org/vocab/vann/"
NAMESPACES = tuple(f"{BASE}{name}#" for name in ONTOLOGIES)
TRIPLES = tuple(triple for name in ONTOLOGIES for triple in ontology_triples(name))
LANGUAGES = ("en", "fr", "es", "ar", "zh", "ru")

# These properties state no range; their values are described here instead.
WITHOUT_RANGE = {
    "classified": "anything that is described", "basis": "one of three concepts of the ontology, which belong to no scheme",
    "linkStatus": "one of two concepts of the ontology, which belong to no scheme", "detectedOf": "anything that is described",
    "evidence": "a text with or without a language", "plannedStartDate": "a day, a month or a year",
    "plannedEndDate": "a day, a month or a year", "venue": "a text with or without a language", "registration": "a web page",
}  # fmt: skip


def values(subject: str, predicate: str) -> list[str]:
    return [t.object.value for t in TRIPLES if t.subject == NamedNode(subject) and t.predicate.value == predicate
            and isinstance(t.object, NamedNode | Literal)]  # fmt: skip


def typed(*names: str) -> list[str]:
    return sorted({t.subject.value for t in TRIPLES if isinstance(t.subject, NamedNode) and t.predicate.value == f"{RDF}type"
                   and isinstance(t.object, NamedNode) and t.object.value in {f"{OWL}{name}" for name in names}
                   and t.subject.value.startswith(NAMESPACES)})  # fmt: skip


TERMS = sorted(
    {
        t.subject.value
        for t in TRIPLES
        if isinstance(t.subject, NamedNode) and t.subject.value.startswith(NAMESPACES)
    }
)


def local(term: str) -> str:
    return term.partition("#")[2]


PROPERTIES, CLASSES = typed("ObjectProperty", "DatatypeProperty"), typed("Class")


@each("term", TERMS)
def test_p08_p34_every_term_has_a_type_a_definition_and_a_label_in_six_languages(term: str) -> None:
    labels = [t.object.language for t in TRIPLES if t.subject == NamedNode(term) and t.predicate.value == f"{RDFS}label"
              and isinstance(t.object, Literal)]  # fmt: skip

    assert values(term, f"{RDF}type")
    assert sorted(map(str, labels)) == sorted(LANGUAGES)
    definitions = [str(t.object.language) for t in TRIPLES if t.subject == NamedNode(term) and t.predicate.value == f"{RDFS}comment"
                   and isinstance(t.object, Literal)]  # fmt: skip
    assert sorted(definitions) == sorted(LANGUAGES)
    assert values(term, f"{RDFS}isDefinedBy") == [term.partition("#")[0]]


def test_p11_every_property_has_a_range_or_a_reason_for_none() -> None:
    without = {local(term) for term in PROPERTIES if not values(term, f"{RDFS}range")}

    assert without == set(WITHOUT_RANGE)


def test_p19_no_property_has_several_domains_or_ranges() -> None:
    assert [
        term
        for term in PROPERTIES
        for name in ("domain", "range")
        if len(values(term, RDFS + name)) > 1
    ] == []


def test_p22_names_follow_one_convention_and_none_is_in_both_namespaces() -> None:
    assert sorted(map(local, TERMS)) == sorted(set(map(local, TERMS)))
    assert [term for term in CLASSES if not re.fullmatch(r"[A-Z][A-Za-z]+", local(term))] == []
    assert [
        term
        for term in TERMS
        if term not in CLASSES and not re.fullmatch(r"[a-z][A-Za-z]+", local(term))
    ] == []


def test_p27_p31_no_subproperty_or_class_contains_itself() -> None:
    parents = {
        term: {*values(term, f"{RDFS}subPropertyOf"), *values(term, f"{RDFS}subClassOf")}
        for term in TERMS
    }

    assert [term for term in TERMS if term in reachable(term, parents)] == []


def test_p05_the_ranges_of_a_subproperty_are_those_of_its_parent() -> None:
    wrong = [
        (term, parent)
        for term in PROPERTIES
        for parent in values(term, f"{RDFS}subPropertyOf")
        if parent.startswith(NAMESPACES)
        and values(term, f"{RDFS}range") != values(parent, f"{RDFS}range")
    ]

    assert wrong == []
    assert sum(bool(values(term, f"{RDFS}subPropertyOf")) for term in PROPERTIES) == 16


def test_terms_refine_those_of_standard_vocabularies() -> None:
    """Readers of Dublin Core and PROV alone find links, types and roles by these."""
    parents = {
        "activityType": f"{DCT}type", "facilitator": f"{PROV}agent", "facilitatorRole": f"{PROV}hadRole",
        "linkedActionLine": f"{DCT}subject", "linkedGoal": f"{DCT}subject", "linkedTarget": f"{DCT}subject",
        "partner": f"{DCT}contributor",
    }  # fmt: skip

    assert {name: values(f"{BASE}ns#{name}", f"{RDFS}subPropertyOf") for name in parents} == {
        name: [parent] for name, parent in parents.items()
    }
    assert values(f"{BASE}ns#Facilitation", f"{RDFS}subClassOf") == [f"{PROV}Association"]


def test_p40_the_ontology_states_nothing_of_terms_of_others() -> None:
    for name in ONTOLOGIES:
        subjects = {
            t.subject.value for t in ontology_triples(name) if isinstance(t.subject, NamedNode)
        }
        assert {
            subject for subject in subjects if subject.partition("#")[0] != BASE + name
        } == set()


def test_a_thematic_reader_meets_no_number_of_a_run() -> None:
    thematic = {local(term) for term in TERMS if term.startswith(NAMESPACES[0])}

    assert {"Initiative", "goal", "actionLine", "prizeCategory"} <= thematic
    assert {
        name for name in thematic if re.search("quads|Records|query|last|network", name)
    } == set()
    assert len(TERMS) - len(thematic) == 69


def test_disjoint_classes_have_no_common_member_or_subclass() -> None:
    disjoint = {(term, other) for term in CLASSES for other in values(term, f"{OWL}disjointWith")}
    types: dict[str, set[str]] = defaultdict(set)
    for triple in TRIPLES:
        if (
            isinstance(triple.subject, NamedNode)
            and isinstance(triple.object, NamedNode)
            and triple.predicate.value == f"{RDF}type"
        ):
            types[triple.subject.value].add(triple.object.value)
    members = [
        (subject, *pair)
        for subject, classes in types.items()
        for pair in disjoint
        if {*pair} <= classes
    ]

    assert (f"{NAMESPACES[0]}Initiative", f"{NAMESPACES[0]}Classification") in disjoint
    assert members == []
    assert not any(one == other for one, other in disjoint)


@each("name", ONTOLOGIES)
@each("predicate", [f"{RDFS}label", f"{RDFS}comment"])
def test_no_two_terms_of_an_ontology_have_one_label_or_definition_but_those_named(
    name: str, predicate: str
) -> None:
    texts: dict[tuple[str, str | None], set[str]] = defaultdict(set)
    for triple in ontology_triples(name):
        if (
            triple.predicate.value == predicate
            and isinstance(triple.object, Literal)
            and isinstance(triple.subject, NamedNode)
        ):
            texts[triple.object.value, triple.object.language].add(local(triple.subject.value))
    shared = {frozenset(names) for names in texts.values() if len(names) > 1}

    # A property has the label of its class in languages without capital letters, and two roles have
    # the label of a property.
    known = {
        ("facilitator", "leadFacilitator"),
        ("facilitationPartner", "partner"),
        ("ProjectOutcome", "projectOutcome"),
    }
    assert {tuple(sorted(names)) for names in shared} == (
        known if name == "ns" and predicate.endswith("label") else set()
    )


@each("name", ONTOLOGIES)
@each("predicate", [f"{DCT}title", f"{DCT}description"])
def test_the_header_is_in_six_languages(name: str, predicate: str) -> None:
    texts = [
        t.object.language
        for t in ontology_triples(name)
        if t.predicate.value == predicate and isinstance(t.object, Literal)
    ]

    assert sorted(map(str, texts)) == sorted(LANGUAGES)


@each("name", ONTOLOGIES)
@each(
    "predicate",
    [f"{DCT}{name}" for name in ("creator", "publisher", "license", "created", "issued", "modified",
                                 "bibliographicCitation")]
    + [f"{OWL}{name}" for name in ("versionIRI", "versionInfo")]
    + [f"{VANN}preferredNamespace{name}" for name in ("Prefix", "Uri")],
)  # fmt: skip
def test_foops_the_header_has_each_statement_once(predicate: str, name: str) -> None:
    assert len(values(BASE + name, predicate)) == 1


@pytest.mark.parametrize("name", ONTOLOGIES)
def test_foops_the_version_iri_ends_with_the_version_of_both_ontologies(name: str) -> None:
    assert len({values(BASE + part, f"{OWL}versionInfo")[0] for part in ONTOLOGIES}) == 1
    ontology = BASE + name
    (iri,), (version,) = values(ontology, f"{OWL}versionIRI"), values(ontology, f"{OWL}versionInfo")

    assert iri == f"{ontology}/{version}"
    assert values(ontology, f"{VANN}preferredNamespaceUri") == [f"{ontology}#"]


def reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    results, waiting = set[str](), list(edges.get(start, ()))
    while waiting:
        node = waiting.pop()
        if node not in results:
            results.add(node)
            waiting += edges.get(node, ())
    return results


def relations(scheme: str) -> dict[str, dict[str, set[str]]]:
    """Return the links between resources in a scheme's file by predicate (without SKOS's namespace)
    and subject.
    """
    links: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for triple in graph_triples(scheme):
        if (
            triple.predicate.value.startswith(SKOS)
            and isinstance(triple.object, NamedNode)
            and isinstance(triple.subject, NamedNode)
        ):
            links[triple.predicate.value.removeprefix(SKOS)][triple.subject.value].add(
                triple.object.value
            )
    return links


def texts(scheme: str) -> Iterator[tuple[str, Triple, Literal]]:
    for triple in graph_triples(scheme):
        name = triple.predicate.value.removeprefix(SKOS)
        if name in {"prefLabel", "altLabel", "hiddenLabel"} and isinstance(triple.object, Literal):
            yield name, triple, triple.object


@each("scheme", schemes())
def test_qskos_labels_are_not_empty_have_a_language_and_are_of_one_kind(scheme: str) -> None:
    kinds: dict[tuple[str, str, str | None], set[str]] = defaultdict(set)
    for name, triple, text in texts(scheme):
        assert text.value.strip()
        # A name as a registry writes it has no language; only a preferred label must have one.
        assert text.language or name != "prefLabel"
        kinds[str(triple.subject), text.value, text.language].add(name)

    assert [key for key, names in kinds.items() if len(names) > 1] == []


@each("scheme", schemes())
def test_qskos_no_hierarchy_has_a_cycle_and_no_top_concept_a_broader_one(scheme: str) -> None:
    links = relations(scheme)

    assert [
        concept for concept in links["broader"] if concept in reachable(concept, links["broader"])
    ] == []
    tops = {
        concept
        for concept, concept_schemes in links["topConceptOf"].items()
        if f"{BASE}scheme/{scheme}" in concept_schemes
    }
    assert {
        concept for concept in tops if links["broader"][concept] & set(concepts(scheme))
    } == set()


@each("scheme", schemes())
def test_qskos_no_two_relations_or_mappings_of_one_pair_clash(scheme: str) -> None:
    links = relations(scheme)
    pairs = {
        name: {(one, other) for one, others in links[name].items() for other in others}
        for name in (
            "exactMatch", "closeMatch", "broadMatch", "narrowMatch", "relatedMatch", "related", "broader",
        )
    }  # fmt: skip

    assert pairs["related"] & pairs["broader"] == set()
    for name in ("closeMatch", "broadMatch", "narrowMatch", "relatedMatch"):
        assert pairs["exactMatch"] & pairs[name] == set()
    assert pairs["broadMatch"] & pairs["narrowMatch"] == set()


@each("scheme", schemes())
def test_qskos_every_concept_is_connected_to_its_scheme(scheme: str) -> None:
    linked = relations(scheme)["inScheme"]

    assert [
        concept for concept in concepts(scheme) if f"{BASE}scheme/{scheme}" not in linked[concept]
    ] == []


@each("scheme", schemes())
def test_qskos_only_terms_that_skos_defines_are_used(scheme: str) -> None:
    known = {
        "broader", "narrower", "related", "inScheme", "topConceptOf", "hasTopConcept", "exactMatch", "closeMatch", "broadMatch",
        "narrowMatch", "relatedMatch", "member",
    }  # fmt: skip

    assert set(relations(scheme)) <= known
