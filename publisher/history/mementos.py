"""List the past states of a graph, each with its time and URL.

Source: https://www.rfc-editor.org/rfc/rfc7089 (sections 2.2, 4.5 and 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from typing import NamedTuple

from publisher.history.change_reader import GraphChange
from web.links import Link

MEDIA = "application/link-format"
_STAMP = "%Y%m%d%H%M%S"


class Memento(NamedTuple):
    """The state of a graph from *time* on (seconds since 1970), after the journal entry *entry*."""

    time: int
    entry: int

    @property
    def stamp(self) -> str:
        """Return its time in fourteen digits, UTC."""
        return datetime.fromtimestamp(self.time, UTC).strftime(_STAMP)

    @property
    def date(self) -> str:
        """Return its time as an HTTP date."""
        return formatdate(self.time, usegmt=True)

    def address(self, graph: str) -> str:
        """Return its path; *graph* is the path of the graph without the first slash."""
        return f"/memento/{self.stamp}/{graph}"


def mementos(changes: Sequence[GraphChange]) -> list[Memento]:
    """Return the states after each change, oldest first; of several in one second, the last."""
    return [
        Memento(time, entry) for time, entry in {item.time: item.entry for item in changes}.items()
    ]


def parse_stamp(stamp: str) -> int | None:
    """Parse fourteen digits to seconds since 1970; None if they are not a time.

    >>> parse_stamp("20260301080000"), parse_stamp("20261301080000"), parse_stamp("2026")
    (1772352000, None, None)
    """
    try:
        return (
            int(datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp())
            if len(stamp) == 14 and stamp.isdecimal()
            else None
        )
    except ValueError:
        return None


def memento_at(known: Sequence[Memento], time: int) -> Memento | None:
    """Return the state at *time*, None before the first."""
    return next((item for item in reversed(known) if item.time <= time), None)


def links(
    host: str, graph: str, known: Sequence[Memento], current: Memento | None = None
) -> list[Link]:
    """Return the links of the memento *current* to its neighbours, or the links of the time map to
    all of *known* if it is None.
    """
    ends = (("from", known[0].date), ("until", known[-1].date)) if known else ()
    out = [
        Link("original", f"{host}/{graph}"),
        Link("timegate", f"{host}/timegate/{graph}"),
        Link(
            "timemap" if current else "self",
            f"{host}/timemap/{graph}",
            (("type", MEDIA), *ends),
        ),
    ]
    if current is None:
        return out + [_memento_link(host, graph, item, known) for item in known]
    position, roles = known.index(current), {-1: "prev", 0: "", 1: "next"}
    return out + [
        _memento_link(host, graph, item, known, roles.get(index - position, ""))
        for index, item in enumerate(known)
        if index - position in roles or item in (known[0], known[-1])
    ]


def _memento_link(
    host: str, graph: str, memento: Memento, known: Sequence[Memento], neighbour: str = ""
) -> Link:
    roles = ("first" * (memento == known[0]), "last" * (memento == known[-1]), neighbour, "memento")
    rel = " ".join(filter(None, roles))
    return Link(rel, host + memento.address(graph), (("datetime", memento.date),))
