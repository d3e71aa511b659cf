"""Read the W3C suite's tests of protocols: the requests that their manifests describe, and the
expected answers.

Source: https://www.w3.org/TR/HTTP-in-RDF10/ and the comment at the top of protocol/manifest.ttl.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from pyoxigraph import Literal, NamedNode
from w3c_suite import MF, RDFS, UT, Facts, Node, local, path

HT = "http://www.w3.org/2011/http#"
CNT = "http://www.w3.org/2011/content#"


@dataclass(frozen=True)
class Step:
    """One request and its expected answer: the first digits of the status, the answer to ASK, the
    kind of document, headers and a graph.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: tuple[str, ...]
    boolean: bool | None
    kind: str | None
    expected_headers: dict[str, str]
    graph: str | None


@dataclass(frozen=True)
class Exchange:
    """One test: the graphs that it needs, as files by name, and its requests."""

    name: str
    graphs: dict[str, Path]
    steps: tuple[Step, ...]


def exchanges(manifest: Path) -> Iterator[Exchange]:
    """Yield the tests of *manifest*, in its order."""
    facts, here = Facts(manifest), NamedNode(manifest.as_uri())
    for entry in facts.items(facts.one(here, MF + "entries")):
        action = facts.one(entry, MF + "action")
        graphs = {
            _text(facts.one(item, RDFS + "label")): item
            for item in facts.all(entry, UT + "graphData")
        }
        yield Exchange(
            local(entry),
            {
                name: path(file)
                for name, item in graphs.items()
                if (file := facts.one(item, UT + "graph"))
            },
            tuple(
                _step(facts, request) for request in facts.items(facts.one(action, HT + "requests"))
            ),
        )


def _step(facts: Facts, request: Node) -> Step:
    answer = facts.one(request, HT + "resp")
    boolean = facts.one(answer, MF + "expectedBoolean")
    kind = facts.one(answer, MF + "expectedFormat")
    return Step(
        _text(facts.one(request, HT + "methodName")),
        _text(facts.one(request, HT + "absolutePath")),
        _headers(facts, request),
        _body(facts, request) or b"",
        tuple(sorted(_status(node) for node in facts.all(answer, MF + "expectedStatus")))
        if answer
        else (),
        None if boolean is None else _text(boolean) == "true",
        None if kind is None else _text(kind),
        _headers(facts, answer) if answer else {},
        body.decode() if answer and (body := _body(facts, answer)) else None,
    )


def _status(node: Node) -> str:
    """Return 2 for StatusCode2xx, and the number of a name such as Created."""
    name = local(node)
    if name.startswith("StatusCode"):
        result: str = name.removeprefix("StatusCode").rstrip("x")
        return result
    names = {str(code.name).replace("_", "").lower(): str(int(code)) for code in httpx.codes}
    return names[name.lower()]


def _headers(facts: Facts, message: Node) -> dict[str, str]:
    result = facts.items(facts.one(message, HT + "headers"))
    return {
        _text(facts.one(item, HT + "fieldName")): _text(facts.one(item, HT + "fieldValue"))
        for item in result
    }


def _body(facts: Facts, message: Node) -> bytes | None:
    body = facts.one(message, HT + "body")
    if body is None:
        return None
    return _text(facts.one(body, CNT + "chars")).encode(
        _text(facts.one(body, CNT + "characterEncoding")) or "UTF-8"
    )


def _text(node: Node | None) -> str:
    return node.value if isinstance(node, Literal) else ""
