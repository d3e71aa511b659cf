"""The data of the query page: its scripts, releases, examples, and the terms that can be completed."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog

from languages.request_locale import LANGUAGES
from languages.translations import gettext
from publisher.pages import BUNDLE_FOLDER
from publisher.sparql.examples import Example, example, examples
from publisher.store.descriptions import namespaces
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from web.problems import HTTPProblem

log = structlog.get_logger(component="editor")

MAX_LABEL = 120  # characters shown of a concept's name: targets are whole sentences
DEFAULT_EXAMPLE = "initiatives-by-goal"  # shown when no example is requested
_EXTRA_PREFIXES = {
    "geof": "http://www.opengis.net/def/function/geosparql/",
    "text": "http://jena.apache.org/text#",
    "uom": "http://www.opengis.net/def/uom/OGC/1.0/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "sdg": "http://metadata.un.org/sdg/",
    "sdgo": "http://metadata.un.org/sdg/ontology#",
    "area": "http://metadata.un.org/sdg/codes/geoArea/",
}

# Texts of the page's scripts, translated by the catalogues.
SCRIPT_TEXTS = (
    "Add a new tab",
    "Add tab",
    "All",
    "An export has a longer time limit.",
    "Query data of",
    "Bars of {name}",
    "Cancel",
    "Cancelled after {time}",
    "Chart",
    "Circles by {name}.",
    "Close other tabs",
    "Close tab",
    "Download result",
    "False",
    "Label",
    "Line of {name}",
    "Line {line}, column {column}.",
    "Link to this query",
    "Map",
    "Map of places: {count}",
    "No results",
    "Run as an export",
    "Query",
    "Regions and areas without a boundary are not shown.",
    "Release",
    "Response",
    "Rows _START_ to _END_ of _TOTAL_",
    "Rows received: {count}",
    "Rows with a place: {count} of {rows}.",
    "Rows: {count}",
    "Run query",
    "Running",
    "Scroll to zoom, drag to move. Land: Natural Earth.",
    "Share",
    "Shared",
    "Show all",
    "Simple view",
    "Table",
    "The response could not be read.",
    "Results are incomplete: the row or time limit was reached.",
    "Only the beginning of the response is shown.",
    "The server does not respond",
    "The first {count} are shown.",
    "The first {shown} of {rows} rows are shown.",
    "Link copied. It will always show the results of release {release}.",
    "Link copied. It runs the query on current data: there is no release yet.",
    "Download all results:",
    "True",
    "Value",
    "current data",
    "(of _MAX_ in all)",
    "{seconds} s",
)
# Texts of YASGUI, the editor, that the page words otherwise.
EDITOR_TEXTS = {
    "Close Tab": "Close tab",
    "Copy Tab": "Copy tab",
    "Ellipse": "Shorten long text",
    "Filter query results": "Filter the rows",
    "New Tab": "New tab",
    "Page size: ": "Rows on a page:",
    "Rename Tab": "Rename tab",
    "Undo close Tab": "Undo close tab",
}


def is_built(folder: Path = BUNDLE_FOLDER) -> bool:
    """Return whether the scripts are built; if not, log how to build them."""
    built = all((folder / name).exists() for name in ("query.js", "query.css", "worker.js"))
    if not built:
        log.warning(
            "query editor not built; the query page is a plain form",
            action="install Node.js with npm, then install stocktake again",
        )
    return built


async def completions(service: QueryService) -> dict[str, object]:
    """Return the prefixes, and by kind the IRIs to complete with their labels."""
    terms: dict[str, dict[str, str]] = {"classes": {}, "properties": {}, "concepts": {}}
    for row in await service.rows(query("completions")):
        kind, iri = terms[row["kind"].value], row["iri"].value
        parts = (row[name].value for name in ("notation", "label") if name in row)
        label = " ".join(filter(None, parts)).strip()[:MAX_LABEL]
        # of several names, such as the codes of an indicator, the same one whatever their order
        kind[iri] = min(filter(None, (kind.get(iri), label)), default="")
    items = {
        kind: [{"iri": iri, "label": label} for iri, label in sorted(labels.items())]
        for kind, labels in terms.items()
    }
    lines = {"line": f"{service.iris.base}scheme/action-line/"}
    prefixes = {**namespaces(service.iris), **_EXTRA_PREFIXES, **lines}
    return {"prefixes": dict(sorted(prefixes.items())), **items}


def script_texts() -> dict[str, str]:
    """Return the texts of the page's scripts in the request's language, by their English text."""
    texts = dict(zip(SCRIPT_TEXTS, SCRIPT_TEXTS, strict=True)) | EDITOR_TEXTS
    return {text: gettext(label) + " " * text.endswith(" ") for text, label in texts.items()}


def editor_state(service: QueryService, name: str | None, text: str | None) -> dict[str, Any]:
    """Return the state of the page for the query *text* of another page's link, which the reader
    runs, not the page; else for the example *name*, None for the default. Raises HTTPProblem (404).

    *run_on_open*: the page runs the query when it opens, which it does for our own examples only.
    *releases* are the releases' numbers, newest first.
    """
    chosen = _linked_query(text) if text else example(service.iris, name or DEFAULT_EXAMPLE)
    if chosen is None:
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"Example {name} not found; see /examples")
    folders = (path.parent.name for path in service.data.glob("releases/*/release.json"))
    return {
        "example": chosen,
        "requested": bool(name is not None or text),
        "run_on_open": name is not None and not text,
        "examples": examples(service.iris),
        "releases": sorted((int(name) for name in folders if name.isdecimal()), reverse=True),
    }


def _linked_query(text: str) -> Example:
    titles, comments = (
        dict.fromkeys(LANGUAGES, words)
        for words in (
            gettext("Query behind the numbers"),
            gettext("The query of the page that you came from. Run it, or change it first."),
        )
    )
    return Example("shown", "", "select", titles, comments, (), text)
