"""``/.well-known/void``: the VoID description of the dataset (https://www.w3.org/TR/void/); and the
description of the SPARQL service (https://www.w3.org/TR/sparql11-service-description/).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from pyoxigraph import NamedNode, RdfFormat, parse, serialize
from starlette.requests import Request
from starlette.responses import Response

from publisher.errors import LimitError
from publisher.limits import MAX_QUERY_BYTES, Limits
from publisher.pages import ServiceDep
from publisher.rdf import from_node, namespaces, text_term
from publisher.releases.dump import list_dumps
from publisher.releases.metadata import VOID_FILE, VoidCount, void_statements
from publisher.store.descriptions import (
    Description,
    Statement,
    node_statements,
    serialize_description,
)
from publisher.store.query_service import QueryService, query
from publisher.store.releases import Release, list_releases
from web.branding import NAME
from web.endpoints import contents, get, problems
from web.respond import GRAPHS, TABLES, GraphFormat, best_match, require, respond

_FORMATS = "http://www.w3.org/ns/formats/"
_FORMAT_NAMES = {
    "json": "SPARQL_Results_JSON",
    "xml": "SPARQL_Results_XML",
    "csv": "SPARQL_Results_CSV",
    "tsv": "SPARQL_Results_TSV",
    "ttl": "Turtle",
    "nt": "N-Triples",
    "jsonld": "JSON-LD",
    "rdf": "RDF_XML",
}
_GEOF = "http://www.opengis.net/def/function/geosparql/"
# Functions tested against their specification; the engine may support more.
FUNCTIONS = tuple(
    f"{_GEOF}{name}" for name in ("asGeoJSON", "distance", "sfContains", "sfIntersects", "sfWithin")
)
PROPERTIES = ("http://jena.apache.org/text#query",)
LATERAL = "https://github.com/w3c/sparql-dev/blob/main/SEP/SEP-0006/sep-0006.md"
_PREFIXES = {
    "sd": "http://www.w3.org/ns/sparql-service-description#",
    "void": "http://rdfs.org/ns/void#",
}

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
    require(service.snapshot, "No snapshot is published yet", HTTPStatus.SERVICE_UNAVAILABLE)
    content = serialize_description(await describe(service), chosen_format)
    return respond(request, content, chosen_format, headers={"Vary": "Accept"})


async def describe(service: QueryService) -> Description:
    """Describe the dataset, with the counts of the newest release that has them, else those of the
    current snapshot.
    """
    dataset, spaces = f"{service.iris.base}.well-known/void#dataset", namespaces(service.iris)
    available = await asyncio.to_thread(list_releases, service.data / "releases")
    release = next(
        (item for item in available if not item.withdrawn and item.file(VOID_FILE)), None
    )
    statements = node_statements(_dataset(service, dataset, release))
    if release:
        file = service.data / "releases" / str(release.number) / VOID_FILE
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
    """Count the current snapshot without its links, which a release counts."""
    properties, classes, kinds = await asyncio.gather(
        *(service.rows(query(item)) for item in ("void-properties", "void-classes", "kinds"))
    )
    triples = [
        ("properties", row["property"].value, "", int(row["triples"].value)) for row in properties
    ]
    return [
        *triples,
        ("triples", "", "", sum(number for *_, number in triples)),
        ("entities", "", "", sum(int(row["things"].value) for row in kinds)),
        *(("classes", row["class"].value, "", int(row["entities"].value)) for row in classes),
    ]


def _dataset(service: QueryService, dataset: str, release: Release | None) -> dict[str, Any]:
    base, files = service.iris.base, list_dumps(service.data / "dumps")
    dumps = [f"dumps/{file.name}" for file in files if ".gone." not in file.name]
    if release:
        names = [file.name for file in release.files if file.name.startswith("stocktake-")]
        dumps = [*(f"releases/{release.number}/{name}" for name in names), *dumps]
    return {
        "@id": dataset,
        "dct:title": text_term(NAME, "en"),
        "foaf:homepage": base,
        "void:sparqlEndpoint": f"{base}sparql",
        "void:uriSpace": text_term(base),
        "void:vocabulary": [service.iris.ns, service.iris.operations],
        "void:feature": [
            f"http://www.w3.org/ns/formats/{name}"
            for name in ("Turtle", "N-Triples", "JSON-LD", "RDF_XML")
        ],
        "dct:hasVersion": release.iri if release else None,
        "void:dataDump": [base + path for path in dumps],
    }


async def service_description(service: QueryService, graph_format: GraphFormat) -> bytes:
    """Return the service description in *graph_format*. Every number in it is counted; counts that
    exceed the query limits are left out.
    """
    numbers = await _numbers(service)
    counts = {name: f"{name} {number} ;" for name, number in numbers.items()}
    formats = ", ".join(f"<{_FORMATS}{_FORMAT_NAMES[suffix]}>" for suffix in [*TABLES, *GRAPHS])
    text = f"""
        PREFIX sd: <http://www.w3.org/ns/sparql-service-description#>
        PREFIX void: <http://rdfs.org/ns/void#>
        PREFIX ops: <operations#>
        PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
        <sparql> a sd:Service ;
            sd:endpoint <sparql> ;
            sd:supportedLanguage sd:SPARQL11Query ;
            sd:feature sd:UnionDefaultGraph ;
            sd:languageExtension <{LATERAL}> ;
            sd:defaultEntailmentRegime <http://www.w3.org/ns/entailment/Simple> ;
            sd:resultFormat {formats} ;
            sd:extensionFunction {", ".join(f"<{name}>" for name in FUNCTIONS)} ;
            sd:propertyFeature {", ".join(f"<{name}>" for name in PROPERTIES)} ;
            {_limits(service.limits)}
            rdfs:seeAlso <examples> ;
            sd:defaultDataset <.well-known/void#dataset> .
        <.well-known/void#dataset> a sd:Dataset, void:Dataset ;
            {" ".join(counts.values())}
            sd:defaultGraph <.well-known/void#default-graph> .
        <.well-known/void#default-graph> {counts.get("void:triples", "")} a sd:Graph, void:Dataset .
        """
    triples = (quad.triple for quad in parse(text, RdfFormat.TURTLE, base_iri=service.iris.base))
    return serialize(triples, format=graph_format.writer, prefixes=_PREFIXES) or b""


def _limits(limits: Limits) -> str:
    """Return the public query limits as Turtle, with the terms of our ontology; unset limits are
    omitted.
    """
    budget = limits.budget or None
    values = {
        "queryTimeLimit": limits.seconds,
        "queryMemoryLimit": limits.memory,
        "queryRowLimit": limits.rows,
        "queryLengthLimit": MAX_QUERY_BYTES,
        "queryBudget": budget,
        "queryBudgetWindow": limits.window if budget else None,
    }
    return " ".join(f"ops:{name} {value} ;" for name, value in values.items() if value is not None)


async def _numbers(service: QueryService) -> dict[str, int]:
    numbers = {}
    with suppress(LimitError):
        properties = await service.rows(query("void-properties"))
        numbers["void:triples"] = sum(int(row["triples"].value) for row in properties)
        numbers["void:properties"] = len(properties)
        numbers["void:classes"] = len(await service.rows(query("void-classes")))
        (row,) = await service.rows(query("named-graphs"))
        numbers["ops:namedGraphs"] = int(row["graphs"].value)
    return numbers
