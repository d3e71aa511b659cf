"""Decide which addresses of the portal are files of an edition, and how these files are called.

File names have lower case ASCII letters, digits and few signs, so that they can be copied to any
file system, FAT included.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

from languages.request_locale import LANGUAGES, PARAMETER

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


def check_languages(text: str) -> tuple[str, ...]:
    """Return the languages of a list with commas. Raises ValueError at an unknown one.

    >>> check_languages("en, fr")
    ('en', 'fr')
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names or ("",) if name not in LANGUAGES]:
        raise ValueError(f"unknown language {unknown[0]!r}; available: {', '.join(LANGUAGES)}")
    return names
