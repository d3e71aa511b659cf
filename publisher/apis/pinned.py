"""Query a release, and link to it: the link returns the bytes that a client received."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlencode

from typing_extensions import TypedDict

from publisher.errors import NotReady, QueryError, ReleaseNotFound, RowLimit
from publisher.projections.facets import filter_query
from publisher.sparql.protocol import media_type, parse_request
from publisher.sparql.rewriting import rewrite
from publisher.store.query_service import QueryService
from publisher.store.releases.manifest import Release, newest_release
from publisher.store.snapshots import Snapshot
from publisher.store.source_status import data_version, source_statuses
from publisher.store.workers.query_request import QueryRequest
from web.endpoints import Count, Instant
from web.middleware import MAX_QUERY_STRING

MAX_BYTES = 256 << 10  # of one result: an assistant reads all of it
RETRY = 0.25  # seconds between attempts while the store of a release is being loaded
Value = TypeVar("Value")


class NothingFound(QueryError):
    """The query has no result: that is an error, so that nobody takes it for an answer."""


class Part(TypedDict):
    """A result: *data* in the format *media*; *link* returns the same bytes, *query* is what it
    runs, "" for a file.

    *labels* are English names of codes and IRIs in *data*.
    """

    name: str
    data: str
    media: str
    link: str
    query: str
    labels: Mapping[str, str]


class SourceFreshness(TypedDict):
    """How fresh a registry is now: *state*, and when its last full harvest began, null before the
    first.
    """

    title: str | None
    state: str
    confirmed: str | None


class PinnedAnswer(TypedDict):
    """What a tool returns. *position* is the journal entry of the release, *published* the newest
    entry that is published.

    *licences* are by registry; *basis* is how the links to action lines, goals and targets in the
    data were made. *note* is a limit of a search, "" if there is none.
    """

    summary: str
    parts: list[Part]
    release: Count
    position: Count
    issued: Instant
    published: Count
    freshness: Mapping[str, SourceFreshness]
    licences: Mapping[str, str]
    basis: list[str]
    note: str


@dataclass(frozen=True, slots=True)
class PinnedRelease:
    """A *release* to query for *client*, whose quota it uses; links begin with *host*."""

    service: QueryService
    release: Release
    host: str
    client: str = ""

    async def ask(
        self, name: str, text: str, suffix: str = "csv", labels: Mapping[str, str] | None = None
    ) -> tuple[Part, str]:
        """Run the query *text*; return its result and a note on its searches.

        Raises NothingFound if the result is empty, RowLimit if it is larger than MAX_BYTES, and
        PublisherError.
        """
        link = self.link("/sparql", query=text, format=suffix, release=str(self.release.number))
        if len(link) - len(self.host) > MAX_QUERY_STRING:
            raise QueryError(
                f"the query is too long for a link, which has at most {MAX_QUERY_STRING} bytes; shorten it"
            )
        parsed = parse_request(
            {"query": [text], "format": [suffix]},
            None,
            self.service.iris.base,
            self.service.limits.rows,
        )
        if parsed.volatile:
            raise QueryError(
                "NOW(), RAND(), UUID() and STRUUID() have another result each time; a result here must be repeatable"
            )
        body, rows, form, note = await self._run(parsed, link)
        if not rows and (rows == 0 or not body.strip()):
            raise NothingFound(
                f"nothing found in release {self.release.number}; it may exist under another name or in newer data"
            )
        part = Part(
            name=name,
            data=body.decode(),
            media=media_type(form),
            link=link,
            query=text,
            labels=labels or {},
        )
        return part, note

    async def has_parts(self) -> bool:
        """Return whether initiatives name wholes, with which they count."""
        part = (await self.ask("parts", filter_query.parts(self.service.iris)))[0]
        return part["data"].split()[1] != "0"

    def file(self, name: str) -> Part:
        """Return a text file of the release."""
        path = self.service.data / "releases" / str(self.release.number) / name
        described = self.release.file(name)
        if described is None:
            raise NothingFound(f"release {self.release.number} has no file {name}")
        link = self.link(f"/releases/{self.release.number}/{name}")
        return Part(
            name=name,
            data=path.read_text(encoding="utf-8"),
            media=described.media,
            link=link,
            query="",
            labels={},
        )

    def link(self, path: str, **parameters: str) -> str:
        """Return an absolute link."""
        return f"{self.host}{path}?{urlencode(parameters)}" if parameters else f"{self.host}{path}"

    async def answer(
        self, summary: str, parts: list[Part], basis: list[str], sources: list[str], note: str = ""
    ) -> PinnedAnswer:
        """Return the answer with these *parts*; *sources* are the names of the registries of its
        data, all if empty.
        """
        now, version = self.service.now(), data_version(self.service)
        statuses = await source_statuses(self.service)
        return PinnedAnswer(
            summary=summary,
            parts=parts,
            release=self.release.number,
            position=self.release.position,
            issued=self.release.issued,
            published=version.position if version else 0,
            freshness={
                name: SourceFreshness(
                    title=status.title,
                    state=status.state(now).value,
                    confirmed=status.last_full_harvest,
                )
                for name, status in statuses.items()
                if not sources or name in sources
            },
            licences={
                item.name: item.licence
                for item in self.release.sources
                if not sources or item.name in sources
            },
            basis=basis,
            note=note,
        )

    async def snapshot(self) -> Snapshot:
        """Return the store of the release; waits while it is being loaded."""
        return await self._when_ready(lambda: self.service.release(self.release.number))

    async def _run(self, parsed: QueryRequest, link: str) -> tuple[bytes, int | None, str, str]:
        """Return the bytes of the result, the number of its rows, its format, and a note on its
        searches.
        """
        snapshot = await self.snapshot()
        question = replace(parsed, snapshot=snapshot.path, release=self.release.number)
        question = await rewrite(self.service, question, snapshot)
        answer = await self.service.query(question, client=self.client)
        body = bytearray()
        try:
            async for chunk in answer.chunks():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise RowLimit(
                        f"the result is larger than {MAX_BYTES >> 10} KiB; count, add LIMIT, or give the reader the link {link}"
                    )
        finally:
            answer.close()
        return bytes(body), answer.rows, answer.suffix, question.note

    async def _when_ready(self, attempt: Callable[[], Awaitable[Value]]) -> Value:
        deadline = asyncio.get_running_loop().time() + self.service.limits.wait
        while True:
            try:
                return await attempt()
            except NotReady:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(RETRY)


async def pin_release(
    service: QueryService, number: int | None, host: str, client: str = ""
) -> PinnedRelease:
    """Return release *number*, the newest if None. Raises ReleaseNotFound and Withdrawn."""
    folder = service.data / "releases"
    release = (
        await asyncio.to_thread(service.releases.release, number)
        if number
        else await asyncio.to_thread(newest_release, folder)
    )
    if release is None:
        raise ReleaseNotFound(
            "there is no release yet, to which an answer could be pinned; `stocktake release` makes one"
        )
    return PinnedRelease(service, release, host, client)
