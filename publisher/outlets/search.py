"""Search: what is published, by the words of its titles and descriptions in any language; each search is an address of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlencode

import pycountry
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.errors import NotReady
from publisher.http.negotiation import best as wanted
from publisher.http.negotiation import wants_html
from publisher.http.problems import Refused
from publisher.pages.findings import FINDINGS, Finding, Page, written
from publisher.pages.pages import Pages
from publisher.pages.resources import english
from publisher.queries import query
from publisher.shelf.shelf import Shelf
from publisher.text.ask import LONGEST, Wish
from publisher.text.search import Hits, Search, search_in
from publisher.text.snippet import best, marker
from vocab.iris import KINDS

PER = 20  # results of a page, when nothing else is asked for
MOST = 1_000  # results of a page, at most
REACH = 10_000  # results that can be paged through
_SORTS = {"relevance": "Best first", "newest": "Newest first"}
_FILTERS = ("language", "kind", "source")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the address asks for."""

    wish: Wish
    sort: str
    page: int
    per: int


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the routes of ``/search``."""
    routes = APIRouter()

    async def search(request: Request) -> Response:
        asked = _asked(request)
        found, choices = await asyncio.to_thread(_found, shelf.current.path, asked)
        shown = shelf.current
        page = _page(request, asked, found, pages)
        headers = {"Vary": "Accept"} | ({"Stocktake-Text": f"position={shown.text}"} if shown.text != shown.position else {})
        suffix = request.query_params.get("format")
        if not suffix and wants_html(request.headers.get("accept"), FINDINGS.values()):
            titles = english(await shelf.rows(query("sources")), "source", "title")
            lists = {name: _choices(name, choices[name], titles, shelf.iris.source("")) for name in _FILTERS}
            formats = [(row.label, _link(request, asked.page, row.suffix)) for row in FINDINGS.values()]
            response: Response = pages.page("search.html", asked=asked, it=page, lists=lists, sorts=_SORTS, formats=formats)
            response.headers.update(headers)
            return response
        row = FINDINGS.get(suffix) if suffix else wanted(request.headers.get("accept"), FINDINGS.values())
        if row is None:
            raise Refused(HTTPStatus.NOT_ACCEPTABLE, "Findings are given as " + ", ".join(row.media for row in FINDINGS.values()))
        return Response(written(page, row, shelf.iris), headers={"Content-Type": row.media, **headers})

    routes.add_route("/search", search, methods=["GET", "HEAD"])
    return routes


def _asked(request: Request) -> _Asked:
    given = {name: value.strip() for name, value in request.query_params.items()}
    words, sort, kind = given.get("q", ""), given.get("sort") or "relevance", given.get("kind") or None
    if len(words) > LONGEST:
        raise Refused(HTTPStatus.BAD_REQUEST, f"A search has at most {LONGEST} characters")
    if sort not in _SORTS:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The parameter sort is one of {', '.join(_SORTS)}")
    if kind and kind not in KINDS:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The parameter kind is one of {', '.join(KINDS)}")
    page, per = _number(given, "page", 1, REACH), _number(given, "per", PER, MOST)
    if page * per > REACH + per:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The first {REACH} results can be paged through; narrow the search, or ask by SPARQL")
    language = (given.get("language") or "").partition("-")[0].lower() or None
    return _Asked(Wish(words, None, language, kind, given.get("source") or None), sort, page, per)


def _number(given: dict[str, str], name: str, otherwise: int, most: int) -> int:
    text = given.get(name) or str(otherwise)
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= most:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The parameter {name} is a whole number from 1 to {most}")
    return int(text)


def _found(generation: str, asked: _Asked) -> tuple[Hits, dict[str, list[tuple[str, int]]]]:
    search: Search | None = search_in(generation)
    if search is None:
        raise NotReady("the index of texts is being made; try again in a moment")
    newest = asked.sort == "newest" or not asked.wish.words
    hits = search.find(asked.wish, asked.per, (asked.page - 1) * asked.per, newest=newest)
    return hits, {name: search.values(name) for name in _FILTERS}


def _page(request: Request, asked: _Asked, hits: Hits, pages: Pages) -> Page:
    mark = marker(asked.wish.words, similar=hits.loose)
    findings = []
    for entry, (_, score) in zip(hits.entries, hits.scores, strict=True):
        title, text = best(entry.titles, mark, asked.wish.language), best(entry.texts, mark, asked.wish.language)
        findings.append(
            Finding(
                entry,
                score,
                datetime.fromtimestamp(entry.modified, UTC).isoformat()[:19] + "Z" if entry.modified else None,
                title,
                tuple(mark.pieces(*title)) if title else (),
                text[1] if text else None,
                tuple(mark.passage(*text)) if text else (),
            )
        )
    last = max(1, -(-min(hits.total, REACH) // asked.per))
    around = {"previous": asked.page - 1, "next": asked.page + 1}
    links = {name: _link(request, page) if 1 <= page <= last else "" for name, page in around.items()}
    return Page(asked.wish.words, hits.total, asked.page, last, asked.per, hits.loose, tuple(findings), links)


def _link(request: Request, page: int, suffix: str = "") -> str:
    given = {name: value for name, value in request.query_params.items() if value and name not in ("page", "format" if suffix else "")}
    return "/search?" + urlencode({**given, **({"page": str(page)} if page > 1 else {}), **({"format": suffix} if suffix else {})})


def _choices(name: str, counted: list[tuple[str, int]], titles: dict[str, str], sources: str) -> list[tuple[str, str, int]]:
    if name == "source":
        return [(value, titles.get(sources + value, value), count) for value, count in counted]
    label = _language if name == "language" else str.capitalize
    return [(value, label(value), count) for value, count in counted]


@lru_cache(maxsize=1_000)
def _language(code: str) -> str:
    known = pycountry.languages.get(alpha_2=code) if len(code) == 2 else pycountry.languages.get(alpha_3=code)
    return str(known.name).partition(" (")[0] if known else code
