"""The service description of the endpoint (https://www.w3.org/TR/sparql11-service-description/).
Every number in it is counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pyoxigraph import RdfFormat, parse, serialize

from publisher.errors import LimitError
from publisher.formats import GRAPHS, TABLES, GraphFormat
from publisher.limits import Limits
from publisher.sparql.protocol import MAX_QUERY_BYTES
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from vocab.iris import Iris

_FORMATS = "http://www.w3.org/ns/formats/"
_NAMES = {
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

PREFIXES = {
    "sd": "http://www.w3.org/ns/sparql-service-description#",
    "void": "http://rdfs.org/ns/void#",
}


async def service_description(service: QueryService, graph_format: GraphFormat) -> bytes:
    """Return the service description in *graph_format*. Counts that exceed the query limits are
    left out.
    """
    numbers = await _numbers(service)
    formats = " , ".join(f"<{_FORMATS}{_NAMES[suffix]}>" for suffix in [*TABLES, *GRAPHS])
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
            sd:extensionFunction {_list(FUNCTIONS)} ;
            sd:propertyFeature {_list(PROPERTIES)} ;
            {_limits(service.limits)}
            rdfs:seeAlso <examples> ;
            sd:defaultDataset <.well-known/void#dataset> .
        <.well-known/void#dataset> a sd:Dataset, void:Dataset ;
            {_numbers_turtle(numbers, "void:triples", "void:properties", "void:classes", "ops:namedGraphs")}
            sd:defaultGraph <.well-known/void#default-graph> .
        <.well-known/void#default-graph> {_numbers_turtle(numbers, "void:triples")} a sd:Graph, void:Dataset .
        """
    return write_turtle(text, service.iris, graph_format)


def _list(iris: tuple[str, ...]) -> str:
    return " , ".join(f"<{iri}>" for iri in iris)


def _limits(limits: Limits) -> str:
    """Return the public query limits as Turtle, with the terms of our ontology; unset limits are
    omitted.
    """
    budget = limits.budget if limits.budget else None
    values = {
        "queryTimeLimit": limits.seconds,
        "queryMemoryLimit": limits.memory,
        "queryRowLimit": limits.rows,
        "queryLengthLimit": MAX_QUERY_BYTES,
        "queryBudget": budget,
        "queryBudgetWindow": limits.window if budget else None,
    }
    return " ".join(f"ops:{name} {value} ;" for name, value in values.items() if value is not None)


def _numbers_turtle(numbers: dict[str, int], *names: str) -> str:
    return " ".join(f"{name} {numbers[name]} ;" for name in names if name in numbers)


async def _numbers(service: QueryService) -> dict[str, int]:
    """Return the counts of the current snapshot."""
    return {name: number async for name, number in _count(service)}


async def _count(service: QueryService) -> AsyncIterator[tuple[str, int]]:
    try:
        properties = await service.rows(query("void-properties"))
        yield "void:triples", sum(int(graph_format["triples"].value) for graph_format in properties)
        yield "void:properties", len(properties)
        yield "void:classes", len(await service.rows(query("void-classes")))
        yield "ops:namedGraphs", int((await service.rows(query("named-graphs")))[0]["graphs"].value)
    except LimitError:
        return


def write_turtle(turtle: str, iris: Iris, graph_format: GraphFormat) -> bytes:
    """Serialize *turtle*, with IRIs relative to the base, in *graph_format*."""
    triples = (quad.triple for quad in parse(turtle, RdfFormat.TURTLE, base_iri=iris.base))
    return serialize(triples, format=graph_format.writer, prefixes=PREFIXES) or b""
