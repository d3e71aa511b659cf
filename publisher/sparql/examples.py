"""The example queries, described in RDF as the SIB does
(https://github.com/sib-swiss/sparql-examples): ``/examples`` shows them, a command runs them, and how
long each took is stored.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import fastapi
from pyoxigraph import Literal, RdfFormat, Triple, parse, serialize
from starlette.requests import Request
from starlette.responses import Response

from journal.atomic_file import replace_file
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep
from publisher.errors import PublisherError
from publisher.sparql.rewriting import await_indexes, rewrite
from publisher.store.query_service import QueryService
from publisher.store.workers.query_request import QueryRequest
from vocab.iris import BASE, Iris
from vocab.terms import RDFS, SCHEMA, SH
from web.endpoints import contents, format_parameter, get, problems
from web.formats import GRAPHS, HTML, Format, GraphFormat
from web.problems import HTTPProblem
from web.respond import choose_format, respond

FOLDER = Path(__file__).parent / "examples"
DURATIONS = "examples.json"  # in the data folder
KINDS = ("select", "ask", "construct")


@dataclass(frozen=True, slots=True)
class Example:
    """An example query; *kind* is one of KINDS, *position* its position in the list, *titles* and
    *comments* are pairs of language and text.
    """

    name: str
    iri: str
    kind: str
    titles: tuple[tuple[str, str], ...]
    comments: tuple[tuple[str, str], ...]
    keywords: tuple[str, ...]
    text: str
    position: int

    @property
    def title(self) -> str:
        """Return the English title."""
        return self.title_in("en")

    def title_in(self, language: str) -> str:
        """Return the title in one of the six languages of the pages."""
        return dict(self.titles)[language]

    def comment_in(self, language: str) -> str:
        """Return the description in one of the six languages of the pages."""
        return dict(self.comments)[language]

    def query_request(self, base: str, rows: int | None = None) -> QueryRequest:
        """Return the query with countable formats: JSON for tables, N-Triples for graphs."""
        return QueryRequest(self.text, "json", "nt", base, rows=rows)


@dataclass(frozen=True, slots=True)
class ExampleOutcome:
    """The outcome of an example: *rows* (triples of a graph; 1 or 0 for ASK), *seconds* to the last
    byte, *error* if any.
    """

    example: Example
    rows: int
    seconds: float
    error: str = ""

    @property
    def passed(self) -> bool:
        """Return whether the query succeeded with at least one row."""
        return not self.error and self.rows > 0


@dataclass(frozen=True, slots=True)
class Duration:
    """The last run of an example: *seconds* to the last byte of *rows* rows, at journal entry
    *position*.
    """

    seconds: float
    rows: int
    position: int


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
    values: dict[str, list[str]] = {}
    texts: dict[str, dict[str, str]] = {f"{RDFS}label": {}, f"{RDFS}comment": {}}
    for triple in _triples(path, iris):
        if triple.predicate.value in texts and isinstance(triple.object, Literal):
            texts[triple.predicate.value][triple.object.language or ""] = triple.object.value
        value = str(getattr(triple.object, "value", ""))
        values.setdefault(triple.predicate.value, []).append(value)
    ((kind, text),) = ((kind, text) for kind in KINDS for text in values.get(SH + kind, []))
    (position,), (titles, comments) = values[f"{SCHEMA}position"], texts.values()
    return Example(
        path.stem,
        f"{iris.base}examples/{path.stem}",
        kind,
        tuple(titles.items()),
        tuple(comments.items()),
        keywords=tuple(values[f"{SCHEMA}keywords"]),
        text=text.strip() + "\n",
        position=int(position),
    )


async def run_examples(
    service: QueryService, chosen: Sequence[Example]
) -> AsyncIterator[ExampleOutcome]:
    """Run the examples in turn, once the store is up to date with the journal."""
    for example in chosen:
        await await_indexes(service, example.query_request(service.iris.base))
        started = time.perf_counter()
        try:
            data = await _evaluate(service, example)
        except PublisherError as error:
            yield ExampleOutcome(example, 0, time.perf_counter() - started, str(error))
        else:
            yield ExampleOutcome(example, _rows(example, data), time.perf_counter() - started)


async def _evaluate(service: QueryService, example: Example) -> bytes:
    answer = await service.query(
        await rewrite(service, example.query_request(service.iris.base, service.limits.rows))
    )
    with closing(answer):
        return b"".join([chunk async for chunk in answer.chunks()])


def _rows(example: Example, data: bytes) -> int:
    if example.kind == "construct":
        return data.count(b"\n")
    document = json.loads(data)
    return (
        int(document["boolean"]) if example.kind == "ask" else len(document["results"]["bindings"])
    )


def read_durations(data: Path) -> dict[str, Duration]:
    """Read the durations in the data folder by example name; empty if there are none or the file is
    invalid.
    """
    try:
        stored = json.loads((data / DURATIONS).read_bytes())
        return {name: Duration(**entry) for name, entry in stored.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def write_durations(data: Path, outcomes: Iterable[ExampleOutcome], position: int) -> None:
    """Store the durations of *outcomes* at journal entry *position*; a failed example loses its
    earlier one.
    """
    known = read_durations(data)
    for entry in outcomes:
        known.pop(entry.example.name, None)
        if entry.passed:
            known[entry.example.name] = Duration(round(entry.seconds, 4), entry.rows, position)
    replace_file(
        data / DURATIONS,
        json.dumps({name: asdict(entry) for name, entry in sorted(known.items())}, indent=1),
    )


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
    if not chosen:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, TranslatableText("Example not found; see /examples")
        )
    formats: dict[str, Format] = {**GRAPHS, HTML.suffix: HTML}
    form = choose_format(request, formats, format)
    if not isinstance(form, GraphFormat):
        page = pages.page(
            "examples.html",
            examples=chosen,
            only=name,
            times=read_durations(service.data),
            graphs=GRAPHS.values(),
        )
        return respond(request, page, form)
    triples = [
        triple for item in chosen for triple in _triples(FOLDER / f"{item.name}.ttl", service.iris)
    ]
    body = serialize(triples, format=form.writer, prefixes=_PREFIXES) or b""
    return respond(request, body, form)
