"""Parse and check the arguments of each verb (sections 3.1.1, 3.3 and 4)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from publisher.feeds.oai.errors import OaiError


@dataclass(frozen=True, slots=True)
class Verb:
    """The required and optional arguments of a verb; *resumes*: a resumption token may replace
    them.
    """

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    resumes: bool = False


_LIST = Verb(frozenset({"metadataPrefix"}), frozenset({"from", "until", "set"}), True)
VERBS = {
    "Identify": Verb(),
    "ListMetadataFormats": Verb(may=frozenset({"identifier"})),
    "ListSets": Verb(resumes=True),
    "GetRecord": Verb(frozenset({"identifier", "metadataPrefix"})),
    "ListIdentifiers": _LIST,
    "ListRecords": _LIST,
}
SET = re.compile(r"[A-Za-z0-9_.!~*'()-]+(?::[A-Za-z0-9_.!~*'()-]+)*\Z")
_PREFIX = re.compile(r"[A-Za-z0-9_.!~*'()-]+\Z")
_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_SECOND = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z", re.ASCII)


def parse_arguments(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the checked arguments of a request, with its verb; raises OaiError if the verb does
    not have them.
    """
    arguments: dict[str, str] = {}
    for name, value in pairs:
        if name in arguments:
            raise OaiError(
                "badVerb" if name == "verb" else "badArgument", f"{name} is given more than once"
            )
        arguments[name] = value
    verb = VERBS.get(arguments.get("verb", ""))
    if verb is None:
        raise OaiError("badVerb", f"The verb is one of {', '.join(VERBS)}")
    names = set(arguments) - {"verb"}
    if verb.resumes and "resumptionToken" in names:
        if len(names) > 1:
            raise OaiError("badArgument", "With a resumptionToken there is no other argument")
        return arguments
    if unknown := sorted(names - verb.must - verb.may):
        raise OaiError("badArgument", f"{arguments['verb']} has no argument {', '.join(unknown)}")
    if missing := sorted(verb.must - names):
        raise OaiError("badArgument", f"{arguments['verb']} needs {', '.join(missing)}")
    if not all(arguments.values()):
        raise OaiError("badArgument", "An argument is empty")
    if not _PREFIX.match(arguments.get("metadataPrefix", "oai_dc")):
        raise OaiError(
            "badArgument", f"{arguments['metadataPrefix']!r} cannot be the prefix of a format"
        )
    if not SET.match(arguments.get("set", "all")):
        raise OaiError("badArgument", f"{arguments['set']!r} cannot be the name of a set")
    return arguments


def parse_bounds(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """Read the arguments ``from`` and ``until`` as the first second that counts and the first that
    does not; raises OaiError.

    >>> parse_bounds("1970-01-01", "1970-01-01"), parse_bounds(None, "1970-01-01T00:00:09Z")
    ((0, 86400), (None, 10))
    """
    first, last = _parse_date(since), _parse_date(until)
    if since and until and len(since) != len(until):
        raise OaiError("badArgument", "from and until are of one granularity")
    if first is not None and last is not None and first > last:
        raise OaiError("badArgument", "from is later than until")
    precision = (
        timedelta(days=1) if until and len(until) == len("2026-01-01") else timedelta(seconds=1)
    )
    return _seconds(first), None if last is None else int(
        last.timestamp() + precision.total_seconds()
    )


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _parse_date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        if _DAY.match(text) or _SECOND.match(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        pass
    raise OaiError("badArgument", f"{text!r} is no date: give YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ")
