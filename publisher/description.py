"""Service description: what the endpoint is and does (https://www.w3.org/TR/sparql11-service-description/)."""

from __future__ import annotations

from pyoxigraph import RdfFormat, parse, serialize

from publisher.formats import GRAPHS, TABLES, Graph
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

PREFIXES = {"sd": "http://www.w3.org/ns/sparql-service-description#", "void": "http://rdfs.org/ns/void#"}


def service(iris: Iris, row: Graph) -> bytes:
    """Describe the endpoint in the format *row*."""
    formats = " , ".join(f"<{_FORMATS}{_NAMES[suffix]}>" for suffix in [*TABLES, *GRAPHS])
    text = f"""
        PREFIX sd: <http://www.w3.org/ns/sparql-service-description#>
        <sparql> a sd:Service ;
            sd:endpoint <sparql> ;
            sd:supportedLanguage sd:SPARQL11Query ;
            sd:feature sd:UnionDefaultGraph ;
            sd:resultFormat {formats} ;
            sd:defaultDataset <.well-known/void#dataset> .
        <.well-known/void#dataset> a sd:Dataset .
        """
    return written(text, iris, row)


def written(turtle: str, iris: Iris, row: Graph) -> bytes:
    """Write *turtle*, whose relative IRIs stand under the base, in the format *row*."""
    triples = (quad.triple for quad in parse(turtle, RdfFormat.TURTLE, base_iri=iris.base))
    return serialize(triples, format=row.writer, prefixes=PREFIXES) or b""
