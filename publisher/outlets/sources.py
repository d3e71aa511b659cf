"""Sources: each registry, how it fares, and what it has."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.feeds.sets import links as feed_links
from publisher.formats import DATA
from publisher.http.links import Link, origin
from publisher.http.named import Named, named
from publisher.http.signposts import memento_links
from publisher.http.telling import Subject, tell
from publisher.pages.lists import Listed, listed
from publisher.pages.markup import block, of_source
from publisher.pages.pages import Pages
from publisher.pages.resources import of_graph
from publisher.pages.standings import clock, standings
from publisher.shelf.shelf import Shelf
from vocab.terms import SCHEMA


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of the registries."""
    routes = APIRouter()

    async def source(request: Request) -> Response:
        found = await named(request, shelf, of_graph, 2)
        things = await listed(request, shelf, "source", found.it.iri)
        subject = Subject(
            found.it,
            found.place,
            graph=found.it.iri,
            links=(*_links(request, found, things), *feed_links(origin(request), found.it.iri, shelf.iris)),
        )
        return await tell(request, shelf, subject, found.suffix, lambda: _show(request, found, things))

    async def _show(request: Request, found: Named, things: Listed) -> Response:
        it = found.it
        about = (await standings(shelf)).get(found.name.removeprefix("source/"))
        state, known = (about.state(clock()).value, about.met) if about else (None, None)
        count = int(about.told.get("publishedRecords", 0)) if about else None
        return pages.page(
            "source.html",
            it=it,
            standing=about,
            state=state,
            confirmed=known,
            listed=things,
            graphs=DATA.values(),
            place=found.place,
            block=block(of_source(it, count, origin(request))),
        )

    routes.add_route("/source/{rest:path}", source, methods=["GET", "HEAD"])
    return routes


def _links(request: Request, found: Named, things: Listed) -> list[Link]:
    host, it = origin(request), found.it
    licence = next((term.value for term in it.all("dct:license") if term.is_iri), None)
    items = [f"{host}/page/{row['thing'].value.partition('/id/')[2]}" for row in things.rows]
    return [
        Link("cite-as", it.iri),
        Link("type", f"{SCHEMA}Dataset"),
        *([Link("license", licence)] if licence else []),
        *(Link("item", item) for item in items),
        *things.links(f"{host}{found.place.stem}"),
        *memento_links(host, found.name),
    ]
