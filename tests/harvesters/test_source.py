from pathlib import Path

import pytest

from harvesters.errors import SourceDefinitionError
from harvesters.source import Limits, load, load_all, read

GOOD = """
title = "Projects"
protocol = "json"
mapping = "fields"
url = "https://registry.example/api"
licence = "https://creativecommons.org/licenses/by/4.0/"
every = "15 3 * * *"
[limits]
expect = 100
[fields]
key = "id"
"""


def definition(folder: Path, text: str, name: str = "kenya-ict.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_definition_is_a_source_named_after_its_file(tmp_path: Path) -> None:
    source = load(definition(tmp_path, GOOD))

    assert (source.name, source.title, source.every, source.pause, source.enabled) == (
        "kenya-ict", "Projects", "15 3 * * *", 1.0, True,
    )  # fmt: skip
    assert source.limits == Limits(expect=100, vanished=0.10)
    assert source.fields == {"key": "id"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("title", "titel", "unknown key 'titel'; did you mean 'title'?"), ('title = "Projects"', "", "'title' is missing"),
     ('title = "Projects"', "title = 3", "title is 3; write text"),
     ("https://registry.example/api", "registry.example", "write an http or https address"),
     ("https://creativecommons.org/licenses/by/4.0/", "CC BY", "licence is 'CC BY'; write a URL"),
     ("15 3 * * *", "daily", "no cron line of five fields"),
     ("expect = 100", "expects = 100", "unknown key 'limits.expects'; did you mean 'expect'?"),
     ("expect = 100", "expect = -1", "write a number from 0 up"), ('key = "id"', "key = 1", "fields.key is 1"),
     ("[limits]", "pause = -1\n[limits]", "pause is -1"),
     ("[limits]", "pause = 1e24\n[limits]", "write a number of seconds from 0 to 86400"),
     ("[limits]", "pause = inf\n[limits]", "write a number of seconds from 0 to 86400"),
     ('title = "Projects"', "title = ", "invalid TOML")],
)  # fmt: skip
def test_a_wrong_definition_is_refused_with_its_fault(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    wrong = definition(tmp_path, GOOD.replace(old, new, 1))

    with pytest.raises(SourceDefinitionError) as caught:
        load(wrong)

    assert message in str(caught.value)
    assert str(wrong) in str(caught.value)


def test_all_faults_of_a_definition_are_reported_at_once(tmp_path: Path) -> None:
    wrong = definition(tmp_path, GOOD.replace("title", "titel").replace("15 3 * * *", "daily"))

    source, faults = read(wrong)

    assert [
        fault.text.partition(": ")[2].partition(";")[0].partition(" of ")[0] for fault in faults
    ] == ["unknown key 'titel'", "every 'daily' is no cron line", "'title' is missing"]
    assert source.url == "https://registry.example/api"


def test_a_name_that_cannot_be_in_an_address_and_a_missing_folder_are_errors(
    tmp_path: Path,
) -> None:
    with pytest.raises(SourceDefinitionError, match="part of every IRI"):
        load(definition(tmp_path, GOOD, "Kenya ICT.toml"))

    with pytest.raises(SourceDefinitionError, match="STOCKTAKE_SOURCES"):
        load_all(tmp_path / "none")


def test_a_folder_has_valid_and_invalid_definitions_by_name(tmp_path: Path) -> None:
    for name in ("b.toml", "a.toml", "notes.txt"):
        definition(tmp_path, GOOD, name)

    (tmp_path / "c.toml").write_text("title = [")

    definitions = load_all(tmp_path)

    assert [*definitions.sources] == ["a", "b"]
    assert [*definitions.errors] == ["c"]
    assert "c.toml: invalid TOML" in definitions.errors["c"]
