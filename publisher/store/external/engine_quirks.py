"""Differences of engines from SPARQL 1.1, and their workarounds."""

from __future__ import annotations

import re
from dataclasses import dataclass

# graph with the merge of all graphs, if the engine's default graph cannot be written
MERGE = "urn:stocktake:merge"
STATE = "urn:stocktake:store"  # graph with the position of the store


@dataclass(frozen=True, slots=True)
class Dialect:
    """The differences of an engine from the standard.

    *merged* is the graph with the merge of all graphs, "" if that is the default graph. *aside* are
    graphs that the engine creates for itself. *cap* is the response header with the number of rows
    at which a result was truncated, *broken* the header of a partial result. *everything* are the
    URL parameters to load N-Quads, *default* those to load triples into the merge. *engine_graphs*
    is a query for further graphs of the engine (``?graph``), whose names depend on its settings.
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
        """Return the graphs that ``GRAPH ?g`` must not match."""
        return (STATE, *((self.merged,) if self.merged else ()), *self.aside)


STANDARD = Dialect("standard")
VIRTUOSO = Dialect(
    "virtuoso",
    MERGE,
    (
        "http://www.openlinksw.com/schemas/virtrdf#",
        "http://www.w3.org/2002/07/owl#",  # the conductor's, which Debian recommends
        "http://www.w3.org/ns/ldp#",
        "urn:activitystreams-owl:map",
        "urn:core:services:sparql",
    ),
    "X-SPARQL-MaxRows",
    "X-SQL-State",
    (("graph-uri", MERGE),),  # each quad is still stored in its own graph
    ("graph-uri", MERGE),
    # A fresh database describes its WebDAV folders in the graph http://HOST/DAV/, with HOST from
    # [URIQA] DefaultHost in virtuoso.ini.
    """SELECT DISTINCT ?graph { GRAPH ?graph { ?folder <http://www.openlinksw.com/schemas/DAV#ownerUser> ?owner }
  FILTER(REGEX(STR(?graph), "^https?://[^/]+/DAV/$")) }""",
)


def dialect_of(server: str) -> Dialect:
    """Return the dialect of an engine by the Server header of its response.

    >>> dialect_of("Virtuoso/07.20.3239 (Linux) x86_64-pc-linux-gnu").name, dialect_of("Oxigraph/0.5").name
    ('virtuoso', 'standard')
    """
    return VIRTUOSO if server.startswith("Virtuoso") else STANDARD


@dataclass(frozen=True, slots=True)
class EngineErrorPattern:
    """A message of an engine, and the error it means.

    *mark* matches its message, *reason* is the name of a class in ``publisher.errors``, *advice*
    tells the client what to do.
    """

    mark: re.Pattern[str]
    reason: str
    advice: str


ENGINE_ERRORS = (
    EngineErrorPattern(
        re.compile(r"SR353"),
        "RowLimit",
        "this store cannot sort so many rows; add LIMIT, or sort the rows yourself",
    ),
    EngineErrorPattern(
        re.compile(r"22007|DT00\d|Function (year|month|day|hours|minutes|seconds) needs"),
        "QueryError",
        "this store fails if a single value is not a date; exclude such values with FILTER, or use SUBSTR(STR(?date), 1, 4) for the year",
    ),
    EngineErrorPattern(
        re.compile(r"S1T00|42000 .*estimated execution time|[Tt]imeout"),
        "TimeLimit",
        "this store stopped the query at its own time limit",
    ),
    EngineErrorPattern(
        re.compile(r"SP031.*Unknown function"),
        "QueryError",
        "this store does not know a function of the query",
    ),
    EngineErrorPattern(
        re.compile(r"FRVEC|MaxQueryMem|memory exhausted|out of memory"), "MemoryLimit", ""
    ),
    EngineErrorPattern(
        re.compile(r"D1CTX|MaxConstructTriples|RDFXX|result set.* limit"),
        "RowLimit",
        "this store does not return so many triples; narrow the query, or ask the operator to raise MaxConstructTriples in virtuoso.ini",
    ),
)
