"""Where engines differ from SPARQL 1.1, and how we work around it."""

from __future__ import annotations

import re
from dataclasses import dataclass

MERGE = "urn:stocktake:merge"  # the graph that holds the merge of all, where the engine's default graph is none
STATE = "urn:stocktake:store"  # the graph with the position of the store


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is special about an engine.

    *merged* is the graph with the merge of all graphs, "" where that is the default graph. *aside* are graphs of the engine's own, which
    nobody asked for. *cap* is the header with the number of rows after which an answer was truncated, *broken* the one that comes with a
    part of an answer. *quads* is the media type of what may be loaded at once, and *everything* what is added to the address for it.
    *engine_graphs* is a query for further graphs of the engine's own (``?graph``), whose names depend on its settings.
    """

    name: str
    merged: str = ""
    aside: tuple[str, ...] = ()
    cap: str = ""
    broken: str = ""
    everything: tuple[tuple[str, str], ...] = ()
    default: tuple[str, str] = ("default", "")
    engine_graphs: str = ""

    @property
    def hidden(self) -> tuple[str, ...]:
        """Return the graphs that ``GRAPH ?g`` must not find."""
        return (STATE, *((self.merged,) if self.merged else ()), *self.aside)


STANDARD = Dialect("standard")
VIRTUOSO = Dialect(
    "virtuoso",
    MERGE,
    (
        "http://www.openlinksw.com/schemas/virtrdf#",
        "http://www.w3.org/ns/ldp#",
        "urn:activitystreams-owl:map",
        "urn:core:services:sparql",
    ),
    "X-SPARQL-MaxRows",
    "X-SQL-State",
    (("graph-uri", MERGE),),  # each quad goes to its own graph even so
    ("graph-uri", MERGE),
    # A fresh database describes its WebDAV folders in the graph http://HOST/DAV/, with HOST from [URIQA] DefaultHost in virtuoso.ini.
    """SELECT DISTINCT ?graph { GRAPH ?graph { ?folder <http://www.openlinksw.com/schemas/DAV#ownerUser> ?owner }
  FILTER(REGEX(STR(?graph), "^https?://[^/]+/DAV/$")) }""",
)


def dialect_of(server: str) -> Dialect:
    """Return the dialect that fits the Server header of an engine's answer.

    >>> dialect_of("Virtuoso/07.20.3239 (Linux) x86_64-pc-linux-gnu").name, dialect_of("Oxigraph/0.5").name
    ('virtuoso', 'standard')
    """
    return VIRTUOSO if server.startswith("Virtuoso") else STANDARD


@dataclass(frozen=True, slots=True)
class EngineErrorPattern:
    """A message of an engine, and the error it means.

    *mark* is in its message, *reason* is its name in ``publisher.errors``, *advice* is ours.
    """

    mark: re.Pattern[str]
    reason: str
    advice: str


ENGINE_ERRORS = (
    EngineErrorPattern(
        re.compile(r"SR353"), "RowLimit", "this store does not sort so many rows; ask for fewer by LIMIT, or sort them yourself"
    ),
    EngineErrorPattern(
        re.compile(r"22007|DT00\d|Function (year|month|day|hours|minutes|seconds) needs"),
        "QueryError",
        "this store stops where a single value is no date; leave such values out by a FILTER, or take the year by SUBSTR(STR(?date), 1, 4)",
    ),
    EngineErrorPattern(
        re.compile(r"S1T00|42000 .*estimated execution time|[Tt]imeout"),
        "TimeLimit",
        "this store stopped the query at its own limit of time",
    ),
    EngineErrorPattern(re.compile(r"SP031.*Unknown function"), "QueryError", "this store does not know a function of the query"),
    EngineErrorPattern(re.compile(r"FRVEC|MaxQueryMem|memory exhausted|out of memory"), "MemoryLimit", ""),
    EngineErrorPattern(
        re.compile(r"D1CTX|MaxConstructTriples|RDFXX|result set.* limit"),
        "RowLimit",
        "this store does not return so many triples; narrow the query, or ask the operator to raise MaxConstructTriples in virtuoso.ini",
    ),
)
