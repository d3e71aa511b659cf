"""Read source definitions from TOML and validate them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from apscheduler.triggers.cron import CronTrigger

from harvesters.definition_faults import expected, located, not_one_of, suggestion
from harvesters.errors import SourceDefinitionError
from harvesters.quiet_hours import QuietHours, parse_quiet_hours
from harvesters.reasons import Reason, as_reason
from languages.request_locale import LANGUAGES
from vocab.curated_tables import RowFault
from vocab.curated_topics import TopicDecision, read_decisions
from vocab.curated_words import NO_CONCEPT, CuratedWord, read_words
from vocab.iris import is_web

RowT = TypeVar("RowT")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")  # a path segment of every IRI, never changed


# one recipient, and nothing that begins a header
_MAIL = re.compile(r"[^@\s<>,;\x00-\x1f]{1,64}@[A-Za-z0-9.-]{1,255}\Z")


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

    expect: float = 1
    vanished: float = 0.10
    changed: float = 0.50
    reidentified: float = 0.05
    withheld: float = 0.25
    misses: int = 2
    grace: float = 7.0
    statements: float = 10_000
    dates: float = 10_000
    journal: float = 20


@dataclass(frozen=True, slots=True)
class Notify:
    """Who gets problems and reports: addresses for *mail* and *webhook*; *tracker* is the page of
    the registry's issue tracker.

    *reports* is when the report of a run is sent: never, always, on errors, or on change.
    *language* is that of the texts.
    """

    mail: tuple[str, ...] = ()
    webhook: tuple[str, ...] = ()
    tracker: str = ""
    reports: str = "never"
    language: str = "en"


REPORTS = ("never", "always", "errors", "change")
MAX_PAUSE = 86_400  # seconds: a day
# what topics are suggested from
NOTHING, MENTIONS, MODEL = SUGGEST = ("nothing", "mentions", "model")
SHARES = ("vanished", "changed", "reidentified", "withheld")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source definition. *every* is a cron expression in UTC, *pause* the number of seconds
    between requests to its host.

    No requests are sent during *quiet* hours; *grant* names who permitted access, in writing,
    against robots.txt. *suggest* is what topics are suggested from. With *check_links* the web
    pages that its records name are requested from time to time. *words* are the registry's words
    with the concepts that a curator chose (``vocab.curated_words``), *decisions* what curators
    decided about suggested topics (``vocab.curated_topics``), both from tables beside the
    definitions.
    """

    name: str
    title: str
    protocol: str
    mapping: str
    url: str
    licence: str
    publisher: str = ""
    every: str = "0 3 * * *"
    language: str | None = None
    pause: float = 1.0
    quiet: QuietHours | None = None
    grant: str = ""
    enabled: bool = True
    second_approver: bool = False
    suggest: str = NOTHING
    check_links: bool = False
    limits: Limits = Limits()
    notify: Notify = Notify()
    options: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    words: tuple[tuple[str, str], ...] = ()
    decisions: tuple[TopicDecision, ...] = ()


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "pause": (int, float), "enabled": bool, "second_approver": bool, "check_links": bool,
    "limits": dict, "notify": dict, "options": dict, "fields": dict,
}  # fmt: skip
_KEYS = {item.name for item in fields(Source)} - {"name", "words", "decisions"}
_NEEDED = ("title", "protocol", "mapping", "url", "licence")


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
            located(str(file), Reason("not_toml", {"error": str(error)}))
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
    """Return the file of what curators decided about the suggestions of a source, in the directory
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
        return [], [located(str(file), Reason("table_unreadable", {"error": str(error)}))]
    return rows, [
        located(
            Reason("at_line", {"file": str(file), "line": str(fault.line)}),
            Reason(fault.code, fault.values),
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
        return None, [located(name, Reason("not_toml", {"error": str(error)}))]
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
    faults: list[Reason] = []
    values: dict[str, Any] = dict.fromkeys(_NEEDED, "")
    if not _NAME.match(name):
        faults.append(Reason("source_name", {"name": repr(name)}))
    for key, value in table.items():
        kind = _TYPES.get(key, str)
        if key not in _KEYS:
            faults.append(
                Reason("unknown_key", {"name": repr(key), "suggestion": suggestion(key, _KEYS)})
            )
        elif not isinstance(value, kind) or (key == "pause" and isinstance(value, bool)):
            faults.append(expected(repr(key), value, _KINDS.get(kind, "kind_number")))
        elif fault := _VALUE_FAULTS[key](value) if key in _VALUE_FAULTS else None:
            faults.append(fault)
        elif key not in _TABLES:
            values[key] = value
    faults += (Reason("key_missing", {"name": repr(key)}) for key in _NEEDED if not table.get(key))
    values["limits"] = Limits(**_valid_limits(table.get("limits"), faults))
    values["notify"] = _valid_notify(table.get("notify"), faults)
    values["quiet"] = _quiet_hours(table.get("quiet"), faults)
    values["fields"] = _texts(table.get("fields"), faults)
    return Source(name=name, **values), [located(where, fault) for fault in faults]


_KINDS: Mapping[object, str] = {str: "kind_text", bool: "kind_bool", dict: "kind_table"}


def _valid_limits(table: object, faults: list[Reason]) -> dict[str, Any]:
    """Return the valid limits of *table*, and add a reason to *faults* for each other one."""
    known = {item.name for item in fields(Limits)}
    valid = {}
    for key, value in table.items() if isinstance(table, dict) else ():
        named = Reason("limit_named", {"name": repr(key)})
        if key not in known:
            faults.append(
                Reason(
                    "unknown_definition_limit",
                    {"name": repr(key), "suggestion": suggestion(key, known)},
                )
            )
        elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            faults.append(expected(named, value, "kind_not_negative"))
        elif key in SHARES and value > 1:
            faults.append(expected(named, value, "kind_share"))
        else:
            valid[key] = value
    return valid


def _valid_notify(table: object, faults: list[Reason]) -> Notify:
    """Return the valid part of the table *notify*, and add a reason to *faults* for each other
    value.
    """
    known = {item.name for item in fields(Notify)}
    valid: dict[str, Any] = {}
    for key, value in table.items() if isinstance(table, dict) else ():
        if key not in known:
            faults.append(
                Reason(
                    "unknown_key", {"name": f"notify.{key}", "suggestion": suggestion(key, known)}
                )
            )
        elif key in ("mail", "webhook"):
            items = value if isinstance(value, list) else [value]
            is_valid = _is_mail if key == "mail" else is_web
            bad = [item for item in items if not isinstance(item, str) or not is_valid(item)]
            faults += (
                expected(f"notify.{key}", item, "kind_mail" if key == "mail" else "kind_web")
                for item in bad
            )
            valid[key] = tuple(item for item in items if item not in bad)
        elif key == "tracker" and (not isinstance(value, str) or not is_web(value)):
            faults.append(expected("notify.tracker", value, "kind_web"))
        elif key == "language" and value not in tuple(LANGUAGES):
            faults.append(not_one_of("notify.language", value, LANGUAGES))
        elif key == "reports" and value not in REPORTS:
            faults.append(not_one_of("notify.reports", value, REPORTS))
        else:
            valid[key] = value
    return Notify(**valid)


def _is_mail(text: str) -> bool:
    return _MAIL.match(text) is not None


def _quiet_hours(text: object, faults: list[Reason]) -> QuietHours | None:
    try:
        return parse_quiet_hours(text) if isinstance(text, str) else None
    except ValueError as error:
        faults.append(as_reason(error.args[0]))
        return None


def _texts(table: object, faults: list[Reason]) -> dict[str, str]:
    items = table.items() if isinstance(table, dict) else ()
    faults += (
        expected(Reason("field_named", {"name": repr(key)}), value, "kind_expression")
        for key, value in items
        if not isinstance(value, str)
    )
    return {key: value for key, value in items if isinstance(value, str)}


def _url_fault(url: str) -> Reason | None:
    return expected("url", url, "kind_web") if url and not is_web(url) else None


def _licence_fault(licence: str) -> Reason | None:
    return None if not licence or is_web(licence) else expected("licence", licence, "kind_licence")


def _pause_fault(pause: float) -> Reason | None:
    return None if 0 <= pause <= MAX_PAUSE else expected("pause", pause, "kind_pause")


def _suggest_fault(suggest: str) -> Reason | None:
    return None if suggest in SUGGEST else not_one_of("suggest", suggest, SUGGEST)


def _schedule_fault(every: str) -> Reason | None:
    try:
        CronTrigger.from_crontab(every, timezone="UTC")
    except ValueError as error:
        return Reason("not_cron", {"value": repr(every), "error": str(error)})
    return None


_TABLES = ("limits", "notify", "quiet", "fields")  # read by functions of their own
# return what is wrong with a value, None if nothing is
_VALUE_FAULTS: Mapping[str, Callable[[Any], Reason | None]] = {
    "url": _url_fault,
    "licence": _licence_fault,
    "pause": _pause_fault,
    "suggest": _suggest_fault,
    "every": _schedule_fault,
}
