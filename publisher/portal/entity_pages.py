"""The pages of things, records, registries and runs: their links, and the values of their templates."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from languages.request_locale import current_locale
from languages.translations import gettext
from publisher.data.properties import published_properties
from publisher.feeds.records import feed_links
from publisher.history.versions import read_history, recent_changes
from publisher.linked_data.entities import EntityPage, memento_links, thing_path
from publisher.linked_data.jsonld import jsonld_block, source_markup, thing_markup
from publisher.linked_data.lists import load_page, read_cursor
from publisher.portal.clusters import cluster_of
from publisher.portal.entity_statistics import entity_statistics
from publisher.portal.facet_labels import get_names
from publisher.portal.figures import Figures
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import Family, open_facet_index
from publisher.rdf.results import Term, iri
from publisher.store.descriptions import Description, replacements
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_status import last_confirmed, source_statuses
from vocab.iris import Iris
from vocab.provenance import METRICS
from vocab.schemes import label
from vocab.terms import SCHEMA
from web.charts import point_map
from web.page_cache import MINUTE, keep_for
from web.respond import HTML, Link, typed_link

Values = dict[str, object]

RELATED = 6  # similar things on a page
FAMILY = 100  # parts of an initiative on its page
_CLAIMS = {"Action lines": "action-line", "SDGs": "goal", "Targets": "target"}


def record_links(page: EntityPage) -> list[Link]:
    host, base = page.host, f"{page.service.iris.base}id/"
    _, source, _ = page.entity.path
    topics = [term.value.removeprefix(base) for term in page.description.all("foaf:primaryTopic")]
    return [
        page.cite,
        *([Link("license", page.licence)] if page.licence else []),
        Link("collection", f"{host}/source/{source}"),
        *(typed_link("describes", f"{host}/page/{topic}", HTML.media) for topic in topics),
        *memento_links(host, page.entity.urls.stem[1:]),
    ]


async def record_values(page: EntityPage) -> Values:
    """Return the state of a record's registry, and the changes of its graph."""
    service, record = page.service, page.entity.graph or ""
    status = (await source_statuses(service)).get(page.entity.path[-2])
    return {
        "source_status": status,
        "now": service.now(),
        "confirmed": last_confirmed(status, page.description, record),
        "changes": recent_changes(
            await read_history(service, record), replace(page.description, iri=record), service.iris
        ),
    }


async def tombstone_values(page: EntityPage) -> Values:
    """Return what the page of a deleted record has, with the records that replace it."""
    record = page.entity.graph or ""
    return await record_values(page) | {
        "record": record,
        "replacements": await replacements(page.service, record),
    }


async def thing_values(page: EntityPage) -> Values:
    service, description, path = page.service, page.description, thing_path(page.entity)
    kind, thing = path.partition("/")[0], description.iri
    tables = open_facet_index(service.current.path)
    comments = None
    if kind == "post":
        keep_for(MINUTE)  # a comment is shown once it is accepted, without another snapshot
        comments = await asyncio.to_thread(page.request.app.state.comments, path)
    return await record_values(page) | {
        "thing": description,
        "licence": page.licence,
        "kind": kind,
        "record": page.entity.graph,
        "block": jsonld_block(thing_markup(description, kind, page.licence)),
        "claims": {title: list_claims(description, concept) for title, concept in _CLAIMS.items()},
        "parts": partial(list_parts, description),
        "decimal": Decimal,
        "related": await asyncio.to_thread(tables.related, thing, RELATED) if tables else [],
        "family": await asyncio.to_thread(tables.family, thing, FAMILY)
        if tables and kind == "initiative"
        else Family(),
        "awards": await awards_of(service, thing),
        "comments": comments,
        "post": path,
        "cluster": await cluster_of(service, thing),
        "map": _draw_places(description, service.iris),
    }


async def awards_of(service: QueryService, thing: str) -> list[dict[str, object]]:
    """Return the prizes for which other records name a thing, the newest first: those of a contest
    have records of their own. Names are in the language of the request.
    """
    language, base = current_locale().language, service.iris.base
    names: dict[tuple[str, str, str, str], list[Term]] = {}
    for row in await service.rows(query("awards-of"), {"thing": iri(thing)}):
        year, stage, category = (
            row[name].value if name in row else "" for name in ("year", "stage", "category")
        )
        facts = (
            year,
            row["award"].value,
            label(category, language, base) or category,
            label(stage, language, base) or stage,
        )
        names.setdefault(facts, []).extend([row["name"]] if "name" in row else [])
    return [
        {"iri": award, "year": year, "category": category, "stage": stage, "name": in_language(texts, language)}
        for (year, award, category, stage), texts in sorted(names.items(), key=lambda item: item[0][:2], reverse=True)
    ]  # fmt: skip


def in_language(texts: Sequence[Term], language: str) -> Term | None:
    """Return the text in *language*, else in English, else any."""
    by_language = {text.language: text for text in texts}
    return by_language.get(language) or by_language.get("en") or next(iter(texts), None)


async def organization_values(page: EntityPage) -> Values:
    service, organization = page.service, page.description.iri
    return {
        "list_page": await load_page(
            read_cursor(page.request), service, "organization", organization
        ),
        "block": jsonld_block(thing_markup(page.description, "organization", page.licence)),
        "about": await figures(
            service,
            Filter(party=organization),
            f"/things?organization={quote(organization)}",
            "source",
        ),
        "cluster": await cluster_of(service, organization),
    }


async def figures(
    service: QueryService, filters: Filter, search: str, without: str
) -> Values | None:
    """Return the figures of the initiatives that *filters* select; None while the facet tables are
    built. *without* is the facet that is constant, *search* the address of the list.
    """
    tables = open_facet_index(service.current.path)
    if tables is None:
        return None
    return await asyncio.to_thread(
        entity_statistics,
        Figures(tables, await get_names(service), filters.with_codes("kind", "initiative")),
        search,
        without,
    )


def list_claims(description: Description, concept: str) -> list[dict[str, Any]]:
    """Return the concepts of a kind (action-line, goal or target) that are assigned to the thing,
    sorted by their codes: *concept*, its *basis*, and the *part* of the record that says how, "" if
    none does.
    """
    claims = [
        {"concept": term, "basis": row.basis, "part": _find_evidence(description, term, row.basis)}
        for row in published_properties()
        if row.concept == concept
        for term in description.all(row.iri)
    ]
    return sorted(claims, key=lambda claim: code_order(claim["concept"].value))


def _find_evidence(description: Description, concept: Term, basis: str) -> str:
    for part in description.subjects("wsis:concept", concept.value) if concept.is_iri else ():
        if str(description.one("wsis:basis", part) or "").endswith(basis):
            return part
    return ""


def code_order(value: str) -> list[tuple[int, int, str]]:
    """Return a key by which codes are sorted: numbers in them by their value.

    >>> sorted(["sdg/10", "sdg/9", "sdg/9.b", "sdg/9.2"], key=code_order)
    ['sdg/9', 'sdg/9.2', 'sdg/9.b', 'sdg/10']
    """
    parts = re.findall(r"[0-9]{1,9}|[^0-9]+", value)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def list_parts(description: Description, name: str) -> list[str]:
    return sorted((term.value for term in description.all(name) if term.is_iri), key=code_order)


def _draw_places(description: Description, iris: Iris) -> Markup | None:
    """Draw the locations of a thing; None if unknown."""
    country, spatial = FACETS["country"], description.all("dct:spatial")
    areas = frozenset(country.code(term.value, iris) for term in spatial if term.is_iri)
    points = [
        (float(latitude.value), float(longitude.value), str(name or ""))
        for place in description.all("schema:location")
        if (latitude := description.one("wgs:lat", place.value))
        and (longitude := description.one("wgs:long", place.value))
        for name in (description.one("rdfs:label", place.value),)
    ]
    return point_map(points, areas, gettext("Where it takes place")) if areas or points else None


def source_links(page: EntityPage) -> list[Link]:
    host, description = page.host, page.description
    licences = [term.value for term in description.all("dct:license") if term.is_iri]
    things = [row["thing"].value for row in page.listed.rows] if page.listed else []
    return [
        page.cite,
        Link("type", f"{SCHEMA}Dataset"),
        *(Link("license", licence) for licence in licences[:1]),
        *(Link("item", f"{host}/page/{thing.partition('/id/')[2]}") for thing in things),
        *(page.listed.links(host + page.entity.urls.stem) if page.listed else ()),
        *memento_links(host, page.entity.urls.stem[1:]),
        *feed_links(host, description.iri, page.service.iris),
    ]


async def source_values(page: EntityPage) -> Values:
    service, description, name = page.service, page.description, page.entity.path[1]
    status = (await source_statuses(service)).get(name)
    count = int(status.properties.get("publishedRecords", 0)) if status else None
    search = f"/search?kind=initiative&source={name}"
    about = None
    if description.one("dct:title"):
        about = await figures(service, Filter((("source", (name,)),)), search, "source")
    return {
        "source_status": status,
        "state": status.state(service.now()).value if status else None,
        "confirmed": status.last_full_harvest if status else None,
        "list_page": page.listed,
        "block": jsonld_block(source_markup(description, count, page.host)),
        "about": about,
        "name": name,
    }


def read_counts(description: Description) -> dict[str, int | None]:
    """Return the counts of the run that *description* describes, by the names of METRICS; None of
    those that it did not report.
    """
    values = {name: description.one(f"ops:{term}") for name, term in METRICS.items()}
    return {name: int(value.value) if value else None for name, value in values.items()}


def read_network(description: Description) -> dict[str, int]:
    parts = description.subjects("dqv:isMeasurementOf", description.expand("ops:requests"))
    return {
        name.value: int(value.value)
        for part in parts
        if (name := description.one("ops:networkOutcome", part))
        and (value := description.one("dqv:value", part))
    }


def statistics_json(description: Description) -> dict[str, Any]:
    def text(name: str) -> str | None:
        term = description.one(name)
        return term.value if term else None

    source, entry, is_full = text("prov:used"), text("ops:journalEntry"), text("ops:fullHarvest")
    return {
        "run": description.iri.rpartition("/run/")[2],
        "iri": description.iri,
        "source": source.rpartition("/source/")[2] if source else None,
        "outcome": text("ops:outcome"),
        "is_full": is_full == "true" if is_full else None,
        "started": text("prov:startedAtTime"),
        "ended": text("prov:endedAtTime"),
        "reason": text("ops:reason"),
        "entry": int(entry) if entry else None,
        "counts": read_counts(description),
        "network": read_network(description),
    }


async def run_values(page: EntityPage) -> Values:
    return {
        "counts": {
            page.description.expand(f"ops:{METRICS[name]}"): number
            for name, number in read_counts(page.description).items()
            if number is not None
        },
        "network": read_network(page.description),
    }
