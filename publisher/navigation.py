"""The navigation of the portal: five sections, their pages, and the links of the footer."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from languages.request_locale import current_locale
from languages.translations import gettext as _

# parameters other than filters
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
    """A page of a section: path and label.

    *is_view*: it shows the filters of the address, so links to it keep them. *view* is the value of
    its parameter ``view``.
    """

    path: str
    label: str
    is_view: bool = False
    view: str = ""


class NavigationSection(NamedTuple):
    """A section of the portal; its first page is its entry in the navigation."""

    name: str
    label: str
    entries: tuple[NavigationEntry, ...]

    @property
    def path(self) -> str:
        """Return the path of the section's first page."""
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
                entry.label,
                here is not None
                and entry.path == here.path
                and entry.view == (view if view in _VIEWS else ""),
            )
            for entry in self.entries
        ]

    def contains(self, path: str) -> bool:
        """Return whether the page at *path* belongs to the section."""
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


def sections(
    published: Collection[str], documentation: bool = False
) -> tuple[NavigationSection, ...]:
    """Return the sections in the language of the request.

    *published* are the kinds of items that exist, ``prize`` where there are prizes, ``vocabulary``
    where it is in the store, and ``submission`` where something can be submitted: pages without
    items are left out.
    """
    reports = (NavigationEntry("/reports/", _("Reports")),)
    return (
        NavigationSection("explore", _("Explore"), _explore_pages(published)),
        NavigationSection("topics", _("Topics"), _topic_pages(published)),
        NavigationSection("reports", _("Reports"), reports),
        NavigationSection("data", _("Data"), _data_pages(published, documentation)),
        NavigationSection("sources", _("Sources"), _source_pages(published)),
    )


def _explore_pages(published: Collection[str]) -> tuple[NavigationEntry, ...]:
    collections = (
        ("event", NavigationEntry("/events", _("Events"))),
        ("document", NavigationEntry("/documents", _("Documents"))),
        ("post", NavigationEntry("/posts", _("Posts"))),
        ("prize", NavigationEntry("/prizes", _("Prizes"))),
        ("organization", NavigationEntry("/organizations", _("Organizations"))),
    )
    matrix = (NavigationEntry("/matrix", _("Matrix"), is_view=True),)
    return (
        NavigationEntry("/search", _("List"), is_view=True),
        NavigationEntry("/search", _("Table"), is_view=True, view="table"),
        NavigationEntry("/map", _("Map"), is_view=True),
        *(matrix if "vocabulary" in published else ()),
        NavigationEntry("/trends", _("Trends"), is_view=True),
        NavigationEntry("/gaps", _("Gaps")),
        *(entry for kind, entry in collections if kind in published),
    )


def _topic_pages(published: Collection[str]) -> tuple[NavigationEntry, ...]:
    schemes = (
        NavigationEntry("/scheme/action-line", _("Action lines")),
        NavigationEntry("/scheme/sdg", _("SDGs")),
        NavigationEntry("/scheme/itu-region", _("Regions")),
        NavigationEntry("/scheme/area", _("Countries")),
    )
    return (
        NavigationEntry("/topics", _("All topics")),
        *(schemes if "vocabulary" in published else ()),
        NavigationEntry("/compare", _("Compare")),
    )


def _data_pages(published: Collection[str], documentation: bool) -> tuple[NavigationEntry, ...]:
    vocabulary = (NavigationEntry("/ns", _("Vocabulary")),)
    return (
        NavigationEntry("/data", _("Use the data")),
        NavigationEntry("/dumps/", _("Downloads")),
        NavigationEntry("/releases/", _("Releases")),
        NavigationEntry("/columns", _("Columns and code lists")),
        NavigationEntry("/sparql", _("Query")),
        NavigationEntry("/examples", _("Example queries")),
        NavigationEntry("/docs/api", _("JSON API")),
        NavigationEntry("/catalog", _("Catalogue")),
        *(vocabulary if "vocabulary" in published else ()),
        NavigationEntry("/journal/", _("Changes")),
        *((NavigationEntry("/docs/", _("Documentation")),) if documentation else ()),
    )


def _source_pages(published: Collection[str]) -> tuple[NavigationEntry, ...]:
    return (
        NavigationEntry("/sources", _("Registries")),
        NavigationEntry("/status", _("Status")),
        NavigationEntry("/shapes", _("Quality check")),
        NavigationEntry("/join", _("Add a registry")),
        NavigationEntry("/validate", _("Check a feed")),
        *(
            (NavigationEntry("/submit", _("Report an initiative")),)
            if "submission" in published
            else ()
        ),
    )
