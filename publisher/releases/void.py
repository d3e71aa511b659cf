"""``/.well-known/void`` and the file of each release: the VoID description of the dataset, with its
numbers of classes, properties and links to other data sets (https://www.w3.org/TR/void/).
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

import duckdb
from fastapi import APIRouter
from pyoxigraph import NamedNode, RdfFormat, parse
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import ServiceDep
from publisher.errors import LimitError
from publisher.rdf.results import Term, from_node
from publisher.releases.dump import list_dumps
from publisher.store.descriptions import (
    Description,
    Statement,
    namespaces,
    node_statements,
    serialize_description,
)
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.releases.manifest import Release, list_releases
from vocab.iris import Iris, encode
from vocab.terms import DCT, RDF, XSD
from web.branding import NAME
from web.endpoints import contents, get, problems
from web.formats import GRAPHS, best_match
from web.problems import HTTPProblem
from web.respond import respond

VOID = "http://rdfs.org/ns/void#"
FILE = "void.ttl"  # of a release
# The data sets that ours link to: the prefix of their IRIs, and their titles; the first match
# counts.
TARGETS = {
    "http://metadata.un.org/sdg/codes/geoArea/": "Countries and areas of the United Nations (M49)",
    "http://metadata.un.org/sdg/": "Sustainable Development Goals of the United Nations",
    "http://www.wikidata.org/entity/": "Wikidata",
    "https://ror.org/": "Research Organization Registry",
    "http://publications.europa.eu/resource/authority/": "Authority tables of the European Union",
    "http://id.loc.gov/": "Library of Congress",
    "http://sws.geonames.org/": "GeoNames",
}
# What is counted once, by its property; the parts of the dataset, by their terms and units.
_TOTALS = {"triples": "triples", "entities": "entities", "subjects": "distinctSubjects"}
_PARTS = {"properties": ("property", "triples"), "classes": ("class", "entities")}

# What is counted (a key of _TOTALS or _PARTS, or links), the IRI of the property or class, the prefix
# of the IRIs of the target of links, and the number.
VoidCount = tuple[str, str, str, int]

router = APIRouter()


@get(
    router,
    "/.well-known/void",
    operation_id="void",
    summary="Describe the dataset: its size, vocabularies, links and dumps",
    tags=["have"],
    response_class=Response,
    response_description="A VoID description",
    responses=contents(*(graph_format.media for graph_format in GRAPHS.values())) | problems(503),
)
async def void(request: Request, service: ServiceDep) -> Response:
    """The numbers are those of the newest release, if there is one."""
    # Clients that accept none of the formats get Turtle.
    chosen_format = best_match(request.headers.get("accept"), GRAPHS.values()) or GRAPHS["ttl"]
    if not service.snapshot:
        raise HTTPProblem(HTTPStatus.SERVICE_UNAVAILABLE, "No snapshot is up yet")
    content = serialize_description(await describe(service), chosen_format)
    return respond(request, content, chosen_format, headers={"Vary": "Accept"})


async def describe(service: QueryService) -> Description:
    """Describe the dataset, with the counts of the newest release that has them, else those of the
    current snapshot.
    """
    dataset, spaces = f"{service.iris.base}.well-known/void#dataset", namespaces(service.iris)
    available = await asyncio.to_thread(list_releases, service.data / "releases")
    release = next((item for item in available if not item.withdrawn and item.file(FILE)), None)
    statements = node_statements(_dataset(service, dataset, release))
    if release:
        file = service.data / "releases" / str(release.number) / FILE
        statements += (
            Statement(quad.subject.value, quad.predicate.value, from_node(quad.object))
            for quad in parse(file.read_bytes(), RdfFormat.TURTLE)
            if isinstance(quad.subject, NamedNode)
        )
    else:
        statements += void_statements(await _count_snapshot(service), service.iris, spaces)
    ordered = sorted(dict.fromkeys(statements), key=lambda item: item.subject != dataset)
    return Description(dataset, tuple(ordered), {}, spaces)


async def _count_snapshot(service: QueryService) -> list[VoidCount]:
    """Count the current snapshot; links are left out if counting them exceeds the time limit of a
    query.
    """
    properties, classes, kinds = await asyncio.gather(
        *(service.rows(query(item)) for item in ("void-properties", "void-classes", "kinds"))
    )
    counts = [
        ("properties", row["property"].value, "", int(row["triples"].value)) for row in properties
    ]
    counts.append(("triples", "", "", sum(number for *_, number in counts)))
    counts.append(("entities", "", "", sum(int(row["things"].value) for row in kinds)))
    counts += [("classes", row["class"].value, "", int(row["entities"].value)) for row in classes]
    spaces = " ".join(f'"{space}"' for space in TARGETS)
    try:
        links = await service.rows(query("void-links").replace("SPACES", spaces))
    except LimitError:
        return counts
    totals = Counter(
        {(row["property"].value, row["space"].value): int(row["triples"].value) for row in links}
    )
    # Each link counts for its longest prefix: the IRIs of areas begin with that of the goals.
    for (name, space), count in list(totals.items()):
        for wider in TARGETS:
            if wider != space and space.startswith(wider):
                totals[name, wider] -= count
    return counts + [("links", *link, count) for link, count in (+totals).items()]


def _dataset(service: QueryService, dataset: str, release: Release | None) -> dict[str, Any]:
    base, files = service.iris.base, list_dumps(service.data / "dumps")
    dumps = [f"dumps/{file.name}" for file in files if ".gone." not in file.name]
    if release:
        names = [file.name for file in release.files if file.name.startswith("stocktake-")]
        dumps = [*(f"releases/{release.number}/{name}" for name in names), *dumps]
    return {
        "@id": dataset,
        "dct:title": Term(NAME, "literal", "en"),
        "foaf:homepage": base,
        "void:sparqlEndpoint": f"{base}sparql",
        "void:uriSpace": Term(base, "literal"),
        "void:vocabulary": [service.iris.ns, service.iris.operations],
        "void:feature": [
            f"http://www.w3.org/ns/formats/{name}"
            for name in ("Turtle", "N-Triples", "JSON-LD", "RDF_XML")
        ],
        "dct:hasVersion": release.iri if release else None,
        "void:dataDump": [base + path for path in dumps],
    }


def count_void(tables: duckdb.DuckDBPyConnection, iris: Iris) -> list[VoidCount]:
    """Count the triples of the table ``quads``."""
    rows = tables.execute(
        f"""WITH triples AS MATERIALIZED (SELECT DISTINCT s, p, o FROM quads),
        links AS (SELECT p, list_filter($targets, lambda start: starts_with(o, '<' || start))[1] AS target
            FROM triples WHERE starts_with(s, '<{iris.base}') AND starts_with(o, '<http'))
        SELECT 'properties', p[2:-2], '', count(*) FROM triples GROUP BY p
        UNION ALL SELECT 'classes', o[2:-2], '', count(*) FROM triples WHERE p = '<{RDF}type>' GROUP BY o
        UNION ALL SELECT 'links', p[2:-2], target, count(*) FROM links WHERE target IS NOT NULL GROUP BY p, target
        UNION ALL SELECT 'triples', '', '', count(*) FROM triples
        UNION ALL SELECT 'subjects', '', '', count(DISTINCT s) FROM triples
        UNION ALL SELECT 'entities', '', '', count(DISTINCT s) FROM triples
            WHERE p = '<{RDF}type>' AND starts_with(s, '<{iris.base}id/')""",
        {"targets": list(TARGETS)},
    )
    return rows.fetchall()


def void_statements(
    counts: Iterable[VoidCount], iris: Iris, prefixes: dict[str, str]
) -> Iterator[Statement]:
    """Yield the statistics of our data set; *prefixes* are used in the names of its parts."""
    dataset = f"{iris.base}.well-known/void#dataset"
    by_kind = defaultdict[str, list[tuple[str, str, int]]](list)
    for kind, iri, space, count in sorted(counts):
        by_kind[kind].append((iri, space, count))
    totals = {name: sum(count for *_, count in by_kind[kind]) for kind, name in _TOTALS.items()}
    totals |= {"classes": len(by_kind["classes"]), "properties": len(by_kind["properties"])}
    yield Statement(dataset, f"{RDF}type", Term(f"{VOID}Dataset"))
    for name, count in totals.items():
        if count:
            yield Statement(dataset, VOID + name, _number(count))
    for kind, (term, unit) in _PARTS.items():
        for iri, _, count in by_kind[kind]:
            part = _part(iris, term, iri, prefixes)
            yield Statement(dataset, f"{VOID}{term}Partition", Term(part))
            yield Statement(part, VOID + term, Term(iri))
            yield Statement(part, VOID + unit, _number(count))
    for name, space, count in by_kind["links"]:
        yield from _linkset(iris, dataset, name, space, count, prefixes)


def _linkset(
    iris: Iris, dataset: str, name: str, space: str, count: int, prefixes: dict[str, str]
) -> Iterator[Statement]:
    number = list(TARGETS).index(space) + 1
    other = f"{iris.base}.well-known/void#target-{number}"
    part = f"{_part(iris, 'links', name, prefixes)}-{number}"
    for row in (
        (dataset, f"{VOID}subset", Term(part)),
        (part, f"{RDF}type", Term(f"{VOID}Linkset")),
        (part, f"{VOID}subjectsTarget", Term(dataset)),
        (part, f"{VOID}objectsTarget", Term(other)),
        (part, f"{VOID}linkPredicate", Term(name)),
        (part, f"{VOID}triples", _number(count)),
        (other, f"{RDF}type", Term(f"{VOID}Dataset")),
        (other, f"{DCT}title", Term(TARGETS[space], "literal", "en")),
        (other, f"{VOID}uriSpace", Term(space, "literal")),
    ):
        yield Statement(*row)


def _part(iris: Iris, kind: str, iri: str, prefixes: dict[str, str]) -> str:
    prefix, space = next(
        ((prefix, space) for prefix, space in prefixes.items() if iri.startswith(space)), ("", "")
    )
    name = f"{prefix}:{iri[len(space) :]}" if space else iri
    return f"{iris.base}.well-known/void#{kind}-{encode(name).replace('/', '%2F')}"


def _number(value: int) -> Term:
    return Term(str(value), "literal", None, f"{XSD}integer")
