"""Request the pages of the portal from the application in this process, and write them as files
that link to each other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

import httpx

from languages.request_locale import use_language
from languages.translations import gettext as _
from publisher.editions.pages import NEEDS_SERVER, Addresses, Target, relative, rewrite
from publisher.errors import ReleaseError

LOG = "edition.log"  # in the folder of an unfinished edition: a line for each finished file
AT_ONCE = 4  # requests: rendering is one process, but queries are answered by others
_HTML = "text/html"
_READ = ("/page/", "/scheme/", "/concept")  # pages that the search finds
_FINAL = (HTTPStatus.OK, HTTPStatus.GONE)

Progress = Callable[[int, int], None]  # files that are finished, and files that are known


class SearchDocument(NamedTuple):
    """A page that the search finds: its file, title, words, and kind: the second part of its path,
    or topic.
    """

    file: str
    language: str
    title: str
    kind: str
    words: list[str]
    path: str


# A line of the log: a finished "target", the "links" of it, its "document" for the search, and the
# "status" of an address that answered with an error.
Line = dict[str, Any]


@dataclass(slots=True)
class Crawler:
    """Writes the pages that *client* answers into *folder*. *header* identifies the edition:
    another one is not continued. What was written: *documents* for the search, and the status of
    those addresses that answered with an error in *missing*.
    """

    client: httpx.AsyncClient
    addresses: Addresses
    folder: Path
    header: dict[str, object]
    report: Progress
    documents: list[SearchDocument] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    _known: dict[Target, None] = field(default_factory=dict)  # in the order of requests
    _done: set[Target] = field(default_factory=set)

    async def run(self, first: Iterable[Target]) -> None:
        """Write *first* and all pages that they link to; files that an interrupted run finished are
        kept.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        complete = read_log(self.folder, self.header)
        (self.folder / LOG).write_bytes(complete or json.dumps(self.header).encode() + b"\n")
        for text in complete.splitlines()[1:]:
            self._finish(json.loads(text))
        self._known |= dict.fromkeys(first)
        with (self.folder / LOG).open("ab", buffering=0) as log:
            while pending := [target for target in self._known if target not in self._done]:
                for start in range(0, len(pending), AT_ONCE):
                    await self._write_batch(pending[start : start + AT_ONCE], log)
        self.documents.sort()

    async def _write_batch(self, targets: Iterable[Target], log: BinaryIO) -> None:
        lines = await asyncio.gather(*map(self._write, targets), return_exceptions=True)
        for line in lines:
            if isinstance(line, Exception):
                raise line
            if isinstance(line, BaseException):  # it was cancelled, or an engine in Rust panicked
                raise ReleaseError(
                    f"the export ended with {len(self._done)} of {len(self._known)} files; run it again to continue it"
                ) from line
            log.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            self._finish(line)
            self.report(len(self._done), len(self._known))

    def _finish(self, line: Line) -> None:
        target = Target(*line["target"])
        self._done.add(target)
        links = (Target(*link) for link in line["links"])
        self._known |= dict.fromkeys([target, *(link for link in links if link.request)])
        if "document" in line:
            self.documents.append(SearchDocument(*line["document"]))
        if "status" in line:
            self.missing[target.request] = line["status"]

    async def _write(self, target: Target) -> Line:
        """Request *target* and write its file; return its line of the log."""
        headers = {"Accept": f"{_HTML}, */*;q=0.1", "Accept-Language": target.language or "en"}
        response = await self.client.get(target.request, headers=headers)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ReleaseError(
                f"{target.request} cannot be rendered: {response.status_code} {response.text[:200]}"
            )
        is_page = response.headers.get("content-type", "").startswith(_HTML)
        line: Line = {"target": target, "links": []}
        content = response.content
        if response.is_redirect:
            content = self._redirect(target, response.headers["Location"], line)
        elif is_page and target.file.endswith(".html"):
            content = self._page(target, response, line)
        if response.status_code not in _FINAL and not response.is_redirect:
            line["status"] = response.status_code
        path = self.folder / target.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return line

    def _page(self, target: Target, response: httpx.Response, line: Line) -> bytes:
        path = urlsplit(target.request).path
        is_first = "after=" not in target.request and "before=" not in target.request
        read = path.startswith(_READ) and is_first and response.status_code == HTTPStatus.OK
        with use_language(target.language or "en"):
            page = rewrite(response.content, self.addresses, target, read=read)
        line["links"] = sorted(page.targets)
        if page.title:
            kind = path.split("/")[2] if path.startswith("/page/") else "topic"
            line["document"] = SearchDocument(
                target.file, target.language, page.title, kind, page.words, target.request
            )
        return page.content

    def _redirect(self, target: Target, location: str, line: Line) -> bytes:
        """Return a page that leads to another: files have no redirects."""
        page, language = target.request.partition("?")[0], target.language
        resolved = self.addresses.resolve(location, page, language)
        if isinstance(resolved, Target):
            line["links"] = [resolved]
            resolved = relative(resolved.file, target.file)
        needs_server = relative(f"{language}/{NEEDS_SERVER}", target.file)
        return redirect_page(resolved or needs_server, language)


def read_log(folder: Path, header: dict[str, object]) -> bytes:
    """Return the log of an interrupted run without an incomplete last line, b"" where there is
    none. Raises ReleaseError if *folder* has anything but an export with the same *header*.
    """
    log = folder / LOG
    text = log.read_bytes() if log.exists() else b""
    complete = text[: text.rfind(b"\n") + 1]
    if not log.exists() and folder.exists() and any(folder.iterdir()):
        raise ReleaseError(
            f"{folder} is not empty; choose an empty folder, or one with an interrupted export of this release"
        )
    if complete and json.loads(first := complete.splitlines()[0]) != header:
        raise ReleaseError(
            f"{folder} has an interrupted export of something else ({first.decode()}); choose another folder"
        )
    return complete


def redirect_page(address: str, language: str) -> bytes:
    """Return a page that leads to *address*, also without scripts."""
    with use_language(language or "en"):
        link = httpx.URL(address)
        return (
            f'<!doctype html>\n<html lang="{language or "en"}"><head><meta charset="utf-8"><title>{_("Moved")}</title>'
            f'<meta http-equiv="refresh" content="0; url={link}"></head><body><p><a href="{link}">{_("Moved")}</a></p></body></html>\n'
        ).encode()
