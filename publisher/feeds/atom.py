"""``/feeds/``: Atom feeds of all changes and by action line, goal, country and registry, with
archives that never change and deleted entries, announced to a WebSub hub.

Sources: https://www.rfc-editor.org/rfc/rfc4287 (Atom), https://www.rfc-editor.org/rfc/rfc5005
(archives, section 4), https://www.rfc-editor.org/rfc/rfc6721 (deleted entries) and
https://www.w3.org/TR/websub/ (section 7). The hub manages subscriptions and deliveries; requests
go only to the hub. The last entry that it was notified of is stored in a file, so that no change is
missed while we or the hub are down.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Annotated, Any
from urllib.parse import urlencode

import httpx
import structlog
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from journal.files import replace_file
from publisher.errors import NotReady
from publisher.feeds.records import (
    BASIS_TITLES,
    FEED_FAMILIES,
    ChangedRecord,
    Changes,
    ChangesDep,
    RecordValue,
    feed_path,
    instant,
    preferred_text,
    render,
    set_concept,
    set_title,
)
from publisher.history.change_reader import ALL, ChangeType
from publisher.pages import Pages, PagesDep
from publisher.store.query_service import QueryService
from vocab.schemes import label
from web.endpoints import contents, get, problems, whole_number
from web.outbound_client import Deadline, GuardedTransport, create_client
from web.respond import GRAPHS, HTML, IMMUTABLE, Link, media_types, origin, require, respond

MEDIA = "application/atom+xml"
PAGE_SIZE = 100  # changes in an archive
POLL_SECONDS = 1.0  # seconds between checks for new entries
MAX_RETRY_SECONDS = 600.0  # the longest pause before a failed notification is retried
BATCH_SIZE = 100  # feeds in one request
FILE_NAME = "hub.json"
_SOON = "public, max-age=60"
_OPTIONAL: dict[str, Any] = {
    **dict.fromkeys(("published", "summary", "content", "rights", "deleted", "comment"), ""),
    **dict.fromkeys(("authors", "links", "categories"), ()),
}
_FEED: dict[str, Any] = {
    "tags": ["watch"],
    "response_class": Response,
    "response_description": "An Atom feed",
    "responses": contents(MEDIA) | problems(400, 404, 503),
}

Archive = Annotated[
    int | None,
    Query(
        ge=1,
        description="The number of a full, unchanging page of older changes; without it, the newest",
    ),
    whole_number(),
]
Family = Annotated[
    str, Path(description="What the feed is by", json_schema_extra={"enum": list(FEED_FAMILIES)})
]
Code = Annotated[
    str,
    Path(description="The code of the action line, goal or country, or the name of the registry"),
]

router = APIRouter()
logger = structlog.get_logger(component="hub")


@get(
    router,
    "/feeds/all.atom",
    operation_id="feed",
    summary="Return the newest change of each record",
    **_FEED,
)
def all_changes(
    request: Request, changes: ChangesDep, pages: PagesDep, archive: Archive = None
) -> Response:
    """The link `prev-archive` leads to the pages of older changes (RFC 5005)."""
    return _feed(request, changes, pages, archive, ALL)


@get(
    router,
    "/feeds/{family}/{code}.atom",
    operation_id="feedOf",
    summary="Return the newest changes by action line, goal, country or registry",
    **_FEED,
)
def changes_of_set(
    request: Request,
    changes: ChangesDep,
    pages: PagesDep,
    family: Family,
    code: Code,
    archive: Archive = None,
) -> Response:
    """`/oai?verb=ListSets` lists the sets that have a feed."""
    return _feed(request, changes, pages, archive, family, code)


@get(
    router,
    "/feeds/{family}/{code}/{basis}.atom",
    operation_id="feedOfBasis",
    summary="Return the newest changes by action line or goal, with links of one basis only",
    **_FEED,
)
def changes_by_basis(
    request: Request,
    changes: ChangesDep,
    pages: PagesDep,
    family: Family,
    code: Code,
    basis: Annotated[
        str,
        Path(
            description="How the statement was made", json_schema_extra={"enum": list(BASIS_TITLES)}
        ),
    ],
    archive: Archive = None,
) -> Response:
    """A registry declares a statement, or a crosswalk translates it from the registry's own code."""
    return _feed(request, changes, pages, archive, family, code, basis)


def _feed(
    request: Request, changes: Changes, pages: Pages, archive: int | None, *names: str
) -> Response:
    """Return the feed of the set that *names* name, or the page of it that *archive* names."""
    require(
        names[0] in (*FEED_FAMILIES, ALL),
        f"There are feeds by {', '.join(FEED_FAMILIES)}, and /feeds/all.atom",
    )
    set_name, history, iris = ":".join(names), changes.history, changes.iris
    size = history.last_number(set_name, changes.watermark.sequence)
    require(
        size > 0 or set_name == ALL,
        f"No record was ever in {set_name}; /oai?verb=ListSets lists the feeds",
    )
    archives, last = size // PAGE_SIZE, (archive or 0) * PAGE_SIZE
    require(
        (archive or 0) <= archives,
        f"This feed has no archive {archive}; its archives are 1 to {archives}",
    )
    if archive:
        entries = history.changes(set_name, last - PAGE_SIZE, last, PAGE_SIZE)
    else:  # the newest change of each record, the newest first
        oldest_first = reversed(history.newest_changes(set_name, size, PAGE_SIZE))
        entries = list({change.name: change for change in oldest_first}.values())[::-1]
    host, hub, path = origin(request), request.app.state.hub, f"{feed_path(set_name)}.atom"
    # The hub identifies a feed by one URL, whatever the host of the request.
    current = f"{iris.base}{path[1:]}" if hub else host + path
    url = f"{host}{path}?archive={archive}" if archive else current
    before, about = archive - 1 if archive else archives, set_concept(set_name, iris)
    data = write_feed(
        (_entry(record, host) for record in changes.records(entries)),
        id=f"{iris.base}{feed_path(set_name)[1:]}",
        title=pages.branding.name + ("" if set_name == ALL else f": {set_title(set_name, iris)}"),
        updated=instant(max((change.stamp for change in entries), default=0)),
        author=pages.branding.name,
        url=url,
        page=host + (pages.path(about) if about else "/"),
        is_archive=bool(archive),
        links=[
            *([("current", MEDIA, host + path)] if archive else []),
            *([("prev-archive", "", f"{host}{path}?archive={before}")] if before else []),
            *([("hub", "", hub)] if hub else []),
        ],
    )
    return respond(
        request,
        data,
        MEDIA,
        links=[Link("self", url), *([Link("hub", hub)] if hub else [])],
        headers={"Cache-Control": IMMUTABLE if archive else _SOON},
    )


def write_feed(
    entries: Iterable[Mapping[str, Any]],
    is_archive: bool = False,
    links: Sequence[tuple[str, str, str]] = (),
    **head: str,
) -> bytes:
    """Write an Atom feed. *head* is its ``id``, ``title``, ``updated`` and ``author``, its ``url``
    and that of the ``page`` that it is about; *links* are a relation, a media type or "", and an
    address.

    Each entry has ``id`` and ``updated``, a deleted one ``deleted``, another ``title`` (with
    ``text`` and ``language``) and ``links``; it may have what ``_OPTIONAL`` lists. ``summary`` is
    like ``title``; categories have ``term``, ``scheme`` and ``label``.
    """
    complete = ({**_OPTIONAL, **entry} for entry in entries)
    return render("atom.xml", entries=complete, is_archive=is_archive, links=links, **head)


def _entry(record: ChangedRecord, host: str) -> dict[str, Any]:
    change = record.change
    entry = {"id": record.iri, "updated": instant(change.stamp)}
    if change.change_type is ChangeType.DELETED:
        reason = preferred_text(record.all("ops:reason", record.iri))
        return {**entry, "deleted": True, "comment": reason}
    first = record.one("dct:issued", record.iri)
    data = ((item.suffix, media_types(item)[0]) for item in GRAPHS.values())
    return {
        **entry,
        "title": record.preferred("titles") or RecordValue(record.topic),
        "published": first,
        "authors": [value.text for value in record.values["leads"]] or [record.source],
        "links": [
            ("alternate", media_types(HTML)[0], f"{host}/page/{change.thing}"),
            *(("alternate", media, f"{host}/data/{change.thing}.{end}") for end, media in data),
        ],
        "categories": [_category(name, record) for name in change.leaves],
        "summary": record.preferred("descriptions", "contents"),
        "rights": record.first("licences"),
    }


def _category(name: str, record: ChangedRecord) -> dict[str, str]:
    concept = set_concept(name, record.iris) or name
    title = label(concept, "en", record.iris.base) or name
    basis = name.rpartition(":")[2]
    suffix = f" ({basis})" if basis in BASIS_TITLES else ""
    return {"term": name, "scheme": concept, "label": title + suffix}


class WebSubNotifier:
    """Notifies *hub* of changed feeds of *service*; its host may be on a private network if it is in
    *allow*. Tests pass a *transport*.
    """

    def __init__(
        self,
        hub: str,
        service: QueryService,
        allow: frozenset[str] = frozenset(),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._hub, self._service, self._allow, self._transport = hub, service, allow, transport
        self._file, self._deadline = service.data / FILE_NAME, Deadline()

    async def run(self) -> None:
        wait = POLL_SECONDS
        try:
            while True:
                await asyncio.sleep(wait)
                try:
                    await asyncio.to_thread(self.step)
                    wait = POLL_SECONDS
                except (httpx.HTTPError, OSError) as error:
                    wait = min(2 * wait, MAX_RETRY_SECONDS)
                    text = "WebSub hub not notified; retrying"
                    logger.warning(text, hub=self._hub, error=str(error), seconds=wait)
        finally:
            self._deadline.start(0)  # It ends a notification that is under way in its thread.

    def step(self) -> int:
        """Notify the hub of new changes; return the number of feeds. Raises httpx.HTTPError if the
        hub rejects it.
        """
        try:
            announced, newest, feeds = self._changed_feeds()
        except NotReady:
            return 0
        if feeds:
            guarded = self._transport or GuardedTransport(self._allow, self._deadline)
            with create_client(guarded) as client:
                self._post(client, feeds)
        if announced != newest:
            replace_file(self._file, json.dumps({"entry": newest}))
        return len(feeds)

    def _post(self, client: httpx.Client, feeds: list[str]) -> None:
        for start in range(0, len(feeds), BATCH_SIZE):
            urls = [("hub.url", url) for url in feeds[start : start + BATCH_SIZE]]
            form = urlencode([("hub.mode", "publish"), *urls])
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            client.post(self._hub, content=form, headers=headers).raise_for_status()

    def _changed_feeds(self) -> tuple[int | None, int, list[str]]:
        """Return the entry that the hub was last notified of, the newest entry, and the URLs of the
        feeds that changed between them: none at the first start. Raises NotReady.
        """
        changes, announced = Changes(self._service), _last_entry(self._file)
        newest = changes.watermark.entry
        names = [] if announced is None else changes.history.changed_sets(announced, newest)
        families = (ALL, *(f"{family}:" for family in FEED_FAMILIES))
        feeds = [
            f"{changes.iris.base}{feed_path(name)[1:]}.atom"
            for name in sorted(names)
            if name.startswith(families)
        ]
        return announced, newest, feeds


def _last_entry(file: FilePath) -> int | None:
    try:
        return int(json.loads(file.read_bytes())["entry"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
