"""A list of records in JSON: in one document, in pages, or as a folder of files with an index."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Self
from urllib.parse import unquote

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from harvesters.errors import HarvestError, ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, load_json
from harvesters.options import Options, Positive, option_named
from harvesters.page_model import InvalidRecord, Item, Page, Pages, Payload, Row
from harvesters.payloads.paths import Search, compile_jmespath
from harvesters.payloads.value_parsing import join_url, natural, parse_timestamp
from harvesters.protocols.document import (
    DocumentReader,
    ListedDocument,
    no_object,
    paginate,
    row_record,
)
from harvesters.protocols.lists import (
    CURSOR_ERRORS,
    Batch,
    ListCursor,
    PagedProtocol,
)
from harvesters.protocols.protocol import Items, Protocol
from harvesters.reasons import Reason
from harvesters.source import Source

_ACCEPT = "application/json"


def _check_path(value: str, info: ValidationInfo) -> str:
    try:
        compile_jmespath(value or "@", option_named(str(info.field_name)))
    except SourceDefinitionError as error:
        raise ValueError(error.reason) from error
    return value


Path = Annotated[str, AfterValidator(_check_path)]


class JsonOptions(Options):
    """The options of a list in JSON."""

    records: Path = Field(
        "@",
        description="JMESPath to the list of records in a response; objects keyed by ids are read as a list.",
    )
    key: Path = Field(
        "",
        description="JMESPath to a record's key; without it the field `key`, else `id`, or in a folder the file's stem.",
    )
    modified: Path = Field("", description="JMESPath to the time when a record changed.")
    total: Path = Field(
        "", description="JMESPath to the total number of records, if responses have it."
    )
    page: str = Field(
        "",
        description="The parameter for the page number; pages are requested until one is empty or `total` is reached.",
    )
    first: int = Field(1, description="The number of the first page.")
    offset: str = Field("", description="The parameter for the number of records to skip.")
    limit: str = Field(
        "", description="The parameter for the page size, sent with the value of `size`."
    )
    size: Positive = Field(100, description="The number of records per page.")
    cursor: str = Field("", description="The parameter for the cursor to which `next` leads.")
    next: Path = Field(
        "",
        description="JMESPath to the address of the next page, or with `cursor` to the cursor.",
    )
    files: Path = Field(
        "",
        description="JMESPath to the list of files in an index, as names or addresses.",
    )
    since: str = Field("", description="The parameter for the time since which records changed.")
    since_format: str = Field(
        "%Y-%m-%dT%H:%M:%SZ", description="The format of that time, in UTC (strftime)."
    )

    @model_validator(mode="after")
    def _check_paging(self) -> Self:
        ways = [name for name in ("page", "offset", "cursor", "files") if getattr(self, name)]
        if ways[1:]:
            raise ValueError(
                Reason(
                    "options %(first)s and %(second)s both define paging; keep one",
                    first=repr(ways[0]),
                    second=repr(ways[1]),
                )
            )
        if self.cursor and not self.next:
            raise ValueError(
                Reason("option 'cursor' needs 'next', the JMESPath to the next cursor")
            )
        return self

    @property
    def is_paged(self) -> bool:
        return bool(self.page or self.offset or self.cursor or self.next)


class JsonPages(PagedProtocol[Row]):
    """Pages by number, offset, cursor or next link, one document, or the files of an index. A
    window is the time from which records changed, in the registry's form, "" if open.
    """

    is_exact = True

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        super().__init__(source, fetch, since)
        self.options = options = JsonOptions.of(source)
        self.key_path = options.key or source.fields.get("key")
        self.find_key = _compile(self.key_path or ("" if options.files else "id"))
        self.find_records, self.find_modified = map(_compile, (options.records, options.modified))
        self.find_total, self.find_next = map(_compile, (options.total, options.next))
        self.is_sized = bool(options.limit and (options.page or options.offset))
        self.probes = ((0, 1), (1, 1)) if self.is_sized else ((0, 0),)
        if self.since and options.since:
            self.windows = ((self._format_since(self.since),),)

    def read(self, cursor: str | None) -> Pages[Row]:
        """Yield all records, or those changed since *since* minus a second if the source definition
        has the option ``since``. A record's raw bytes are its JSON with sorted keys.
        """
        options = self.options
        if options.is_paged:
            yield from super().read(cursor)
            return
        terms, is_whole = self.terms(self.windows[0][0]), cursor is None and not options.files
        reply = self.fetch.get(self.source.url, terms, accept=_ACCEPT, conditional=is_whole)
        if reply.not_modified:
            yield Page((), None, at=reply.at, unchanged=True)
            return
        document = load_json(reply)
        if options.files:
            yield from self._read_files(reply, document, cursor)
            return
        items = tuple(map(self.parse, self.find_rows(reply, document)))
        yield from paginate(items, reply, cursor, self.total(reply, document))

    def _read_files(self, reply: Reply, index: Any, cursor: str | None) -> Pages[Row]:
        """Yield the records of each file of an index, in the order of their addresses."""
        path = self.options.files
        listed = _compile(path)(index)
        if not isinstance(listed, list):
            text = "%(source)s: %(url)s has no list at '%(path)s' (the option 'files')"
            raise ParseError(text, source=self.source.name, url=reply.url, path=path)
        texts = {name for name in listed if isinstance(name, str) and name}
        documents = []
        for address in sorted({join_url(reply.url, name) for name in texts}):
            stem = PurePosixPath(unquote(re.split("[?#]", address)[0])).stem
            documents.append(ListedDocument(address, stem, has_own_keys=bool(self.key_path)))

        def parse(document: ListedDocument, reply: Reply) -> Items:
            rows = self.find_rows(reply, load_json(reply))
            return tuple(self.parse((name or document.key, row)) for name, row in rows)

        reader = DocumentReader(
            self.source, self.fetch, _ACCEPT, _ACCEPT, parse, is_missing_gone=False
        )
        for page in reader.read_lists(cursor, lambda _: [("", documents)]):
            yield replace(page, reported_total=len(documents))

    def page_size(self, cursor: ListCursor) -> int:
        return self.options.size

    def terms(self, window: str) -> dict[str, str]:
        options = self.options
        terms = {options.limit: str(options.size), options.since: window}
        return {name: text for name, text in terms.items() if name and text}

    def request(self, cursor: ListCursor, size: int) -> Batch:
        options, address, terms = self.options, self.source.url, self.terms(cursor.windows[0][0])
        if cursor.sizes:
            terms[options.limit] = str(size)
        if options.page:
            passed = cursor.offset // size if cursor.sizes else cursor.pages
            terms[options.page] = str(options.first + passed)
        elif options.offset:
            terms[options.offset] = str(cursor.offset)
        elif options.cursor and cursor.position:
            terms[options.cursor] = cursor.position
        elif cursor.position:
            address, terms = cursor.position, {}
        reply = self.fetch.get(address, terms, accept=_ACCEPT)
        document = load_json(reply)
        rows, total = self.find_rows(reply, document), self.total(reply, document)
        if options.page or options.offset:
            return Batch(reply, rows, total, "" if cursor.sizes and len(rows) < size else None)
        following = self.find_next(document)
        if options.cursor:
            return Batch(reply, rows, total, "" if following in (None, False) else str(following))
        return Batch(reply, rows, total, join_url(reply.url, str(following)) if following else "")

    def total(self, reply: Reply, document: Any) -> int | None:
        """Return the declared total. Raise ParseError if the source definition says where it is and
        it is missing.
        """
        path = self.options.total
        number = _text(self.find_total(document)) or ""
        if path and not (number.isascii() and number.isdigit()):
            raise ParseError(
                "%(source)s: %(url)s has no number at '%(path)s' (the option 'total')",
                source=self.source.name,
                url=reply.url,
                path=path,
            )
        return natural(number)

    def find_rows(self, reply: Reply, document: Any) -> Sequence[tuple[str | None, Any]]:
        """Return a response's records, with the names under which an object holds them."""
        options, rows = self.options, self.find_records(document)
        if isinstance(rows, list):
            return [(None, row) for row in rows]
        if isinstance(rows, dict):
            is_table = all(isinstance(row, dict) for row in rows.values())
            if "records" in options.model_fields_set and is_table:
                return list(rows.items())
            if not options.is_paged:
                return [(None, rows)]
        kind: str | Reason = type(document).__name__
        if isinstance(document, dict):
            members = ", ".join(sorted(map(str, document)))[:200]
            kind = Reason("an object with %(members)s", members=members)
        raise ParseError(
            "%(source)s: %(url)s has no records at '%(path)s' (the option 'records'); it is "
            "%(kind)s",
            source=self.source.name,
            url=reply.url,
            path=options.records,
            kind=kind,
        )

    def parse(self, record: tuple[str | None, Any]) -> Item[Row]:
        name, row = record
        if not isinstance(row, dict):
            return no_object(row, name)
        if key := _text(self.find_key(row)) or name:
            return row_record(key, row, _text(self.find_modified(row)))
        fault = Reason(
            "a record without a value at '%(path)s', where the definition has its key; it has "
            "%(members)s"
            if self.key_path
            else "a record without a key, which has %(members)s; set the option 'key'",
            path=self.key_path or "",
            members=", ".join(map(str, row))[:200],
        )
        return InvalidRecord(None, fault)

    def order(self, record: tuple[str | None, Any]) -> str | None:
        if not (self.options.since and self.options.modified):
            return None
        moment = parse_timestamp(_text(self.find_modified(record[1])) or "")
        return moment.isoformat(timespec="microseconds") if moment else ""

    def pieces(self, cursor: ListCursor, size: int, left: int | None) -> tuple[int, ...]:
        """Divide a page into equal pieces, as few as possible, so that pages of a piece's size start
        where the page started.
        """
        is_even = self.options.offset or cursor.sizes or cursor.offset == cursor.pages * size
        if not (self.is_sized and is_even):
            return ()
        count = next(number for number in range(2, size + 1) if size % number == 0)
        return (size // count,) * count

    def split(self, cursor: ListCursor, error: HarvestError) -> ListCursor | None:
        """Continue at the newest change if they were sorted; begin a list again whose cursor was
        rejected, if it was read further than the last time.
        """
        moment = parse_timestamp(cursor.newest) if cursor.is_sorted and cursor.newest else None
        since = self._format_since(moment) if moment else ""
        if since and since != cursor.windows[0][0]:
            why = Reason(
                "the list was resumed at changes since %(newest)s, up to which it was sorted; this "
                "alone does not prove that it is complete",
                newest=cursor.newest,
            )
            is_proven = cursor.total is not None
            return cursor.restart(((since,),)).mark_incomplete(None if is_proven else why)
        is_rejected = isinstance(error, CURSOR_ERRORS) and cursor.position != ""
        if not is_rejected or cursor.offset <= cursor.reach:
            return None
        return cursor.restart(cursor.windows, cursor.offset)

    def _format_since(self, moment: datetime) -> str:
        """Return a time minus a second, as the source definition says."""
        return (moment.astimezone(UTC) - timedelta(seconds=1)).strftime(self.options.since_format)


def _compile(path: str) -> Search:
    return compile_jmespath(path) if path else lambda _: None


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


PROTOCOL = Protocol(
    JsonPages.collect,
    Payload.ROW,
    JsonOptions,
    incremental=True,
    is_incremental=lambda source: bool(JsonOptions.of(source).since),
)
