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
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

import httpx
from lxml import etree, html

from languages.translations import PARAMETER, use_language
from languages.translations import gettext as _
from publisher.errors import ReleaseError

# Only an edition has these pages.
SEARCH, QUERY, NEEDS_SERVER = "search.html", "query.html", "needs-server.html"
# First parts of the paths of pages that need no server.
_PAGES = frozenset(
    ("", "about", "catalog", "columns", "concept", "data", "documents", "dumps", "events", "examples", "gaps", "journal", "map", "matrix",
     "ns", "operations", "organizations", "page", "posts", "prizes", "quality", "record", "release", "releases", "reports",
     "run", "scheme", "shapes", "source", "sources", "status", "topics", "trends")
)  # fmt: skip
_PAGED = frozenset(("after", "before", "page"))
# Parameters of pages whose values are few, or lead through a list.
_PARAMETERS: Mapping[str, frozenset[str]] = {
    "concept": _PAGED | {"iri"},
    "scheme": _PAGED,
    "organizations": _PAGED,
    "documents": _PAGED,
    "posts": _PAGED,
    "prizes": _PAGED,
    "journal": _PAGED,
    "events": _PAGED | {"month"},
    "trends": frozenset(("by",)),
    "map": frozenset(("region",)),
    "matrix": frozenset(("basis",)),
}
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
_SHOWN = frozenset((*FACETS, "q", "view", "sort"))  # parameters of links to the search page
_FILES = re.compile(
    r"/(static/(?!docs/|query/).+|logo|map\.svg|matrix/counts\.svg|releases/stocktake\.pub|reports/[^/]+/[^/]+)"
)
_DATA = re.compile(r"/(data/.+\.(ttl|json)|(scheme|source)/.+\.ttl|catalog\.ttl)")
_SUFFIX = re.compile(
    r"\.(ttl|json|jsonld|nt|nq|rdf|csv|tsv|xml|atom|ics|svg|png|gz|parquet|pdf|trig|txt)$"
)
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
_LONGEST = 60  # characters of a part of a path
_REPEATED = 10_000  # links that are cached: most pages of an edition link to the same files
_LINKS = ("href", "src", "action")
_DROPPED = "//script[not(@type='application/ld+json')] | //details[contains(@class, 'embed')] | //meta[@http-equiv='refresh'] | //iframe"
# The text of these elements is not searched.
_UNREAD = ["script", "style", "nav", "form", "details", "button"]
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

    def resolve(self, href: str, page: str, language: str) -> str | Target | None:
        """Return what the link *href* on the page at the path *page* leads to.

        A text is an address outside, or within the page, which stays as it is; None is an address
        that needs a server.
        """
        href = href.strip()
        return _resolve(self, href, "/" if href.startswith("/") else page, language)

    def target(self, path: str, pairs: list[tuple[str, str]], language: str) -> Target | None:
        """Return the file of a path and its parameters; None if the edition has none."""
        language = language if language in self.languages else self.languages[0]
        names = {name for name, _ in pairs}
        if path == "/search" and names <= _SHOWN:
            return Target("", language, f"{language}/{SEARCH}")
        if path == "/sparql" and names <= {"example", "show"}:
            return Target("", language, f"{language}/{QUERY}")
        if path.startswith(f"/releases/{self.number}/") and not pairs and not path.endswith("/"):
            return Target(path, "", path[1:])
        if not pairs and (_FILES.fullmatch(path) or _DATA.fullmatch(path)):
            return Target(path, "", _file_path(path))
        first = path[1:].split("/", 1)[0]
        is_data = first != "page" and _SUFFIX.search(path)
        if first not in _PAGES or is_data or not names <= _PARAMETERS.get(first, frozenset()):
            return None
        if (
            first == "events"
            and not {month for name, month in pairs if name == "month"} <= self.months
        ):
            return None
        query = f"?{urlencode(pairs, safe=':/')}" if pairs else ""
        stem = _file_path(path.rstrip("/") or "/index") + (f"~{_digest(query)}" if query else "")
        return Target(path + query, language, f"{language}/{stem}.html")


@lru_cache(maxsize=_REPEATED)
def _resolve(addresses: Addresses, href: str, page: str, language: str) -> str | Target | None:
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
    for element in _select(root, _DROPPED):
        if isinstance(element, html.HtmlElement):
            _remove(element)
    targets = set[Target]()
    for element in list(root.iter(etree.Element)):
        if element.tag == "form":
            _rewrite_form(element, addresses, page)
        for name in _LINKS:
            if element.get(name) is not None and element.tag != "form":
                _rewrite_link(element, name, addresses, page, targets)
    title, words = _read(root) if read else ("", [])
    return html.tostring(root, doctype="<!doctype html>", encoding="utf-8"), targets, title, words


def _rewrite_link(
    element: html.HtmlElement, name: str, addresses: Addresses, page: Target, targets: set[Target]
) -> None:
    value = element.get(name, "")
    target = addresses.resolve(value, page.request.partition("?")[0], page.language)
    if isinstance(target, str):
        return
    if target is None:
        if element.tag != "a":
            _remove(element)
            return
        element.set(
            name, relative(f"{page.language or addresses.languages[0]}/{NEEDS_SERVER}", page.file)
        )
        element.set("rel", "nofollow")
        return
    targets.add(target)
    url = urlsplit(value)
    query = f"?{url.query}" if url.query and target.file.endswith(_KEEP_QUERY) else ""
    element.set(
        name,
        relative(target.file, page.file) + query + (f"#{url.fragment}" if url.fragment else ""),
    )


def _rewrite_form(form: html.HtmlElement, addresses: Addresses, page: Target) -> None:
    """Let a form that searches or queries lead to the page that does; replace any other by a link
    to the page that says why.
    """
    target = addresses.resolve(form.get("action") or "", page.request, page.language)
    if isinstance(target, Target) and target.file.endswith(_KEEP_QUERY):
        form.set("action", relative(target.file, page.file))
        return
    if form.getparent() is None:
        return
    note = html.Element("p")
    link = etree.SubElement(
        note,
        "a",
        href=relative(f"{page.language or addresses.languages[0]}/{NEEDS_SERVER}", page.file),
    )
    link.text, note.tail = _("This form needs a server."), form.tail
    form.getparent().replace(form, note)


def _remove(element: html.HtmlElement) -> None:
    if element.getparent() is not None:
        element.drop_tree()


def _read(root: html.HtmlElement) -> tuple[str, list[str]]:
    """Return the heading of a page and the words of its content."""
    heading = root.find(".//h1")
    main = root.find(".//main")
    title = " ".join(heading.text_content().split()) if heading is not None else ""
    if main is None:
        return title, []
    texts = _select(main, f".//text()[not({' or '.join(f'ancestor::{name}' for name in _UNREAD)})]")
    return title, list(dict.fromkeys(fold(" ".join(map(str, texts)))))[:_WORDS]


def _select(root: html.HtmlElement, path: str) -> list[object]:
    nodes = root.xpath(path)
    return list(nodes) if isinstance(nodes, list) else []


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
            content, links, title, words = rewrite(
                response.content, self.addresses, target, read=read
            )
        line["links"] = sorted(links)
        if title:
            kind = path.split("/")[2] if path.startswith("/page/") else "topic"
            line["document"] = SearchDocument(
                target.file, target.language, title, kind, words, target.request
            )
        return content

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
