"""All records of an OAI-PMH 2.0 repository by ListRecords, or those changed since.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from lxml import etree
from lxml.etree import _Element
from pydantic import Field
from pyoxigraph import RdfFormat

from harvesters.errors import (
    ForbiddenError,
    HarvestError,
    PaginationLoopError,
    ParseError,
    RepeatedPageError,
)
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, parse_xml
from harvesters.options import Options, Texts
from harvesters.page_model import (
    DeletedRecord,
    InvalidRecord,
    Item,
    Pages,
    Payload,
    Record,
    Unparsed,
)
from harvesters.payloads.graph import Graph
from harvesters.payloads.rdf_parser import parse_description
from harvesters.payloads.value_parsing import natural, parse_timestamp
from harvesters.protocols.lists import (
    CURSOR_ERRORS,
    RECORD_ERRORS,
    Batch,
    EndedError,
    ListCursor,
    LoopDetector,
    PagedProtocol,
    ServiceError,
    Window,
)
from harvesters.protocols.protocol import Protocol, read_cursor
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web

_NS = "{http://www.openarchives.org/OAI/2.0/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_PROVENANCE = "{http://www.openarchives.org/OAI/2.0/provenance}"
_ORIGIN = f"{_PROVENANCE}originDescription"
_ERROR = f"{_NS}error"
# The path to the parts of each list.
_PARTS = {
    "ListRecords": "record",
    "ListIdentifiers": "header",
    "GetRecord": "record",
    "ListSets": f"set/{_NS}setSpec",
    "ListMetadataFormats": f"metadataFormat/{_NS}metadataPrefix",
}
_ACCEPT = "text/xml, application/xml"
_MAX_ORIGINS = 20  # Aggregators that a record came through.
_MAX_ADDRESS = 1_000  # Characters of an identifier or an address.
_RDF_STEPS = 2  # A record's RDF/XML describes nodes at most this far from its resource.
# Records requested one by one: splitting their window would cost the same number of requests.
_MAX_SINGLE_REQUESTS = 8
# A token is the only parameter of its request, so badArgument means the token.
_TOKEN_ERRORS = frozenset({"badResumptionToken", "badArgument"})
_FORMATS = {
    "YYYY-MM-DD": ("%Y-%m-%d", timedelta(days=1)),
    "YYYY-MM-DDThh:mm:ssZ": ("%Y-%m-%dT%H:%M:%SZ", timedelta(seconds=1)),
}


class OaiOptions(Options):
    """The options of a repository."""

    prefix: str = Field("oai_dc", description="The metadataPrefix to request.")
    sets: Texts = Field(
        (),
        alias="set",
        description="The set or sets to harvest; `project:*` selects all whose names begin with `project:`.",
    )
    singly: bool = Field(
        False,
        description="List identifiers and request records one by one, if ListRecords does not work.",
    )
    graph: bool | None = Field(
        None,
        description="Whether the metadata is RDF/XML, so that records are graphs; by default only with the prefix `rdf`.",
    )

    @property
    def is_graph(self) -> bool:
        return self.prefix == "rdf" if self.graph is None else self.graph


class OaiError(ServiceError):
    """The repository reports errors with *codes*."""

    def __init__(self, message: Reason, codes: frozenset[str]) -> None:
        super().__init__(message)
        self.codes = codes


# Errors of a list, and not of one of its pages.
_LIST_ERRORS = (EndedError, RepeatedPageError, PaginationLoopError)
# Errors of one record that is requested by itself.
_SINGLE_ERRORS: tuple[type[HarvestError], ...] = (OaiError, ForbiddenError, *CURSOR_ERRORS)


class Entry(NamedTuple):
    """A record of a list, or the header of one in a list of identifiers, which has all but the
    metadata.
    """

    node: _Element
    key: str
    datestamp: str
    sets: tuple[str, ...]
    deleted: bool

    def in_sets(self, sets: Iterable[str]) -> bool:
        """Return whether the record is in one of *sets* or in a subset (setSpecs are hierarchical,
        separated by colons).
        """
        return any(f"{spec}:".startswith(f"{name}:") for spec in self.sets for name in sets)


@dataclass(frozen=True, slots=True)
class Calendar:
    """A repository's date format, smallest *step*, *earliest* datestamp and clock."""

    time_format: str
    step: timedelta
    earliest: datetime | None = None
    now: datetime | None = None

    def text(self, moment: datetime, steps: int = 0) -> str:
        """Format a time, some *steps* later."""
        return f"{moment.astimezone(UTC) + steps * self.step:{self.time_format}}"

    def shift(self, stamp: str, steps: int = 0) -> str:
        """Return a datestamp in the granularity, some *steps* later; "" if it is not a date."""
        moment = parse_timestamp(stamp)
        return self.text(moment, steps) if moment else ""

    def split(self, start: str, until: str, stamps: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Split a window so that each half has half of the records with these *stamps*, or half of
        its time if there are none. A datestamp that all share gets its own window.

        The halves cover the window without gaps, whatever the order of the list, and each is
        shorter. Empty if no split is possible.

        >>> days = Calendar(*_FORMATS["YYYY-MM-DD"])
        >>> days.split("", "", ["2026-01-01", "2026-01-02", "2026-01-05", "2026-01-09"])
        (('', '2026-01-02'), ('2026-01-03', ''))
        >>> days.split("", "2026-01-05", ["2026-01-05"])
        (('', '2026-01-04'), ('2026-01-05', '2026-01-05'))
        >>> days.split("2026-01-01", "2026-01-04", ())
        (('2026-01-01', '2026-01-02'), ('2026-01-03', '2026-01-04'))
        """
        floors = map(self.shift, stamps)
        inside = sorted(text for text in floors if text and start <= text <= (until or text))
        first = parse_timestamp(start) if start else self.earliest
        last = parse_timestamp(until) if until else self.now
        if inside:
            earlier = [text for text in inside if text < inside[-1]] or inside
            middle = earlier[(len(earlier) - 1) // 2]
            middle = self.shift(middle, -1) if middle == until else middle
        elif first and last and self.text(first) < self.text(last):
            middle = self.text(first + (last - first) // 2)
        else:
            return ()
        return (start, middle), (self.shift(middle, 1), until)


class OaiPmh(PagedProtocol[Any]):
    """The records of a repository. A window is the number of a set, the datestamps from and until
    ("" if open), and whether its records are requested one by one. If they are, the position is the
    key of the last record, else a resumption token.
    """

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        super().__init__(source, fetch, since)
        self.options = OaiOptions.of(source)
        self.sets: tuple[str, ...] = ()
        self.earlier_sets: tuple[str, ...] = ()
        # The headers of a window that are still to be requested one by one.
        self.left: tuple[Window, list[Entry]] = ((), [])

    def read(self, cursor: str | None) -> Pages[Any]:
        self.sets, origin = self._select_sets(), ""
        if self.since and read_cursor(ListCursor, cursor) is None:
            calendar = self._identify()
            origin = calendar.text(self.since - max(calendar.step, timedelta(seconds=1)))
        singly = self.options.singly
        self.windows = tuple((n, origin, "", singly) for n in range(len(self.sets) or 1))
        yield from super().read(cursor)

    def page_size(self, cursor: ListCursor) -> int:
        # The number of records in a list's page is the repository's, at least two.
        return 1 if cursor.windows[0][3] else 2

    def pieces(self, cursor: ListCursor, size: int, left: int | None) -> tuple[int, ...]:
        return ()

    def request(self, cursor: ListCursor, size: int) -> Batch:
        window = cursor.windows[0]
        self.earlier_sets = self.sets[: window[0]]
        if window[3]:
            return self._request_single(cursor)
        reply, nodes, token = self._list("ListRecords", cursor.position, **self._terms(window))
        place, doubt = _number(token, "cursor"), None
        if cursor.place is not None and place is not None and place > cursor.place:
            text = "the list continues at its record %(next)s instead of %(expected)s, so records are missing"
            doubt = Reason(text, next=place, expected=cursor.place)
        if nodes is None and cursor.offset and (cursor.is_part or cursor.total is None):
            doubt = Reason(
                "the list ended with noRecordsMatch instead of an empty resumption token"
            )
        nodes = nodes or []
        chains = drop_repeated(map(parse_chain, nodes))
        return Batch(
            reply,
            list(zip(map(_read_entry, nodes), chains, strict=True)),
            _number(token, "completeListSize"),
            _text(token),
            place=None if place is None else place + len(nodes),
            doubt=doubt,
        )

    def parse(self, record: tuple[Entry, tuple[str, ...]] | InvalidRecord) -> Item[Any] | None:
        if isinstance(record, InvalidRecord):
            return record
        entry, chain = record
        if entry.in_sets(self.earlier_sets):
            return None
        if not entry.key:
            is_bare = entry.node.find(f"{_NS}header") is None
            return InvalidRecord(
                None,
                Reason(
                    "a record without a header" if is_bare else "a record without an identifier"
                ),
            )
        stamp = entry.datestamp or None
        if entry.deleted:
            return DeletedRecord(entry.key, stamp)
        payload = next(entry.node.iterfind(f"{_NS}metadata/*"), None)
        if payload is None:
            return InvalidRecord(entry.key, Reason("a record without metadata"))
        raw = etree.tostring(payload, encoding="utf-8", with_tail=False)
        if not self.options.is_graph:
            return Record(entry.key, payload, raw, stamp, chain)
        # The metadata is parsed only if the record has changed.
        first = next(payload.iterchildren("*"), None) if payload.tag == f"{_RDF}RDF" else payload
        about = None if first is None else first.get(f"{_RDF}about")
        if not about:
            text = "its metadata, <%(element)s>, is not RDF/XML whose first resource has an IRI (rdf:about)"
            return InvalidRecord(entry.key, Reason(text, element=str(payload.tag)))
        content: Unparsed[Graph] = Unparsed(
            partial(
                parse_description,
                raw,
                RdfFormat.RDF_XML,
                "its RDF/XML cannot be read",
                "urn:record:",
                about,
                _RDF_STEPS,
            )
        )
        return Record(entry.key, content, raw, stamp, chain)

    def order(self, record: tuple[Entry, tuple[str, ...]] | InvalidRecord) -> str | None:
        return "" if isinstance(record, InvalidRecord) else record[0].datestamp

    def probe(self, cursor: ListCursor, error: HarvestError) -> int | None:
        self._identify(error)
        return None

    def skip(self, cursor: ListCursor, error: HarvestError) -> tuple[InvalidRecord, ListCursor]:
        key = self.left[1].pop(0).key
        return InvalidRecord(key, error.reason), replace(cursor, position=key)

    def split(self, cursor: ListCursor, error: HarvestError) -> ListCursor | None:
        """Continue a list that is sorted by datestamp at the newest one, and split the window of any
        other, down to single records: by the datestamps of the first page of ListIdentifiers if the
        list ends there, else in the middle of its time.
        """
        rest, codes = (
            cursor.windows[1:],
            error.codes if isinstance(error, OaiError) else frozenset(),
        )
        if "badVerb" in codes and not cursor.position:
            return replace(cursor, windows=((*cursor.windows[0][:3], True), *rest))
        if "cannotDisseminateFormat" in codes:
            raise self._prefix_error(error) from error
        is_rejected = bool(codes & _TOKEN_ERRORS) or isinstance(error, CURSOR_ERRORS)
        has_token = is_rejected and cursor.position
        is_refused = is_rejected or isinstance(error, ServiceError)
        if cursor.windows[0][3] or (is_refused and not has_token):
            return None
        calendar = self._identify(error)
        window = index, start, until, _ = self._remaining(cursor, calendar)
        if window != cursor.windows[0] and (is_rejected or isinstance(error, _LIST_ERRORS)):
            return cursor.restart((window, *rest))
        halves: tuple[tuple[str, str], ...] = ()
        if not start or start != until:
            stamps, is_whole, size = self._headers(window)
            if not cursor.is_part and cursor.total is None:
                cursor = replace(cursor, total=size)
            is_short = len(stamps) <= _MAX_SINGLE_REQUESTS or len({*stamps}) == 1
            if not (is_whole and is_short):
                is_near = is_whole or not cursor.offset or window != cursor.windows[0]
                halves = calendar.split(start, until, stamps if is_near else ())
        if not halves and is_rejected and not cursor.reach:  # a list of one datestamp begins again
            return cursor.restart(cursor.windows, max(1, cursor.offset))
        windows = tuple((index, *half, False) for half in halves) or ((index, start, until, True),)
        return cursor.restart((*windows, *rest))

    def _remaining(self, cursor: ListCursor, calendar: Calendar) -> Window:
        """Return the part of the window that is still to be read: that from the newest datestamp on
        if the list was sorted so far, and the repository counts no more records before it than were
        read.
        """
        window = index, start, until, _ = cursor.windows[0]
        newest = calendar.shift(cursor.newest) if cursor.is_sorted else ""
        if start < newest <= (until or newest):
            stamps, is_whole, count = self._headers(
                (index, start, calendar.shift(newest, -1), False)
            )
            count = len(stamps) if is_whole else count
            if count is not None and count <= cursor.offset - cursor.ties:
                return index, newest, until, False
        return window

    def _headers(self, window: Window) -> tuple[list[str], bool, int | None]:
        """Return the datestamps of the first headers of a window, whether these are all, and how
        many the repository declares; none if they cannot be read either.
        """
        try:
            _, nodes, token = self._list("ListIdentifiers", "", **self._terms(window))
        except RECORD_ERRORS:
            return [], False, None
        stamps = [_read_entry(node).datestamp for node in nodes or ()]
        return stamps, not _text(token), _number(token, "completeListSize")

    def _terms(self, window: Window) -> dict[str, str]:
        index, start, until, _ = window
        name = self.sets[index] if self.sets else ""
        return {"metadataPrefix": self.options.prefix, "set": name, "from": start, "until": until}

    def _request_single(self, cursor: ListCursor) -> Batch:
        window = cursor.windows[0]
        if self.left[0] != window:
            try:
                self.left = (window, self._list_left(cursor))
            except RECORD_ERRORS as error:
                return self._lost_window(window, error)
        left = self.left[1]
        if not left:
            doubt = Reason(
                "a page of ListRecords cannot be read, and ListIdentifiers lists none of its records"
            )
            is_known = cursor.position or self.options.singly
            return Batch(None, (), None, "", doubt=None if is_known else doubt)
        entry, reply = left[0], None
        if not entry.deleted:
            try:
                terms = {"identifier": entry.key, "metadataPrefix": self.options.prefix}
                reply, nodes, _ = self._list("GetRecord", "", **terms)
            except _SINGLE_ERRORS as error:
                raise ParseError(error.reason) from error
            if not nodes:
                raise ParseError(
                    "%(source)s: %(url)s has no record", source=self.source.name, url=reply.url
                )
            entry = _read_entry(nodes[0])
        key = left.pop(0).key
        return Batch(reply, ((entry, parse_chain(entry.node)),), None, key if left else "")

    def _list_left(self, cursor: ListCursor, *, anew: bool = True) -> list[Entry]:
        """Return the headers of the window that are still to be requested, sorted by identifier. The
        list begins *anew*, once, if its token expires.
        """
        terms = self._terms(cursor.windows[0])
        try:
            left = {
                entry.key: entry
                for entry in map(_read_entry, self._follow("ListIdentifiers", **terms))
                if entry.key > cursor.position and not entry.in_sets(self.earlier_sets)
            }
        except OaiError as error:
            if not anew or "badResumptionToken" not in error.codes:
                raise
            return self._list_left(cursor, anew=False)
        return [left[key] for key in sorted(left)]

    def _lost_window(self, window: Window, error: HarvestError) -> Batch:
        """Return the record of a window that can be neither read nor listed. Raise ServiceError if
        it may hold several.
        """
        is_expired = isinstance(error, OaiError) and "badResumptionToken" in error.codes
        if is_expired or not window[1] or window[1] != window[2]:
            raise ServiceError(
                "%(error)s; its list cannot be read to the end", error=error.reason
            ) from error
        self._identify(error)
        text = "the records of %(datestamp)s can be neither read nor listed: %(error)s"
        why = Reason(text, datestamp=window[1], error=error.reason)
        return Batch(None, (InvalidRecord(None, why),), None, "", doubt=why)

    def _list(
        self, verb: str, token: str, **terms: str
    ) -> tuple[Reply, list[_Element] | None, _Element | None]:
        """Request a page of a list: the one that *token* stands for, else the first. Return its
        parts, None for noRecordsMatch, and its resumption token. Raise OaiError if the repository
        reports an error, ParseError if the response has no element *verb*.
        """
        terms = {"verb": verb, **({"resumptionToken": token} if token else terms)}
        present = {name: text for name, text in terms.items() if text}
        reply = self.fetch.get(self.source.url, present, accept=_ACCEPT)
        root = parse_xml(reply)
        if root.tag != f"{_NS}OAI-PMH":
            raise ParseError(
                "%(source)s: %(url)s is not an OAI-PMH response but <%(element)s>; correct the "
                "source's url",
                source=self.source.name,
                url=reply.url,
                element=etree.QName(root).localname,
            )
        errors = [(node.get("code") or "no code", _text(node)) for node in root.iterfind(_ERROR)]
        container = root.find(f"{_NS}{verb}")
        codes = frozenset(code for code, _ in errors)
        if codes - {"noRecordsMatch"}:
            parts = (f"{code}: {text}" if text else code for code, text in errors)
            message = " ".join("; ".join(parts).split())
            text = "%(source)s: %(url)s reports an error: %(message)s"
            raise OaiError(
                Reason(text, source=self.source.name, url=reply.url, message=message), codes
            )
        if not errors and container is None:
            raise ParseError(
                "%(source)s: %(url)s has no %(verb)s",
                source=self.source.name,
                url=reply.url,
                verb=verb,
            )
        if container is None:
            return reply, None, None
        nodes = container.findall(f"{_NS}{_PARTS[verb]}")
        return reply, nodes, container.find(f"{_NS}resumptionToken")

    def _follow(self, verb: str, **terms: str) -> Iterator[_Element]:
        token, detector = "", LoopDetector(self.source.name)
        while token or not detector.tokens:
            detector.check_token(self.source.url, token)
            _, nodes, last = self._list(verb, token, **terms)
            yield from nodes or ()
            token = _text(last)

    def _identify(self, error: HarvestError | None = None) -> Calendar:
        """Return the repository's date format. If Identify fails too, raise *error*: the fault is
        not a single page's.
        """
        answer = f"{_NS}Identify/{_NS}"
        try:
            reply = self.fetch.get(self.source.url, {"verb": "Identify"}, accept=_ACCEPT)
            root = parse_xml(reply)
            name = _text(root.find(f"{answer}granularity"))
            if name not in _FORMATS:
                raise ParseError(
                    "%(source)s: %(url)s declares the granularity '%(granularity)s', which is not one of "
                    "OAI-PMH's two",
                    source=self.source.name,
                    url=reply.url,
                    granularity=name,
                )
        except RECORD_ERRORS as failure:
            raise error or failure from failure
        earliest = parse_timestamp(_text(root.find(f"{answer}earliestDatestamp")))
        now = parse_timestamp(_text(root.find(f"{_NS}responseDate")))
        return Calendar(*_FORMATS[name], earliest, now)

    def _select_sets(self) -> tuple[str, ...]:
        """Return the sets to harvest; patterns with a * are matched against the repository's list
        of sets.
        """
        wanted = self.options.sets
        if not any("*" in name for name in wanted):
            return wanted
        known = [*filter(None, map(_text, self._follow("ListSets")))]
        chosen = (spec for spec in known if any(fnmatchcase(spec, name) for name in wanted))
        if sets := tuple(sorted({*chosen})):
            return sets
        raise ParseError(
            "%(source)s: no set is called %(sets)s; the repository has %(available)s; correct the "
            "option 'set'",
            source=self.source.name,
            sets=" or ".join(wanted),
            available=", ".join(known[:20]) or "none",
        )

    def _prefix_error(self, error: HarvestError) -> ParseError:
        """Return an error that lists the metadata prefixes that the repository supports."""
        try:
            available = ", ".join(filter(None, map(_text, self._follow("ListMetadataFormats"))))
        except RECORD_ERRORS as failure:
            available = f"unknown prefixes ({failure})"
        text = "%(error)s; it has %(available)s; correct the option 'prefix'"
        return ParseError(text, error=error.reason, available=available)


def parse_chain(record: _Element) -> tuple[str, ...]:
    """Return the addresses at which a record was harvested before, the oldest first; empty if its
    ``<about>`` does not say so.

    An address is the GetRecord request for the record in Dublin Core, which every repository
    answers. A level without an identifier or with a base URL that is not a web address is left out, as
    are levels beyond 20. Source: https://www.openarchives.org/OAI/2.0/guidelines-provenance.htm
    """
    origin = record.find(f"{_NS}about/{_PROVENANCE}provenance/{_ORIGIN}")
    addresses: list[str] = []
    while origin is not None and len(addresses) < _MAX_ORIGINS:
        names = (f"{_PROVENANCE}baseURL", f"{_PROVENANCE}identifier")
        addresses.insert(0, _record_address(*(_text(origin.find(name)) for name in names)))
        origin = origin.find(_ORIGIN)
    return tuple(dict.fromkeys(filter(None, addresses)))


def _record_address(base: str, identifier: str) -> str:
    is_short = len(base) <= _MAX_ADDRESS and len(identifier) <= _MAX_ADDRESS
    if not (identifier and is_short and is_web(base)):
        return ""
    query = urlencode({"verb": "GetRecord", "identifier": identifier, "metadataPrefix": "oai_dc"})
    return urlsplit(base)._replace(query=query, fragment="").geturl()


def drop_repeated(chains: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the chains of a page's records without those that end at one address: one record is
    not the origin of several. Some repositories write the same container into every record.

    >>> drop_repeated([("a",), ("a", "b"), ("b",), ()])
    [('a',), (), (), ()]
    """
    listed = list(chains)
    ends = Counter(chain[-1] for chain in listed if chain)
    return [chain if chain and ends[chain[-1]] == 1 else () for chain in listed]


def _read_entry(node: _Element) -> Entry:
    header = node if node.tag == f"{_NS}header" else node.find(f"{_NS}header")
    header = etree.Element("none") if header is None else header
    return Entry(
        node,
        _text(header.find(f"{_NS}identifier")),
        _text(header.find(f"{_NS}datestamp")),
        tuple(map(_text, header.iterfind(f"{_NS}setSpec"))),
        header.get("status") == "deleted",
    )


def _text(node: _Element | None) -> str:
    return "" if node is None else (node.text or "").strip()


def _number(token: _Element | None, name: str) -> int | None:
    return None if token is None else natural((token.get(name) or "").strip())


PROTOCOL = Protocol(
    OaiPmh.collect,
    Payload.XML,
    OaiOptions,
    incremental=True,
    payload_type_for=lambda source: (
        Payload.GRAPH if OaiOptions.of(source).is_graph else Payload.XML
    ),
)
