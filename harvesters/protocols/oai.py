"""All records of an OAI-PMH 2.0 repository by ListRecords, or those changed since.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from lxml import etree
from lxml.etree import _Element
from pydantic import Field
from pyoxigraph import RdfFormat

from harvesters.errors import ForbiddenError, HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, parse_xml
from harvesters.options import Options, Texts
from harvesters.page_model import DeletedRecord, InvalidRecord, Item, Payload, Record, Unparsed
from harvesters.payloads.graph import Graph
from harvesters.payloads.rdf_parser import parse_description
from harvesters.payloads.value_parsing import natural, parse_timestamp
from harvesters.protocols.lists import (
    CURSOR_ERRORS,
    RECORD_ERRORS,
    Batch,
    ExpiredError,
    ListCursor,
    LoopDetector,
    PagedProtocol,
    ServiceError,
    Window,
)
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web

_NS = "{http://www.openarchives.org/OAI/2.0/}"
_RDF = {"rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#"}
_PROVENANCE = "{http://www.openarchives.org/OAI/2.0/provenance}"
_ORIGINS = f"{_NS}about/{_PROVENANCE}provenance//{_PROVENANCE}originDescription"
_MAX_ORIGINS = 20  # Aggregators that a record came through.
_MAX_ADDRESS = 1_000  # Characters of an identifier and its repository's address.
_RDF_STEPS = 2  # A record's RDF/XML describes nodes at most this far from its resource.
# Records requested one by one: splitting their window would cost the same number of requests.
_MAX_SINGLE_REQUESTS = 8
# A token is the only parameter of its request, so badArgument means the token.
_TOKEN_ERRORS = {"badResumptionToken", "badArgument"}
# Errors of one record that is requested by itself.
_SINGLE_ERRORS: tuple[type[HarvestError], ...] = (ServiceError, ForbiddenError, *CURSOR_ERRORS)


class OaiOptions(Options):
    """The options of a repository."""

    prefix: str = Field(
        "oai_dc", description="The metadataPrefix to request; records of `rdf` are graphs."
    )
    sets: Texts = Field((), alias="set", description="The set or sets to harvest.")


class Entry(NamedTuple):
    """A record of a list, or the header of one in a list of identifiers, which has all but the
    metadata. *chain* is as in ``parse_chain``.
    """

    node: _Element
    key: str
    datestamp: str
    is_deleted: bool
    chain: tuple[str, ...]


class Calendar(NamedTuple):
    """A repository's date format, smallest *step*, *earliest* datestamp and clock."""

    time_format: str
    step: timedelta
    earliest: datetime | None = None
    now: datetime | None = None

    def text(self, moment: datetime | None, steps: int = 0) -> str:
        """Format a time, some *steps* later; "" for None."""
        return f"{moment.astimezone(UTC) + steps * self.step:{self.time_format}}" if moment else ""

    def shift(self, stamp: str, steps: int = 0) -> str:
        """Return a datestamp in the granularity, some *steps* later; "" if it is not a date."""
        return self.text(parse_timestamp(stamp), steps)

    def middle(self, start: str, until: str) -> str:
        """Return the last datestamp of a window's first half by time; "" if it has no halves.

        >>> days = Calendar("%Y-%m-%d", timedelta(days=1))
        >>> days.middle("2026-01-01", "2026-01-04"), days.middle("2026-01-02", "2026-01-02")
        ('2026-01-02', '')
        """
        first = parse_timestamp(start) or self.earliest
        last = parse_timestamp(until) or self.now
        if not first or not last or self.text(first) >= self.text(last):
            return ""
        return self.text(first + (last - first) / 2)


class OaiPmh(PagedProtocol[Any]):
    """The records of a repository. A window is a set, the datestamps from and until, each "" if
    open, and whether its records are requested one by one. If they are, the position is the key of
    the last record, else a resumption token.
    """

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        super().__init__(source, fetch, since)
        self.options = OaiOptions.of(source)
        self.windows = tuple((name, "", "", False) for name in self.options.sets or ("",))
        self.repeats = len(self.windows) > 1  # A record may be in several of the sets.
        self.calendar: Calendar | None = None
        # The headers of a window that are still to be requested one by one.
        self.left: tuple[Window, list[Entry]] = ((), [])

    def start(self) -> ListCursor:
        if not self.since:
            return super().start()
        origin = self._identify().text(self.since, -1)
        return ListCursor(tuple((name, origin, *rest) for name, _, *rest in self.windows))

    def page_size(self, cursor: ListCursor) -> int:
        # The number of records in a list's page is the repository's, at least two.
        return 1 if cursor.windows[0][3] else 2

    def pieces(self, cursor: ListCursor, size: int, left: int | None) -> tuple[int, ...]:
        return ()

    def request(self, cursor: ListCursor, size: int) -> Batch:
        window = cursor.windows[0]
        if window[3]:
            return self._request_single(window, cursor.position)
        reply, entries, token = self._list("ListRecords", window, cursor.position)
        return Batch(reply, entries, _count(token), _text(token))

    def parse(self, record: Entry) -> Item[Any]:
        key, stamp = record.key, record.datestamp or None
        if not key:
            return InvalidRecord(None, Reason("a record without an identifier"))
        if record.is_deleted:
            return DeletedRecord(key, stamp)
        payload = next(record.node.iterfind(f"{_NS}metadata/*"), None)
        if payload is None:
            return InvalidRecord(key, Reason("a record without metadata"))
        raw = etree.tostring(payload, encoding="utf-8", with_tail=False)
        if self.options.prefix != "rdf":
            return Record(key, payload, raw, stamp, record.chain)
        about = str(payload.xpath("string(descendant-or-self::*/@rdf:about)", namespaces=_RDF))
        if not about:
            text = "its metadata, <%(element)s>, is not RDF/XML whose first resource has an IRI (rdf:about)"
            return InvalidRecord(key, Reason(text, element=str(payload.tag)))
        # The metadata is parsed only if the record has changed.
        problem = "its RDF/XML cannot be read"
        read = partial(
            parse_description, raw, RdfFormat.RDF_XML, problem, "urn:record:", about, _RDF_STEPS
        )
        content: Unparsed[Graph] = Unparsed(read)
        return Record(key, content, raw, stamp, record.chain)

    def order(self, record: Entry) -> str:
        return record.datestamp

    def probe(self, cursor: ListCursor, error: HarvestError) -> int | None:
        self.calendar = self._identify(error)
        return None

    def skip(self, cursor: ListCursor, error: HarvestError) -> tuple[InvalidRecord, ListCursor]:
        if not self.left[1]:  # The records of a window can neither be read nor listed.
            raise error
        key = self.left[1].pop(0).key
        return InvalidRecord(key, error.reason), replace(cursor, position=key)

    def split(self, cursor: ListCursor, error: HarvestError) -> ListCursor | None:
        """Continue a list that is sorted by datestamp at the newest one, if the repository counts no
        more records before it than were read. Halve the time of any other, down to windows whose
        records are requested one by one.
        """
        (name, start, until, is_single), rest = cursor.windows[0], cursor.windows[1:]
        is_refused = isinstance(error, (ServiceError, *CURSOR_ERRORS))
        has_expired = is_refused and (
            isinstance(error, ExpiredError)
            or (isinstance(error, CURSOR_ERRORS) and cursor.position != "")
        )
        if is_refused and not has_expired:
            return None
        calendar = self.calendar or self._identify(error)
        middle = calendar.middle(start, until)
        if has_expired and (is_single or not middle) and cursor.offset >= cursor.reach:
            # What was requested one by one is not requested again, only listed.
            windows, reach = cursor.windows, cursor.offset + 1
            return replace(cursor, reach=reach) if is_single else cursor.restart(windows, reach)
        if is_single:
            return None
        newest = calendar.shift(cursor.newest)
        if cursor.is_sorted and start < newest <= (until or newest):
            earlier = self._count_window((name, start, calendar.shift(newest, -1), False))
            if earlier is not None and earlier <= cursor.offset - cursor.ties:
                return cursor.restart(((name, newest, until, False), *rest))
        count = self._count_window(cursor.windows[0])
        if not cursor.is_part and cursor.total is None:
            cursor = replace(cursor, total=count)
        if not middle or (count is not None and count <= _MAX_SINGLE_REQUESTS):
            return cursor.restart(((name, start, until, True), *rest))
        halves = (name, start, middle, False), (name, calendar.shift(middle, 1), until, False)
        return cursor.restart((*halves, *rest))

    def _count_window(self, window: Window) -> int | None:
        """Return the number of a window's records; None if the repository does not count them."""
        try:
            _, entries, token = self._list("ListIdentifiers", window, "")
        except RECORD_ERRORS:
            return None
        return _count(token) if _text(token) else len(entries)

    def _request_single(self, window: Window, position: str) -> Batch:
        if self.left[0] != window:
            entries = {entry.key: entry for entry in self._list_all(window)}
            self.left = window, [entries[key] for key in sorted(entries) if key > position]
        left, reply = self.left[1], None
        if not left:
            return Batch(None, (), None, "")
        entry = left[0]
        if not entry.is_deleted:
            terms = {"identifier": entry.key, "metadataPrefix": self.options.prefix}
            try:
                reply, answer = self._request("GetRecord", terms)
            except _SINGLE_ERRORS as error:
                raise ParseError(error.reason) from error
            entry = [entry, *_read_entries(answer)][-1]
        key = left.pop(0).key
        return Batch(reply, (entry,), None, key if left else "")

    def _list_all(self, window: Window) -> Iterator[Entry]:
        token, detector = "", LoopDetector(self.source.name)
        while token or not detector.tokens:
            detector.check_token(self.source.url, token)
            _, entries, last = self._list("ListIdentifiers", window, token)
            yield from entries
            token = _text(last)

    def _list(
        self, verb: str, window: Window, token: str
    ) -> tuple[Reply, list[Entry], _Element | None]:
        """Request a page of a list: the one that *token* stands for, else the first. Return its
        entries and its resumption token.
        """
        names = ("metadataPrefix", "set", "from", "until")
        terms = dict(zip(names, (self.options.prefix, *window), strict=False))
        reply, answer = self._request(verb, {"resumptionToken": token} if token else terms)
        return reply, _read_entries(answer), answer.find(f"{_NS}resumptionToken")

    def _request(self, verb: str, terms: dict[str, str]) -> tuple[Reply, _Element]:
        """Return a response and its element *verb*, or one without parts if no records match. Raise
        ExpiredError if the repository refuses a token, ServiceError if it reports another error,
        ParseError if the response has no element *verb*.
        """
        present = {name: text for name, text in {"verb": verb, **terms}.items() if text}
        reply = self.fetch.get(self.source.url, present, accept="text/xml, application/xml")
        root = parse_xml(reply)
        source, url, token = self.source.name, reply.url, "resumptionToken" in terms
        if root.tag != f"{_NS}OAI-PMH":
            raise ParseError(
                "%(source)s: %(url)s is not an OAI-PMH response but <%(element)s>; correct the "
                "source's url",
                source=source,
                url=url,
                element=etree.QName(root).localname,
            )
        errors = {
            node.get("code") or "no code": _text(node) for node in root.iterfind(f"{_NS}error")
        }
        if errors.keys() == {"noRecordsMatch"} and not token:
            return reply, root
        if errors:
            parts = "; ".join(": ".join(filter(None, error)) for error in errors.items())
            text, message = (
                "%(source)s: %(url)s reports an error: %(message)s",
                " ".join(parts.split()),
            )
            kind = ExpiredError if token and errors.keys() & _TOKEN_ERRORS else ServiceError
            raise kind(text, source=source, url=url, message=message)
        answer = root.find(f"{_NS}{verb}")
        if answer is None:
            raise ParseError(
                "%(source)s: %(url)s has no %(verb)s", source=source, url=url, verb=verb
            )
        return reply, answer

    def _identify(self, error: HarvestError | None = None) -> Calendar:
        """Return the repository's date format. If Identify fails too, raise *error*: the fault is
        not a single page's.
        """
        try:
            _, answer = self._request("Identify", {})
        except RECORD_ERRORS as failure:
            raise error or failure from failure
        has_times = _text(answer.find(f"{_NS}granularity")).endswith("Z")
        return Calendar(
            "%Y-%m-%dT%H:%M:%SZ" if has_times else "%Y-%m-%d",
            timedelta(seconds=1) if has_times else timedelta(days=1),
            parse_timestamp(_text(answer.find(f"{_NS}earliestDatestamp"))),
            parse_timestamp(_text(answer.find(f"../{_NS}responseDate"))),
        )


def parse_chain(record: _Element) -> tuple[str, ...]:
    """Return the addresses at which a record was harvested before, the oldest first; empty if its
    ``<about>`` does not say so.

    An address is the GetRecord request for the record in Dublin Core, which every repository
    answers. A level without an identifier or with a base URL that is not a web address is left out, as
    are levels beyond 20. Source: https://www.openarchives.org/OAI/2.0/guidelines-provenance.htm
    """
    addresses: list[str] = []
    for origin in record.findall(_ORIGINS)[:_MAX_ORIGINS]:
        base, key = (_text(origin.find(f"{_PROVENANCE}{n}")) for n in ("baseURL", "identifier"))
        if key and is_web(base) and len(base) + len(key) <= _MAX_ADDRESS:
            terms = {"verb": "GetRecord", "identifier": key, "metadataPrefix": "oai_dc"}
            addresses.insert(
                0, urlsplit(base)._replace(query=urlencode(terms), fragment="").geturl()
            )
    return tuple(dict.fromkeys(addresses))


def _read_entries(answer: _Element) -> list[Entry]:
    """Return the records or headers of a response. A provenance that several records share is the
    origin of none: some repositories write the same container into every record.
    """
    nodes = [*answer.iterfind(f"{_NS}record"), *answer.iterfind(f"{_NS}header")]
    chains = [*map(parse_chain, nodes)]
    ends = Counter(chain[-1:] for chain in chains)
    entries = []
    for node, chain in zip(nodes, chains, strict=True):
        header = next(node.iter(f"{_NS}header"), etree.Element("none"))
        key, stamp = (_text(header.find(f"{_NS}{name}")) for name in ("identifier", "datestamp"))
        is_deleted = header.get("status") == "deleted"
        origin = chain if ends[chain[-1:]] == 1 else ()
        entries.append(Entry(node, key, stamp, is_deleted, origin))
    return entries


def _text(node: _Element | None) -> str:
    return "" if node is None else (node.text or "").strip()


def _count(token: _Element | None) -> int | None:
    return None if token is None else natural((token.get("completeListSize") or "").strip())


PROTOCOL = Protocol(
    OaiPmh.collect,
    Payload.XML,
    OaiOptions,
    incremental=True,
    payload_type_for=lambda source: (
        Payload.GRAPH if OaiOptions.of(source).prefix == "rdf" else Payload.XML
    ),
)
