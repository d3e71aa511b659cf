"""The pages of an edition: which addresses of the portal are files, how these are called, and how a page is rewritten: relative links, no
scripts, no forms that need a server.

File names have lower case ASCII letters, digits and few signs, so that they can be copied to any
file system, FAT included.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

from lxml import etree, html

from languages.request_locale import PARAMETER
from languages.translations import gettext as _

# pages of an edition only
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
# that the search page filters by
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
_REPEATED = 10_000  # links that are kept: most pages of an edition link to the same files
_LINKS = ("href", "src", "action")
_DROPPED = "//script[not(@type='application/ld+json')] | //details[contains(@class, 'embed')] | //meta[@http-equiv='refresh'] | //iframe"
# elements whose text is not searched
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
        if href.startswith("#") or not href:
            return href
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
    if f"{url.scheme}://{url.netloc}" != addresses.origin:
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


@dataclass(slots=True)
class EditionPage:
    """A page of an edition: its bytes, the files that it links to, and its title and words for the
    search.
    """

    content: bytes
    targets: set[Target] = field(default_factory=set)
    title: str = ""
    words: list[str] = field(default_factory=list)


def rewrite(
    content: bytes, addresses: Addresses, page: Target, *, read: bool = False
) -> EditionPage:
    """Return *content*, the answer to the request of *page*, for the edition. With *read*, its
    title and words are returned too.
    """
    root = html.document_fromstring(content.decode(), parser=html.HTMLParser(encoding="utf-8"))
    for element in _select(root, _DROPPED):
        if isinstance(element, html.HtmlElement):
            _remove(element)
    result = EditionPage(b"")
    for element in list(root.iter(etree.Element)):
        if element.tag == "form":
            _rewrite_form(element, addresses, page)
        for name in _LINKS:
            if element.get(name) is not None and element.tag != "form":
                _rewrite_link(element, name, addresses, page, result.targets)
    if read:
        result.title, result.words = _read(root)
    result.content = html.tostring(root, doctype="<!doctype html>", encoding="utf-8")
    return result


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
    """Return the nodes that an XPath expression selects."""
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
