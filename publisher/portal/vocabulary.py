"""The ontologies, the concept schemes and their concepts, the matrix, the facilitators and other
graphs of the vocabulary: their versions, links and the values of their pages; and the vocabulary as
files.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from itertools import chain
from typing import Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from languages.translations import TranslatableText, gettext
from publisher.data.properties import FACETS, facet_of_concept
from publisher.data.tables import Filter, make_filter
from publisher.errors import LimitError
from publisher.feeds.records import feed_links
from publisher.history.change_reader import read_version
from publisher.linked_data.entities import (
    Entity,
    EntityPage,
    Values,
    code_order,
    concept_markup,
    find_entity,
    jsonld_block,
    scheme_markup,
)
from publisher.linked_data.jsonld import (
    CONTEXT_PATH,
    FRAMES,
    jsonld_context,
    jsonld_frame,
)
from publisher.pages import PagesDep, ServiceDep, first_in_language
from publisher.portal.entity_statistics import load_statistics
from publisher.portal.facet_filters import (
    active_filters,
    get_figures,
    parse_filters,
)
from publisher.portal.facet_labels import FacetLabels, basis_title, get_names
from publisher.portal.figures import (
    SPARSE,
    Figures,
    empty_chart_hint,
    query_page_url,
)
from publisher.rdf import Row, Term, iri
from publisher.store.descriptions import (
    Description,
    GraphChange,
    describe_graph,
    describe_thing,
    read_history,
)
from publisher.store.query_service import QueryService, query
from vocab.initiative import Basis
from vocab.iris import Iris, slug
from vocab.lookup import country
from vocab.mapping_sets import mapped_schemes, sssom_table
from vocab.release import FORMS, whole_vocabulary
from vocab.schemes import concepts, label
from vocab.terms import SCHEMA
from web.charts import render
from web.endpoints import get
from web.respond import HTML, Link, ResourceURLs, require, respond, split_suffix

OWL = "http://www.w3.org/2002/07/owl#"
_SHORT_ADDRESSES = {"country": "country", "goal": "goal", "target": "target", "action-line": "line"}
# The groups of the terms of an ontology, as pyLODE has them (https://github.com/RDFLib/pyLODE).
_CODES = {
    f"{OWL}Class": "classes",
    f"{OWL}ObjectProperty": "object-properties",
    f"{OWL}DatatypeProperty": "datatype-properties",
}
_OTHER = "other-terms"
# What is stated of a term, besides its label and definition, in the order of the page.
FACTS = (
    "rdf:type", "rdfs:subClassOf", "rdfs:subPropertyOf", "rdfs:domain", "rdfs:range", "owl:inverseOf", "owl:disjointWith",
    "dqv:inDimension", "owl:deprecated", "dct:isReplacedBy", "dct:source", "rdfs:seeAlso",
)  # fmt: skip

# The example query of a term lists ten of its uses.
_QUERY = "PREFIX {prefix}: <{namespace}>\n\nSELECT {match}\n}}\nLIMIT 10\n"
_MATCHES = {
    "classes": "?thing WHERE {{\n  ?thing a {}",
    "object-properties": "?thing ?value WHERE {{\n  ?thing {} ?value",
    "datatype-properties": "?thing ?value WHERE {{\n  ?thing {} ?value",
    _OTHER: "?thing ?property WHERE {{\n  ?thing ?property {}",
}
OntologyTerm = dict[str, Any]  # with the names of the values of ontology.html

router = APIRouter()


async def find_vocabulary(request: Request, service: QueryService) -> tuple[str, Entity]:
    """Return the kind and the entity of a path: a scheme, a concept, an ontology, the matrix, or a
    term of these; of a scheme or an ontology also a version, by its owl:versionIRI.
    """
    first, *rest = request.url.path.strip("/").split("/")
    match first.partition(".")[0], *rest:
        case "scheme", scheme, "version", version:
            return "scheme", await find_version(service, f"scheme/{scheme}", "/version", version)
        case "scheme", _:
            return "scheme", await find_entity(request, service, describe_graph, 2)
        case "scheme", *_:
            return "concept", await _find_term(request, service, 3)
        case ("ns" | "operations") as name, version:
            return "ontology", await find_version(service, name, "", version)
        case (("ns" | "operations"),):
            return "ontology", await find_entity(request, service, describe_graph, 1)
        case (name,):
            entity = await find_entity(request, service, describe_graph, 1)
            return "matrix" if name == "matrix" else "term", entity
        case _:
            return "term", await _find_term(request, service, len(rest) + 1)


async def _find_term(request: Request, service: QueryService, depth: int) -> Entity:
    entity = await find_entity(request, service, describe_thing, depth)
    return Entity(entity.description, entity.urls, entity.suffix)


async def find_version(service: QueryService, name: str, prefix: str, version: str) -> Entity:
    """Return the *version* (a number, with or without a suffix of a format) of the graph *name*, a
    path under the base; older ones are read from the journal.

    The IRI of a version is that of the graph, *prefix*, a slash and the number. Raises HTTPProblem
    (404) if there is no such version.
    """
    number, suffix = split_suffix(version)
    graph = service.iris.base + name
    address, urls = f"{graph}{prefix}/{number}", ResourceURLs(f"/{name}{prefix}/{number}")
    description = await describe_graph(service, graph)
    current = [term.value for term in description.all("owl:versionIRI")]
    if address in current:
        return Entity(description, urls, suffix, graph)
    former = former_versions(await read_history(service, graph), graph)
    require(
        address in former,
        TranslatableText(
            "This version isn't served here. Available: {formats}",
            formats=(", ".join([*current, *former]) or "none"),
        ),
    )
    return Entity(await read_version(service, graph, former[address]), urls, suffix)


async def list_versions(service: QueryService, description: Description) -> dict[str, Any]:
    """Return the IRIs of the *older* versions of the ontology or scheme that *description*
    describes, the newest first, and whether it is one that was *replaced*.
    """
    former = former_versions(await read_history(service, description.iri), description.iri)
    own = {term.value for term in description.all("owl:versionIRI")}
    return {
        "older": [version for version in former if version not in own],
        "replaced": not own.isdisjoint(former),
    }


def former_versions(changes: Iterable[GraphChange], graph: str) -> dict[str, int]:
    """Return the last journal entry of each version of *graph* that a later one replaced, by its
    owl:versionIRI, the newest first. The journal has them all, so that a cited version stays
    available without files of its own.
    """
    start = f"D <{graph}> <{OWL}versionIRI> <"
    results = {
        row.removeprefix(start).rstrip(" .>"): change.entry - 1
        for change in changes
        for row in change.rows or ()
        if row.startswith(start)
    }
    return dict(sorted(results.items(), key=lambda item: -item[1]))


def term_links(page: EntityPage) -> list[Link]:
    return [Link("cite-as", page.service.iris.base + page.entity.urls.stem[1:])]


async def term_values(page: EntityPage) -> Values:
    return {"changes": []}


def scheme_links(page: EntityPage) -> list[Link]:
    return [*term_links(page), Link("type", f"{SCHEMA}DefinedTermSet")]


async def scheme_values(page: EntityPage) -> Values:
    service, description, iris = page.service, page.description, page.service.iris
    tables, filters = service.tables, make_filter(*Basis, kind="initiative")
    counts = await asyncio.to_thread(tables.counts_once, filters)
    return {
        "has_mappings": description.iri in map(iris.scheme, mapped_schemes(iris.base)),
        "concepts": concept_tree(description),
        "versions": await list_versions(service, description),
        "things": {
            facet.iri(code, iris): number
            for facet in FACETS.values()
            if description.iri == iris.scheme(facet.scheme)
            for code, number in counts.get(facet.name, {}).items()
        },
        "block": jsonld_block(scheme_markup(description)),
    }


def concept_tree(description: Description) -> list[tuple[int, Row]]:
    """Return the concepts of a scheme with their depth, ordered by notation, each below its broader
    concept: *concept*, *notation*, *broader*, and *name* in the language of the page, else in
    English.
    """
    names = {
        concept: name
        for concept in dict.fromkeys(statement.subject for statement in description.statements)
        if description.all("skos:inScheme", concept)
        and (name := first_in_language(description.all("skos:prefLabel", concept)))
    }
    rows: dict[str, Row] = {
        concept: {"concept": Term(concept), "name": name}
        | {
            key: value
            for key in ("notation", "broader")
            if (value := description.one(f"skos:{key}", concept))
        }
        for concept, name in names.items()
    }
    below = defaultdict[str, list[Row]](list)
    for row in sorted(rows.values(), key=_notation_order):
        parent = row["broader"].value if "broader" in row else ""
        below[parent if parent in rows else ""].append(row)

    def branches(parent: str, depth: int) -> Iterator[tuple[int, Row]]:
        for row in below[parent]:
            yield depth, row
            yield from branches(row["concept"].value, depth + 1)

    return list(branches("", 0))


def _notation_order(row: Row) -> tuple[object, str]:
    notation = row["notation"].value if "notation" in row else ""
    return code_order(notation), row["name"].value


def concept_links(page: EntityPage) -> list[Link]:
    urls, listed = page.entity.urls, page.listed
    return [
        page.cite,
        Link("type", f"{SCHEMA}DefinedTerm"),
        *(listed.links(page.host + urls.stem + urls.query) if listed else ()),
        *(
            feed_links(page.host, page.description.iri, page.service.iris)
            if listed and listed.rows
            else ()
        ),
    ]


async def concept_values(page: EntityPage) -> Values:
    service, concept = page.service, page.description.iri
    about = None
    if facet_code := facet_of_concept(concept, service.iris):
        facet, code = facet_code
        filters = Filter(((facet, (code,)),), parse_filters(page.request.query_params).bases)
        search = f"/search?{urlencode({'kind': 'initiative', facet: code})}"
        about = await load_statistics(service, filters, search, facet)
    return {
        "list_page": page.listed,
        "matrix": await service.rows(query("matrix"), {"concept": iri(concept)}),
        "block": jsonld_block(concept_markup(page.description, service.iris.base)),
        "about": about,
    }


async def ontology_values(page: EntityPage) -> Values:
    description, ontology = page.description, page.description.iri
    groups = term_groups(description, ontology, await count_uses(page.service))
    return {
        "ontology": ontology,
        "title": first_in_language(description.all("dct:title", ontology)),
        "summary": first_in_language(description.all("dct:description", ontology)),
        "prefix": description.short(f"{ontology}#").rstrip(":"),
        "groups": groups,
        "drawing": diagram(groups, description, gettext("Classes and their properties")),
        "versions": await list_versions(page.service, description),
        "query_page_url": query_page_url,
    }


def term_groups(
    description: Description, ontology: str, uses: Mapping[str, int] | None
) -> dict[str, list[OntologyTerm]]:
    """Return the terms of *ontology* by their kind, which is the anchor of the group, each kind by
    label. A term has its label and definition in the language of the page, else in English, its
    facts, an example query, and its uses in the data: None if *uses* is None.
    """
    namespace, groups = f"{ontology}#", defaultdict[str, list[OntologyTerm]](list)
    subjects = (statement.subject for statement in description.statements)
    for term in dict.fromkeys(name for name in subjects if name.startswith(namespace)):
        types = map(str, description.all("rdf:type", term))
        code = next((_CODES[name] for name in types if name in _CODES), _OTHER)
        short = description.short(term)
        facts = {
            fact: values
            for fact in FACTS
            if (values := [v for v in description.all(fact, term) if not v.value.startswith(OWL)])
        }
        groups[code].append(
            {
                "iri": term,
                "name": term.removeprefix(namespace),
                "label": first_in_language(description.all("rdfs:label", term)),
                "definition": first_in_language(description.all("rdfs:comment", term)),
                "facts": facts,
                "uses": uses.get(term, 0) if uses is not None else None,
                "query": _QUERY.format(
                    prefix=short.partition(":")[0],
                    namespace=namespace,
                    match=_MATCHES[code].format(short),
                ),
            }
        )
    return {
        code: sorted(
            groups[code], key=lambda term: (str(term["label"] or "").casefold(), term["name"])
        )
        for code in (*_CODES.values(), _OTHER)
        if groups[code]
    }


async def count_uses(service: QueryService) -> Mapping[str, int] | None:
    """Return how many statements use each property and how many things are of each class; None if
    counting takes too long.
    """
    try:
        classes = await service.rows(query("void-classes"))
        properties = await service.rows(query("void-properties"))
    except LimitError:
        return None
    counted = {row["class"].value: int(row["entities"].value) for row in classes}
    return counted | {row["property"].value: int(row["triples"].value) for row in properties}


def diagram(
    groups: Mapping[str, Iterable[OntologyTerm]], description: Description, label: str
) -> Markup | None:
    """Draw the classes and the properties that lead from them: one row a property, from its domain
    to its range; None if there are none.
    """
    by_domain: dict[str, list[tuple[str, str]]] = {}
    for term in chain.from_iterable(groups.values()):
        ranges = [description.short(value.value) for value in term["facts"].get("rdfs:range", ())]
        target = ranges[0] if ranges else ""
        if "://" in target:
            target = re.split("[/#]", target)[-1]
        for domain in term["facts"].get("rdfs:domain", ())[:1]:
            by_domain.setdefault(domain.value, []).append((term["name"], target))
    rows = [(description.short(domain), pairs) for domain, pairs in sorted(by_domain.items())]
    return render("properties", groups=rows, label=label) if rows else None


async def matrix_values(page: EntityPage) -> Values:
    service, tables = page.service, page.service.tables
    figures = await get_figures(page.request, tables, await get_names(service))
    return await asyncio.to_thread(_matrix_values, figures)


def _matrix_values(figures: Figures) -> Values:
    matrix, sides = figures["matrix"], [figures["bars/line"], figures["bars/goal"]]
    both = matrix.coverage
    # The matrix itself has fewer labels than its two sides.
    is_sparse = both.part * SPARSE < both.all
    return {
        "active": active_filters(figures.names),
        "matrix": matrix,
        "bases": [
            (one.value, basis_title(one.value), one in figures.filters.bases) for one in Basis
        ],
        "coverage": [view.coverage.text for view in (*sides, matrix)],
        "note": figures.note,
        "missing": [
            empty_chart_hint(figures.tables, figures.filters, side.facet)
            for side in sides
            if both.all and not side.coverage.part
        ],
        "sides": [side for side in sides if side.counts] if is_sparse else [],
    }


@get(router, "/vocabulary.{suffix}", include_in_schema=False)
def vocabulary(request: Request, service: ServiceDep, suffix: str) -> Response:
    require(
        suffix in FORMS,
        TranslatableText(
            "The vocabulary is at {known}", known=", ".join(f"/vocabulary.{name}" for name in FORMS)
        ),
    )
    return respond(request, whole_vocabulary(suffix, service.iris.base), FORMS[suffix].media_type)


@get(router, "/scheme/{scheme}.sssom.tsv", include_in_schema=False)
def mappings(request: Request, service: ServiceDep, scheme: str) -> Response:
    base = service.iris.base
    mapped = mapped_schemes(base)
    require(
        scheme in mapped,
        TranslatableText(
            "The scheme has no mappings. Schemes with mappings: {known}", known=", ".join(mapped)
        ),
    )
    return respond(
        request,
        sssom_table(scheme, base),
        "text/tab-separated-values; charset=utf-8",
        links=[Link("describes", service.iris.scheme(scheme))],
    )


@get(router, f"/{CONTEXT_PATH}", include_in_schema=False)
def context(request: Request, service: ServiceDep) -> Response:
    return _respond_json(request, {"@context": jsonld_context(service.iris)}, "application/ld+json")


@get(router, "/frame/{name}.jsonld", include_in_schema=False)
def frame(request: Request, service: ServiceDep, name: str) -> Response:
    require(
        name in FRAMES, TranslatableText("There are frames of {names}", names=", ".join(FRAMES))
    )
    media = 'application/ld+json; profile="http://www.w3.org/ns/json-ld#frame"'
    return _respond_json(request, jsonld_frame(name, service.iris), media)


def _respond_json(request: Request, value: object, media: str) -> Response:
    return respond(request, orjson.dumps(value, option=orjson.OPT_INDENT_2), media)


@get(router, "/country/{code}", include_in_schema=False)
@get(router, "/goal/{code}", include_in_schema=False)
@get(router, "/target/{code}", include_in_schema=False)
@get(router, "/action-line/{code}", include_in_schema=False)
def short_address(request: Request, service: ServiceDep, pages: PagesDep, code: str) -> Response:
    """Redirect an address that people write, /country/kenya or /goal/3, to the page of the concept.
    Countries that have the same short name are listed.
    """
    facet = _SHORT_ADDRESSES[request.url.path.split("/")[-2]]
    codes = codes_by_slug(facet, service.iris).get(slug(code), ())
    if not codes and facet == "country" and (address := country(code.replace("-", " "))):
        codes = (FACETS[facet].code(address, service.iris),)
    names = FacetLabels(service.iris)
    choices = [(names.name(facet, one), names.page(facet, one)) for one in codes]
    require(bool(choices), TranslatableText("This concept doesn't exist: {iri}", iri=code))
    if len(choices) == 1:
        return RedirectResponse(choices[0][1], HTTPStatus.MOVED_PERMANENTLY)
    return respond(
        request,
        pages.page("choices.html", name=code, choices=choices),
        HTML,
        status=HTTPStatus.MULTIPLE_CHOICES,
    )


@lru_cache
def codes_by_slug(facet: str, iris: Iris) -> dict[str, tuple[str, ...]]:
    """Return the codes of a facet by their slugs, of countries also by those of their English
    names: the whole name, and without brackets and the form of government.

    >>> codes = codes_by_slug("country", Iris())
    >>> codes["kenya"], codes["404"], codes["iran"], codes["congo"]
    (('404',), ('404',), ('364',), ('178', '180'))
    >>> codes_by_slug("line", Iris())["c7-ehea"]
    ('C7-ehea',)
    """
    by_slug: dict[str, set[str]] = {}
    for address in concepts(FACETS[facet].scheme, iris.base):
        named, code = facet_of_concept(address, iris) or ("", "")
        if named == facet:
            names = {code}
            if facet == "country" and (name := label(address, "en", iris.base)):
                short = name.partition(" (")[0].rpartition("Republic of ")[2]
                names |= {name, short.removeprefix("the ")}
            for one in names:
                by_slug.setdefault(slug(one), set()).add(code)
    return {name: tuple(sorted(codes)) for name, codes in by_slug.items()}
