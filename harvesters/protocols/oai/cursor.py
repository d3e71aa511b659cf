"""Where an OAI-PMH harvest stands: the repository that is asked, and the cursor that goes on from any page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harvesters.errors import HarvestError
from harvesters.network.fetch import Fetch, Reply
from harvesters.protocols.error_recovery import UNREAD, Repeats
from harvesters.protocols.oai import parser
from harvesters.protocols.oai.parser import Listed
from harvesters.protocols.oai.window import Calendar, Window
from harvesters.source import Source


@dataclass(frozen=True, slots=True)
class Repository:
    """Who is asked, for what: *prefix* and the sets, (None,) for all records; *singly*: record by record, since the card says so."""

    source: Source
    fetch: Fetch
    prefix: str
    groups: tuple[str | None, ...]
    singly: bool = False

    def ask(self, terms: Mapping[str, str | None]) -> Reply:
        """Ask; terms without a value are left out."""
        given = {name: text for name, text in terms.items() if text}
        return self.fetch.get(self.source.url, given, accept="text/xml, application/xml")

    def names(self, verb: str, part: str, name: str) -> list[str]:
        """Ask for all names that ListSets or ListMetadataFormats gives; raises ParseError where its list does not end."""
        found = []
        token: str | None = None
        repeats = Repeats(self.source.name)
        while True:
            reply = self.ask({"verb": verb, "resumptionToken": token})
            some, token = parser.named(self.source, reply, verb, part, name)
            found += some
            if token is None:
                return found
            repeats.token(reply.url, token)

    def list(self, verb: str, group: int, window: Window, token: str | None) -> Listed:
        """Ask for a part of a list: the one that *token* stands for, else the first of *window*."""
        terms: dict[str, str | None] = {"verb": verb}
        if token is not None:
            terms["resumptionToken"] = token
        else:
            terms |= {"metadataPrefix": self.prefix, "set": self.groups[group], "from": window[0], "until": window[1]}
        return parser.listed(self.source, self.ask(terms), verb)

    def calendar(self, error: HarvestError | None = None) -> Calendar:
        """Ask how time is written here; where that cannot be answered either, *error* is no single page's, and is raised."""
        try:
            return parser.calendar(self.source, self.ask({"verb": "Identify"}))
        except UNREAD as unwell:
            if error is None:
                raise
            raise error from unwell


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a list stands.

    *group* is the set's number, *origin* where the run's window began; *todo* are the windows still to be read, the present one
    first, *token* its next part (None: the first), which lasts to *expires*. *newest* is the greatest datestamp of the
    present list, which is in order as long as *rising*, and rose *steps* times; *came* is how many records it brought, *ties* how
    many of these are as new as *newest*, *place* where its next part should begin. *again*, *doubt*: as on a page. *restarts* counts
    how often the present list was begun anew, *faults* and *empty* answers in a row. *alone*: the window's records are asked
    for one by one, and *after* was the last.
    """

    group: int = 0
    origin: str | None = None
    todo: tuple[Window, ...] = ()
    token: str | None = None
    expires: str | None = None
    newest: str = ""
    rising: bool = True
    came: int = 0
    ties: int = 0
    steps: int = 0
    place: int | None = None
    total: int | None = None
    again: bool = False
    doubt: str | None = None
    restarts: int = 0
    faults: int = 0
    empty: int = 0
    alone: bool = False
    after: str = ""

    @property
    def whole(self) -> bool:
        """Tell whether the present list is the set's whole one, whose size counts."""
        return self.todo == ((self.origin, None),)

    def doubted(self, why: str | None) -> Spot:
        """Keep the first reason for doubt."""
        return self if self.doubt or why is None else replace(self, doubt=why)

    def reading(self, todo: tuple[Window, ...], *, restarts: int = 0) -> Spot:
        """Go on with the first of *todo*, from its beginning."""
        return Spot(
            group=self.group, origin=self.origin, todo=todo, total=self.total, again=True,
            doubt=self.doubt, restarts=restarts, faults=self.faults,
        )  # fmt: skip

    def singly(self, window: Window) -> Spot:
        """Go on with the records of *window* one by one."""
        return replace(self.reading((window, *self.todo[1:])), alone=True)

    def done(self, groups: int) -> Spot:
        """Go on after the present window: with the next one, with the next set, or with nothing (``todo`` is empty)."""
        if len(self.todo) > 1:
            return self.reading(self.todo[1:])
        if self.group + 1 < groups:
            return Spot(self.group + 1, self.origin, ((self.origin, None),), doubt=self.doubt)
        return replace(self, todo=(), token=None)
