"""Read source definitions from TOML and validate them; write the tables of what curators decided, which
are beside them; and compute when a source is due.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
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
    expected,
    is_number,
    located,
    must_be,
    one_of,
    suggestion,
    value_fault,
)
from harvesters.reasons import Reason
from journal.files import FileLock, replace_file
from languages.translations import LANGUAGES
from vocab.curated import (
    NO_CONCEPT,
    CuratedWord,
    RowFault,
    TopicDecision,
    read_decisions,
    read_words,
    short_name,
    topic_fault,
    word_fault,
    write_decisions,
    write_words,
)
from vocab.iris import BASE, is_web
from vocab.lookup import fold

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
    that a curator chose, *decisions* those of curators about suggested topics, both from tables
    beside the definitions (``vocab.curated``).
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


# ---- quiet hours, in which a registry must not be requested

_FORM = re.compile(r"\s*([01]\d|2[0-3]):([0-5]\d)\s*-\s*([01]\d|2[0-3]):([0-5]\d)\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Daily quiet hours from *start* to *end* in UTC; *end* may be on the next day."""

    start: time
    end: time

    def ends_at(self, now: datetime) -> datetime | None:
        """Return when the quiet hours that include *now* end; None outside quiet hours.

        >>> parse_quiet_hours("22:00-06:00").ends_at(datetime(2026, 1, 1, 23, 30, tzinfo=UTC))
        datetime.datetime(2026, 1, 2, 6, 0, tzinfo=datetime.timezone.utc)
        >>> parse_quiet_hours("22:00-06:00").ends_at(datetime(2026, 1, 1, 6, tzinfo=UTC)) is None
        True
        """
        now = now.astimezone(UTC)
        for day in (now - timedelta(days=1), now):
            start = datetime.combine(day, self.start, UTC)
            end = datetime.combine(day + timedelta(days=int(self.end < self.start)), self.end, UTC)
            if start <= now < end:
                return end
        return None

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def parse_quiet_hours(text: object) -> QuietHours:
    """Parse ``HH:MM-HH:MM``; raises ValueError with a Reason if it is invalid or covers the whole
    day.

    >>> str(parse_quiet_hours("22:00-06:00"))
    '22:00-06:00'
    """
    match = _FORM.match(str(text))
    if not match:
        raise ValueError(expected("quiet", text, "HH:MM-HH:MM in UTC, such as 22:00-06:00"))
    hour, minute, last_hour, last_minute = map(int, match.groups())
    window = QuietHours(time(hour, minute), time(last_hour, last_minute))
    if window.start == window.end:
        raise ValueError(
            Reason(
                "quiet is %(value)s: start and end are equal; to stop harvesting a source set "
                "`enabled = false`",
                value=repr(text),
            )
        )
    return window


# ---- when a source is due, late or frozen

_FROZEN_PERIOD = timedelta(days=90)  # without a change: many registries are quiet for a season
_FROZEN_DUE_TIMES = 6  # due times without a change, for sources due less than twice a month
_SEARCH_LIMIT = timedelta(days=366 * 9)  # two 29 Februaries can be 8 years apart (1896 to 1904)


@lru_cache(maxsize=256)
def _trigger(every: str) -> CronTrigger:
    return CronTrigger.from_crontab(every, timezone="UTC")


def next_due(every: str, after: datetime) -> datetime | None:
    """Return the first due time of the cron line *every* (UTC) after *after*, or None if there is
    none.

    >>> from datetime import UTC
    >>> str(next_due("15 3 * * *", datetime(2026, 3, 1, 3, 15, tzinfo=UTC)))
    '2026-03-02 03:15:00+00:00'
    """
    due: datetime | None = _trigger(every).get_next_fire_time(
        None, after + timedelta(microseconds=1)
    )
    return due


def last_due(every: str, time: datetime) -> datetime | None:
    """Return the last due time of *every* at or before *time*, or None if there is none in nine
    years.
    """
    window = timedelta(minutes=1)
    while window <= _SEARCH_LIMIT and next_due(every, time - _SEARCH_LIMIT):
        due = next_due(every, time - window)
        if due is not None and due <= time:
            while (later := next_due(every, due)) is not None and later <= time:
                due = later
            return due
        window *= 2
    return None


def late_after(every: str, success: datetime) -> datetime | None:
    """Return when a source becomes late if its last successful run started at *success*.

    That is the second due time after *success*, plus the delay of *success* after its own due time.
    So with irregular schedules (weekdays, months) a source is late only after two runs without
    success. None if the source is never due.
    """
    previous, first = last_due(every, success), next_due(every, success)
    second = next_due(every, first) if first else None
    return second + (success - previous if previous else timedelta()) if second else None


def frozen_after(every: str, change: datetime) -> datetime | None:
    """Return when a source becomes frozen if its data last changed at *change*.

    That is after 90 days and at least six due times. None if the source is never due.
    """
    due: datetime | None = change
    for _ in range(_FROZEN_DUE_TIMES):
        due = next_due(every, due) if due else None
    return max(due, change + _FROZEN_PERIOD) if due else None


LineT = TypeVar("LineT")


# ---- tables of what curators decided: one line is written at a time


def add_word(folder: Path, source: str, item: CuratedWord, base: str = BASE) -> Path:
    """Write a word with its concept, short or an IRI under *base*, to the table of *source*; an
    earlier choice for it is replaced.

    Return the file. Raises SourceDefinitionError if the concept is unknown, or with each line of
    the table that cannot be read.
    """
    word, concept = " ".join(item.word.split()), short_name(item.concept.strip(), base)
    item = replace(item, word=word, concept=concept, day=item.day or f"{date.today()}")
    _check(word_fault(item), word)
    return _replace_line(
        word_table(folder, source),
        item,
        lambda other: fold(other.word) == fold(word),
        read_word_table,
        write_words,
    )


def add_decision(folder: Path, source: str, item: TopicDecision, base: str = BASE) -> Path:
    """Write a decision, its concept short or an IRI under *base*, to the table of *source*; an
    earlier one about the same is replaced.

    Return the file. Raises SourceDefinitionError if it is not valid, or with each line of the table
    that cannot be read.
    """
    concept, comment = short_name(item.concept.strip(), base), " ".join(item.comment.split())
    item = replace(item, concept=concept, day=item.day or f"{date.today()}", comment=comment)
    _check(topic_fault(item), item.key)
    return _replace_line(
        decision_table(folder, source),
        item,
        lambda other: (other.key, other.concept) == (item.key, item.concept),
        read_decision_table,
        write_decisions,
    )


def _check(fault: RowFault | None, subject: str) -> None:
    if fault:
        reason = Reason(fault.code, **fault.values)
        raise SourceDefinitionError(located(subject[:80], reason) if subject else reason)


def _replace_line(
    file: Path,
    item: LineT,
    is_replaced: Callable[[LineT], bool],
    read: Callable[[Path], tuple[list[LineT], list[Reason]]],
    write: Callable[[Iterable[LineT]], str],
) -> Path:
    """Write *item* to the table *file*, in place of the lines that *is_replaced* accepts; one
    writer at a time. Return the file.

    Raises SourceDefinitionError with each line of the table that cannot be read, or if the file
    cannot be written; it is then unchanged.
    """
    try:
        file.parent.mkdir(exist_ok=True)
        with FileLock(file.with_name(f".{file.name}.lock"), wait=True):
            items, faults = read(file)
            if faults:
                raise SourceDefinitionError(*faults)
            replace_file(file, write([*(other for other in items if not is_replaced(other)), item]))
    except OSError as error:
        raise SourceDefinitionError(f"{file}: {error.strerror}; nothing was stored") from error
    return file
