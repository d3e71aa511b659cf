"""Request the pages of the portal from the application in this process, and write them as files
that link to each other: relative links, no scripts, no forms that need a server.

File names have lower case ASCII letters, digits and few signs, so that they can be copied to any
file system, FAT included.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

import httpx
from lxml import etree, html

from languages.translations import PARAMETER, use_language
from languages.translations import gettext as _
from publisher.errors import ReleaseError

# Only an edition has these pages.
SEARCH, QUERY, NEEDS_SERVER = "search.html", "query.html", "needs-server.html"
_PAGED = frozenset(("after", "before", "page"))
# First parts of the paths of pages that need no server, with the parameters whose values are few, or
# lead through a list.
_PAGES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        ("", "about", "catalog", "columns", "data", "dumps", "examples", "gaps", "ns", "operations", "page",
         "quality", "record", "release", "releases", "reports", "run", "shapes", "source", "sources", "status", "topics"),
        frozenset(),
    ),
    **dict.fromkeys(("scheme", "organizations", "documents", "posts", "prizes", "journal"), _PAGED),
    "concept": _PAGED | {"iri"},
    "events": _PAGED | {"month"},
    "trends": frozenset(("by",)),
    "map": frozenset(("region",)),
    "matrix": frozenset(("basis",)),
}  # fmt: skip
# The search page filters by these.
FACETS = (
    "kind",
    "source",
    "line",
    "goal",
    "target",
    "country",
    "year",
    "status",
    "coverage",
    "type",
)
# The pages of an edition that take the place of others, which may have these parameters.
_OWN = {
    "/search": (SEARCH, frozenset((*FACETS, "q", "view", "sort"))),
    "/sparql": (QUERY, frozenset(("example", "show"))),
}
_FILES = re.compile(
    r"/(static/(?!docs/|query/).+|logo|map\.svg|matrix/counts\.svg|releases/stocktake\.pub|reports/[^/]+/[^/]+"
    r"|data/.+\.(ttl|json)|(scheme|source)/.+\.ttl|catalog\.ttl)"
)
_SUFFIX = re.compile(
    r"\.(ttl|json|jsonld|nt|nq|rdf|csv|tsv|xml|atom|ics|svg|png|gz|parquet|pdf|trig|txt)$"
)
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
_LONGEST = 60  # characters of a part of a path
_REPEATED = 10_000  # links that are cached: most pages of an edition link to the same files
_LINKS = ("href", "src", "action")
_DROPPED = (
    "//script[not(@type='application/ld+json' or starts-with(@src, '/static/edition/'))]"
    " | //details[contains(@class, 'embed')] | //meta[@http-equiv='refresh'] | //iframe"
)
# The text of these elements is not searched.
_UNREAD = ("script", "style", "nav", "form", "details", "button")
_TEXTS = f"//main//text()[not({' or '.join(f'ancestor::{name}' for name in _UNREAD)})]"
_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힣]|[^\W_]+")  # a character of a script without spaces, or a word
_WORDS = 400  # different words of a page that are searched
_KEEP_QUERY = (SEARCH, QUERY)  # pages that read the parameters of their address in the browser


class Target(NamedTuple):
    """The target of an address: the path and query to request, the language of a page ("" for other
    files), and its file.
    """

    request: str
    language: str
    file: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of an edition of release *number* in *languages*; links to *origin* (scheme and
    authority) are its own.

    *months* are those with events, since the calendar has no end.
    """

    number: int
    languages: tuple[str, ...]
    origin: str
    months: frozenset[str] = frozenset()

    def resolve(self, href: str, page: str, language: str) -> str | Target:
        """Return what the link *href* on the page at the path *page* leads to. A text is an address
        outside, or within the page, which stays as it is.
        """
        href = href.strip()
        return _resolve(self, href, "/" if href.startswith("/") else page, language)

    def target(self, path: str, pairs: list[tuple[str, str]], language: str) -> Target:
        """Return the file of a path and its parameters: NEEDS_SERVER if the edition has none."""
        language = language if language in self.languages else self.languages[0]
        names, months = (
            {name for name, _ in pairs},
            {text for name, text in pairs if name == "month"},
        )
        own, known = _OWN.get(path, ("", frozenset[str]()))
        if own and names <= known:
            return Target("", language, f"{language}/{own}")
        is_of_release = path.startswith(f"/releases/{self.number}/") and not path.endswith("/")
        if not pairs and (is_of_release or _FILES.fullmatch(path)):
            return Target(path, "", path[1:] if is_of_release else _file_path(path))
        first = path[1:].partition("/")[0]
        allowed = _PAGES.get(first) if first == "page" or not _SUFFIX.search(path) else None
        if allowed is None or not names <= allowed or not months <= self.months:
            return Target("", language, f"{language}/{NEEDS_SERVER}")
        query = f"?{urlencode(pairs, safe=':/')}" if pairs else ""
        stem = _file_path(path.rstrip("/") or "/index") + (f"~{_digest(query)}" if query else "")
        return Target(path + query, language, f"{language}/{stem}.html")


@lru_cache(maxsize=_REPEATED)
def _resolve(addresses: Addresses, href: str, page: str, language: str) -> str | Target:
    try:
        url = urlsplit(urljoin(addresses.origin + page, href))
    except ValueError:
        return href
    if href[:1] in ("", "#") or f"{url.scheme}://{url.netloc}" != addresses.origin:
        return href
    pairs = parse_qsl(url.query, keep_blank_values=True)
    chosen = dict(pairs).get(PARAMETER, language)
    pairs = sorted(pair for pair in pairs if pair[0] != PARAMETER)
    return addresses.target(normalize_path(url.path), pairs, chosen)


def relative(file: str, page: str) -> str:
    """Return the address of *file* as seen from the file *page*.

    >>> relative("static/style.css", "en/page/initiative.html")
    '../../static/style.css'
    """
    return _relative(file, posixpath.dirname(page) or ".")


@lru_cache(maxsize=_REPEATED)
def _relative(file: str, folder: str) -> str:
    return quote(posixpath.relpath(file, folder), safe="/~.-_")


def file_name(part: str) -> str:
    """Return the file name of a part of a path; parts that are no safe names get a digest, so that
    no two share a name.

    >>> file_name("demo-oai"), file_name("AE-2018%2F32")
    ('demo-oai', 'ae-2018-32~1f7dad1dd7')
    """
    text = unquote(part)
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower())[:_LONGEST]
    if name == text and not _RESERVED.match(name) and name.strip(".") == name:
        return name
    return f"{name.strip('.-') or 'x'}~{_digest(text)}"


def _file_path(path: str) -> str:
    *folders, last = path[1:].split("/")
    stem, suffix = posixpath.splitext(last) if _SUFFIX.search(last) else (last, "")
    return "/".join((*map(file_name, folders), file_name(stem) + suffix))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def normalize_path(path: str) -> str:
    """Return a path in one spelling: two spellings of an address are one page."""
    return "/".join(quote(unquote(part), safe="!$&'()*+,;=:@~") for part in path.split("/")) or "/"


def rewrite(
    content: bytes, addresses: Addresses, page: Target, *, read: bool = False
) -> tuple[bytes, set[Target], str, list[str]]:
    """Return *content*, the answer to the request of *page*, for the edition, the files that it
    links to, and with *read* its title and words for the search.
    """
    root = html.document_fromstring(content.decode(), parser=html.HTMLParser(encoding="utf-8"))
    for element in cast(list[html.HtmlElement], root.xpath(_DROPPED)):
        element.drop_tree()
    targets = set[Target | None]()
    for element in list(root.iter(etree.Element)):
        form = [("action", element.get("action", ""))] if element.tag == "form" else []
        for name, value in form or element.items():
            if name in _LINKS:
                targets.add(_rewrite_link(element, name, str(value), addresses, page))
    title, words = _read(root) if read else ("", [])
    data = html.tostring(root, doctype="<!doctype html>", encoding="utf-8")
    return data, {target for target in targets if target}, title, words


def _rewrite_link(
    element: html.HtmlElement, name: str, value: str, addresses: Addresses, page: Target
) -> Target | None:
    """Let a link lead to its file, which is returned, or to the page that says why there is none;
    elements that load such a file are removed, and forms replaced by that link.
    """
    target = addresses.resolve(value, page.request.partition("?")[0], page.language)
    is_own = not isinstance(target, str) and target.file.endswith(_KEEP_QUERY)
    parent = element.getparent()
    if element.tag == "form" and not is_own and parent is not None:
        target = addresses.target(f"/{NEEDS_SERVER}", [], page.language)
        note = html.Element("p")
        link = etree.SubElement(note, "a", href=relative(target.file, page.file))
        link.text, note.tail = _("This form needs a server."), element.tail
        parent.replace(element, note)
    if isinstance(target, str):
        return None
    needs_server, url = target.file.endswith(NEEDS_SERVER), urlsplit(value)
    if needs_server and element.tag not in ("a", "form"):
        element.drop_tree()
    query = f"?{url.query}" if url.query and is_own else ""
    fragment = f"#{url.fragment}" if url.fragment and not needs_server else ""
    element.set(name, relative(target.file, page.file) + query + fragment)
    return target


def _read(root: html.HtmlElement) -> tuple[str, list[str]]:
    """Return the heading of a page and the words of its content."""
    texts = cast(list[str], root.xpath(_TEXTS))
    title = str(root.xpath("normalize-space(//h1)"))
    return title, list(dict.fromkeys(fold(" ".join(texts))))[:_WORDS]


def fold(text: str) -> list[str]:
    """Return the words of a text in lower case without accents; the search page does the same.

    >>> fold("Télémédecine, 数据")
    ['telemedecine', '数', '据']
    """
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text.lower())
        if not unicodedata.combining(letter)
    )
    return _WORD.findall(plain)


LOG = "edition.log"  # in the folder of an unfinished edition: a line for each finished file
AT_ONCE = 4  # requests: rendering is one process, but queries are answered by others
_HTML = "text/html"
_READ = ("/page/", "/scheme/", "/concept")  # pages that the search finds

Progress = Callable[[int, int], None]  # files that are finished, and files that are known


# A page that the search finds: its "file", "language", "title", "words" and "path", and its "kind": the
# second part of its path, or topic.
SearchDocument = dict[str, Any]
# A line of the log: a finished "target", the "links" of it, its "document" for the search, and the
# "status" of the answer.
Line = dict[str, Any]


@dataclass(slots=True)
class Crawler:
    """Writes the pages that *client* answers into *folder*. *header* identifies the edition:
    another one is not continued. *lines* are those of the log by target, in the order of requests,
    None until it is written.
    """

    client: httpx.AsyncClient
    addresses: Addresses
    folder: Path
    header: dict[str, object]
    report: Progress
    lines: dict[Target, Line | None] = field(default_factory=dict)
    finished: int = 0

    @property
    def documents(self) -> list[SearchDocument]:
        documents = (
            line["document"] for line in self.lines.values() if line and "document" in line
        )
        return sorted(documents, key=lambda document: str(document["file"]))

    @property
    def missing(self) -> dict[str, int]:
        """Return the status of those addresses that answered with an error."""
        return {
            target.request: line["status"]
            for target, line in self.lines.items()
            if line
            and line["status"] >= HTTPStatus.BAD_REQUEST
            and line["status"] != HTTPStatus.GONE
        }

    async def run(self, first: Iterable[Target]) -> None:
        """Write *first* and all pages that they link to; files that an interrupted run finished are
        kept.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        complete = read_log(self.folder, self.header)
        (self.folder / LOG).write_bytes(complete or json.dumps(self.header).encode() + b"\n")
        for text in complete.splitlines()[1:]:
            self._finish(json.loads(text))
        self.lines = {**dict.fromkeys(first), **self.lines}
        with (self.folder / LOG).open("ab", buffering=0) as log:
            while pending := [target for target, line in self.lines.items() if line is None]:
                for start in range(0, len(pending), AT_ONCE):
                    await self._write_batch(pending[start : start + AT_ONCE], log)

    async def _write_batch(self, targets: Iterable[Target], log: BinaryIO) -> None:
        lines = await asyncio.gather(*map(self._write, targets), return_exceptions=True)
        for line in lines:
            if isinstance(line, Exception):
                raise line
            if isinstance(line, BaseException):  # it was cancelled, or an engine in Rust panicked
                raise ReleaseError(
                    f"the export ended with {self.finished} of {len(self.lines)} files; run it again to continue it"
                ) from line
            log.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            self._finish(line)
            self.report(self.finished, len(self.lines))

    def _finish(self, line: Line) -> None:
        links = (Target(*link) for link in line["links"])
        self.lines |= {link: self.lines.get(link) for link in links if link.request}
        self.lines[Target(*line["target"])] = line
        self.finished += 1

    async def _write(self, target: Target) -> Line:
        """Request *target* and write its file; return its line of the log."""
        headers = {"Accept": f"{_HTML}, */*;q=0.1", "Accept-Language": target.language or "en"}
        response = await self.client.get(target.request, headers=headers)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ReleaseError(
                f"{target.request} cannot be rendered: {response.status_code} {response.text[:200]}"
            )
        is_page = response.headers.get("content-type", "").startswith(_HTML)
        line: Line = {"target": target, "links": [], "status": response.status_code}
        content = response.content
        if response.is_redirect:
            content = self._redirect(target, response.headers["Location"], line)
        elif is_page and target.file.endswith(".html"):
            content = self._page(target, response, line)
        path = self.folder / target.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return line

    def _page(self, target: Target, response: httpx.Response, line: Line) -> bytes:
        path = urlsplit(target.request).path
        is_first = "after=" not in target.request and "before=" not in target.request
        read = path.startswith(_READ) and is_first and response.status_code == HTTPStatus.OK
        with use_language(target.language or "en"):
            content, links, title, words = rewrite(
                response.content, self.addresses, target, read=read
            )
        line["links"] = sorted(links)
        if title:
            kind = path.split("/")[2] if path.startswith("/page/") else "topic"
            line["document"] = {
                "file": target.file,
                "language": target.language,
                "title": title,
                "kind": kind,
                "words": words,
                "path": target.request,
            }
        return content

    def _redirect(self, target: Target, location: str, line: Line) -> bytes:
        """Return a page that leads to another: files have no redirects."""
        page, language = target.request.partition("?")[0], target.language
        resolved = self.addresses.resolve(location, page, language)
        if isinstance(resolved, Target):
            line["links"] = [resolved]
            resolved = relative(resolved.file, target.file)
        return redirect_page(resolved, language)


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
