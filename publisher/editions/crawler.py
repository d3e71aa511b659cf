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
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from languages.request_locale import use_language
from languages.translations import gettext as _
from publisher.editions.addresses import NEEDS_SERVER, Addresses, Target, relative
from publisher.editions.rewriting import rewrite
from publisher.errors import ReleaseError

LOG = "edition.log"  # in the folder of an unfinished edition: a line for each finished file
AT_ONCE = 4  # requests: rendering is one process, but queries are answered by others
_HTML = "text/html"
_READ = ("/page/", "/scheme/", "/concept")  # pages that the search finds
_FINAL = (HTTPStatus.OK, HTTPStatus.GONE)

Progress = Callable[[int, int], None]  # files that are finished, and files that are known


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """A page that the search finds: its file, title, words, and kind: the second part of its path,
    or topic.
    """

    file: str
    language: str
    title: str
    kind: str
    words: tuple[str, ...]
    path: str


@dataclass(slots=True)
class Crawl:
    """What was written: *documents* for the search, and addresses that answered with an error, with
    their status.
    """

    documents: list[SearchDocument] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    files: int = 0


@dataclass(slots=True)
class Crawler:
    """Writes the pages that *client* answers into *folder*. *header* identifies the edition:
    another one is not continued.
    """

    client: httpx.AsyncClient
    addresses: Addresses
    folder: Path
    header: dict[str, object]
    report: Progress
    _queue: asyncio.Queue[Target] = field(default_factory=asyncio.Queue)
    _known: set[Target] = field(default_factory=set)
    _done: set[Target] = field(default_factory=set)
    _crawl: Crawl = field(default_factory=Crawl)

    async def run(self, first: Iterable[Target]) -> Crawl:
        """Write *first* and all pages that they link to; files that an interrupted run finished are
        kept.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._resume()
        self._add(first)
        with (self.folder / LOG).open("ab", buffering=0) as log:
            workers = [asyncio.create_task(self._work(log)) for _ in range(AT_ONCE)]
            finished = asyncio.create_task(self._queue.join())
            try:
                await asyncio.wait([finished, *workers], return_when=asyncio.FIRST_COMPLETED)
                is_complete = finished.done()
            finally:  # Ctrl-C cancels the export: no worker may outlive the log
                for task in (finished, *workers):
                    task.cancel()
                results = await asyncio.gather(*workers, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    raise result
        if not is_complete:  # a page was cancelled, or an engine in Rust panicked
            raise ReleaseError(
                f"the export ended with {len(self._done)} of {len(self._known)} files; run it again to continue it"
            )
        self._crawl.documents.sort(key=lambda document: document.file)
        self._crawl.files = len(self._done)
        return self._crawl

    def _resume(self) -> None:
        """Take the files that an interrupted run finished as done."""
        complete = read_log(self.folder, self.header)
        (self.folder / LOG).write_bytes(complete or json.dumps(self.header).encode() + b"\n")
        for line in complete.splitlines()[1:]:
            self._take(json.loads(line))

    def _take(self, line: dict[str, list[list[str]]]) -> None:
        target = Target(*line["target"])  # type: ignore[arg-type]
        self._done.add(target)
        self._known.add(target)
        if "document" in line:
            file, language, title, kind, words, path = line["document"]
            self._crawl.documents.append(
                SearchDocument(
                    str(file), str(language), str(title), str(kind), tuple(words), str(path)
                )
            )
        if "status" in line:
            self._crawl.missing[target.request] = int(str(line["status"]))
        self._add(Target(*link) for link in line["links"])

    def _add(self, targets: Iterable[Target]) -> None:
        for target in targets:
            if target.request and target not in self._known:
                self._known.add(target)
                self._queue.put_nowait(target)

    async def _work(self, log: BinaryIO) -> None:
        while True:
            target = await self._queue.get()
            if target not in self._done:
                line = await self._write(target)
                log.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                self._done.add(target)
                self.report(len(self._done), len(self._known))
            self._queue.task_done()

    async def _write(self, target: Target) -> dict[str, object]:
        """Request *target* and write its file; return its line of the log."""
        headers = {"Accept": f"{_HTML}, */*;q=0.1", "Accept-Language": target.language or "en"}
        response = await self.client.get(target.request, headers=headers)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ReleaseError(
                f"{target.request} cannot be rendered: {response.status_code} {response.text[:200]}"
            )
        line: dict[str, object] = {"target": target, "links": []}
        if response.is_redirect:
            content = self._redirect(target, response.headers["Location"], line)
        elif response.headers.get("content-type", "").startswith(_HTML) and target.file.endswith(
            ".html"
        ):
            content = self._page(target, response, line)
        else:
            content = response.content
        if response.status_code not in _FINAL and not response.is_redirect:
            line["status"] = self._crawl.missing[target.request] = response.status_code
        path = self.folder / target.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return line

    def _page(self, target: Target, response: httpx.Response, line: dict[str, object]) -> bytes:
        is_first = "after=" not in target.request and "before=" not in target.request
        read = (
            target.request.startswith(_READ) and is_first and response.status_code == HTTPStatus.OK
        )
        with use_language(target.language or "en"):
            page = rewrite(response.content, self.addresses, target, read=read)
        line["links"] = sorted(page.targets)
        self._add(page.targets)
        if page.title:
            path = urlsplit(target.request).path
            kind = path.split("/")[2] if path.startswith("/page/") else "topic"
            document = SearchDocument(
                target.file, target.language, page.title, kind, tuple(page.words), target.request
            )
            self._crawl.documents.append(document)
            line["document"] = [
                document.file,
                document.language,
                document.title,
                document.kind,
                document.words,
                document.path,
            ]
        return page.content

    def _redirect(self, target: Target, location: str, line: dict[str, object]) -> bytes:
        """Return a page that leads to another: files have no redirects."""
        resolved = self.addresses.resolve(
            location, target.request.partition("?")[0], target.language
        )
        if isinstance(resolved, Target):
            line["links"] = [resolved]
            self._add([resolved])
            return redirect_page(relative(resolved.file, target.file), target.language)
        return redirect_page(
            resolved or relative(f"{target.language}/{NEEDS_SERVER}", target.file), target.language
        )


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
