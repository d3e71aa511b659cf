"""A SPARQL endpoint as a source: the queries of a harvest, sent by our HTTP client, and their
results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from string import Template
from typing import Any

from pyoxigraph import Literal, NamedNode, Store

from harvesters.definition_faults import located
from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import load_json
from harvesters.option_schema import Option, check_choice, check_positive, get_option, option_names
from harvesters.payloads.graph import PREFIXES, TYPE, iri
from harvesters.reasons import Reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "types": Option(
        (str, list), None, "The classes whose instances are the records, e.g. `eurio:Project`."
    ),
    "pattern": Option(
        str,
        None,
        "A graph pattern that binds `?subject` to the records, if classes do not select them.",
    ),
    "graph": Option(
        str, None, "The named graph to query; without it the endpoint's default graph."
    ),
    "modified": Option(
        str,
        "dct:modified|schema:dateModified",
        "The property path to the time when a record changed; empty if there is none.",
    ),
    "namespaces": Option(
        dict,
        None,
        "Prefixes of the pattern and of paths, `prefix = address`, in addition to the known ones.",
    ),
    "method": Option(
        str,
        "get",
        "The HTTP method: `get`, or `post` for endpoints that accept queries as forms only.",
    ),
    "page": Option(int, 1000, "The number of subjects listed per query."),
    "size": Option(
        int,
        20,
        "The number of records described per query, fewer if the address would be too long.",
    ),
    "steps": Option(int, 1, "How many steps away from a record statements still belong to it."),
}

_TABLE = "application/sparql-results+json, application/json;q=0.9"
_GRAPH = "application/n-triples, text/turtle;q=0.9, application/rdf+xml;q=0.7"
# characters of the subjects in a query; keeps addresses below the usual limit of 8,000
_MAX_SUBJECT_CHARS = 4000
_OTHER_NAMESPACES = {"schema:": "https://schema.org/"}  # alternative spellings of a namespace


@cache
def _query(name: str) -> Template:
    return Template(
        files("harvesters.protocols.sparql")
        .joinpath("queries", f"{name}.rq")
        .read_text(encoding="utf-8")
    )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A SPARQL endpoint: *pattern* binds ``?subject``, *path* leads to the time of a change (empty:
    unknown).
    """

    source: Source
    fetch: Fetch
    pattern: str
    path: str
    prologue: str

    def count(self, pattern: str) -> int:
        """Return how many subjects *pattern* binds."""
        return self._number("count", {"pattern": pattern})

    def count_undated(self) -> int:
        """Return how many subjects have no time of change."""
        return self._number("undated", {"pattern": self.pattern, "path": f"({self.path})"})

    def list_subjects(self, pattern: str, after: str, limit: int) -> list[tuple[str, int]]:
        """Return at most *limit* subjects after *after*, sorted by IRI, each with its number of
        statements.
        """
        terms = {"pattern": pattern, "after": str(Literal(after)), "limit": str(limit)}
        rows = self._table("subjects", terms)
        try:
            listed = [(row["subject"], int(row["statements"])) for row in rows]
        except (KeyError, ValueError) as error:
            raise ParseError(
                Reason(
                    "subjects_incomplete",
                    {"source": self.source.name, "url": self.source.url, "error": str(error)},
                )
            ) from error
        if any(later <= earlier for (earlier, _), (later, _) in pairwise([(after, 0), *listed])):
            raise ParseError(
                Reason("subjects_unsorted", {"source": self.source.name, "url": self.source.url})
            )
        return listed

    def describe(self, subjects: Sequence[str]) -> Reply:
        """Request all statements about *subjects* and what they point to."""
        return self._request("description", {"branches": self._branches(subjects)}, _GRAPH)

    def count_statements(self, subjects: Sequence[str]) -> int:
        """Return the number of these statements."""
        return self._number("size", {"branches": self._branches(subjects)})

    def changed_pattern(self, moment: str) -> str:
        """Return the pattern for what changed since the day *moment*: dates and times are compared
        as text.
        """
        return f"{self.pattern} ?subject {self.path} ?modified FILTER(STR(?modified) >= {Literal(moment)})"

    def _branches(self, subjects: Sequence[str]) -> str:
        """Return the UNION of the subjects' statements and those of the nodes that they point to,
        step by step, except classes.
        """
        iris = " ".join(str(NamedNode(subject)) for subject in subjects)
        parts = [f"{{ VALUES ?node {{ {iris} }} ?node ?property ?value }}"]
        for steps in range(1, get_option(self.source, OPTIONS, "steps") + 1):
            nodes = ["?start", *(f"?n{number}" for number in range(1, steps)), "?node"]
            path = " ".join(
                f"{a} ?p{n} {b} . FILTER(?p{n} != <{TYPE}>)"
                for n, (a, b) in enumerate(pairwise(nodes))
            )
            parts.append(f"{{ VALUES ?start {{ {iris} }} {path} ?node ?property ?value }}")
        return " UNION ".join(parts)

    def _number(self, name: str, terms: Mapping[str, str]) -> int:
        rows = self._table(name, terms)
        text = rows[0].get("count", "") if len(rows) == 1 else ""
        if not (text.isascii() and text.isdigit()):
            raise ParseError(
                Reason("no_number", {"source": self.source.name, "url": self.source.url})
            )
        return int(text)

    def _table(self, name: str, terms: Mapping[str, str]) -> list[Mapping[str, str]]:
        """Send a SELECT query. Return its rows of IRIs and literals as texts; an IRI may be
        invalid.
        """
        reply = self._request(name, terms, _TABLE)
        document = load_json(reply)
        match document:
            case {"results": {"bindings": list(rows)}} if all(
                isinstance(row, dict) for row in rows
            ):
                return [
                    {name: term["value"] for name, term in row.items() if _is_named(term)}
                    for row in rows
                ]
        code = (
            "boolean_result"
            if isinstance(document, dict) and "boolean" in document
            else "not_select_result"
        )
        raise ParseError(Reason(code, {"source": self.source.name, "url": self.source.url}))

    def _request(self, name: str, terms: Mapping[str, str], accept: str) -> Reply:
        graph = get_option(self.source, OPTIONS, "graph")
        parameters = {
            "query": self.prologue + _query(name).substitute(terms),
            **({"default-graph-uri": graph} if graph else {}),
        }
        post = get_option(self.source, OPTIONS, "method") == "post"
        send = self.fetch.post if post else self.fetch.get
        reply = send(self.source.url, parameters, accept=accept)
        # Virtuoso reached its time limit and returns a partial result
        if state := reply.headers.get("x-sql-state"):
            raise ParseError(
                Reason(
                    "partial_result",
                    {"source": self.source.name, "url": self.source.url, "state": state},
                )
            )
        return reply


def _is_named(term: Any) -> bool:
    return (
        isinstance(term, dict)
        and isinstance(term.get("value"), str)
        and term.get("type") != "bnode"
    )


def is_iri(text: str) -> bool:
    """Return whether *text* is a valid IRI."""
    try:
        NamedNode(text)
    except ValueError:
        return False
    return True


def build_endpoint(source: Source, fetch: Fetch) -> Endpoint:
    """Return an endpoint with a source's options."""
    pattern = get_option(source, OPTIONS, "pattern")
    if not pattern:
        pattern = f"VALUES ?class {{ {' '.join(str(NamedNode(name)) for name in _classes(source))} }} ?subject a ?class ."
    path = get_option(source, OPTIONS, "modified").strip()
    known = {**PREFIXES, **(get_option(source, OPTIONS, "namespaces") or {})}
    used = {name: address for name, address in known.items() if f"{name}:" in f"{pattern} {path}"}
    prologue = "".join(
        f"PREFIX {name}: {NamedNode(address)}\n" for name, address in sorted(used.items())
    )
    return Endpoint(source, fetch, f"{{ {pattern} }}", path, prologue)


def _classes(source: Source) -> Iterable[str]:
    for name in option_names(source, OPTIONS, "types"):
        yield iri(name)
        for prefix, other in _OTHER_NAMESPACES.items():
            if name.startswith(prefix):
                yield other + name.removeprefix(prefix)


def check(source: Source) -> None:
    """Raise SourceDefinitionError if nothing selects the records, or if the queries are invalid."""
    if bool(source.options.get("types")) == bool(source.options.get("pattern")):
        raise SourceDefinitionError(located(source.name, Reason("no_selection")))
    pattern = source.options.get("pattern", "?subject")
    if "?subject" not in pattern or re.search(r"\bSERVICE\b", pattern, re.IGNORECASE):
        fault = (
            Reason("pattern_with_service")
            if "?subject" in pattern
            else Reason("pattern_without_subject")
        )
        raise SourceDefinitionError(located(source.name, fault))
    for name in option_names(source, OPTIONS, "types"):
        if ":" not in name or (
            iri(name) == name and not name.startswith(("http:", "https:", "urn:"))
        ):
            raise SourceDefinitionError(
                located(
                    source.name,
                    Reason("types_not_iri", {"value": repr(name), "example": "eurio:Project"}),
                )
            )
    check_choice(source, OPTIONS, "method", ("get", "post"))
    for name in ("page", "size"):
        check_positive(source, OPTIONS, name)
    try:
        endpoint = build_endpoint(source, None)  # type: ignore[arg-type]
        for query, terms in (
            ("count", {"pattern": endpoint.pattern}),
            ("undated", {"pattern": endpoint.pattern, "path": f"({endpoint.path or 'a'})"}),
        ):
            Store().query(endpoint.prologue + _query(query).substitute(terms))
    except (SyntaxError, ValueError) as error:
        problem = " ".join(str(getattr(error, "msg", error)).split())
        raise SourceDefinitionError(
            located(source.name, Reason("not_sparql", {"error": problem}))
        ) from error


def make_batches(subjects: Sequence[tuple[str, int]], size: int) -> Iterable[list[tuple[str, int]]]:
    """Split subjects into batches of at most *size*, whose IRIs fit into an address.

    >>> [len(batch) for batch in make_batches([("a" * 1500, 1)] * 3, 20)]
    [2, 1]
    """
    batch: list[tuple[str, int]] = []
    length = 0
    for subject, count in subjects:
        if batch and (len(batch) == size or length + len(subject) > _MAX_SUBJECT_CHARS):
            yield batch
            batch, length = [], 0
        batch.append((subject, count))
        length += len(subject)
    if batch:
        yield batch
