"""Read source definitions from TOML and validate them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from apscheduler.triggers.cron import CronTrigger

from harvesters.errors import SourceDefinitionError
from harvesters.quiet_hours import QuietHours, parse_quiet_hours
from vocab.iris import is_web

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")  # a path segment of every IRI, never changed


@dataclass(frozen=True, slots=True)
class Limits:
    """The guard's limits: shares from 0 to 1, and how long a vanished record stays published.

    *expect* is the minimum number of records of a full harvest; *vanished*, *changed* and
    *reidentified* are the maximum shares of the published records, *withheld* that of the received
    ones. A vanished record is deleted by a full harvest that does not see it if *misses* full
    harvests after the first did not see it, or if *grace* days have passed, whichever comes first.
    """

    expect: float = 1
    vanished: float = 0.10
    changed: float = 0.50
    reidentified: float = 0.05
    withheld: float = 0.25
    misses: int = 2
    grace: float = 7.0


SHARES = ("vanished", "changed", "reidentified", "withheld")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source definition. *every* is a cron expression in UTC, *pause* the number of seconds
    between requests to its host.

    No requests are sent during *quiet* hours; *grant* names who permitted access, in writing,
    against robots.txt.
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
    limits: Limits = Limits()
    options: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "pause": (int, float), "enabled": bool, "limits": dict, "options": dict, "fields": dict,
}  # fmt: skip
_KEYS = {item.name for item in fields(Source)} - {"name"}
_NEEDED = ("title", "protocol", "mapping", "url", "licence")


def load(card: Path) -> Source:
    """Read a source definition; the file's stem is the source's name. Raises SourceDefinitionError
    with file, key and remedy.
    """
    try:
        table = tomllib.loads(card.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceDefinitionError(f"{card}: invalid TOML: {error}") from error
    return parse(card.stem, table, str(card))


def load_all(folder: Path) -> list[Source]:
    """Read all source definitions of *folder*, by name; raises SourceDefinitionError at the first
    invalid one or if *folder* is missing.
    """
    if not folder.is_dir():
        raise SourceDefinitionError(
            f"{folder}: no such directory; set STOCKTAKE_SOURCES or --sources to the directory of source definitions"
        )
    return [load(card) for card in sorted(folder.glob("*.toml"))]


def parse(name: str, table: Mapping[str, Any], where: str) -> Source:
    """Validate a source definition's table; *where* begins every message."""
    if not _NAME.match(name):
        raise SourceDefinitionError(
            f"{where}: the name {name!r} is part of every IRI: use a to z, 0 to 9 and hyphens"
        )
    for key in table:
        if key not in _KEYS:
            raise SourceDefinitionError(
                f"{where}: unknown key {key!r}; known are {', '.join(sorted(_KEYS))}"
            )
    for key in _NEEDED:
        if not table.get(key):
            raise SourceDefinitionError(f"{where}: {key!r} is missing")
    for key, value in table.items():
        if not isinstance(value, _TYPES.get(key, str)) or (
            key == "pause" and isinstance(value, bool)
        ):
            raise SourceDefinitionError(
                f"{where}: {key!r} is {value!r}, which is no {_named(_TYPES.get(key, str))}"
            )
    read = {
        "limits": _limits(table.get("limits", {}), where),
        "quiet": _quiet(table.get("quiet"), where),
    }
    source = Source(name=name, **{**table, **read})
    _check_values(source, where)
    return source


def _named(kind: type | tuple[type, ...]) -> str:
    return (
        {str: "text", bool: "true or false", dict: "table"}.get(kind, "number")
        if isinstance(kind, type)
        else "number"
    )


def _limits(table: Mapping[str, Any], where: str) -> Limits:
    known = {item.name for item in fields(Limits)}
    for key, value in table.items():
        if key not in known:
            raise SourceDefinitionError(
                f"{where}: unknown limit {key!r}; known are {', '.join(sorted(known))}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise SourceDefinitionError(
                f"{where}: limit {key!r} is {value!r}, which is no number from 0 up"
            )
        if key in SHARES and value > 1:
            raise SourceDefinitionError(
                f"{where}: limit {key!r} is {value!r}; write a share from 0 to 1, such as 0.1 for a tenth"
            )
    return Limits(**table)


def _quiet(text: str | None, where: str) -> QuietHours | None:
    try:
        return None if text is None else parse_quiet_hours(text)
    except ValueError as error:
        raise SourceDefinitionError(
            f"{where}: quiet {text!r} is no window of time: {error}"
        ) from error


def _check_values(source: Source, where: str) -> None:
    if not is_web(source.url):
        raise SourceDefinitionError(f"{where}: url {source.url!r} is no http or https address")
    if not is_web(source.licence):
        raise SourceDefinitionError(
            f"{where}: licence {source.licence!r} must be a URL, e.g. https://creativecommons.org/licenses/by/4.0/"
        )
    if source.pause < 0:
        raise SourceDefinitionError(
            f"{where}: pause is {source.pause}, which is no number of seconds from 0 up"
        )
    try:
        CronTrigger.from_crontab(source.every, timezone="UTC")
    except ValueError as error:
        raise SourceDefinitionError(
            f"{where}: every {source.every!r} is no cron line of five fields: {error}"
        ) from error
    for key, value in source.fields.items():
        if not isinstance(value, str):
            raise SourceDefinitionError(
                f"{where}: field {key!r} is {value!r}; write the JMESPath or XPath as text"
            )
