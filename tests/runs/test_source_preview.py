from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from projects import ProjectRegistry, define_table, project

from harvesters.errors import SourceDefinitionError
from harvesters.inspection.preview import TIME_LIMIT, PreviewResult, preview_source
from harvesters.network.fetch import NetworkSettings
from harvesters.source import Source
from languages.translations import use_language
from vocab.iris import BASE

DefineTable = Callable[[bytes], tuple[Source, NetworkSettings]]


def tried(source: Source, registry: ProjectRegistry, **more: Any) -> PreviewResult:
    network = NetworkSettings("us@example.org", transport=httpx.MockTransport(registry))
    return preview_source(source, BASE, network, **more)


def test_a_preview_validates_the_given_number_of_records(
    source: Source, registry: ProjectRegistry
) -> None:
    result = tried(source, registry, records=4)

    assert [(record.key, record.outcome, record.title) for record in result.records] == [
        (f"p{n}", "published", f"Project {n}") for n in (1, 2, 3, 4)
    ]
    assert (result.reported_total, result.more, result.error) == (10, True, "")
    assert registry.request_log == [1, 2]


def test_a_preview_lists_withheld_records_with_their_reason(
    source: Source, registry: ProjectRegistry
) -> None:
    registry.projects = [project(1, ""), project(2)]

    result = tried(source, registry)

    assert [record.outcome for record in result.records] == ["withheld", "published"]
    assert "title" in result.records[0].reason
    assert result.records[1].warnings


def test_a_preview_names_fields_of_the_definition_that_match_nothing(
    source: Source, registry: ProjectRegistry
) -> None:
    renamed = replace(source, fields={**source.fields, "title@en": "projectName"})

    result = tried(renamed, registry)
    with use_language("fr"):
        notes = tried(renamed, registry).notes

    assert [record.outcome for record in result.records] == ["withheld"] * len(result.records)
    unmatched, unread = result.notes
    assert "match nothing in the records: title@en = 'projectName'; " in unmatched
    assert unread.endswith("fields of the records: name")
    assert "name" in re.findall(r"\w+", unmatched.partition("have the fields ")[2])
    assert notes[0].startswith("ces champs de la définition ne trouvent rien")
    assert tried(source, registry).notes == ()


def test_a_preview_names_fields_of_the_records_that_no_path_reads() -> None:
    rows = b"id;name;country;budget\nA;Wells;KE;7\nB;Schools;UG;8\n"
    source, network = define_table(rows)

    result = preview_source(source, BASE, network)

    assert [*result.notes] == [
        "the mapping does not read these fields of the records: country, budget"
    ]


def test_a_preview_names_the_charset_that_was_guessed() -> None:
    content = "id;name\n" + "".join(f"{n};Ação social para educação\n" for n in range(9))
    source, network = define_table(content.encode("latin-1"))

    result = preview_source(source, BASE, network)

    assert result.records[0].title == "Ação social para educação"
    (note,) = result.notes
    assert note.startswith("The text states no charset and was read as cp1252.")


def test_a_preview_says_what_a_run_would_not_publish(
    source: Source, registry: ProjectRegistry
) -> None:
    registry.projects = [project(1), project(1, "Another"), project(2)]
    registry.total = 9

    result = tried(source, registry, records=3)
    short = tried(source, registry)

    assert [record.outcome for record in result.records] == ["published", "duplicate", "published"]
    assert "its key occurred before" in result.records[1].reason
    assert len(short.notes) == 2
    assert short.notes[0].startswith("1 of the 3 records read would not be published: ")
    assert "the list ended after 3 of 9 records" in short.notes[1]


def test_a_preview_error_comes_with_the_records_before_it(
    source: Source, registry: ProjectRegistry
) -> None:
    registry.answer = lambda page: httpx.Response(404) if page == 2 else None

    result = tried(source, registry)

    assert len(result.records) == 3
    assert result.error_kind == "missing"
    assert "registry.example" in result.error


@pytest.mark.parametrize(
    ("language", "words"), [("en", "no title"), ("fr", "titre"), ("zh", "标题")]
)
def test_reasons_warnings_and_errors_are_in_the_language_in_use(
    source: Source, registry: ProjectRegistry, language: str, words: str
) -> None:
    registry.projects = [project(1, ""), *(project(number) for number in range(2, 11))]
    registry.answer = lambda page: httpx.Response(404) if page == 2 else None
    english = tried(source, registry)

    with use_language(language):
        result = tried(source, registry)

    assert words in result.records[0].reason
    assert "registry.example" in result.error
    assert (result.error == english.error) == (language == "en")
    assert (result.records[1].warnings == english.records[1].warnings) == (language == "en")


def test_no_page_is_requested_after_the_time_limit(
    source: Source, registry: ProjectRegistry
) -> None:
    times = iter([0.0, TIME_LIMIT + 1])

    result = tried(source, registry, clock=lambda: next(times))

    assert registry.request_log == [1]
    assert (len(result.records), result.more) == (3, True)


def test_a_private_address_is_refused(source: Source) -> None:
    result = preview_source(
        replace(source, url="http://127.0.0.1:9/api"), BASE, NetworkSettings("us@example.org")
    )

    assert (result.records, result.error_kind) == ((), "refused")


def test_an_invalid_definition_is_reported_before_any_request(
    source: Source, registry: ProjectRegistry
) -> None:
    with pytest.raises(SourceDefinitionError, match="unknown option 'pages'"):
        tried(replace(source, options={"pages": "p"}), registry)
    assert registry.request_log == []
