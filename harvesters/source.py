"""Read source definitions from TOML and validate them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from apscheduler.triggers.cron import CronTrigger
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    StrictBool,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails

from harvesters.errors import SourceDefinitionError
from harvesters.options import (
    as_tuple,
    is_number,
    located,
    must_be,
    one_of,
    suggestion,
    value_fault,
)
from harvesters.quiet_hours import QuietHours, parse_quiet_hours
from harvesters.reasons import Reason
from languages.request_locale import LANGUAGES
from vocab.curated_topics import TopicDecision, read_decisions
from vocab.curated_words import NO_CONCEPT, CuratedWord, RowFault, read_words
from vocab.iris import is_web

RowT = TypeVar("RowT")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")  # A name is a segment of every IRI.

# One recipient, without characters that begin a header.
_MAIL = re.compile(r"[^@\s<>,;\x00-\x1f]{1,64}@[A-Za-z0-9.-]{1,255}\Z")

MAX_PAUSE = 86_400  # seconds: a day
# Topics are suggested from these.
NOTHING, MENTIONS, MODEL = SUGGEST = ("nothing", "mentions", "model")
SHARES = ("vanished", "changed", "reidentified", "withheld")

Share = Annotated[
    float,
    must_be("a share from 0 to 1, such as 0.1 for a tenth", lambda value: is_number(value, 1)),
]
Amount = Annotated[float, must_be("a number from 0 up", is_number)]
Pause = Annotated[
    float, must_be("a number of seconds from 0 to 86400", lambda value: is_number(value, MAX_PAUSE))
]
Web = Annotated[str, must_be("an http or https address", lambda value: is_web(str(value)))]
URL = Annotated[
    str, must_be("an http or https address", lambda value: value == "" or is_web(str(value)))
]
Licence = Annotated[
    str,
    must_be(
        "a URL, e.g. https://creativecommons.org/licenses/by/4.0/",
        lambda value: value == "" or is_web(str(value)),
    ),
]
Mail = Annotated[str, must_be("a mail address", lambda value: _MAIL.match(str(value)) is not None)]
Expression = Annotated[
    str, must_be("the JMESPath or XPath as text", lambda value: isinstance(value, str))
]


def _check_schedule(every: str) -> str:
    try:
        CronTrigger.from_crontab(every, timezone="UTC")
    except ValueError as error:
        raise ValueError(
            Reason(
                'every %(value)s is no cron line of five fields: %(error)s; write e.g. "0 3 * * *", '
                "each day at 3:00 UTC",
                value=repr(every),
                error=str(error),
            )
        ) from error
    return every


@dataclass(frozen=True, slots=True)
class Limits:
    """The guard's limits: shares from 0 to 1, and how long a vanished record stays published.

    *expect* is the minimum number of records of a full harvest; *vanished*, *changed* and
    *reidentified* are the maximum shares of the published records, *withheld* that of the received
    ones. A vanished record is deleted by a full harvest that does not see it if *misses* full
    harvests after the first did not see it, or if *grace* days have passed, whichever comes first.
    *statements* is the maximum number of statements of a record, *dates* that of the dates of a
    file's recurring events, *journal* that of the journal's bytes for each byte received.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    expect: Amount = 1
    vanished: Share = 0.10
    changed: Share = 0.50
    reidentified: Share = 0.05
    withheld: Share = 0.25
    misses: Amount = 2
    grace: Amount = 7.0
    statements: Amount = 10_000
    dates: Amount = 10_000
    journal: Amount = 20


@dataclass(frozen=True, slots=True)
class Notify:
    """The recipients of problems and reports: addresses for *mail* and *webhook*; *tracker* is the
    page of the registry's issue tracker.

    *reports* is when the report of a run is sent: never, always, on errors, or on change.
    *language* is that of the texts.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    mail: Annotated[tuple[Mail, ...], BeforeValidator(as_tuple)] = ()
    webhook: Annotated[tuple[Web, ...], BeforeValidator(as_tuple)] = ()
    tracker: Web = ""
    reports: Annotated[str, one_of(("never", "always", "errors", "change"))] = "never"
    language: Annotated[str, one_of(LANGUAGES)] = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source definition. *every* is a cron expression in UTC, *pause* the number of seconds
    between requests to its host.

    No requests are sent during *quiet* hours; *grant* names who permitted access, in writing,
    against robots.txt. *suggest* is one of SUGGEST. With *check_links* the web pages that its
    records name are requested from time to time. *words* are the registry's words with the concepts
    that a curator chose (``vocab.curated_words``), *decisions* those of curators about suggested
    topics (``vocab.curated_topics``), both from tables beside the definitions.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    title: str
    protocol: str
    mapping: str
    url: URL
    licence: Licence
    publisher: str = ""
    every: Annotated[str, AfterValidator(_check_schedule)] = "0 3 * * *"
    language: str | None = None
    pause: Pause = 1.0
    quiet: Annotated[QuietHours | None, PlainValidator(parse_quiet_hours)] = None
    grant: str = ""
    enabled: StrictBool = True
    second_approver: StrictBool = False
    suggest: Annotated[str, one_of(SUGGEST)] = NOTHING
    check_links: StrictBool = False
    limits: Limits = Limits()
    notify: Notify = Notify()
    options: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Expression] = field(default_factory=dict)
    words: tuple[tuple[str, str], ...] = ()
    decisions: tuple[TopicDecision, ...] = ()


_NEEDED = ("title", "protocol", "mapping", "url", "licence")
# Fields of Source that are no keys of a definition.
_OWN = {"name", "words", "decisions"}
_TABLES: Mapping[str, type[Source | Limits | Notify]] = {"limits": Limits, "notify": Notify}


def load(file: Path) -> Source:
    """Read a source definition; the file's stem is the source's name. Raises SourceDefinitionError
    with file, key and remedy of each fault.
    """
    return _require_valid(*read(file))


def read(file: Path) -> tuple[Source, list[Reason]]:
    """Read a source definition; return what is valid in it, and a reason for each fault."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceDefinitionError(
            located(str(file), Reason("invalid TOML: %(error)s", error=str(error)))
        ) from error
    source, faults = _read_table(file.stem, table, str(file))
    words, more = read_word_table(word_table(file.parent, file.stem))
    decisions, others = read_decision_table(decision_table(file.parent, file.stem))
    pairs = tuple((item.word, item.concept) for item in words if item.concept != NO_CONCEPT)
    return replace(source, words=pairs, decisions=tuple(decisions)), [
        *faults,
        *more,
        *others,
    ]


def word_table(folder: Path, name: str) -> Path:
    """Return the file of the words of a source that a curator translated, in the directory of
    source definitions.
    """
    return folder / "crosswalks" / f"{name}.sssom.tsv"


def read_word_table(file: Path) -> tuple[list[CuratedWord], list[Reason]]:
    """Return the words of a table, none if there is no file, and a reason for each fault."""
    return _read_curated_table(file, read_words)


def decision_table(folder: Path, name: str) -> Path:
    """Return the file of the decisions of curators about suggestions for a source, in the directory
    of source definitions.
    """
    return folder / "crosswalks" / f"{name}.topics.tsv"


def read_decision_table(file: Path) -> tuple[list[TopicDecision], list[Reason]]:
    """Return the decisions of a table, none if there is no file, and a reason for each fault."""
    return _read_curated_table(file, read_decisions)


def _read_curated_table(
    file: Path, read_table: Callable[[str], tuple[list[RowT], list[RowFault]]]
) -> tuple[list[RowT], list[Reason]]:
    try:
        rows, faults = read_table(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return [], []
    except (OSError, UnicodeDecodeError) as error:
        return [], [
            located(
                str(file),
                Reason("cannot be read: %(error)s; save it as UTF-8 text", error=str(error)),
            )
        ]
    return rows, [
        located(
            Reason("%(file)s, line %(line)s", file=str(file), line=str(fault.line)),
            Reason(fault.code, **fault.values),
        )
        for fault in faults
    ]


def read_text(name: str, text: str) -> tuple[Source | None, list[Reason]]:
    """Read the text of a source definition; return what is valid in it, and a reason for each
    fault.

    The source is None if the text is no TOML.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [located(name, Reason("invalid TOML: %(error)s", error=str(error)))]
    return _read_table(name, table, name)


@dataclass(frozen=True, slots=True)
class Definitions:
    """The source definitions of a directory by name: *sources* are the valid ones, *errors* has the
    message of each other one, a line for each fault.
    """

    sources: Mapping[str, Source]
    errors: Mapping[str, str]


def load_all(folder: Path, check: Callable[[Source], object] = lambda _: None) -> Definitions:
    """Read all source definitions of *folder*. A source that *check* refuses is invalid too.

    Raises SourceDefinitionError if *folder* is missing.
    """
    if not folder.is_dir():
        raise SourceDefinitionError(
            f"{folder}: no such directory; set STOCKTAKE_SOURCES or --sources to the directory of"
            " source definitions"
        )
    sources, errors = {}, {}
    for file in sorted(folder.glob("*.toml")):
        try:
            source = load(file)
            check(source)
            sources[file.stem] = source
        except SourceDefinitionError as error:
            errors[file.stem] = str(error)
    return Definitions(sources, errors)


def parse(name: str, table: Mapping[str, Any], where: str) -> Source:
    """Validate a source definition's table; *where* begins every fault."""
    return _require_valid(*_read_table(name, table, where))


def _require_valid(source: Source, faults: Sequence[Reason]) -> Source:
    if faults:
        raise SourceDefinitionError(*faults)
    return source


def _read_table(name: str, table: Mapping[str, Any], where: str) -> tuple[Source, list[Reason]]:
    """Return a source of the valid values of *table*, and a reason for each fault."""
    blank = dict.fromkeys(_NEEDED, "")
    faults = (
        []
        if _NAME.match(name)
        else [
            Reason(
                "the name %(name)s is part of every IRI: use a to z, 0 to 9 and hyphens",
                name=repr(name),
            )
        ]
    )
    faults += (_unknown(key) for key in _OWN if key in table)
    valid = {key: value for key, value in table.items() if key not in _OWN}
    try:
        source = _adapter().validate_python(blank | valid | {"name": name})
    except ValidationError as error:
        order = [*table]
        details = sorted(error.errors(), key=lambda detail: order.index(str(detail["loc"][0])))
        faults += map(_fault, details)
        for key, *inner in (detail["loc"] for detail in details):
            if inner and isinstance(valid.get(str(key)), dict):
                valid[str(key)] = {
                    name: value for name, value in valid[str(key)].items() if name != inner[0]
                }
            else:
                valid.pop(str(key), None)
        source = _adapter().validate_python(blank | valid | {"name": name})
    faults += (
        Reason("%(name)s is missing", name=repr(key)) for key in _NEEDED if not table.get(key)
    )
    return source, [located(where, fault) for fault in faults]


@cache
def _adapter() -> TypeAdapter[Source]:
    return TypeAdapter(Source)


def _fault(detail: ErrorDetails) -> Reason:
    key = ".".join(part for part in detail["loc"] if isinstance(part, str))
    if detail["type"] == "unexpected_keyword_argument":
        return _unknown(key)
    return value_fault(key, detail["input"], [detail])


def _unknown(key: str) -> Reason:
    table, _, name = key.rpartition(".")
    known = {item.name for item in fields(_TABLES.get(table, Source))} - _OWN
    return Reason(
        "unknown key %(name)s; %(suggestion)s", name=repr(key), suggestion=suggestion(name, known)
    )
