"""Explain the statements of a record: each comes from a field of an archived response, or is added
by us. An explanation is written as text, JSON, or RDF with PROV.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

import orjson
import sqlalchemy as sa
from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, serialize

from harvesters.archive import ArchivedResponse, Replay, list_responses, open_body
from harvesters.errors import ArchiveError, HarvestError
from harvesters.inspection.findings import MappedRecord, object_of, parse_statements
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run, decompress
from harvesters.page_model import Page, Record, SourcePosition
from harvesters.pipeline.record_processor import ProcessingTask
from harvesters.runs.collect import archived_pages
from harvesters.source import Source
from journal.store import Store
from shapes.validate import EngineName
from vocab.iris import Iris
from vocab.terms import ADMS, DCT, RDF


@dataclass(frozen=True, slots=True)
class Classification:
    """The origin of a concept by its mapping: the *basis* (``declared``, ``crosswalked`` or
    ``suggested``), the source's own *word*, the IRI of the *crosswalk* that translates it, and the
    *confidence* of a suggestion; "" if there is none.
    """

    basis: str
    word: str = ""
    crosswalk: str = ""
    confidence: str = ""


_CONTEXT = 120  # bytes of an excerpt before and after a value
_MAIL = re.compile(r"[^\s\"'<>,;@]{0,64}@[^\s\"'<>,;@]{0,64}")
_MAX_BODY = 64 << 20  # bytes of a response in which a value is searched


class ExplainError(HarvestError):
    """There is nothing to explain at an IRI; the message says why and what to ask instead."""


@dataclass(frozen=True, slots=True)
class ValueLocation:
    """The position of a value in a response: *offset* and *length* in bytes of its body; the
    *value* as it is written there, and the bytes *before* and *after* it, as text.
    """

    offset: int
    length: int
    before: str
    value: str
    after: str


@dataclass(frozen=True, slots=True)
class StatementOrigin:
    """A statement (N-Triples without the dot) and its *origin*: ``source`` if the mapping of the
    archived record yields it again, ``validation`` if it is part of a validation result, ``ours``
    if we made it, ``unknown`` if the archive is not here.

    *fields* are the publisher's fields that the mapping read for it, those with its value if any
    has it. *is_constant*: the mapping or the source definition makes it
    of every record, whatever its fields are. *classification* is the origin of its concept.
    """

    statement: str
    origin: str
    fields: tuple[str, ...] = ()
    value: str = ""
    place: ValueLocation | None = None
    classification: Classification | None = None
    is_constant: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """An archived response: *file*, *offset* and *length* of its position in the archive, *digest*
    the SHA-256 of its body.
    """

    url: str
    status: int
    media_type: str
    file: str
    offset: int
    length: int
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class RunOfRecord:
    """A run that saw the record, and its outcome."""

    run: str
    started: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a record's statements. *request* is None if the archive is not here; *note*
    says why.

    *rules* is the digest of mapping, crosswalks and shapes of the run; *history* has the newest run
    first.
    """

    record: str
    source: str
    key: str
    run: str
    started: str
    mapping: str
    rules: str
    statements: tuple[StatementOrigin, ...]
    request: Request | None = None
    note: str = ""
    history: tuple[RunOfRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Described:
    """A record in the ledger: its current *statements*, the *run* that wrote them, and the position
    of its archived response.
    """

    source: str
    key: str
    run: Run
    statements: tuple[str, ...]
    position: SourcePosition | None
    history: tuple[RunOfRecord, ...]


def parse_iri(iri: str, base: str) -> tuple[str, str]:
    """Return source and key of a record's or a thing's IRI, or of its page. Raises ExplainError for
    any other.

    >>> parse_iri("https://x.example/record/kenya/p%2F1", "https://x.example/")
    ('kenya', 'p/1')
    >>> parse_iri("/page/initiative/kenya/p1", "https://x.example/")
    ('kenya', 'p1')
    """
    path = iri.partition("#")[0].removeprefix(base).lstrip("/")
    kind, _, rest = path.partition("/")
    if kind in ("id", "page"):
        rest = rest.partition("/")[2]
    source, _, key = rest.partition("/")
    if kind not in ("id", "page", "record") or not source or not key:
        raise ExplainError(
            f"{iri}: not the IRI of a record or of a thing of a registry; they begin with {base}record/ or {base}id/"
        )
    return source, unquote(key)


def read_record(ledger: Ledger, source: str, key: str) -> Described:
    """Return what the ledger has of a record. Raises ExplainError if it has no such record."""
    r, d, s, u = t.record, t.description, t.staged, t.run
    query = sa.select(r.c.run, r.c.seq, d.c.statements).join(
        d, sa.and_(d.c.run == r.c.run, d.c.seq == r.c.seq)
    )
    staged = sa.select(s.c.run, s.c.outcome, s.c.file, s.c.offset, s.c.length, u.c.started).join(
        u, u.c.id == s.c.run
    )
    with ledger.transaction() as connection:
        row = connection.execute(query.where(r.c.source == source, r.c.key == key)).one_or_none()
        if row is None:
            raise ExplainError(
                f"{source} has no published record with the key {key!r}; its records are at /source/{source}"
            )
        seen = connection.execute(
            staged.where(s.c.source == source, s.c.key == key).order_by(u.c.number.desc())
        ).all()
    run = ledger.run(row.run)
    if run is None:
        raise ExplainError(
            f"{source}: the run {row.run} of the record {key!r} is not in the ledger"
        )
    archived = next((item for item in seen if item.run == row.run and item.file is not None), None)
    history = tuple(
        RunOfRecord(item.run, f"{item.started:%Y-%m-%dT%H:%M:%SZ}", item.outcome.value)
        for item in seen
    )
    position = SourcePosition(archived.file, archived.offset, archived.length) if archived else None
    return Described(
        source, key, run, tuple(decompress(row.statements).split("\n")), position, history
    )


def check_property(described: Described, name: str) -> None:
    """Raise ExplainError with the record's properties if none of them ends with *name*."""
    properties = sorted({_property(line) for line in described.statements if line})
    if not any(iri.endswith(name) for iri in properties):
        names = ", ".join(dict.fromkeys(re.split("[/#]", iri)[-1] for iri in properties))
        raise ExplainError(
            f"the record {described.key!r} of {described.source} has no property that ends with {name!r}; it has {names}"
        )


def explain(
    described: Described,
    source: Source,
    base: str,
    archive: Path,
    engine: EngineName = "rust",
    store: Store | None = None,
    name: str = "",
) -> Explanation:
    """Return where each statement of a record comes from; with *name* (the end of a property's
    IRI), only those of this property.

    The archived record is mapped again by today's mapping: a statement that it does not yield is
    ours, such as our dates. Call it in a process with limits. *store* is the object store of the
    archive, if there is one.
    """
    chosen = [
        line
        for line in described.statements
        if line and (not name or _property(line).endswith(name))
    ]
    run = described.run
    iri = Iris(base).record(described.source, described.key)
    times = (run.id, f"{run.started:%Y-%m-%dT%H:%M:%SZ}", source.mapping, run.rules)
    common = (iri, described.source, described.key, *times)
    if f"<{iri}> <{ADMS}status> <{Iris(base).operations}gone>" in described.statements:
        note = f"the record was removed: {run.id} wrote its tombstone, with the title, type and pages that it had"
        ours = tuple(StatementOrigin(line, "ours") for line in chosen)
        return Explanation(*common, ours, note=note, history=described.history)
    try:
        record, response = _find_record(described, source, base, archive, store)
    except HarvestError as error:
        unknown = tuple(StatementOrigin(line, "unknown") for line in chosen)
        return Explanation(*common, unknown, note=str(error), history=described.history)
    task = ProcessingTask(run, source, base, engine, rules_unchanged=False)
    request, body = _request(archive, response)
    origins = _trace_origins(chosen, described, record, task, body)
    return Explanation(*common, origins, request, history=described.history)


def _trace_origins(
    chosen: Iterable[str],
    described: Described,
    record: Record[Any],
    task: ProcessingTask,
    body: bytes,
) -> tuple[StatementOrigin, ...]:
    """Return the origin of each of the *chosen* statements of a record, whose response is *body*."""
    mapped, iris = MappedRecord(record, task), Iris(task.base)
    # No field of a record's metadata has its datestamp at an OAI-PMH repository (describe_record).
    iri = iris.record(described.source, described.key)
    dated = f"<{iri}> <{DCT}date> "

    def trace_origin(line: str) -> StatementOrigin:
        if line in mapped.statements:
            return _source_origin(line, mapped, body, described.key)
        if record.modified and line.startswith(dated):
            place = find_value(body, record.modified, described.key)
            return StatementOrigin(line, "source", ("datestamp",), record.modified, place)
        return StatementOrigin(line, "validation" if line.startswith(f"<{iri}#result-") else "ours")

    return tuple(map(trace_origin, chosen))


def _property(line: str) -> str:
    return line.split(" ", 2)[1].strip("<>")


def _find_record(
    described: Described, source: Source, base: str, archive: Path, store: Store | None
) -> tuple[Record[Any], ArchivedResponse | None]:
    """Return the archived record and its response. Raises ArchiveError if the archive is not here or
    lacks it.
    """
    position, key = described.position, described.key
    name = position.file if position else f"{source.name}/{described.run.id}.warc.gz"
    if position and (response := _response_at(archive, position, store)):
        if response.status == HTTPStatus.GONE:
            raise ArchiveError(
                f"the response that had the record was erased from the archive, since another record in it was removed for good; "
                f"`stocktake harvest {source.name} --full` archives the others again"
            )
        # If the response answers every request, its page is read without those before it; some
        # protocols cannot read it alone.
        with suppress(HarvestError):
            alone = islice(archived_pages(source, base, lambda _url, _request: response), 1)
            if item := _pick(alone, key):
                return item[0], response
    replay = Replay(archive, name, store, is_complete=False)
    if item := _pick(archived_pages(source, base, replay.find), key):
        record, at = item
        return record, _response_at(archive, at, store) if at else None
    raise ArchiveError(
        f"the archive {name} has no record with the key {described.key!r}; `stocktake harvest --full` archives it again"
    )


def _pick(pages: Iterator[Page[Any]], key: str) -> tuple[Record[Any], SourcePosition | None] | None:
    return next(
        (
            (item, page.at)
            for page in pages
            for item in page.items
            if isinstance(item, Record) and item.key == key
        ),
        None,
    )


def _response_at(
    archive: Path, position: SourcePosition, store: Store | None
) -> ArchivedResponse | None:
    responses = list_responses(archive, position.file, store)
    return next((one for one in responses if one.position.offset == position.offset), None)


def _request(archive: Path, response: ArchivedResponse | None) -> tuple[Request | None, bytes]:
    """Return the request that a response answered, and the beginning of its body."""
    if response is None:
        return None, b""
    digest, size, begin, at = hashlib.sha256(), 0, bytearray(), response.position
    with open_body(archive, at) as body:
        while piece := body.read(1 << 16):
            digest.update(piece)
            size += len(piece)
            begin += piece[: _MAX_BODY - len(begin)]
    media = next((value for name, value in response.headers if name.lower() == "content-type"), "")
    return Request(response.url, response.status, media, *at, size, digest.hexdigest()), bytes(
        begin
    )


def _source_origin(line: str, mapped: MappedRecord, body: bytes, key: str) -> StatementOrigin:
    term, claim = object_of(line), mapped.claim(line)
    literal = term.value if isinstance(term, Literal) else ""
    names = mapped.fields_behind(line)
    single = mapped.fields[names[0]] if names else []
    is_value = len(single) != 1 or any(literal in mapped.fields[name] for name in names)
    value = literal if is_value else single[0]
    is_constant = (
        not names
        and not mapped.has_free_reads
        and literal != key
        and quote(key, safe="") not in line.split(" ", 2)[2]
    )
    place = None if is_constant else find_value(body, value, key)
    classification = claim and Classification(
        claim.basis.value,
        claim.word or "",
        claim.crosswalk or "",
        "" if claim.confidence is None else str(claim.confidence),
    )
    return StatementOrigin(
        line, "source", tuple(names[:5]), value, place, classification, is_constant
    )


def find_value(body: bytes, value: str, key: str) -> ValueLocation | None:
    """Return the position of *value* in *body*: first after the record's *key*, else anywhere; None
    if it is written in another way.

    >>> find_value(b'[{"id": "a", "t": "One"}, {"id": "b", "t": "One"}]', "One", "b").offset
    44
    """
    if not value:
        return None
    spellings = dict.fromkeys(
        (value, escape(value), json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1])
    )
    start = body.find(key.encode())
    after_key = start + len(key.encode()) if start >= 0 and value != key else 0
    for begin in (after_key, 0):
        for needle in (spelling.encode("utf-8", "replace") for spelling in spellings):
            if (offset := _find_word(body, needle, begin)) >= 0:
                end = offset + len(needle)
                before, after = body[max(offset - _CONTEXT, 0) : offset], body[end : end + _CONTEXT]
                return ValueLocation(
                    offset,
                    len(needle),
                    _excerpt(before),
                    body[offset:end].decode("utf-8", "replace"),
                    _excerpt(after),
                )
    return None


def _excerpt(text: bytes) -> str:
    """Return text around a value, without mail addresses, which may be those of persons."""
    return _MAIL.sub("[...]", text.decode("utf-8", "replace"))


def _find_word(body: bytes, needle: bytes, start: int) -> int:
    """Return the position of *needle* as a whole word from *start* on, -1 if there is none."""
    while (offset := body.find(needle, start)) >= 0:
        if not (
            body[offset - 1 : offset].isalnum()
            or body[offset + len(needle) : offset + len(needle) + 1].isalnum()
        ):
            return offset
        start = offset + 1
    return -1


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
    quad = next(parse_statements([item.statement]))
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
