"""Validate a submission by the rules of all records, and find records that it may repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pyoxigraph import RdfFormat, parse

from harvesters.errors import ParseError
from harvesters.ledger import submissions
from harvesters.ledger import tables as t
from harvesters.ledger.compression import decompress
from harvesters.ledger.database import Database
from harvesters.ledger.models import RecordState
from harvesters.ledger.submissions import Content
from harvesters.mappings.registry import MAPPINGS
from harvesters.page_model import Record
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.language_detection import detect_languages
from harvesters.pipeline.fingerprint import content_fingerprint, page_fingerprint
from harvesters.pipeline.record_processor import MAPPING_ERRORS, load_crosswalks
from harvesters.source import Source
from harvesters.submissions.documents import property_iri
from harvesters.submissions.members import MEMBERS, title_of
from languages.request_locale import current_locale
from languages.translations import gettext
from shapes.result import Result, Severity
from shapes.rules import message
from shapes.validate import validate_many
from vocab.describe import KIND, describe
from vocab.initiative import Resource
from vocab.iris import Iris
from vocab.terms import DCT

_SHOWN = 5  # likely duplicates


@dataclass(frozen=True, slots=True)
class MemberFinding:
    """A fault of a *member*, with its *message* in the language of the request; a Violation prevents the publication."""

    member: str
    severity: str
    message: str
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A record that may be the same: its *address*, its *title*, and why: the same ``page``, ``content`` or ``title``."""

    address: str
    title: str
    why: str


Similar = Callable[[str], Sequence[Duplicate]]  # finds published records by a title


@dataclass(frozen=True, slots=True)
class Check:
    """What is known of a submission before it is published."""

    findings: tuple[MemberFinding, ...]
    duplicates: tuple[Duplicate, ...]

    @property
    def is_valid(self) -> bool:
        """Return whether nothing prevents the publication."""
        return all(finding.severity != Severity.VIOLATION.value for finding in self.findings)


def check(ledger: Database, content: Content, key: str, source: Source, base: str, similar: Similar, *, unpublished: bool = False) -> Check:
    """Return the faults of a submission by member, and the records that it may repeat.

    With *unpublished*, submissions that wait are among these, which moderators alone may see.
    """
    return check_many(ledger, {key: content}, source, base, similar, unpublished=unpublished)[key]


def check_many(
    ledger: Database, contents: Mapping[str, Content], source: Source, base: str, similar: Similar, *, unpublished: bool = False
) -> dict[str, Check]:
    """Return the check of each submission, by its key."""
    crosswalks = load_crosswalks(base)
    mapper, lexicon = MAPPINGS[source.mapping].prepare(source, crosswalks), CrosswalkLookup(crosswalks)
    checks: dict[str, Check] = {}
    described: dict[str, tuple[list[str], str]] = {}
    for key, content in contents.items():
        try:
            described[key] = _describe(mapper, content, key, source, base)
        except ParseError as error:
            checks[key] = Check((MemberFinding("type", Severity.VIOLATION.value, str(error)),), ())
    validated = validate_many([statements for statements, _ in described.values()], base=base)
    for (key, (statements, thing)), results in zip(described.items(), validated, strict=True):
        findings = (*_unknown_words(contents[key], lexicon), *(_finding(result, base) for result in results))
        record = Iris(base).record(source.name, key)
        fingerprint = content_fingerprint(sorted(statements), thing, record, source.name, key)
        same = _same_records(ledger, fingerprint, page_fingerprint("\n".join(statements)), source.name, key, base)
        titled = _same_titles(ledger, contents[key], source, key, base, unpublished=unpublished)
        duplicates = _unique([*same, *titled, *similar(title_of(contents[key]))], record)
        checks[key] = Check(tuple(dict.fromkeys(findings)), duplicates)
    return checks


def _describe(mapper: Callable[[Record[Any]], Resource], content: Content, key: str, source: Source, base: str) -> tuple[list[str], str]:
    """Return the statements that a submission becomes, and the IRI of what it describes. Raises ParseError."""
    try:
        resource = detect_languages(mapper(Record(key, content, b"")))
        iris = Iris(base)
        return describe(resource, iris, source.name), iris.thing(KIND[type(resource)], source.name, key)
    except MAPPING_ERRORS as error:
        raise ParseError(f"the mapping failed on it ({type(error).__name__}: {error}): this is a bug, please report it") from error


def _finding(result: Result, base: str) -> MemberFinding:
    text = message(result.shape, current_locale().language, base) or result.message
    return MemberFinding(_member(result, base), result.severity.value, text, result.shape.rpartition("#")[2] or None)


def _member(result: Result, base: str) -> str:
    by_iri = {property_iri(name, base): name for name in MEMBERS}
    if result.path in by_iri:
        return by_iri[result.path]
    rule = result.shape.rpartition("#")[2].lower()  # a rule about several properties names its own
    named = (name for name in sorted(MEMBERS, key=len, reverse=True) if name.lower() in rule)
    return next(named, "record")


def _unknown_words(content: Content, lexicon: CrosswalkLookup) -> Iterator[MemberFinding]:
    for name in ("actionLine", "goal", "target"):
        words = content.get(name, ())
        arguments = [words if member == name else () for member in ("actionLine", "goal", "target")]
        for word in lexicon.parse_declared(*arguments).unmatched:
            text = gettext("“%(word)s” is not known here; it would become a topic.") % {"word": word}
            yield MemberFinding(name, Severity.WARNING.value, text)


def _same_records(ledger: Database, fingerprint: int, page: int | None, source: str, key: str, base: str) -> Iterator[Duplicate]:
    """Yield the records of the ledger with the same description or the same first web page."""
    r, d = t.record, t.description
    same = sa.or_(r.c.fingerprint == fingerprint, r.c.page == page) if page is not None else r.c.fingerprint == fingerprint
    join = r.join(d, sa.and_(d.c.run == r.c.run, d.c.seq == r.c.seq))
    query = (
        sa.select(r.c.source, r.c.key, r.c.fingerprint, d.c.statements)
        .select_from(join)
        .where(same, r.c.state == RecordState.PUBLISHED.value, sa.or_(r.c.source != source, r.c.key != key))
        .order_by(r.c.source, r.c.key)
        .limit(_SHOWN)
    )
    with ledger.transaction() as connection:
        rows = connection.execute(query).all()
    for row in rows:
        address = Iris(base).record(row.source, row.key)
        yield Duplicate(address, _title(decompress(row.statements)), "content" if row.fingerprint == fingerprint else "page")


def _title(statements: str) -> str:
    lines = "".join(f"{line} .\n" for line in statements.split("\n") if f"> <{DCT}title> " in line)
    return next((quad.object.value for quad in parse(lines.encode(), RdfFormat.N_TRIPLES)), "")


def _same_titles(ledger: Database, content: Content, source: Source, key: str, base: str, *, unpublished: bool) -> Iterator[Duplicate]:
    title = title_of(content)
    for other in submissions.with_title(ledger, title, _SHOWN, unpublished=unpublished) if title else ():
        if other.id != key:
            yield Duplicate(Iris(base).record(source.name, other.id), other.title, "title")


def _unique(duplicates: Sequence[Duplicate], own: str) -> tuple[Duplicate, ...]:
    """Return each record once, whether it is named by its own IRI or that of what it describes, without the submission *own*."""
    by_key: dict[str, Duplicate] = {}
    for duplicate in duplicates:
        by_key.setdefault(_key(duplicate.address), duplicate)
    by_key.pop(_key(own), None)
    return tuple(by_key.values())[:_SHOWN]


def _key(address: str) -> str:
    """Return the source and key at the end of an IRI."""
    return "/".join(address.rsplit("/", 2)[-2:])


def differences(before: Content, after: Content) -> dict[str, dict[str, object]]:
    """Return the members that differ, each with its value in both.

    >>> differences({"goal": ["4"], "type": "Event"}, {"goal": ["5"], "type": "Event"})
    {'goal': {'before': ['4'], 'after': ['5']}}
    """
    names = sorted({*before, *after})
    return {name: {"before": before.get(name), "after": after.get(name)} for name in names if before.get(name) != after.get(name)}
