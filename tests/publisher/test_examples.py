"""Example queries have results and are served as pages and RDF; their editor works without scripts;
the columns answer stored queries as the RDF store does.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from column_store import comparable, merged_store, solutions
from event_loops import session_loop
from pyoxigraph import NamedNode, QuerySolutions, RdfFormat, Store, parse
from rows import each
from small_world import IRIS
from typer.testing import CliRunner
from waiting import wait_until_async

from languages.translations import LANGUAGES
from publisher import store as store_package
from publisher.data.count_queries import counts, cross_tabulate, listing, organizations, total
from publisher.data.properties import FACETS
from publisher.data.tables import make_filter
from publisher.limits import Limits
from publisher.pages import Pages
from publisher.portal.quality import indicators, rule_query
from publisher.sparql.examples import (
    DURATIONS,
    Outcome,
    example,
    examples,
    is_built,
    read_outcomes,
    run_examples,
    script_texts,
    write_outcomes,
)
from publisher.store.columns.algebra import NotCompiled
from publisher.store.columns.database import FILE, open_statements
from publisher.store.columns.engine import ColumnEngine, open_columns
from publisher.store.query_service import QueryService
from publisher.store.snapshots import newest_snapshot
from publisher.store.workers.query_request import QueryRequest, in_written_order
from stocktake import app as commands
from vocab.describe import describe
from vocab.initiative import Initiative, Place, Text
from vocab.iris import Iris
from web.respond import GRAPHS, TABLES
from web.templating import static_url

THEM = examples(Iris())
SH = "http://www.w3.org/ns/shacl#"
HTML = {"Accept": "text/html"}


def test_there_are_at_least_25_with_names_and_places_of_their_own(tmp_path: Path) -> None:
    unknown = CliRunner().invoke(commands, ["--data", str(tmp_path), "examples", "run", "none"])

    assert len(THEM) >= 25
    assert len({item.titles["en"] for item in THEM}) == len(THEM)
    assert [item.position for item in THEM] == list(range(1, len(THEM) + 1))
    message = re.sub(r"\s*│?\s+│?\s*", " ", unknown.output)
    assert (unknown.exit_code, "known are" in message) == (2, True)


@session_loop
@each("item", THEM)
async def test_an_example_answers_something(item: Any, service: QueryService) -> None:
    ((_, outcome),) = [pair async for pair in run_examples(service, [item])]

    assert outcome.error == ""
    assert outcome.rows > 0


@each("item", THEM)
def test_an_example_says_what_it_does_in_each_language_and_declares_what_it_uses(item: Any) -> None:
    body = re.sub(r'"[^"]*"|<[^>]*>', "", item.text)

    declared = set(re.findall(r"PREFIX (\w+):", item.text))
    used = set(re.findall(r"(?<!PREFIX )\b(\w+):\w", body))
    # Only examples on claims use crosswalked and suggested ones, and then both.
    named = set(re.findall(r"wsis:(crosswalked|suggested)(?:Goal|Target|ActionLine)", item.text))

    assert item.comments["en"].endswith(".")
    assert item.keywords
    assert declared == used
    for texts in (item.titles, item.comments):
        assert texts.keys() == set(LANGUAGES)
        assert len(set(texts.values())) == len(LANGUAGES)
    assert named in (set(), {"crosswalked", "suggested"})
    assert bool(named) == ("claims" in item.keywords)


def test_an_example_asks_of_the_base_that_is_set() -> None:
    base = "https://stocktaking.example/"

    result = example(Iris(base), "prizes")

    assert result is not None
    assert result.iri == base + "examples/prizes"
    assert f"<{base}ns#>" in result.text
    assert "w3id.org" not in result.text


@session_loop
async def test_one_that_fails_or_answers_nothing_is_not_good(service: QueryService) -> None:
    chosen = [replace(THEM[0], text=text) for text in ("SELECT", "SELECT * { ?x <urn:none> ?y }")]

    outcomes = [outcome async for _, outcome in run_examples(service, chosen)]

    assert [item.passed for item in outcomes] == [False, False]
    assert outcomes[0].error
    assert Outcome(seconds=0.1, rows=1).passed


@pytest.mark.parametrize(
    ("suffix", "form"),
    [("ttl", RdfFormat.TURTLE), ("nt", RdfFormat.N_TRIPLES), ("rdf", RdfFormat.RDF_XML)],
)
async def test_they_are_given_as_rdf(
    client: httpx.AsyncClient, suffix: str, form: RdfFormat
) -> None:
    answer = await client.get("/examples", params={"format": suffix})

    kind = NamedNode(f"{SH}SPARQLExecutable")
    results = {quad.subject.value for quad in parse(answer.content, form) if quad.object == kind}
    assert results == {item.iri for item in THEM}


def test_the_command_runs_them_and_states_time_and_rows(level: Path) -> None:
    result = CliRunner().invoke(
        commands, ["--data", str(level), "examples", "run", "--json", "prizes", "full-text"]
    )

    body = json.loads(result.stdout)

    assert result.exit_code == 0
    assert [(item["name"], item["ok"], item["seconds"] > 0, item["rows"] > 0) for item in body] == [
        ("prizes", True, True, True),
        ("full-text", True, True, True),
    ]


@session_loop
async def test_the_page_shows_the_time_that_the_command_took(
    level: Path, inside: httpx.AsyncClient
) -> None:
    words = ["--data", str(level), "examples", "run", "--json", "initiatives-by-goal"]
    await asyncio.to_thread(CliRunner().invoke, commands, words)

    page = re.sub(
        r"<[^>]+>", "", (await inside.get("/examples/initiatives-by-goal", headers=HTML)).text
    )

    assert re.search(r"Rows: 17 · [\d.]+ sec · journal entry 3$", page, re.MULTILINE)


@pytest.mark.parametrize("left", ["", "[1]", '{"prizes": {"hours": 1}}'])
def test_an_unreadable_file_of_times_is_ignored(tmp_path: Path, left: str) -> None:
    (tmp_path / DURATIONS).write_text(left)

    assert read_outcomes(tmp_path) == {}


def test_an_example_that_is_no_longer_good_loses_its_time(tmp_path: Path) -> None:
    first, second = (Outcome(seconds=number / 10, rows=number, position=3) for number in (1, 2))
    write_outcomes(tmp_path, {"prizes": first, "full-text": second})
    write_outcomes(tmp_path, {"prizes": Outcome(seconds=0.1, position=4)})

    assert read_outcomes(tmp_path) == {"full-text": second}


@pytest.mark.parametrize("path", ["/examples", "/sparql"])
async def test_titles_are_in_the_language_of_the_page(client: httpx.AsyncClient, path: str) -> None:
    page = (await client.get(path, headers=HTML, params={"lang": "zh"})).text

    assert [item.name for item in THEM if f">{html.escape(item.titles['zh'])}<" not in page] == []


def _page(scripts: bool, releases: tuple[int, ...] = ()) -> str:
    them = examples(Iris())
    editor = {
        "example": them[0],
        "requested": False,
        "run_on_open": False,
        "examples": them,
        "releases": releases,
    }
    answer = Pages(Iris()).page(
        "sparql.html",
        editor=editor,
        scripts=scripts,
        texts=script_texts(),
        limits=Limits(),
        tables=TABLES.values(),
        graphs=GRAPHS.values(),
    )
    return bytes(answer.body).decode()


async def test_the_form_works_without_scripts(client: httpx.AsyncClient) -> None:
    page = (await client.get("/sparql?example=prizes", headers=HTML)).text
    (text,) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL)

    parameters = {"query": html.unescape(text), "format": "csv", "timeout": "30", "release": ""}
    answer = await client.get("/sparql", params=parameters, headers=HTML)

    assert answer.status_code == 200
    assert "winners" in answer.text.splitlines()[0]


def test_without_a_bundle_the_page_is_a_plain_form_and_with_one_the_scripts_are_our_own(
    tmp_path: Path,
) -> None:
    plain, scripted = _page(is_built(tmp_path)), _page(True, (3, 2))

    assert "<script" not in plain
    assert '<form class="card" id="plain"' in plain
    scripts = re.findall(r"<script[^>]*>", scripted)
    assert scripts == [f'<script src="{static_url("query/query.js")}" defer>']
    assert "style=" not in scripted
    assert 'data-releases="[3, 2]"' in scripted
    assert '<option value="3">Release 3</option>' in scripted


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_example_and_a_query_together_are_a_query(
    client: httpx.AsyncClient, method: str
) -> None:
    answer = await client.request(
        method, "/sparql", params={"query": "ASK {}", "example": "prizes", "format": "json"}
    )

    assert answer.status_code == 200


DOCS = Path(__file__).parents[2] / "docs" / "reference" / "search.md"
QUERIES = re.findall(
    r"```sparql\n(.*?)```",
    DOCS.read_text(encoding="utf-8").partition("## Places")[2].partition("\n## ")[0],
    re.DOTALL,
)


@pytest.fixture
def placed() -> Store:
    """Return a store of one initiative in Nairobi and one in Geneva."""
    spots = {
        "nairobi": Place(Text("Nairobi", "en"), -1.2921, 36.8219),
        "geneva": Place(None, 46.2044, 6.1432),
    }
    results = [
        line
        for key, spot in spots.items()
        for line in describe(Initiative(key=key, places=(spot,)), Iris(), "demo")
    ]
    created = Store()
    created.load("".join(f"{line} .\n" for line in results).encode(), RdfFormat.N_TRIPLES)
    return created


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_of_the_docs_find_what_is_near_and_nothing_else(
    placed: Store, query: Any
) -> None:
    result = placed.query(query)

    assert isinstance(result, QuerySolutions)
    assert [row["thing"].value.rpartition("/")[2] for row in result] == ["nairobi"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [('geof:sfWithin(?spot, "POLYGON((30 -5,40 -5,40 5,30 5,30 -5))"^^geo:wktLiteral)', {"nairobi": "true", "geneva": "false"}),
     ('geof:sfIntersects(?spot, "POLYGON((30 -5,40 -5,40 5,30 5,30 -5))"^^geo:wktLiteral)', {"nairobi": "true", "geneva": "false"}),
     ('geof:sfContains("POLYGON((5 45,7 45,7 47,5 47,5 45))"^^geo:wktLiteral, ?spot)', {"nairobi": "false", "geneva": "true"}),
     ('REPLACE(STR(geof:asGeoJSON(?spot)), ".*coordinates", "")', {"nairobi": '":[36.8219,-1.2921]}', "geneva": '":[6.1432,46.2044]}'})],
    ids=lambda value: value.partition("(")[0] if isinstance(value, str) else "",
)  # fmt: skip
def test_each_function_that_the_docs_name_gives_its_value(
    placed: Store, expression: str, expected: dict[str, str]
) -> None:
    spaces = "PREFIX geo: <http://www.opengis.net/ont/geosparql#> PREFIX geof: <http://www.opengis.net/def/function/geosparql/>"
    spot = "?thing <https://schema.org/location>/geo:hasGeometry/geo:asWKT ?spot"
    query = f"{spaces} SELECT ?thing ?value {{ {spot} BIND({expression} AS ?value) }}"

    result = placed.query(query)

    assert isinstance(result, QuerySolutions)
    assert {row["thing"].value.rpartition("/")[2]: row["value"].value for row in result} == expected


WEB = Path(__file__).parents[2] / "publisher" / "web"

READ = """
import { Graph, Table } from %(module)s;
const { kind, text, most, size, bound } = JSON.parse(process.argv[1]);
const reading = new { Graph, Table }[kind](most, bound), bytes = new TextEncoder().encode(text);
for (let at = 0; at < bytes.length; at += size) reading.push(bytes.slice(at, at + size));
console.log(JSON.stringify({ rows: reading.rows, cut: reading.cut, text: await reading.text() }));
"""

HOSTILE = 'a "quoted" \\ back\\\\slash }]}{[ , "bindings": [{'
ROWS = [
    {
        "a": {"type": "literal", "value": f"{HOSTILE} {number} é"},
        "b": {"type": "uri", "value": "x:y"},
    }
    for number in range(7)
]
DOCUMENT: dict[str, Any] = {
    "head": {"vars": ["a", "b"], "link": ["x"]},
    "results": {"bindings": ROWS},
    "cut": {"rows": 7},
}


def read(kind: str, text: str, most: int, size: int, bound: int | None = None) -> dict[str, Any]:
    """Read *text* in chunks of *size* bytes."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    script = READ % {"module": json.dumps((WEB / "src" / "rows.js").as_uri())}
    argument = json.dumps(
        {"kind": kind, "text": text, "most": most, "size": size}
        | ({"bound": bound} if bound else {})
    )
    process = subprocess.run(
        [node, "--input-type=module", "-e", script, argument],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    result: dict[str, Any] = json.loads(process.stdout)
    return result


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("most", [1, 3, 6])
def test_first_rows_of_a_table_are_kept_and_all_are_counted(
    indent: int | None, size: int, most: int
) -> None:
    result = read("Table", json.dumps(DOCUMENT, indent=indent, ensure_ascii=False), most, size)

    table = json.loads(result["text"])
    assert result["rows"] == table.pop("total") == 7
    assert table == {**DOCUMENT, "results": {"bindings": ROWS[:most]}}


@pytest.mark.parametrize("most", [7, 100])
@pytest.mark.smoke
def test_table_that_fits_is_kept_whole(most: int) -> None:
    result = read("Table", json.dumps(DOCUMENT), most, 50)

    assert json.loads(result["text"]) == DOCUMENT


@pytest.mark.parametrize(
    "text", ['{"head":{},"boolean":true}', '{"head":{"vars":["a"]},"results":{"bindings":[]}}']
)
def test_answer_without_rows_is_kept(text: str) -> None:
    result = read("Table", text, 5, 3)

    assert (result["rows"], json.loads(result["text"])) == (0, json.loads(text))


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_graph_is_cut_behind_a_statement(size: int) -> None:
    text = '<x:a> <x:b> "one" ;\n\t<x:c> "two" ,\n\t\t"three" .\n<x:d> <x:e> "four" .\n<x:f> <x:g> "five" .\n'

    result = read("Graph", text, 2, size)

    assert (result["text"], result["cut"]) == (text[: text.index("<x:d>")], True)
    assert read("Graph", text, 5, size)["cut"] is False
    assert read("Graph", text, 5, size, 55)["text"] == text[: text.index("<x:d>")]


def test_every_text_of_the_scripts_is_translated() -> None:
    scripts = "\n".join(file.read_text(encoding="utf-8") for file in (WEB / "src").glob("*.js"))
    used = set(re.findall(r'\btext\("((?:[^"\\]|\\.)*)"', scripts))
    builder = (WEB / "build.mjs").read_text(encoding="utf-8")
    used |= set(re.findall(r'"([^"]+)"', builder.partition("const TEXTS = [")[2].partition("]")[0]))
    used |= set(re.findall(r'stocktakeText\("([^"$]+)"\)', builder))

    assert len(used) > 40
    assert used == set(script_texts())


FOLDER = Path(store_package.__file__).parent / "queries"
PLACEHOLDER = re.compile(r"\b(?:THINGS|PROPERTIES|GRAPHS|SPACES|PATTERN)\b")
STORED = {
    path.stem: path.read_text()
    for path in sorted(FOLDER.glob("*.rq"))
    if not PLACEHOLDER.search(path.read_text())
}
SOURCE = IRIS.source("demo")
QUALITY = {
    **{f"{item.name} of all": item.query(IRIS) for item in indicators()},
    **{f"{item.name} of one": item.query(IRIS, source=SOURCE) for item in indicators()},
    **{f"without {item.name}": rule_query(IRIS, SOURCE, item) for item in indicators() if item.property},
    "of one rule only": rule_query(IRIS, SOURCE),
}  # fmt: skip
EXAMPLES = {item.name: item.text for item in examples(IRIS) if item.kind == "select"}
# The RDF store answers these: they have LIMIT without ORDER BY, GROUP_CONCAT, MAX of what may be
# unbound, or functions that are not compiled.
EXAMPLES_OF_THE_STORE = {
    *("indicators-of-initiatives", "full-text-and-goals", "places"),
    *("near-nairobi", "run-accounts"),
}
ALL = make_filter()
INITIATIVES = make_filter(kind="initiative", goal="4")
FILTERS = {
    **{f"count by {facet}": counts(ALL, facet, IRIS, has_parts=False) for facet in FACETS},
    **{f"count by {facet} with parts": counts(INITIATIVES, facet, IRIS, has_parts=True) for facet in ("goal", "source")},
    "count of all": total(ALL, IRIS, has_parts=True), "goals by line": cross_tabulate(INITIATIVES, "goal", "line", IRIS, has_parts=False),
    "organizations": organizations(ALL, IRIS, has_parts=False), "list of things": listing(INITIATIVES, IRIS),
}  # fmt: skip
# The queries of the benchmark, among them those of researchers.
QUESTIONS = {
    f"question {path.stem}": path.read_text()
    for path in sorted((Path(__file__).parents[2] / "benchmarks" / "queries").rglob("*.rq"))
}
# These are not compiled: they have an empty GRAPH, LIMIT without ORDER BY, or more than triples and
# a filter in EXISTS.
LEFT_TO_THE_STORE = {
    "named-graphs", "run-records", "without licence", "without known-licence", "without page-not-gone",
    # These have LIMIT alone, a path from a variable, or arithmetic.
    *(f"question {name}" for name in ("rows", "areas-within", "remarks-by-registry")),
}  # fmt: skip

# The larger world is asked only these, each of which it answers in less than a tenth of a second.
OF_LITTLE = STORED.keys() - {
    *("about", "graph", "source-remark-results", "sources"),
    *(
        "completions",
        "matrix",
        "registries",
        "source-remarks",
        "source-remark-examples",
        "newest-runs",
    ),
}

_CUT = re.compile(r"^(?!.*ORDER BY).*GRAPH.*LIMIT", re.DOTALL)
Engines = tuple[Store, ColumnEngine]
Rows = list[tuple[str | None, ...]]


@contextmanager
def opened(data: Path) -> Iterator[Engines]:
    """Open an RDF store of all quads of *data*, and its columns."""
    snapshot = newest_snapshot(data / "store" / "snapshots")
    assert snapshot
    with open_statements(Path(snapshot.path) / "columns" / FILE) as statements:
        store = merged_store(statements.quads())
    columns = open_columns(Path(snapshot.path))
    assert columns
    with closing(columns):
        yield store, columns


@pytest.fixture(scope="module")
def engines(level: Path) -> Iterator[Engines]:
    """Open the RDF store and the columns of the world."""
    with opened(level) as result:
        yield result


@pytest.fixture(scope="module")
def small_engines(small: Path) -> Iterator[Engines]:
    """Open the RDF store and the columns of the small world."""
    with opened(small) as result:
        yield result


@each("name", [*STORED, *QUALITY, *FILTERS, *QUESTIONS])
def test_columns_answer_a_page_query_as_the_store_does(
    name: str, engines: Engines, small_engines: Engines
) -> None:
    store, columns = engines if name in OF_LITTLE else small_engines
    query = in_written_order({**STORED, **QUALITY, **FILTERS, **QUESTIONS}[name], IRIS.base)

    is_compiled = _is_equal(columns, store, query)

    assert is_compiled == (name not in LEFT_TO_THE_STORE)


@each("name", EXAMPLES)
def test_columns_answer_an_example_as_the_store_does(name: str, engines: Engines) -> None:
    store, columns = engines

    is_compiled = _is_equal(columns, store, in_written_order(EXAMPLES[name], IRIS.base))

    assert is_compiled == (name not in EXAMPLES_OF_THE_STORE)


def _is_equal(columns: ColumnEngine, store: Store, query: str) -> bool:
    """Assert that the answers are equal if the query is compiled; return whether it is."""
    try:
        answer = solutions(columns.solutions(columns.compile(query, IRIS.base)))
    except NotCompiled:
        return False
    expected = solutions(store.query(query, base_iri=IRIS.base))
    if _CUT.search(query):  # Any of its solutions may be left out.
        assert len(answer) == len(expected)
        return True
    kind = next((word for word in ("GROUP_CONCAT", "CONSTRUCT") if word in query), "")
    assert comparable(kind, answer) == comparable(kind, expected)
    return True


@session_loop
async def test_pages_are_answered_from_the_columns(service: QueryService) -> None:
    numbers = count()

    async def is_open() -> bool:
        text = f"SELECT ?p (COUNT(*) AS ?n) {{ ?s ?p ?o }} GROUP BY ?p # {next(numbers)}"
        explanation, _ = await service.query_internal(
            QueryRequest(text, base=service.iris.base, explain=True)
        )
        result: bool = json.loads(explanation)["engine"] == "columns"
        return result

    await wait_until_async(is_open, "columns that a worker of the pages has opened")
    assert await is_open()
