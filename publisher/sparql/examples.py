"""The example queries, described in RDF as the SIB does
(https://github.com/sib-swiss/sparql-examples): ``/examples`` shows them, a command runs them, and how
long each took is stored.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any

import fastapi
import structlog
from pydantic import BaseModel, Field, TypeAdapter
from pyoxigraph import RdfFormat, Triple, parse, serialize
from starlette.requests import Request
from starlette.responses import Response

from journal.files import replace_file
from languages.translations import LANGUAGES, TranslatableText, gettext
from publisher.errors import PublisherError
from publisher.pages import BUNDLE_FOLDER, PagesDep, ServiceDep
from publisher.rdf import namespaces
from publisher.sparql.rewriting import rewrite
from publisher.store.query_service import QueryService, query
from publisher.store.workers.query_request import QueryRequest
from vocab.iris import BASE, Iris
from vocab.terms import RDFS, SCHEMA, SH
from web.endpoints import contents, format_parameter, get, problems
from web.respond import GRAPHS, HTML, Format, GraphFormat, require, respond_in

FOLDER = Path(__file__).parent / "examples"
DURATIONS = "examples.json"  # in the data folder
KINDS = ("select", "ask", "construct")


@dataclass(frozen=True, slots=True)
class Example:
    """An example query; *kind* is one of KINDS, *position* its position in the list; *titles* and
    *comments* are by the six languages of the pages.
    """

    name: str
    iri: str
    kind: str
    titles: Mapping[str, str]
    comments: Mapping[str, str]
    keywords: Sequence[str]
    text: str
    position: int = 0


class Outcome(BaseModel):
    """The run of an example: *seconds* to the last byte, *rows* (triples of a graph; 1 or 0 for
    ASK), *error* if any, and the journal entry *position* that was published.
    """

    seconds: float
    rows: int = 0
    position: int = 0
    error: str = Field(default="", exclude=True)

    @property
    def passed(self) -> bool:
        """Return whether the query succeeded with at least one row."""
        return not self.error and self.rows > 0


_STORED = TypeAdapter(dict[str, Outcome])


@lru_cache(maxsize=4)  # bases in one process
def examples(iris: Iris) -> tuple[Example, ...]:
    """Return all examples in order; their IRIs are under the base of *iris*."""
    unsorted = (_read(path, iris) for path in FOLDER.glob("*.ttl"))
    return tuple(sorted(unsorted, key=lambda item: (item.position, item.name)))


def example(iris: Iris, name: str) -> Example | None:
    """Return an example by name, None if there is none."""
    return next((example for example in examples(iris) if example.name == name), None)


def _triples(path: Path, iris: Iris) -> list[Triple]:
    # The files use the default base, so that queries can be copied from them; they run with the
    # store's own.
    text = path.read_text(encoding="utf-8").replace(BASE, iris.base)
    return [quad.triple for quad in parse(text, RdfFormat.TURTLE, base_iri=iris.base)]


def _read(path: Path, iris: Iris) -> Example:
    literals: dict[str, list[Any]] = {}
    for triple in _triples(path, iris):
        literals.setdefault(triple.predicate.value, []).append(triple.object)
    kind = next(kind for kind in KINDS if SH + kind in literals)
    (text,), (position,) = literals[SH + kind], literals[f"{SCHEMA}position"]
    titles, comments = (
        {literal.language: literal.value for literal in literals[RDFS + name]}
        for name in ("label", "comment")
    )
    return Example(
        path.stem,
        f"{iris.base}examples/{path.stem}",
        kind,
        titles,
        comments,
        keywords=[literal.value for literal in literals[f"{SCHEMA}keywords"]],
        text=text.value.strip() + "\n",
        position=int(position.value),
    )


async def run_examples(
    service: QueryService, chosen: Sequence[Example]
) -> AsyncIterator[tuple[Example, Outcome]]:
    """Run the examples in turn, once the store is up to date with the journal."""
    for example in chosen:
        # JSON and N-Triples are formats whose rows are counted.
        base, rows = service.iris.base, service.limits.rows
        query = QueryRequest(example.text, "json", "nt", base, rows=rows)
        await service.wait_until_current(is_indexed=query.has_search)
        outcome = Outcome(seconds=0, position=service.current.position)
        started = time.perf_counter()
        try:
            with closing(await service.query(await rewrite(service, query))) as answer:
                data = b"".join([chunk async for chunk in answer.chunks()])
            outcome.rows = data.count(b"true") if example.kind == "ask" else answer.rows or 0
        except PublisherError as error:
            outcome.error = str(error)
        outcome.seconds = round(time.perf_counter() - started, 4)
        yield example, outcome


def read_outcomes(data: Path) -> dict[str, Outcome]:
    """Read the last runs in the data folder by example name; empty if there are none or the file is
    invalid.
    """
    try:
        return _STORED.validate_json((data / DURATIONS).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}


def write_outcomes(data: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Store the outcomes by example name; a failed example loses its earlier one."""
    known = {**read_outcomes(data), **outcomes}
    passed = {name: outcome for name, outcome in sorted(known.items()) if outcome.passed}
    replace_file(data / DURATIONS, _STORED.dump_json(passed, indent=1).decode())


router = fastapi.APIRouter()
_PREFIXES = {"rdfs": RDFS, "schema": SCHEMA, "sh": SH}
_CONTENTS = contents(*(graph_format.media for graph_format in GRAPHS.values()))
FormatName = Annotated[str | None, format_parameter(GRAPHS)]
ExampleName = Annotated[
    str, fastapi.Path(description="The name of the example; `/examples` lists them")
]


@get(
    router,
    "/examples",
    operation_id="examples",
    summary="Return all example queries",
    tags=["ask"],
    response_class=Response,
    response_description="A graph",
    responses=_CONTENTS | problems(406),
)
async def all_examples(
    request: Request, service: ServiceDep, pages: PagesDep, format: FormatName = None
) -> Response:
    """Each has its question in words and its query."""
    return await one_example(request, service, pages, "", format)


@get(
    router,
    "/examples/{name}",
    operation_id="example",
    summary="Return one example query",
    tags=["ask"],
    response_class=Response,
    response_description="A graph",
    responses=_CONTENTS | problems(404, 406),
)
async def one_example(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    name: ExampleName,
    format: FormatName = None,
) -> Response:
    """It has its question in words and its query."""
    chosen = [item for item in examples(service.iris) if name in ("", item.name)]
    require(bool(chosen), TranslatableText("Example not found; see /examples"))

    def page() -> Response:
        times, graphs = read_outcomes(service.data), GRAPHS.values()
        return pages.page("examples.html", examples=chosen, only=name, times=times, graphs=graphs)

    writers: dict[Format, Callable[[], bytes | str | Response]] = {HTML: page}
    writers |= {form: partial(_serialize, chosen, service.iris, form) for form in GRAPHS.values()}
    return respond_in(request, writers, format)


def _serialize(chosen: Sequence[Example], iris: Iris, form: GraphFormat) -> bytes:
    triples = [triple for item in chosen for triple in _triples(FOLDER / f"{item.name}.ttl", iris)]
    return serialize(triples, format=form.writer, prefixes=_PREFIXES) or b""


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
        # Of several names, such as the codes of an indicator, the least is taken in any order.
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
    chosen = require(
        _linked_query(text) if text else example(service.iris, name or DEFAULT_EXAMPLE),
        f"Example {name} not found; see /examples",
    )
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
