"""All records of a catalogue service by GetRecords of CSW 2.0.2, or those changed since.

Source: https://portal.ogc.org/files/?artifact_id=20555 (OGC 07-006r1, section 10.8)
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lxml import etree
from lxml.etree import _Element
from pydantic import Field

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import parse_xml
from harvesters.options import Options, Positive
from harvesters.page_model import InvalidRecord, Item, Payload, Record
from harvesters.payloads.value_parsing import natural, parse_timestamp
from harvesters.protocols.lists import Batch, ListCursor, PagedProtocol, ServiceError
from harvesters.protocols.protocol import Protocol
from harvesters.source import Source

_IDENTIFIERS = (
    "fileIdentifier",
    "metadataIdentifier/{*}MD_Identifier/{*}code",
    "identifier",
    "Entry_ID",
)
_STAMPS = ("modified", "dateStamp")
_ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
_DCAT = [
    f"{{http://www.w3.org/ns/dcat#}}{name}" for name in ("Dataset", "DataService", "DatasetSeries")
]


class CswOptions(Options):
    """The options of a catalogue service."""

    types: str = Field(
        "csw:Record", description="The typeNames to request, e.g. `gmd:MD_Metadata`."
    )
    output: str = Field(
        "http://www.opengis.net/cat/csw/2.0.2",
        alias="schema",
        description="The outputSchema, e.g. `http://www.isotc211.org/2005/gmd` for ISO 19139.",
    )
    constraint: str = Field(
        "",
        description="A constraint in CQL text that limits the harvest, e.g. `dc:type = 'dataset'`.",
    )
    modified: str = Field(
        "",
        description="The queryable with the time of change, e.g. `dct:modified` or `apiso:Modified`.",
    )
    sort: str = Field(
        "",
        description="The sort order, e.g. `dc:identifier:A`; without it records may move between pages during a run.",
    )
    size: Positive = Field(50, description="The number of records per page.")


class Csw(PagedProtocol[_Element]):
    """The records of a service. A window is the days from which and before which they changed, and
    the value of the sort order from which the list is continued; each "" if open.
    """

    moves = False
    overlap = timedelta(days=1)
    windows = (("", "", ""),)

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        super().__init__(source, fetch, since)
        self.options = CswOptions.of(source)
        self.sort = self.options.sort.rpartition(":")[0]
        if self.since and self.options.modified:
            self.windows = ((f"{self.since:%Y-%m-%d}", "", ""),)

    def page_size(self, cursor: ListCursor) -> int:
        return self.options.size

    def request(self, cursor: ListCursor, size: int) -> Batch:
        start = cursor.offset + 1
        terms = self._terms(cursor) | {"startPosition": str(start), "maxRecords": str(size)}
        source = self.source
        reply = self.fetch.get(source.url, terms, accept="application/xml, text/xml")
        root = parse_xml(reply)
        kind, results = etree.QName(root).localname, root.find("{*}SearchResults")
        if kind == "ExceptionReport":
            faults = root.iterfind("{*}Exception")
            texts = [text for fault in faults for text in (*fault.values(), *fault.itertext())]
            raise ServiceError(
                "%(source)s: %(url)s reports an error: %(message)s",
                source=source.name,
                url=reply.url,
                message=" ".join(" ".join(map(str, texts)).split()),
            )
        if kind != "GetRecordsResponse" or results is None:
            raise ParseError(
                "%(source)s: %(url)s is not a GetRecords response but <%(element)s>; correct the "
                "source's url",
                source=source.name,
                url=reply.url,
                element=kind,
            )
        total = natural(results.get("numberOfRecordsMatched"))
        following = natural(results.get("nextRecord"))
        records = list(results.iterfind("*"))
        if following is not None and following <= start:
            return Batch(reply, records, total, "")
        return Batch(reply, records, total, passed=following and following - start)

    def _terms(self, cursor: ListCursor) -> dict[str, str]:
        options, (first, end, last) = self.options, cursor.windows[0]
        name = options.modified
        bounds = ((name, ">=", first), (name, "<", end), (self.sort, ">=", last))
        parts = [f"{name} {sign} '{value}'" for name, sign, value in bounds if value]
        if options.constraint:
            parts.insert(0, options.constraint)
        terms = {
            "service": "CSW", "version": "2.0.2", "request": "GetRecords", "resultType": "results",
            "elementSetName": "full", "typeNames": options.types, "outputSchema": options.output,
        }  # fmt: skip
        if parts:
            terms |= {"constraintLanguage": "CQL_TEXT", "constraint_language_version": "1.1.0"}
            terms["constraint"] = " AND ".join(map("({})".format, parts)) if parts[1:] else parts[0]
        return terms | {"sortby": options.sort} if options.sort else terms

    def parse(self, record: _Element) -> Item[_Element]:
        """Return a record: Dublin Core by dc:identifier, ISO 19139 by fileIdentifier, ISO 19115-3 by
        the code of metadataIdentifier, DIF by Entry_ID, DCAT by the identifier or the IRI of the
        resource.
        """
        nodes = [record, *record.iter(*_DCAT)]
        keys, stamps = (
            [_text(node, name) for name in names for node in nodes]
            for names in (_IDENTIFIERS, _STAMPS)
        )
        key = next(filter(None, [*keys, *(node.get(_ABOUT) for node in nodes)]), None)
        if key is None:
            name = etree.QName(record).localname
            return InvalidRecord(None, f"a record without an identifier, <{name}>")
        raw = etree.tostring(record, encoding="utf-8", with_tail=False)
        return Record(key, record, raw, next(filter(None, stamps), None))

    def order(self, record: _Element) -> str | None:
        return _text(record, self.sort.rpartition(":")[2]) if self.sort else None

    def split(self, cursor: ListCursor, error: HarvestError) -> ListCursor | None:
        """Continue at the value of the sort order that was reached, else in halves by time."""
        (first, end, last), rest = cursor.windows[0], cursor.windows[1:]
        newest = cursor.newest
        if cursor.is_sorted and newest and newest != last and "'" not in newest:
            return cursor.restart(((first, end, newest), *rest))
        low = parse_timestamp(first) or datetime(2000, 1, 1, tzinfo=UTC)
        high = parse_timestamp(end) or datetime.now(UTC) + timedelta(days=1)
        middle = f"{low + (high - low) / 2:%Y-%m-%d}"
        is_cut = bool(cursor.cap or cursor.offset)
        if not (self.options.modified and is_cut) or middle <= f"{low:%Y-%m-%d}":
            return None
        return cursor.restart(((first, middle, last), (middle, end, last), *rest))


def _text(node: _Element, name: str) -> str:
    element = node.find(f"{{*}}{name}")
    return "" if element is None else " ".join("".join(map(str, element.itertext())).split())


PROTOCOL = Protocol(
    Csw.collect,
    Payload.XML,
    CswOptions,
    incremental=True,
    is_incremental=lambda source: bool(CswOptions.of(source).modified),
)
