"""The scripts of the query page: an answer is read whole and kept in part, and every text has its
translations.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from publisher.sparql.examples import script_texts

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
