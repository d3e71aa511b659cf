"""The repository of an OAI-PMH harvest, and the cursor that continues after any page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harvesters.errors import HarvestError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.protocols.cursor import ListCursorMethods
from harvesters.protocols.error_recovery import RECORD_ERRORS, LoopDetector
from harvesters.protocols.oai import parser
from harvesters.protocols.oai.parser import ListPage
from harvesters.protocols.oai.window import Calendar, Window
from harvesters.reasons import Reason
from harvesters.source import Source


@dataclass(frozen=True, slots=True)
class Repository:
    """An OAI-PMH repository with the metadata *prefix* and the sets to harvest; (None,) stands for
    all records.

    *one_by_one*: the source definition asks for records one at a time.
    """

    source: Source
    fetch: Fetch
    prefix: str
    groups: tuple[str | None, ...]
    one_by_one: bool = False

    def request(self, terms: Mapping[str, str | None]) -> Reply:
        """Send a request; parameters without a value are omitted."""
        parameters = {name: text for name, text in terms.items() if text}
        return self.fetch.get(self.source.url, parameters, accept="text/xml, application/xml")

    def list_names(self, verb: str, part: str, name: str) -> list[str]:
        """Return all names that ListSets or ListMetadataFormats lists. Raise EndlessError if the
        list does not end.
        """
        names = []
        token: str | None = None
        loop_detector = LoopDetector(self.source.name)
        while True:
            reply = self.request({"verb": verb, "resumptionToken": token})
            page, token = parser.parse_names(self.source, reply, verb, part, name)
            names += page
            if token is None:
                return names
            loop_detector.check_token(reply.url, token)

    def fetch_list(self, verb: str, group: int, window: Window, token: str | None) -> ListPage:
        """Return one page of a list: the one that *token* stands for, or the first of *window*."""
        terms: dict[str, str | None] = {"verb": verb}
        if token is not None:
            terms["resumptionToken"] = token
        else:
            terms |= {
                "metadataPrefix": self.prefix,
                "set": self.groups[group],
                "from": window[0],
                "until": window[1],
            }
        return parser.parse_list(self.source, self.request(terms), verb)

    def fetch_calendar(self, error: HarvestError | None = None) -> Calendar:
        """Return the repository's date format, from Identify. If Identify fails too, raise *error*:
        the fault is not a single page's.
        """
        try:
            return parser.parse_calendar(self.source, self.request({"verb": "Identify"}))
        except RECORD_ERRORS as probe_error:
            if error is None:
                raise
            raise error from probe_error


@dataclass(frozen=True, slots=True)
class OaiCursor(ListCursorMethods):
    """Position in the lists of a repository.

    *group* is the number of the set; *origin* the start of the run's time window. *todo* are the
    windows still to read, the current one first; *token* is the resumption token of its next page
    (None: the first page), valid until *expires*. *newest* is the greatest datestamp of the current
    list, sorted if *is_sorted*; it increased *steps* times. *received* is the number of records
    received, *ties* how many of them have the datestamp *newest*, *next_offset* the offset at which
    the next page should start. *again* and *incomplete_reason*: as in Page. *restarts* counts how
    often the current list was restarted; *faults* and *empty* count responses in a row. *alone*:
    the window's records are requested one by one, and *after* was the last.
    """

    group: int = 0
    origin: str | None = None
    todo: tuple[Window, ...] = ()
    token: str | None = None
    expires: str | None = None
    newest: str = ""
    is_sorted: bool = True
    received: int = 0
    ties: int = 0
    steps: int = 0
    next_offset: int | None = None
    total: int | None = None
    again: bool = False
    incomplete_reason: Reason | None = None
    restarts: int = 0
    faults: int = 0
    empty: int = 0
    alone: bool = False
    after: str = ""

    @property
    def is_full_list(self) -> bool:
        """Return whether the current list is the whole set, so that its declared size is the total."""
        return self.todo == ((self.origin, None),)

    def restart_with(self, todo: tuple[Window, ...], *, restarts: int = 0) -> OaiCursor:
        """Return a cursor at the beginning of the first of *todo*."""
        return OaiCursor(
            group=self.group, origin=self.origin, todo=todo, total=self.total, again=True,
            incomplete_reason=self.incomplete_reason, restarts=restarts, faults=self.faults,
        )  # fmt: skip

    def one_by_one(self, window: Window) -> OaiCursor:
        """Return a cursor that requests the records of *window* one by one."""
        return replace(self.restart_with((window, *self.todo[1:])), alone=True)

    def next_window(self, groups: int) -> OaiCursor:
        """Return a cursor at the next window or the next set; at the end, ``todo`` is empty."""
        if len(self.todo) > 1:
            return self.restart_with(self.todo[1:])
        if self.group + 1 < groups:
            return OaiCursor(
                self.group + 1,
                self.origin,
                ((self.origin, None),),
                incomplete_reason=self.incomplete_reason,
            )
        return replace(self, todo=(), token=None)
