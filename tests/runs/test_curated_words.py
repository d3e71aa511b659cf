from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from definitions import words_json
from projects import serving
from rows import each
from typer.testing import CliRunner, Result

from harvesters.errors import SourceDefinitionError
from harvesters.inspection.curation import find_gaps
from harvesters.ledger.models import decompress
from harvesters.runs.collect import rules_digest
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest, remap
from harvesters.source import load, word_table
from stocktake import app
from vocab.curated import WORD_COLUMNS, CuratedWord, read_words, write_words
from vocab.iris import Iris

ITEMS = [
    {"id": "1", "name": "Project 1", "topics": ["village doctors", "zzqx"], "state": "nearly done", "lines": ["Doctors"]},
    {"id": "2", "name": "Project 2", "topics": ["zzqx"], "state": "ongoing", "lines": []},
]  # fmt: skip
SDG_3 = "http://metadata.un.org/sdg/3"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "projects.toml").write_text(words_json())
    return tmp_path / "sources"


@pytest.fixture
def stocktake(folder: Path) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(
        app, ["--data", str(folder / "data"), "--sources", str(folder), "crosswalk", *words]
    )


def descriptions(context: HarvestContext) -> list[str]:
    return sorted(decompress(text) for text in context.ledger.published_descriptions("projects"))


def test_a_chosen_word_is_applied_by_remap_with_its_plan(
    folder: Path, stocktake: Callable[..., Result], context: HarvestContext
) -> None:
    served = serving(context, {"items": ITEMS})
    harvest(load(folder / "projects.toml"), served)
    before = rules_digest(load(folder / "projects.toml"), context)

    results = [
        stocktake("add", "projects", "Village  Doctors", "sdg:3"), stocktake("add", "projects", "nearly done", "status:completed"),
        stocktake("add", "projects", "doctors", f"{Iris().base}scheme/action-line/C7-ehea", "--comment", "their name for it"),
    ]  # fmt: skip
    source = load(folder / "projects.toml")
    run = remap(source, served)

    assert [result.exit_code for result in results] == [0, 0, 0], results[0].output
    assert rules_digest(source, context) != before
    assert run.counts["changed"] == 1  # the other record has none of the words
    first, second = descriptions(context)
    assert f"crosswalkedGoal> <{SDG_3}>" in first
    assert "status/completed>" in first
    assert "crosswalkedActionLine> " in first
    assert 'sourceWord> "village doctors"' in first
    assert SDG_3 not in second
    assert {gap.word for gap in find_gaps(context.ledger, ["projects"], context.iris, 20)} == {
        "zzqx"
    }


def test_the_table_has_author_date_and_comment_and_a_later_choice_replaces(
    folder: Path, stocktake: Callable[..., Result]
) -> None:
    stocktake("add", "projects", "Health", "sdg:3")
    stocktake("add", "projects", "health", "sdg:3.8", "--comment", "coverage\tof all")

    words, faults = read_words(word_table(folder, "projects").read_text())

    assert faults == []
    assert [(item.word, item.concept, item.comment) for item in words] == [
        ("health", "sdg:3.8", "coverage\tof all")
    ]
    assert words[0].author.endswith("at the terminal")
    assert len(words[0].day) == 10


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [(("projects", "x", "sdg:99"), 1, "unknown concept 'sdg:99'"), (("projects", "x", "sdg:4.4.1"), 1, "unknown concept"),
     (("projects", " ", "sdg:4"), 1, "the word is missing"), (("projects", "x" * 20_000, "sdg:4"), 1, "at most"),
     (("nowhere", "x", "sdg:4"), 2, "no source named 'nowhere'")],
    ids=["unknown", "an indicator", "no word", "a long word", "another source"],
)  # fmt: skip
def test_what_is_wrong_is_refused(
    folder: Path, stocktake: Callable[..., Result], words: tuple[str, ...], code: int, message: str
) -> None:
    result = stocktake("add", *words)

    assert result.exit_code == code
    assert message in f"{result.output} {result.exception}".replace("\n", " ")
    assert not word_table(folder, "projects").exists()


def test_a_wrong_row_refuses_the_source_with_file_and_line(
    folder: Path, stocktake: Callable[..., Result]
) -> None:
    stocktake("add", "projects", "health", "sdg:3")
    file = word_table(folder, "projects")
    text = file.read_text()
    file.write_text(
        text
        + text.splitlines()[1].replace("sdg:3", "sdg:33").replace("health", "care")
        + "\n"
        + text.splitlines()[1]
        + "\n"
    )

    with pytest.raises(SourceDefinitionError) as caught:
        load(folder / "projects.toml")
    refused = stocktake("add", "projects", "more", "sdg:4")

    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"{file}, line 3", f"{file}, line 4"]
    assert "unknown concept 'sdg:33'" in lines[0]
    assert "an earlier line has a concept" in lines[1]
    assert refused.exit_code == 2
    assert "more" not in file.read_text()


@each("text", ["", "word\tconcept\n", "\x00\x01", 'subject_label\tobject_id\n"' + "x" * 100_000])
def test_a_table_that_is_none_is_refused(text: str) -> None:
    words, faults = read_words(text)

    assert words == []
    assert len(faults) == 1
    assert faults[0].line >= 1


def test_what_is_written_is_read_again() -> None:
    words = [
        CuratedWord("a", "sdg:4", "Ann", "2026-01-31", 'a "word"\nof two lines'),
        CuratedWord("الصحة", "action-line:C7-ehea"),
    ]

    text = write_words(words)

    assert text.splitlines()[0] == "\t".join(WORD_COLUMNS)
    assert read_words(text) == (words, [])
