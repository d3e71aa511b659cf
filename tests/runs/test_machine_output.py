"""The output of each command with ``--json`` or ``--format`` is valid after warnings, too."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import click
import pytest
from http_server import QuietHandler, serving
from lxml import etree
from pyoxigraph import RdfFormat, parse
from rows import each
from typer.main import get_command
from typer.testing import CliRunner

import publisher
from harvesters.matching.clusters import COLUMNS
from publisher.data.tables import connect
from stocktake import app
from vocab.iris import BASE

DEFINITION = """title = "Ação"
protocol = "csv"
mapping = "fields"
url = "{}"
licence = "https://creativecommons.org/licenses/by/4.0/"
[fields]
key = "id"
"title@pt" = "title"
"description@pt" = "description"
pages = "page"
countries = "country"
"""
EDITION = """title = { en = "Prizes" }
year = 2026
opens = 2026-01-01
closes = 2026-02-01
nominees = 2026-02-02
results = 2026-03-01
[[criteria]]
code = "impact"
label = { en = "Impact" }
"""
DECISION = (
    f"{BASE}id/initiative/other/1", "skos:exactMatch", "", f"{BASE}id/initiative/warned/1",
    "semapv:ManualMappingCuration", "Ada", "2026-03-01T00:00:00Z", "1", "",
)  # fmt: skip
# The arguments of each command, in the order in which they run. A name in braces is a value that
# a line before it has listed.
LINES: tuple[tuple[str, str], ...] = (
    ("sources check", ""), ("sources list", ""), ("sources preview", "sources/warned.toml"), ("preflight", "warned.csv"),
    ("harvest", ""), ("harvest", "warned --dry-run"), ("runs list", ""), ("runs show", "warned.1"), ("runs log", "warned.1"),
    ("remap", "warned --dry-run"), ("explain", "record/warned/1"), ("sources clear", "warned"),
    ("plans list", ""), ("plans show", "warned.2"), ("plans reject", "warned.2"), ("sources retire", "warned"),
    ("plans approve", "warned.3"), ("plans undo", "warned.3"), ("sources forget", "warned/2"),
    ("archive prune", "--days 0 --dry-run"), ("identity match", ""), ("identity queue", "--all"), ("identity show", "{pair}"),
    ("identity decide-all", "unsure --reason because --at-least 1"), ("identity decisions", "--history"),
    ("identity publish", "--dry-run"), ("crosswalk gaps", "warned"), ("inbox list", ""),
    ("prizes show", "2026"), ("shapes check", "shape.ttl"), ("vocabulary check", ""),
    ("examples run", "initiatives-by-goal"),
    ("query", "{kind}.rq"), ("diff", "entry/1 entry/2"), ("release", ""), ("keys create", "Ada --scope read"), ("keys list", ""),
    ("verify", ""), ("store verify", ""), ("store rebuild", ""),
)  # fmt: skip


def walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield each command with its option of machine output, and the formats that its help lists."""
    command = command.load() if hasattr(command, "load") else command
    if hasattr(command, "list_commands"):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), (*words, name))
        return
    for parameter in command.params:
        for option in {"--json", "--format"}.intersection(parameter.opts):
            names = parameter.help.partition(": ")[2].rstrip(".").split(", ")
            yield " ".join(words), option, tuple(names if option == "--format" else ())


OPTIONS = {words: (option, forms) for words, option, forms in walk(get_command(app))}


def test_each_command_with_machine_output_is_tried() -> None:
    assert {words for words, _ in LINES} == set(OPTIONS)


def rows(text: str, delimiter: str = ",") -> None:
    lengths = {len(row) for row in csv.reader(StringIO(text), delimiter=delimiter)}
    assert len(lengths) == 1, text[:200]


def graph(form: RdfFormat) -> Callable[[str], object]:
    return lambda text: [*parse(text.encode(), form)]


def xml(text: str) -> object:
    return etree.fromstring(text.encode())


PARSERS: dict[str, Callable[[str], object]] = {
    "json": json.loads, "sarif": json.loads, "junit": xml, "xml": xml, "csv": rows,
    "tsv": lambda text: rows(text, "\t"), "ttl": graph(RdfFormat.TURTLE), "turtle": graph(RdfFormat.TURTLE),
    "nt": graph(RdfFormat.N_TRIPLES), "rdf": graph(RdfFormat.RDF_XML), "jsonld": json.loads, "markdown": str,
    "text": str, "html": str,
}  # fmt: skip


@dataclass
class Outputs:
    by_form: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    of_children: bytes = b""


@contextmanager
def children_output(path: Path) -> Iterator[Path]:
    """Direct what child processes write to standard output into the file *path*; the fork server is
    restarted, so that it inherits the file.
    """
    saved = os.dup(1)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 1)
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    try:
        yield path
    finally:
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
        os.dup2(saved, 1)
        os.close(saved)


@contextmanager
def feed(contents: Mapping[str, bytes]) -> Iterator[str]:
    class FeedHandler(QuietHandler):
        def do_GET(self) -> None:
            content = contents.get(self.path)
            self.answer(content or b"", "text/csv", 404 if content is None else 200)

    with serving(FeedHandler) as url:
        yield url


def table(extra: str) -> bytes:
    lines = (
        f"{n};Ação social de lugar{n} para educação em tópico{n}{extra};Formação em saúde;https://example.org/{extra}{n};Brasilx"
        for n in range(1, 40)
    )
    return "\n".join(["id;title;description;page;country", *lines]).encode("latin-1")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    folder, result, before = tmp_path_factory.mktemp("machine"), Outputs(), Path.cwd()
    lists = {"/warned.csv": table(""), "/other.csv": table(" extra")}
    files = {
        "warned.csv": lists["/warned.csv"], "decisions.csv": "\n".join(map("\t".join, (COLUMNS, DECISION))).encode(),
        "select.rq": b"SELECT ?s { ?s a ?t } LIMIT 3", "construct.rq": b"CONSTRUCT { ?s a ?t } { ?s a ?t } LIMIT 3",
        "shape.ttl": b"<urn:a> a <urn:b> .", "2026.toml": EDITION.encode(), "sources/broken.toml": b"nonsense = 1",
    }  # fmt: skip
    with children_output(folder / "children") as children, feed(lists) as url:
        files |= {
            f"sources/{name}.toml": DEFINITION.format(f"{url}/{name}.csv").encode()
            for name in ("warned", "other")
        }
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        os.chdir(folder)
        try:
            _run_lines(result)
        finally:
            os.chdir(before)
        result.of_children = children.read_bytes()
    return result


def _run_lines(outputs: Outputs) -> None:
    environment = {
        "STOCKTAKE_DATA": "data",
        "STOCKTAKE_SOURCES": "sources",
        "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
    }
    values: dict[str, str] = {}
    for words, arguments in (("prizes add", "2026.toml"), *LINES):
        option, forms = OPTIONS.get(words, ("", ()))
        for form in forms or ("json",):
            kind = "construct" if form in ("ttl", "nt", "jsonld", "rdf") else "select"
            rest = arguments.format(**values, kind=kind).split()
            ending = [option, form] if forms else [option] if option else []
            done = CliRunner().invoke(app, [*words.split(), *rest, *ending], env=environment)
            if option:
                outputs.by_form.setdefault(form, []).append((words, done.stdout))
            if named := re.search(r'"(pair|id)": ?"(.+?)"', done.stdout):
                values[named[1]] = named[2]


@pytest.mark.nightly
@each("form", sorted({form for _, forms in OPTIONS.values() for form in forms or ("json",)}))
def test_output_of_each_command_is_whole(outputs: Outputs, form: str) -> None:
    for words, text in outputs.by_form[form]:
        assert text, words
        PARSERS[form](text)


def test_no_database_shows_progress_on_standard_output() -> None:
    root = Path(publisher.__file__).parent
    opened = [path.name for path in root.rglob("*.py") if "duckdb.connect(" in path.read_text()]

    with connect() as connection:
        rows = connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()

    assert (opened, rows) == (["tables.py"], [(False,)])


@pytest.mark.nightly
def test_no_child_process_writes_to_standard_output(outputs: Outputs) -> None:
    assert outputs.of_children == b""
