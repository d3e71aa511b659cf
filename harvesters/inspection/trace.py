"""Explain the statements of a record: each comes from a field of an archived response, or is added
by us. An explanation is written as text, JSON, or RDF with PROV.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from itertools import islice, product
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

import orjson
import sqlalchemy as sa
from pyoxigraph import Literal

from harvesters.archive import ArchivedResponse, Replay, list_responses, open_body
from harvesters.errors import ArchiveError, HarvestError
from harvesters.inspection.findings import MappedRecord, find_word, object_of, render
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
from vocab.terms import ADMS, DCT


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
    r, d, s = t.record.c, t.description.c, t.staged.c
    same = sa.and_(d.run == r.run, d.seq == r.seq)
    current = sa.select(r.run, d.statements).join(t.description, same)
    staged = sa.select(s.run, s.outcome, s.file, s.offset, s.length, t.run.c.started)
    seen = staged.join(t.run, t.run.c.id == s.run).order_by(t.run.c.number.desc())
    stored = ledger.rows(current.where(r.source == source, r.key == key))
    run = ledger.run(stored[0].run) if stored else None
    if run is None:
        raise ExplainError(
            f"{source} has no published record with the key {key!r}; its records are at /source/{source}"
        )
    rows = ledger.rows(seen.where(s.source == source, s.key == key))
    positions = (SourcePosition(each.file, each.offset, each.length) for each in rows
                 if each.run == run.id and each.file is not None)  # fmt: skip
    history = tuple(
        RunOfRecord(each.run, f"{each.started:%Y-%m-%dT%H:%M:%SZ}", each.outcome.value)
        for each in rows
    )
    statements = tuple(decompress(stored[0].statements).split("\n"))
    return Described(source, key, run, statements, next(positions, None), history)


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
    chosen = [line for line in described.statements if line and _property(line).endswith(name)]
    run, key, iri = described.run, described.key, Iris(base).record(described.source, described.key)
    times = (run.id, f"{run.started:%Y-%m-%dT%H:%M:%SZ}", source.mapping, run.rules)
    explanation = Explanation(iri, described.source, key, *times, (), history=described.history)

    def untraced(origin: str, note: str) -> Explanation:
        origins = tuple(StatementOrigin(line, origin) for line in chosen)
        return replace(explanation, statements=origins, note=note)

    if f"<{iri}> <{ADMS}status> <{Iris(base).operations}gone>" in described.statements:
        note = f"the record was removed: {run.id} wrote its tombstone, with the title, type and pages that it had"
        return untraced("ours", note)
    try:
        record, response = _find_record(described, source, base, archive, store)
    except HarvestError as error:
        return untraced("unknown", str(error))
    mapped = MappedRecord(record, ProcessingTask(run, source, base, engine, rules_unchanged=False))
    request, body = _request(archive, response)

    def trace_origin(line: str) -> StatementOrigin:
        if line in mapped.statements:
            return _source_origin(line, mapped, body, key)
        # No field of a record's metadata has its datestamp at an OAI-PMH repository (describe_record).
        if record.modified and line.startswith(f"<{iri}> <{DCT}date> "):
            place = find_value(body, record.modified, key)
            return StatementOrigin(line, "source", ("datestamp",), record.modified, place)
        return StatementOrigin(line, "validation" if line.startswith(f"<{iri}#result-") else "ours")

    return replace(explanation, statements=tuple(map(trace_origin, chosen)), request=request)


def _property(line: str) -> str:
    return line.split(" ", 2)[1].strip("<>")


def _find_record(
    described: Described, source: Source, base: str, archive: Path, store: Store | None
) -> tuple[Record[Any], ArchivedResponse | None]:
    """Return the archived record and its response. Raises ArchiveError if the archive is not here or
    lacks it.
    """
    position = described.position
    name = position.file if position else f"{source.name}/{described.run.id}.warc.gz"
    own = _response_at(archive, position, store)
    if own and own.status == HTTPStatus.GONE:
        raise ArchiveError(
            f"the response that had the record was erased from the archive, since another record in it was removed for good; "
            f"`stocktake harvest {source.name} --full` archives the others again"
        )

    def pages() -> Iterator[Page[Any]]:
        # If the response answers every request, its page is read without those before it; some
        # protocols cannot read it alone.
        if own:
            with suppress(HarvestError):
                yield from islice(archived_pages(source, base, lambda _: own), 1)
        replay = Replay(archive, name, store, is_complete=False)
        yield from archived_pages(source, base, replay.find)

    for page in pages():
        for item in page.items:
            if isinstance(item, Record) and item.key == described.key:
                return item, own or _response_at(archive, page.at, store)
    raise ArchiveError(
        f"the archive {name} has no record with the key {described.key!r}; `stocktake harvest --full` archives it again"
    )


def _response_at(
    archive: Path, position: SourcePosition | None, store: Store | None
) -> ArchivedResponse | None:
    responses = list_responses(archive, position.file, store) if position else ()
    return next(
        (one for one in responses if position and one.position.offset == position.offset), None
    )


def _request(archive: Path, response: ArchivedResponse | None) -> tuple[Request | None, bytes]:
    """Return the request that a response answered, and the beginning of its body."""
    if response is None:
        return None, b""
    with open_body(archive, response.position) as body:
        begin = body.read(_MAX_BODY)
        digest, size = hashlib.sha256(begin), len(begin)
        while piece := body.read(1 << 16):
            digest.update(piece)
            size += len(piece)
    media = next((value for name, value in response.headers if name.lower() == "content-type"), "")
    place = (*response.position, size, digest.hexdigest())
    return Request(response.url, response.status, media, *place), begin


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
    quoted, plain = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    words = [
        text.encode("utf-8", "replace")
        for text in dict.fromkeys((value, escape(value), plain, quoted))
    ]
    after_key = body.find(key.encode()) + len(key.encode()) if value != key else 0
    for start, word in product((after_key, 0), words):
        if (offset := find_word(body, word, start)) >= 0:
            end = offset + len(word)
            before, after = (
                _MAIL.sub("[...]", text.decode("utf-8", "replace"))  # It may be a person's.
                for text in (body[max(offset - _CONTEXT, 0) : offset], body[end : end + _CONTEXT])
            )
            return ValueLocation(offset, len(word), before, word.decode(), after)
    return None


def as_json(explanation: Explanation, base: str) -> bytes:
    """Write all of it."""
    return orjson.dumps(asdict(explanation), option=orjson.OPT_INDENT_2) + b"\n"


def as_text(explanation: Explanation, base: str) -> bytes:
    """Write the explanation for a terminal."""
    return render("explanation.txt", explanation=explanation)


def as_turtle(explanation: Explanation, base: str) -> bytes:
    """Write each statement as an ``rdf:Statement`` that was derived from the response, or
    attributed to this installation (PROV-O).

    Source: https://www.w3.org/TR/prov-o/
    """
    return render("explanation.ttl", explanation=explanation, iris=Iris(base))


WRITERS: Mapping[str, Callable[[Explanation, str], bytes]] = {
    "text": as_text,
    "json": as_json,
    "turtle": as_turtle,
}
