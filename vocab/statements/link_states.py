"""Describe the states of links as quality measurements (DQV): whether a web page that records name
answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from vocab.iris import Iris
from vocab.terms import DCT, DQV, PROV, RDF, instant, literal


@dataclass(frozen=True, slots=True)
class CheckedLink:
    """A link with its state (alive, moved, gone or blocked) since a time, in UTC; *id* names it, a
    moved one answers at *location*.
    """

    id: str
    url: str
    state: str
    since: datetime
    location: str = ""


def describe_links(source: str, links: Iterable[CheckedLink], iris: Iris) -> list[str]:
    """Return the statements about the links of a source's records, sorted, for the graph
    ``iris.links(source)``.
    """
    graph, statements = iris.links(source), set[str]()
    for link in links:
        measurement = f"<{graph}#{link.id}>"
        statements |= {
            f"{measurement} <{RDF}type> <{DQV}QualityMeasurement>",
            f"{measurement} <{DQV}isMeasurementOf> <{iris.operations}linkState>",
            f"{measurement} <{DQV}computedOn> <{link.url}>",
            f"{measurement} <{DQV}value> {literal(link.state)}",
            f"{measurement} <{PROV}generatedAtTime> {instant(link.since)}",
            *([f"{measurement} <{DCT}isReplacedBy> <{link.location}>"] if link.location else []),
        }
    return sorted(statements)
