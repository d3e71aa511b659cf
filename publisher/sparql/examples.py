"""The example queries, described in RDF as the SIB does
(https://github.com/sib-swiss/sparql-examples): ``/examples`` shows them, a command runs them, and how
long each took is stored.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import fastapi
from pydantic import BaseModel, Field, TypeAdapter
from pyoxigraph import RdfFormat, Triple, parse, serialize
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
        # formats whose rows are counted
        base, rows = service.iris.base, service.limits.rows
        query = QueryRequest(example.text, "json", "nt", base, rows=rows)
        await await_indexes(service, query)
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
            times=read_outcomes(service.data),
            graphs=GRAPHS.values(),
        )
        return respond(request, page, form)
    triples = [
        triple for item in chosen for triple in _triples(FOLDER / f"{item.name}.ttl", service.iris)
    ]
    body = serialize(triples, format=form.writer, prefixes=_PREFIXES) or b""
    return respond(request, body, form)
