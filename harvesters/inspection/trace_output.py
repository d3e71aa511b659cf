"""Write an explanation: as text, JSON, or RDF with PROV."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import orjson
from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, parse, serialize

from harvesters.inspection.trace import Explanation, StatementOrigin
from vocab.iris import Iris
from vocab.terms import DCT, RDF

_PROV = "http://www.w3.org/ns/prov#"
_DATE_TIME = "http://www.w3.org/2001/XMLSchema#dateTime"
_ORIGINS = {
    "source": "from the source",
    "validation": "ours: a result of validation",
    "ours": "ours: no source says it",
    "unknown": "not known here",
}


_CONSTANT = ", by its mapping or definition: every record has it, whatever its fields say"


def as_json(explanation: Explanation, base: str) -> bytes:
    """Write all of it."""
    return orjson.dumps(asdict(explanation), option=orjson.OPT_INDENT_2) + b"\n"


def as_text(explanation: Explanation, base: str) -> bytes:
    """Write the explanation for a terminal."""
    lines = [
        f"record:   {explanation.record}",
        f"run:      {explanation.run}, {explanation.started}",
        f"mapping:  {explanation.mapping}, rules {explanation.rules}",
    ]
    if request := explanation.request:
        lines += [
            f"request:  {request.url} ({request.status}, {request.media_type})",
            f"archive:  {request.file}, offset {request.offset}, {request.length} bytes",
            f"body:     {request.size} bytes, SHA-256 {request.digest}",
        ]
    lines += [f"note:     {explanation.note}"] if explanation.note else []
    for item in explanation.statements:
        cause = (
            f": field {', '.join(item.fields)}"
            if item.fields
            else _CONSTANT
            if item.is_constant
            else ""
        )
        lines += ["", item.statement, f"    {_ORIGINS[item.origin]}{cause}"]
        if classification := item.classification:
            by = f" by {classification.crosswalk}" if classification.crosswalk else ""
            lines.append(
                f"    {classification.basis}{f' from {classification.word!r}' if classification.word else ''}{by}"
            )
        if place := item.place:
            excerpt = f"{place.before[-40:]}>>>{place.value}<<<{place.after[:40]}"
            lines.append(f"    byte {place.offset}: {' '.join(excerpt.split())}")
    lines += [
        "",
        "history:",
        *(f"    {one.run}  {one.started}  {one.outcome}" for one in explanation.history),
    ]
    return ("\n".join(lines) + "\n").encode()


def as_turtle(explanation: Explanation, base: str) -> bytes:
    """Write each statement as an ``rdf:Statement`` that was derived from the response, or
    attributed to this installation (PROV-O).

    Source: https://www.w3.org/TR/prov-o/
    """
    run, response = NamedNode(Iris(base).run(explanation.run)), BlankNode("response")
    plan = f"mapping {explanation.mapping}, rules {explanation.rules}"
    started = Literal(explanation.started, datatype=NamedNode(_DATE_TIME))
    triples = _triples(run, (f"{_PROV}startedAtTime", started), (f"{_PROV}hadPlan", Literal(plan)))
    if request := explanation.request:
        triples += _triples(
            response,
            (f"{RDF}type", NamedNode(f"{_PROV}Entity")),
            (f"{DCT}source", Literal(request.url)),
            (f"{DCT}format", Literal(request.media_type)),
            (f"{DCT}identifier", Literal(f"sha256:{request.digest}")),
            (f"{_PROV}atLocation", Literal(f"{request.file}#{request.offset}")),
        )
        triples += _triples(run, (f"{_PROV}used", response))
    for number, item in enumerate(explanation.statements, 1):
        derived = response if explanation.request else None
        triples += _statement(item, BlankNode(f"s{number}"), run, derived, base)
    return bytes(
        serialize(
            triples, format=RdfFormat.TURTLE, prefixes={"prov": _PROV, "rdf": RDF, "dct": DCT}
        )
        or b""
    )


def _triples(subject: NamedNode | BlankNode, *pairs: tuple[str, Any]) -> list[Triple]:
    return [Triple(subject, NamedNode(predicate), value) for predicate, value in pairs]


def _statement(
    item: StatementOrigin, node: BlankNode, run: NamedNode, response: BlankNode | None, base: str
) -> list[Triple]:
    quad = next(iter(parse(f"{item.statement} .".encode(), format=RdfFormat.N_TRIPLES)))
    pairs: list[tuple[str, Any]] = [
        (f"{RDF}type", NamedNode(f"{RDF}Statement")),
        (f"{RDF}subject", quad.subject),
        (f"{RDF}predicate", quad.predicate),
        (f"{RDF}object", quad.object),
        (f"{_PROV}wasGeneratedBy", run),
    ]
    if item.origin == "source" and response is not None:
        texts = [f"field {name}" for name in item.fields]
        texts += ["every record has it, whatever its fields say"] * item.is_constant
        pairs.append((f"{_PROV}wasDerivedFrom", response))
        pairs += [(f"{DCT}description", Literal(text)) for text in texts]
        if item.place:
            pairs.append((f"{_PROV}value", Literal(item.place.value)))
    elif item.origin in ("ours", "validation"):
        pairs.append((f"{_PROV}wasAttributedTo", NamedNode(base)))
    return _triples(node, *pairs)


WRITERS: Mapping[str, Callable[[Explanation, str], bytes]] = {
    "text": as_text,
    "json": as_json,
    "turtle": as_turtle,
}
