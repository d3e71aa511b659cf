"""Data extension: the values of properties for entities that a client has already matched.

Source: https://www.w3.org/community/reports/reconciliation/CG-FINAL-specs-0.2-20230410/ section 7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from languages.request_locale import current_locale
from publisher.apis.reconcile.batch import Extension
from publisher.apis.reconcile.concept_names import concept_name
from publisher.apis.reconcile.matcher import Candidate, Matcher
from publisher.apis.reconcile.model import (
    CONCEPT_TYPES,
    PROPERTIES,
    Property,
    property_title,
    type_title,
)
from publisher.data.properties import namespaces
from publisher.dependencies import require_facet_index
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.search.index import parse_thing_iri
from publisher.rdf.results import Row, Term, iri
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from vocab.schemes import Concept, concepts

Value = dict[str, object]
_FACETS = {"country": "country", "goal": "goal", "target": "target", "action-line": "line"}
_SCHEMES = {"country": "area", "goal": "sdg", "target": "sdg", "action-line": "action-line"}


async def extend(service: QueryService, matcher: Matcher, request: Extension) -> dict[str, object]:
    """Return the metadata of the requested properties, and for each entity their values; an unknown
    entity has none.
    """
    entities = {name: entity for name in request.ids if (entity := matcher.entity(name))}
    requested = [PROPERTIES[name] for name in request.properties]
    values = await _statements(
        service,
        [name for name, entity in entities.items() if entity.kind not in CONCEPT_TYPES],
        requested,
    )
    tables = (
        require_facet_index(service)
        if any(item.name == "initiatives" for item in requested)
        else None
    )

    def row(name: str) -> dict[str, list[Value]]:
        entity = entities.get(name)
        return {
            item.name: _values(item, entity, service.iris, values, tables) if entity else []
            for item in requested
        }

    rows = await asyncio.to_thread(lambda: {name: row(name) for name in request.ids})
    return {"meta": [_metadata(item) for item in requested], "rows": rows}


def _metadata(item: Property) -> dict[str, object]:
    described: dict[str, object] = {"id": item.name, "name": property_title(item.name)}
    if item.value_type:
        described["type"] = {"id": item.value_type, "name": type_title(item.value_type)}
    return described


async def _statements(
    service: QueryService, things: list[str], requested: Iterable[Property]
) -> dict[tuple[str, str], list[Row]]:
    """Return the statements of *things* with the predicates of the properties, by thing and
    predicate.
    """
    predicates = sorted({_predicate(item, service.iris) for item in requested if item.predicate})
    if not things or not predicates:
        return {}
    text = (
        query("reconcile-values")
        .replace("THINGS", " ".join(map(iri, things)))
        .replace("PROPERTIES", " ".join(map(iri, predicates)))
    )
    rows: dict[tuple[str, str], list[Row]] = {}
    for row in await service.rows(text):
        rows.setdefault((row["thing"].value, row["property"].value), []).append(row)
    return rows


def _predicate(item: Property, iris: Iris) -> str:
    prefix, _, local = item.predicate.partition(":")
    return namespaces(iris)[prefix] + local


def _values(
    item: Property,
    entity: Candidate,
    iris: Iris,
    statements: dict[tuple[str, str], list[Row]],
    tables: FacetIndex | None,
) -> list[Value]:
    if entity.kind not in item.types:
        return []
    if item.predicate:
        return _stated(item, statements.get((entity.iri, _predicate(item, iris)), []), iris)
    if item.name == "initiatives":
        return [{"int": _initiatives(entity, iris, tables)}] if tables else []
    if item.name == "name":
        return [{"str": entity.name}]
    if entity.kind in CONCEPT_TYPES:
        return [
            {"str": text}
            for text in _OF_CONCEPT[item.name](
                concepts(_SCHEMES[entity.kind], iris.base)[entity.iri]
            )
        ]
    parsed = parse_thing_iri(entity.iri, iris.base)
    return [{"str": parsed[1]}] if parsed else []


_OF_CONCEPT: dict[str, Callable[[Concept], Iterable[str]]] = {
    "code": lambda concept: concept.notations[:1],
    "iso2": lambda concept: (code for code in concept.codes if len(code) == 2),
    "iso3": lambda concept: (code for code in concept.codes if len(code) == 3),
}


def _stated(item: Property, rows: list[Row], iris: Iris) -> list[Value]:
    """Return the values that *rows* state, each once: entities with their names in the language of
    the request, else texts.
    """
    names: dict[Term, list[Term]] = {}
    for row in rows:
        names.setdefault(row["value"], []).extend([row["name"]] if "name" in row else [])
    ordered = sorted(names, key=lambda term: (_rank(term.language), term.value))
    return [_value(item, term, names[term], iris) for term in ordered]


def _value(item: Property, term: Term, names: list[Term], iris: Iris) -> Value:
    if not term.is_iri:
        return {"str": term.value}
    known = concept_name(term.value, current_locale().language, iris.base)
    name = known or next(
        (name.value for name in sorted(names, key=lambda name: (_rank(name.language), name.value))),
        term.value,
    )
    return {"id": term.value, "name": name} if item.value_type else {"str": known or term.value}


def _rank(language: str | None) -> int:
    wanted = (current_locale().language, "en", None)
    return wanted.index(language) if language in wanted else len(wanted)


def _initiatives(entity: Candidate, iris: Iris, tables: FacetIndex) -> int:
    """Count the initiatives of an entity: those that its registry declares to be linked, or in
    which an organization takes part.
    """
    initiatives = Filter().with_codes("kind", "initiative")
    if entity.kind == "organization":
        return tables.count_different(replace(initiatives, party=entity.iri))
    facet = _FACETS[entity.kind]
    return tables.count_different(
        initiatives.with_codes(facet, FACETS[facet].code(entity.iri, iris))
    )
