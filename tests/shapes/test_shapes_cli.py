from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shapes.rules import rules
from stocktake import app

GOOD = """@prefix dct: <http://purl.org/dc/terms/> . @prefix wsis: <ns#> .
<id/initiative/x/1> a wsis:Initiative ; dct:identifier "1" ; dct:title "Digital health"@en ."""
BAD = GOOD.replace(' ; dct:title "Digital health"@en', "")


def _run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["shapes", *map(str, arguments)])
    return result.exit_code, result.output


def test_a_file_with_warnings_alone_exits_0(tmp_path: Path) -> None:
    file = tmp_path / "good.ttl"
    file.write_text(GOOD)

    code, output = _run("check", file, "--json")

    body = json.loads(output)
    assert (code, body["conforms"]) == (0, True)
    assert {result["severity"] for result in body["files"][str(file)]} == {"Warning"}


def test_a_file_that_would_be_withheld_exits_1(tmp_path: Path) -> None:
    file = tmp_path / "bad.ttl"
    file.write_text(BAD)

    code, output = _run("check", file)

    assert code == 1
    assert "It has no title." in " ".join(output.split())


def test_the_graphs_of_n_quads_are_validated_together(tmp_path: Path) -> None:
    file = tmp_path / "bad.nq"
    file.write_text(
        "<a:e> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <https://schema.org/Event> <a:g> .\n"
    )

    code, output = _run("check", file, "--json")

    assert code == 1
    assert "EventStartGiven" in output


@pytest.mark.parametrize(
    ("name", "text"), [("x.ttl", "<a:s> <a:p>"), ("x.docx", ""), ("missing.ttl", None)]
)
def test_a_file_that_is_missing_malformed_or_of_another_kind_exits_2(
    name: str, text: str | None, tmp_path: Path
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)

    code, output = _run("check", file)

    assert code == 2
    assert "Traceback" not in output


# By day, test_engines_agree.py loads all shapes into both engines.
@pytest.mark.nightly
def test_without_files_the_shapes_themselves_are_sound() -> None:
    code, output = _run("check")

    assert code == 0
    assert f"{len(rules())} shapes are sound" in output
