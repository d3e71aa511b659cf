"""One route for all entities: things, records, registries, runs, clusters, concept schemes, concepts
and ontologies. A table has the lookup, the links, the template and its values of each kind; those of
things, records, registries and runs are here.

Sources: https://www.w3.org/TR/cooluris/#r303gendocument (``/id/`` redirects to page or data).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends, Path, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from languages.translations import TranslatableText, current_locale, gettext
from publisher.data.properties import FACETS, published_properties
from publisher.data.tables import Family, Filter, sql
from publisher.feeds.records import feed_links
from publisher.linked_data.entities import (
    DESCRIPTION,
    GONE,
    Entity,
    EntityPage,
    Values,
    cluster_of,
    code_order,
    find_entity,
    find_thing,
    first_segment,
    jsonld_block,
    licence_of,
    memento_links,
    respond_entity,
    source_markup,
    thing_links,
    thing_markup,
    thing_path,
)
from publisher.linked_data.lists import load_page, read_cursor, read_list_parameters
from publisher.middleware import MINUTE, keep_for
from publisher.pages import Pages, PagesDep, ServiceDep, first_in_language
from publisher.portal.clusters import cluster_links, cluster_values, find_cluster
from publisher.portal.entity_statistics import load_statistics
from publisher.portal.releases import find_release, release_links, release_values
from publisher.portal.vocabulary import (
    concept_links,
    concept_values,
    find_vocabulary,
    matrix_values,
    ontology_values,
    scheme_links,
    scheme_values,
    term_links,
    term_values,
)
from publisher.rdf import Term
from publisher.store.descriptions import (
    Description,
    describe,
    describe_graph,
    describe_thing,
    last_confirmed,
    number_of,
    read_history,
    recent_changes,
    replacements,
    source_statuses,
)
from publisher.store.query_service import QueryService
from vocab.iris import Iris, is_web
from vocab.provenance import METRICS
from vocab.schemes import label
from vocab.terms import DCT, SCHEMA
from web.charts import point_map
from web.endpoints import (
    KeyPath,
    KindPath,
    SourcePath,
    contents,
    format_parameter,
    get,
    other_contents,
    problems,
    redirects,
)
from web.respond import (
    DATA_FORMATS,
    FORMATS,
    HTML,
    Link,
    ResourceURLs,
    choose_format,
    path_segments,
    quality,
    require,
    see_other,
    typed_link,
)

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
        "replacements": await replacements(page.service, page.description, record),
    }


async def thing_values(page: EntityPage) -> Values:
    service, description, path = page.service, page.description, thing_path(page.entity)
    kind, thing = path.partition("/")[0], description.iri
    tables = service.tables
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
        "related": await asyncio.to_thread(tables.related, thing, RELATED),
        "family": await asyncio.to_thread(tables.family, thing, FAMILY)
        if kind == "initiative"
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
    number, relation = number_of(thing), number_of(f"{DCT}relation")
    related_to = f"FROM triples WHERE p = {relation} AND o = {number} LIMIT 1"
    if not await asyncio.to_thread(service.tables.read, related_to):
        return []  # in a tenth of the time of the query below
    related = await describe(service, thing, sql("awards").replace("$thing", number))
    names: dict[tuple[str, str, str, str], list[Term]] = {}
    for award, predicate, prize in related.statements:
        if predicate != related.expand("vivo:relatedBy"):
            continue
        year, stage, category = (
            str(related.one(f"wsis:prize{name}", prize.value) or "")
            for name in ("Year", "Stage", "Category")
        )
        facts = (
            year,
            award,
            label(category, language, base) or category,
            label(stage, language, base) or stage,
        )
        if category:
            names.setdefault(facts, []).extend(related.all("rdfs:label", prize.value))
    return [
        {"iri": award, "year": year, "category": category, "stage": stage, "name": first_in_language(texts)}
        for (year, award, category, stage), texts in sorted(names.items(), key=lambda item: item[0][:2], reverse=True)
    ]  # fmt: skip


async def organization_values(page: EntityPage) -> Values:
    service, organization = page.service, page.description.iri
    return {
        "list_page": await load_page(
            read_cursor(page.request), service, "organization", organization
        ),
        "block": jsonld_block(thing_markup(page.description, "organization", page.licence)),
        "about": await load_statistics(
            service,
            Filter(party=organization),
            f"/things?organization={quote(organization)}",
            "source",
        ),
        "cluster": await cluster_of(service, organization),
    }


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
        about = await load_statistics(service, Filter((("source", (name,)),)), search, "source")
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


Found = tuple[str, Entity]  # the kind, a key of KINDS, and the entity
GRAPHS = (
    "matrix",
    "facilitators",
    "country-lists",
    "labels",
)  # graphs of the vocabulary besides ontologies

router = APIRouter()


class EntityKind(NamedTuple):
    """The *template* of a kind's page and its *values*, and the *links* of page and data.

    *listing* is the list of the page, "" for none. The licence of its registry is read if it
    *has_source*.
    """

    template: str
    links: Callable[[EntityPage], list[Link]]
    values: Callable[[EntityPage], Awaitable[Values]]
    listing: str = ""
    has_source: bool = False


KINDS = {
    "thing": EntityKind("thing.html", thing_links, thing_values, has_source=True),
    "organization": EntityKind(
        "organization.html", thing_links, organization_values, has_source=True
    ),
    "deleted thing": EntityKind("gone.html", thing_links, tombstone_values, has_source=True),
    "record": EntityKind("resource.html", record_links, record_values, has_source=True),
    "deleted record": EntityKind("gone.html", record_links, tombstone_values, has_source=True),
    "run": EntityKind("run.html", lambda page: [page.cite], run_values),
    "source": EntityKind("source.html", source_links, source_values, "source"),
    "cluster": EntityKind("cluster.html", cluster_links, cluster_values),
    "scheme": EntityKind("scheme.html", scheme_links, scheme_values),
    "concept": EntityKind("concept.html", concept_links, concept_values, "concept"),
    "term": EntityKind("resource.html", term_links, term_values),
    "ontology": EntityKind("ontology.html", term_links, ontology_values),
    "release": EntityKind("release.html", release_links, release_values),
    "matrix": EntityKind("matrix.html", term_links, matrix_values),
}


async def find_record(request: Request, service: QueryService) -> Found:
    entity = await find_entity(request, service, describe_graph, 3)
    return "deleted record" if entity.status is HTTPStatus.GONE else "record", entity


async def find_run(request: Request, service: QueryService) -> Found:
    entity = await find_entity(request, service, _describe_with_status, 2)
    return "run", replace(
        entity, plain=orjson.dumps(statistics_json(entity.description), option=orjson.OPT_INDENT_2)
    )


async def find_source(request: Request, service: QueryService) -> Found:
    return "source", await find_entity(request, service, _describe_with_status, 2)


async def _describe_with_status(service: QueryService, iri: str) -> Description:
    """Describe a run or a registry from its own graph, or, if it wrote no journal entry, from the
    status graph.
    """
    description = await describe_graph(service, iri)
    if description.statements:
        return description
    status = await describe_graph(service, service.iris.status, iri)
    return replace(
        status,
        statements=tuple(
            item for item in status.statements if item.subject.partition("#")[0] == iri
        ),
    )


async def find_thing_page(request: Request, service: QueryService) -> Found | Response:
    """Return the thing of a path below ``/data/`` or ``/page/``, or a redirect (303) from one to the
    other, or (301) to the thing in another registry that took the place of a deleted one.
    """
    below = first_segment(request)
    entity = await find_thing(
        service,
        path_segments(request),
        suffix_first=below == "data",
    )
    if location := await _successor(service, entity):
        end = f".{entity.suffix}" if entity.suffix else ""
        return RedirectResponse(f"/{below}/{location}{end}", HTTPStatus.MOVED_PERMANENTLY)
    suffix, accept = entity.suffix, request.headers.get("accept")
    if below == "page" and not suffix and "format" not in request.query_params:
        suffix = HTML.suffix if quality(accept, "text/html") else None
    chosen = choose_format(request, FORMATS, suffix, entity.urls)
    if below == "id" or (chosen is HTML) != (below == "page"):
        request.state.is_negotiated = not entity.suffix or below == "page"
        return see_other(request, entity.urls.form(chosen))
    entity = replace(entity, suffix=HTML.suffix if chosen is HTML else entity.suffix)
    if entity.status is HTTPStatus.GONE:
        return "deleted thing", entity
    return "thing" if entity.graph else "organization", entity


async def _successor(service: QueryService, entity: Entity) -> str | None:
    """Return the path after ``/id/`` of the thing in another registry that took the place of a
    deleted one, whose tombstone stays at the address of its record; None if there is none.
    """
    if entity.status is not HTTPStatus.GONE or not entity.graph:
        return None
    source = entity.graph.rpartition("/")[0]
    for record, row in (await replacements(service, entity.description, entity.graph)).items():
        if "thing" in row and not record.startswith(f"{source}/"):
            return row["thing"].value.removeprefix(f"{service.iris.base}id/")
    return None


FINDERS: dict[str, Callable[[Request, QueryService], Awaitable[Found | Response]]] = {
    **dict.fromkeys(("id", "data", "page"), find_thing_page),
    "record": find_record,
    "run": find_run,
    "source": find_source,
    "cluster": find_cluster,
    **dict.fromkeys(("release", "releases"), find_release),
    **dict.fromkeys(("scheme", "ns", "operations", *GRAPHS), find_vocabulary),
}


async def respond_kind(
    request: Request, service: QueryService, pages: Pages, kind_name: str, entity: Entity
) -> Response:
    """Return the page or the data of an entity of the kind *kind_name*, a key of KINDS."""
    kind, listed, licence = KINDS[kind_name], None, None
    if kind.listing:
        cursor = read_cursor(request)
        listed = await load_page(cursor, service, kind.listing, entity.description.iri)
    if kind.has_source:
        licence = await licence_of(service, entity.path[-2])
    page = EntityPage(request, service, entity, listed, licence)

    async def render_page() -> Response:
        return await asyncio.to_thread(
            pages.page,
            kind.template,
            HTTPStatus.OK,
            description=entity.description,
            graphs=DATA_FORMATS.values(),
            urls=entity.urls,
            **(await kind.values(page)),
        )

    return await respond_entity(request, service, entity, kind.links(page), render_page)


async def entity(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    name = first_segment(request).partition(".")[0]
    answer = await FINDERS[name](request, service)
    if isinstance(answer, Response):
        return answer
    return await respond_kind(request, service, pages, *answer)


async def thing_parameters(kind: KindPath, source: SourcePath, key: KeyPath) -> None:
    """Declare the parameters of things and clusters; they are read from the raw path, in which a key
    may contain an encoded slash. So are those below.
    """


async def record_parameters(source: SourcePath, key: KeyPath) -> None: ...


async def source_parameters(source: SourcePath) -> None: ...


async def run_parameters(
    run: Annotated[str, Path(min_length=1, description="The run's name")],
) -> None: ...


async def scheme_parameters(
    scheme: Annotated[
        str, Path(min_length=1, description="The scheme, such as action-line or coverage")
    ],
) -> None: ...


@get(
    router,
    "/concept",
    operation_id="concept",
    summary="Describe a concept of another publisher: a goal, a target or an area of the United Nations",
    tags=["read"],
    dependencies=[Depends(read_list_parameters)],
    response_description="The concept",
    responses=other_contents(FORMATS.values(), DESCRIPTION) | problems(400, 404, 406, 503),
)
async def concept(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    iri: Annotated[str, Query(description="The IRI of the concept")] = "",
    format: Annotated[str | None, format_parameter(FORMATS)] = None,
) -> Response:
    """The page lists the things that have the concept."""
    require(is_web(iri), TranslatableText("The parameter iri must be the IRI of a concept"))
    description = await describe_thing(service, iri)
    require(
        bool(description.statements), TranslatableText("This concept doesn't exist: {iri}", iri=iri)
    )
    return await respond_kind(
        request,
        service,
        pages,
        "concept",
        Entity(description, ResourceURLs("/concept", query=f"?iri={quote(iri, safe=':/')}")),
    )


async def release_parameters(
    number: Annotated[
        str, Path(description="The number of the release, with or without the suffix of a format")
    ],
) -> None: ...


# The addresses that OpenAPI describes, before the others, which have the same answers.
_DESCRIBED: dict[str, dict[str, Any]] = {
    "/data/{kind}/{source}/{key:path}.json": {
        "operation_id": "thing",
        "summary": "Return what is known about a thing",
        "description": "Return the data of the thing in the format of the suffix.",
        "dependencies": [Depends(thing_parameters)],
        "response_description": "The thing, with what all its registries say",
        "responses": redirects(301) | GONE | problems(404, 503),
    },
    "/record/{source}/{key:path}.json": {
        "operation_id": "record",
        "summary": "Return what one registry says about one thing, with its provenance",
        "description": "A deleted record returns 410 and its tombstone.",
        "dependencies": [Depends(record_parameters)],
        "response_description": "The record",
        "responses": GONE | problems(404, 503),
    },
    "/run/{run}.json": {
        "operation_id": "run",
        "summary": "Return the statistics of a run",
        "description": "A run without changes has statistics only.",
        "dependencies": [Depends(run_parameters)],
        "response_description": "Its source, times, outcome, counts and requests",
        "responses": contents(json="RunJson") | problems(404, 503),
    },
    "/source/{source}.json": {
        "operation_id": "source",
        "summary": "Describe a registry",
        "description": "The page lists the records of the registry.",
        "dependencies": [Depends(read_list_parameters), Depends(source_parameters)],
        "response_description": "The registry",
        "responses": problems(400, 404, 503),
    },
    "/cluster/{kind}/{source}/{key:path}.json": {
        "operation_id": "cluster",
        "summary": "Return which things of several registries are one, and why",
        "description": "The address of a cluster that was merged redirects to the one that has its "
        "members, whose page says why.",
        "dependencies": [Depends(thing_parameters)],
        "response_description": "The cluster with its members",
        "responses": redirects(301) | problems(404, 410, 503),
    },
    "/scheme/{scheme}.json": {
        "operation_id": "scheme",
        "summary": "Describe a concept scheme and its concepts",
        "description": "A concept of a scheme has the path of the scheme before its own name.",
        "dependencies": [Depends(read_list_parameters), Depends(scheme_parameters)],
        "response_description": "The scheme with its concepts",
        "responses": problems(400, 404, 503),
    },
    "/release/{number}": {
        "operation_id": "release",
        "summary": "Describe a release",
        "description": "Describe the files of a release, its position in the journal, and how to cite "
        "it.",
        "tags": ["have"],
        "dependencies": [Depends(release_parameters)],
        "response_description": "The release as a data set",
        "responses": other_contents(FORMATS.values(), DESCRIPTION) | problems(404, 406),
    },
}
for path, documentation in _DESCRIBED.items():
    responses = contents(json=DESCRIPTION) | documentation["responses"]
    get(router, path, **{"tags": ["read"], **documentation, "responses": responses})(entity)
get(router, "/releases/{number}/", include_in_schema=False)(entity)
for name in ("id", "data", "page", "cluster", "record", "source", "run", "scheme", *GRAPHS):
    get(router, f"/{name}/{{rest:path}}", include_in_schema=False)(entity)
for name in ("ns", "operations"):
    get(router, f"/{name}/{{version}}", include_in_schema=False)(entity)
for name in ("ns", "operations", *GRAPHS):
    get(router, f"/{name}.{{suffix}}", include_in_schema=False)(entity)
    get(router, f"/{name}", include_in_schema=False)(entity)
