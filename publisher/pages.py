"""The Jinja templates and their functions, and the navigation of the portal; everything is escaped,
and only http and https become links. And what route handlers depend on: the renderer, the query
service and its indexes.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol, cast
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import Depends
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import HTMLResponse

from languages.translations import TranslatableText, current_locale, format_seconds
from languages.translations import gettext as _
from publisher.data.tables import FacetIndex, Filter, open_facet_index
from publisher.errors import NotReady
from publisher.rdf import Term
from publisher.store.query_service import QueryService
from publisher.store.releases import release_numbers
from publisher.store.search.searcher import Searcher, open_searcher
from shapes.rules import message
from vocab.iris import Iris
from vocab.schemes import label, provisional_mark
from web.branding import PLAIN, Branding
from web.templating import ascii_host, create_environment, finalize, font_sheets, static_url

# These parameters belong to one view; all others are filters.
_OF_ONE_VIEW = (
    "page",
    "per",
    "sort",
    "format",
    "lang",
    "by",
    "view",
)
_VIEWS = ("table",)  # values of the parameter view, besides the list, which needs none

# Path prefixes of pages without an entry of their own, by section.
_PREFIXES = {
    "explore": ("/page/",),
    "topics": ("/scheme/", "/concept"),
    "data": ("/release/", "/exports"),
    "sources": ("/source/", "/record/", "/run/"),
}


class NavigationEntry(NamedTuple):
    """A page of a section: path and label; it is left out if nothing is published that it *needs*.

    *is_view*: it shows the filters of the address, so links to it keep them. *view* is the value of
    its parameter ``view``.
    """

    path: str
    label: TranslatableText
    needs: str = ""
    is_view: bool = False
    view: str = ""


class NavigationSection(NamedTuple):
    """A section of the portal; its first page is its entry in the navigation."""

    name: str
    label: str
    entries: tuple[NavigationEntry, ...]

    @property
    def path(self) -> str:
        return self.entries[0].path

    def links(self, path: str) -> list[tuple[str, str, bool]]:
        """Return the entries as seen from the page at *path*: address, label and whether it is the
        current one.

        Views of the same filters keep the filters of the request.
        """
        here, view = self.current(path), dict(parse_qsl(current_locale().query)).get("view", "")
        keep = here is not None and here.is_view
        return [
            (
                entry.path + (filter_query(entry.view, keep=keep) if entry.is_view else ""),
                _(entry.label),
                here is not None
                and entry.path == here.path
                and entry.view == (view if view in _VIEWS else ""),
            )
            for entry in self.entries
        ]

    def contains(self, path: str) -> bool:
        return self.current(path) is not None or path.startswith(_PREFIXES.get(self.name, ("//",)))

    def current(self, path: str) -> NavigationEntry | None:
        """Return the entry of the page at *path*, None if the section has none."""
        entries = [
            entry
            for entry in self.entries
            if path == entry.path or path.startswith(entry.path.rstrip("/") + "/")
        ]
        return max(entries, key=lambda entry: len(entry.path), default=None)


def filter_query(view: str = "", *, keep: bool = True) -> str:
    """Return the filters of the request, if *keep*, and the parameter *view* as a query string with
    its question mark; "" for none.
    """
    filters = [
        (name, value)
        for name, value in parse_qsl(current_locale().query)
        if keep and name not in _OF_ONE_VIEW
    ]
    filters += [("view", view)] if view else []
    return f"?{urlencode(filters)}" if filters else ""


_SECTIONS = {
    "explore": (
        TranslatableText("Explore"),
        (
            NavigationEntry("/search", TranslatableText("List"), is_view=True),
            NavigationEntry("/search", TranslatableText("Table"), is_view=True, view="table"),
            NavigationEntry("/map", TranslatableText("Map"), is_view=True),
            NavigationEntry("/matrix", TranslatableText("Matrix"), "vocabulary", is_view=True),
            NavigationEntry("/trends", TranslatableText("Trends"), is_view=True),
            NavigationEntry("/gaps", TranslatableText("Gaps")),
            NavigationEntry("/events", TranslatableText("Events"), "event"),
            NavigationEntry("/documents", TranslatableText("Documents"), "document"),
            NavigationEntry("/posts", TranslatableText("Posts"), "post"),
            NavigationEntry("/prizes", TranslatableText("Prizes"), "prize"),
            NavigationEntry("/organizations", TranslatableText("Organizations"), "organization"),
        ),
    ),
    "topics": (
        TranslatableText("Topics"),
        (
            NavigationEntry("/topics", TranslatableText("All topics")),
            NavigationEntry("/scheme/action-line", TranslatableText("Action lines"), "vocabulary"),
            NavigationEntry("/scheme/sdg", TranslatableText("SDGs"), "vocabulary"),
            NavigationEntry("/scheme/itu-region", TranslatableText("Regions"), "vocabulary"),
            NavigationEntry("/scheme/area", TranslatableText("Countries"), "vocabulary"),
            NavigationEntry("/compare", TranslatableText("Compare")),
        ),
    ),
    "reports": (
        TranslatableText("Reports"),
        (NavigationEntry("/reports/", TranslatableText("Reports")),),
    ),
    "data": (
        TranslatableText("Data"),
        (
            NavigationEntry("/data", TranslatableText("Use the data")),
            NavigationEntry("/dumps/", TranslatableText("Downloads")),
            NavigationEntry("/releases/", TranslatableText("Releases")),
            NavigationEntry("/columns", TranslatableText("Columns and code lists")),
            NavigationEntry("/sparql", TranslatableText("Query")),
            NavigationEntry("/examples", TranslatableText("Example queries")),
            NavigationEntry("/docs/api", TranslatableText("JSON API")),
            NavigationEntry("/catalog", TranslatableText("Catalogue")),
            NavigationEntry("/ns", TranslatableText("Vocabulary"), "vocabulary"),
            NavigationEntry("/journal/", TranslatableText("Changes")),
            NavigationEntry("/docs/", TranslatableText("Documentation"), "documentation"),
        ),
    ),
    "sources": (
        TranslatableText("Sources"),
        (
            NavigationEntry("/sources", TranslatableText("Registries")),
            NavigationEntry("/status", TranslatableText("Status")),
            NavigationEntry("/shapes", TranslatableText("Quality check")),
            NavigationEntry("/join", TranslatableText("Add a registry")),
            NavigationEntry("/validate", TranslatableText("Check a feed")),
            NavigationEntry("/submit", TranslatableText("Report an initiative"), "submission"),
        ),
    ),
}


def sections(
    published: Collection[str], documentation: bool = False
) -> tuple[NavigationSection, ...]:
    """Return the sections in the language of the request.

    *published* are the kinds of items that exist, ``prize`` where there are prizes, ``vocabulary``
    where it is in the store, and ``submission`` where something can be submitted: pages without
    items are left out.
    """
    there = {"", *published, *(["documentation"] if documentation else [])}
    return tuple(
        NavigationSection(name, _(label), tuple(item for item in entries if item.needs in there))
        for name, (label, entries) in _SECTIONS.items()
    )


def published_kinds(service: QueryService) -> frozenset[str]:
    """Return the kinds of items that are published, ``prize`` where there are prizes, and
    ``vocabulary`` where an entry is published, since the first is the vocabulary.
    """
    if service.snapshot is None:
        return frozenset()
    tables = open_facet_index(service.snapshot.path)
    counts = tables.counts_once(Filter()) if tables else {}
    others = {"prize": counts.get("prize"), "vocabulary": service.snapshot.position > 0}
    return frozenset([*counts.get("kind", ()), *(name for name, there in others.items() if there)])


# Goals, targets, indicators and areas of the United Nations have pages here too; their ontology and
# code list have none.
_UNITED_NATIONS = re.compile(r"http://metadata\.un\.org/sdg/(?:C?\d|codes/geoArea/\d)")
PACKAGE_FOLDER = Path(__file__).parent
# The scripts that hatch_build.py builds; pages work without them.
BUNDLE_FOLDER = PACKAGE_FOLDER / "static" / "query"
# The documentation that `make docs` builds; without it, pages do not link to it.
DOCUMENTATION = PACKAGE_FOLDER / "static" / "docs"


class Labeled(Protocol):
    """A description with labels of the things that it points to."""

    def name(self, value: str | Term) -> str: ...


class Pages:
    """Render templates; *iris* recognizes our addresses.

    *branding* is the name, logo and contact of the installation. *service* has the data that the
    navigation leads to, *state* is that of the app; None for pages without them.
    """

    def __init__(
        self,
        iris: Iris,
        branding: Branding = PLAIN,
        service: QueryService | None = None,
        state: State | None = None,
    ) -> None:
        self.iris, self.branding = iris, branding
        self._service, self._state = service, state
        self.documented = documented = DOCUMENTATION.is_dir()
        self._templates = create_environment([PACKAGE_FOLDER / "templates"], finalize)
        self._templates.globals.update(
            base=iris.base,
            branding=branding,
            can_submit=self.can_submit,
            contact_url=branding.contact_url,
            documented=documented,
            filter_query=filter_query,
            font_sheets=font_sheets,
            label_of=self.label,
            licence_name=licence_name,
            logo_url=branding.logo_url,
            newest_entry=lambda: service and service.published,
            newest_release=self.newest_release,
            path=self.path,
            plain_host=ascii_host,
            provisional_mark=lambda iri, language: provisional_mark(iri, language, self.iris.base),
            refresh=0,
            rule_message=self.rule_message,
            sections=self.sections,
            static_url=static_url,
        )
        self._templates.filters.update(duration=format_seconds, in_page_language=in_page_language)

    def page(
        self, template: str, code: HTTPStatus = HTTPStatus.OK, **values: object
    ) -> HTMLResponse:
        """Render *template* with *values*; *code* is the status of the response."""
        text = self._templates.get_template(template).render(values)
        return HTMLResponse(text, code, {"Vary": "Accept"})

    def can_submit(self) -> bool:
        return self._state is not None and bool(self._state.submissions_open())

    def sections(self) -> tuple[NavigationSection, ...]:
        """Return the sections with the pages for which there are items."""
        published = published_kinds(self._service) if self._service else frozenset()
        submission = ["submission"] if self.can_submit() else []
        return sections([*published, *submission], self.documented)

    def newest_release(self) -> int | None:
        """Return the number of the newest release, None while there is none."""
        folder = self._service.data / "releases" if self._service else None
        return next(reversed(release_numbers(folder)), None) if folder else None

    def label(self, named: Labeled, term: str | Term) -> str:
        """Return the label of *term*: the vocabulary's in the language of the request, else the
        name that *named* has for it.
        """
        known = label(str(term), current_locale().language, self.iris.base)
        return known or named.name(term)

    def rule_message(self, shape: str) -> str | None:
        """Return the message of a validation rule in the language of the request; None if there is
        no such rule.
        """
        return message(shape, current_locale().language, self.iris.base)

    def path(self, iri: str) -> str:
        """Return the path on this host of one of our IRIs or of a UN concept; any other IRI
        unchanged.

        >>> Pages(Iris()).path("https://w3id.org/wsis-stocktaking/source/demo")
        '/source/demo'
        """
        if _UNITED_NATIONS.match(iri):
            return "/concept?iri=" + quote(iri, safe=":/")
        own = iri.removeprefix(self.iris.base)
        if own == iri:
            return iri
        return "/page/" + own.removeprefix("id/") if own.startswith("id/") else "/" + own


def in_page_language(texts: list[Term]) -> list[Term]:
    """Return the *texts* in the language of the request, else those in English or without a
    language, else all.
    """
    language = current_locale().language
    return (
        [text for text in texts if text.language == language]
        or [text for text in texts if text.language in ("en", None)]
        or texts
    )


def first_in_language(texts: list[Term]) -> Term | None:
    """Return the first of the *texts* that suit the language of the request, None without any."""
    return next(iter(in_page_language(texts)), None)


_CREATIVE_COMMONS = re.compile(
    r"https?://creativecommons\.org/(licenses|publicdomain)/([a-z+-]{1,20})(?:/(\d\.\d))?(?:/([a-z]{2,4}))?(?:[/#?]|$)"
)
_OTHERS = {
    "opensource.org/licenses/mit": "MIT",
    "www.apache.org/licenses/license-2.0": "Apache 2.0",
    "opendatacommons.org/licenses/by/1-0": "ODC-By 1.0",
    "opendatacommons.org/licenses/odbl/1-0": "ODbL 1.0",
    "opendatacommons.org/licenses/pddl/1-0": "PDDL 1.0",
    "www.nationalarchives.gov.uk/doc/open-government-licence/version/3": "OGL 3.0",
    "www.etalab.gouv.fr/licence-ouverte-open-licence": "Licence Ouverte",
}


def licence_name(address: str) -> str:
    """Return the short name of the licence at *address*, else the address without its scheme.

    >>> licence_name("https://creativecommons.org/licenses/by-sa/4.0/"), licence_name("http://creativecommons.org/publicdomain/zero/1.0/")
    ('CC BY-SA 4.0', 'CC0 1.0')
    >>> licence_name("https://creativecommons.org/licenses/by/3.0/igo/"), licence_name("https://example.org/terms")
    ('CC BY 3.0 IGO', 'example.org/terms')
    """
    if match := _CREATIVE_COMMONS.match(address):
        family, code, version, port = match.groups()
        name = (
            {"zero": "CC0", "mark": "Public Domain Mark"}.get(code, code.upper())
            if family == "publicdomain"
            else f"CC {code.upper()}"
        )
        return " ".join(filter(None, (name, version, (port or "").upper())))
    plain = address.partition("://")[2] or address
    return _OTHERS.get(plain.lower().rstrip("/").removesuffix(".html"), plain.rstrip("/"))


async def get_service(request: Request) -> QueryService:
    return cast(QueryService, request.app.state.service)


async def get_pages(request: Request) -> Pages:
    return cast(Pages, request.app.state.pages)


ServiceDep = Annotated[QueryService, Depends(get_service)]
PagesDep = Annotated[Pages, Depends(get_pages)]


async def get_tables(service: ServiceDep) -> FacetIndex:
    """Return the facet index of the current snapshot; raises NotReady while it is built."""
    return service.tables


TablesDep = Annotated[FacetIndex, Depends(get_tables)]


def require_searcher(service: QueryService) -> Searcher:
    """Return the search index of the snapshot; raises NotReady while it is built."""
    if (index := open_searcher(service.current.path)) is None:
        raise NotReady(
            TranslatableText("the search index is being prepared; try again in a minute")
        )
    return index
