"""Respond to the six verbs from the change log; the content of records comes from the store.

All pages of a list show the state at one position of the journal: later commits neither hide nor
repeat a record. Each page has a token with all that the next page needs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from publisher.errors import NotReady
from publisher.feeds.oai import tokens
from publisher.feeds.oai.arguments import parse_bounds
from publisher.feeds.oai.errors import OaiError
from publisher.feeds.oai.formats import FORMATS
from publisher.feeds.oai.provenance import read_repositories, write_about
from publisher.feeds.sets import set_title
from publisher.feeds.xml_writing import element, empty, instant
from publisher.history import change_reader
from publisher.history.record_states import RecordState, read_states
from publisher.rdf.results import Row
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from web.branding import NAME

RECORDS_PER_PAGE = 100  # records on a page, some 300 kB of oai_dc
HEADERS_PER_PAGE = 1_000  # a page


@dataclass(frozen=True, slots=True)
class Provider:
    """Answers from *service* at the address *url*; *email* is the contact, *key* signs the tokens,
    *name* is the repository's name.
    """

    service: QueryService
    url: str
    email: str
    key: bytes
    name: str = NAME

    async def answer(self, arguments: dict[str, str]) -> str:
        """Return the response element of the verb in *arguments*; raises OaiError and
        PublisherError.
        """
        verb = arguments["verb"]
        if verb == "Identify":
            return await self._identify()
        if verb == "ListMetadataFormats":
            return await self._formats(arguments.get("identifier"))
        if verb == "ListSets":
            return await self._sets(arguments.get("resumptionToken"))
        if verb == "GetRecord":
            return await self._record(arguments["identifier"], arguments["metadataPrefix"])
        return await self._list(arguments)

    async def _identify(self) -> str:
        first = await asyncio.to_thread(lambda: self._history().changes(change_reader.ALL, 0, 1, 1))
        since = first[0].announced_at if first else int(time.time())
        parts = (
            element("repositoryName", self.name),
            element("baseURL", self.url),
            element("protocolVersion", "2.0"),
            element("adminEmail", self.email),
            element("earliestDatestamp", instant(since)),
            element("deletedRecord", "persistent"),
            element("granularity", "YYYY-MM-DDThh:mm:ssZ"),
        )
        return f"<Identify>{''.join(parts)}</Identify>"

    async def _formats(self, identifier: str | None) -> str:
        if identifier is not None:
            await self._change(identifier)
        rows = (
            element("metadataPrefix", prefix)
            + element("schema", metadata_format.schema)
            + element("metadataNamespace", metadata_format.namespace)
            for prefix, metadata_format in FORMATS.items()
        )
        return _wrap("ListMetadataFormats", "metadataFormat", rows)

    async def _sets(self, token: str | None) -> str:
        if token is not None:
            tokens.read_token(token, "ListSets", self.key)
        set_names = await asyncio.to_thread(lambda: self._history().set_names())
        titles = await self._registries()
        if not set_names:
            raise OaiError("noSetHierarchy", "There are no sets before the first record")
        named = (
            element("setSpec", name)
            + element("setName", titles.get(name) or set_title(name, self.service.iris))
            for name in set_names
        )
        return _wrap("ListSets", "set", named)

    async def _registries(self) -> dict[str, str]:
        rows: list[Row] = await self.service.rows(query("sources"))
        before = self.service.iris.source("")
        return {
            f"source:{row['source'].value.removeprefix(before)}": f"Registry: {row['title'].value}"
            for row in rows
        }

    async def _record(self, identifier: str, prefix: str) -> str:
        _check_prefix(prefix)
        change = await self._change(identifier)
        records = await self._records_of([change], prefix)
        return f"<GetRecord>{''.join(records)}</GetRecord>"

    async def _change(self, identifier: str) -> change_reader.Change:
        horizon = await self._watermark()
        name = identifier.removeprefix(self.service.iris.record("", "")[:-1])
        change = await asyncio.to_thread(
            lambda: self._history().latest_change(name, horizon.sequence)
        )
        if change is None or name == identifier:
            raise OaiError("idDoesNotExist", f"There is no record {identifier}")
        return change

    async def _list(self, arguments: dict[str, str]) -> str:
        text, verb = arguments.get("resumptionToken"), arguments["verb"]
        token = (
            await self._resumed_token(text, verb)
            if text is not None
            else await self._new_token(arguments)
        )
        most = RECORDS_PER_PAGE if verb == "ListRecords" else HEADERS_PER_PAGE
        page_changes = await asyncio.to_thread(
            lambda: self._history().changes(
                token.set_name, token.after, token.last, most, token.sequence
            )
        )
        rows = (
            await self._records_of(page_changes, token.prefix)
            if verb == "ListRecords"
            else map(self._header, page_changes)
        )
        return (
            f"<{verb}>{''.join(rows)}{self._next(token, page_changes, first=text is None)}</{verb}>"
        )

    def _next(
        self,
        token: tokens.ResumptionToken,
        page_changes: Sequence[change_reader.Change],
        first: bool,
    ) -> str:
        done = token.done + len(page_changes)
        attributes = {"completeListSize": str(token.total), "cursor": str(token.done)}
        if done < token.total and page_changes:
            return element(
                "resumptionToken",
                tokens.write_token(
                    replace(token, after=page_changes[-1].number, done=done), self.key
                ),
                **attributes,
            )
        # section 3.5: the last page of several has an empty one
        return "" if first else empty("resumptionToken", **attributes)

    async def _new_token(self, arguments: dict[str, str]) -> tokens.ResumptionToken:
        _check_prefix(arguments["metadataPrefix"])
        since, until = parse_bounds(arguments.get("from"), arguments.get("until"))
        set_name = arguments.get("set", change_reader.ALL)
        horizon = await self._watermark()

        def begin() -> tuple[int, int, int]:
            history, start, end = self._history(), 0, horizon.sequence
            if since is not None:
                start = history.last_announced_before(since)
            if until is not None:
                end = min(end, history.last_announced_before(until))
            after, last = (history.last_number(set_name, sequence) for sequence in (start, end))
            return after, last, history.count(set_name, after, last, horizon.sequence)

        after, last, total = await asyncio.to_thread(begin)
        if not total:
            raise OaiError("noRecordsMatch", "No record is in this set and in these bounds of time")
        return tokens.ResumptionToken(
            arguments["verb"],
            arguments["metadataPrefix"],
            set_name,
            after,
            last,
            horizon.sequence,
            horizon.entry,
            await self._id(horizon.entry),
            0,
            total,
        )

    async def _resumed_token(self, text: str, verb: str) -> tokens.ResumptionToken:
        token = tokens.read_token(text, verb, self.key)
        _check_prefix(token.prefix)
        horizon = await self._watermark()
        # another publisher of the journal, which is ahead of this one, issued the token
        if token.entry > horizon.entry:
            raise NotReady(
                f"the list is that of journal entry {token.entry}, this copy is only at {horizon.entry}; ask again in a moment"
            )
        if token.id != await self._id(token.entry):
            raise OaiError(
                "badResumptionToken",
                "The token is of another journal than the one that is published now; begin the list again",
            )
        return token

    def _history(self) -> change_reader.History:
        return change_reader.open_history(self.service)

    async def _watermark(self) -> change_reader.Watermark:
        return await asyncio.to_thread(change_reader.read_watermark, self.service)

    async def _id(self, entry: int) -> str:
        journal_entry = await asyncio.to_thread(self.service.journal.entry, entry)
        return journal_entry.id[:16] if journal_entry else ""

    async def _records_of(
        self, page_changes: Sequence[change_reader.Change], prefix: str
    ) -> list[str]:
        alive = [
            change
            for change in page_changes
            if change.change_type is not change_reader.ChangeType.DELETED
        ]
        states_by_sequence = dict(
            zip(
                (change.sequence for change in alive),
                await read_states(self.service, alive),
                strict=True,
            )
        )
        repositories = await read_repositories(self.service) if alive else {}
        return await asyncio.to_thread(
            lambda: list(self._records(page_changes, states_by_sequence, repositories, prefix))
        )

    def _records(
        self,
        page_changes: Sequence[change_reader.Change],
        states_by_sequence: Mapping[int, RecordState],
        repositories: Mapping[str, str],
        prefix: str,
    ) -> Iterator[str]:
        write, iris = FORMATS[prefix].write, self.service.iris
        for change in page_changes:
            state = states_by_sequence.get(change.sequence)
            metadata = (
                f"<metadata>{write(change, state, iris)}</metadata>{write_about(state, repositories, iris)}"
                if state
                else ""
            )
            yield f"<record>{self._header(change)}{metadata}</record>"

    def _header(self, change: change_reader.Change) -> str:
        return header(change, self.service.iris.base)


def header(change: change_reader.Change, base: str) -> str:
    """Write a record's header."""
    status = ' status="deleted"' if change.change_type is change_reader.ChangeType.DELETED else ""
    sets = "".join(element("setSpec", name) for name in change.sets if ":" in name)
    identifier = element("identifier", base + change.graph)
    datestamp = element("datestamp", instant(change.announced_at))
    return f"<header{status}>{identifier}{datestamp}{sets}</header>"


def admin_email(contact: str, base: str) -> str:
    """Return the e-mail address in *contact*, else the one that every host should have (RFC 2142,
    section 5).
    """
    email = contact.removeprefix("mailto:")
    return (
        email
        if "@" in email and "." in email.partition("@")[2] and " " not in email
        else f"postmaster@{urlsplit(base).hostname}"
    )


def _check_prefix(prefix: str) -> None:
    if prefix not in FORMATS:
        raise OaiError("cannotDisseminateFormat", f"The formats are {', '.join(FORMATS)}")


def _wrap(name: str, each: str, rows: Iterator[str]) -> str:
    return f"<{name}>{''.join(f'<{each}>{row}</{each}>' for row in rows)}</{name}>"
