from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from replay import crosswalks
from rows import each
from simulated import define_source

from harvesters.mappings.fields import build_mapper, faults
from harvesters.page_model import Record

FIELDS = {"title": "title", "partners": "partners", "subjects": "subjects", "start": "years"}


def mapped(row: Mapping[str, Any], fields: Mapping[str, str] = FIELDS, **options: Any) -> Any:
    source = define_source("csv", fields=fields, options=options)
    assert list(faults(source)) == []
    return build_mapper(source, crosswalks())(Record("1", row, orjson.dumps(row)))


def names(resource: Any) -> list[str]:
    return [party.name.value for party in resource.parties]


def test_each_field_may_have_a_separator_of_its_own_and_brackets_are_not_split() -> None:
    row = {"title": "A; B", "partners": "UNICEF\nWHO, Geneva\n", "subjects": "water, soil"}

    resource = mapped(row, split={"partners": "\n", "subjects": ","})

    assert names(resource) == ["UNICEF", "WHO, Geneva"]
    assert [subject.value for subject in resource.subjects] == ["water", "soil"]

    row = {"title": "A", "partners": "Ministry (health, education), WHO [Geneva, Cairo]"}

    resource = mapped(row, split=",")

    assert names(resource) == ["Ministry (health, education)", "WHO [Geneva, Cairo]"]


@each("text", ["N/A", "n/a", "None", "Information not available.", "-"])
def test_what_stands_for_no_value_is_none(text: str) -> None:
    row = {"title": text, "partners": f"WHO; {text}", "subjects": text, "years": text}

    resource = mapped(row, split=";")

    assert (resource.titles, names(resource), resource.subjects, resource.start) == (
        (),
        ["WHO"],
        (),
        None,
    )


def test_a_definition_may_add_what_stands_for_no_value_and_namibia_is_a_value() -> None:
    row = {"title": "A", "partners": "To be confirmed"}

    assert names(mapped(row, nothing=["to be confirmed"])) == []

    resource = mapped({"country": "NA"}, {"countries": "country"})

    assert [iri.rpartition("/")[2] for iri in resource.countries] == ["516"]


@pytest.mark.parametrize(
    ("value", "options", "date"),
    [("1583020800000", {}, "2020-03-01"), (1583020801000, {}, "2020-03-01T00:00:01Z"),
     ("-86400000", {"dates": "milliseconds"}, "1969-12-31")],
)  # fmt: skip
def test_milliseconds_are_a_date(value: object, options: dict[str, Any], date: str) -> None:
    assert mapped({"years": value}, **options).start == date


@each(
    "row, period",
    [({"years": "2006-2010"}, ("2006", "2010")), ({"years": "2006 – 2010", "until": "2011-05-01"}, ("2006", "2011-05-01")),
     ({"until": "2006/2010"}, ("2006", "2010")), ({"years": "2006", "until": ""}, ("2006", None))],
)  # fmt: skip
def test_years_with_a_dash_are_a_period(
    row: dict[str, str], period: tuple[str, str | None]
) -> None:
    resource = mapped(row, {"start": "years", "end": "until"})

    assert (resource.start, resource.end) == period


@pytest.mark.parametrize("kind", [orjson.loads, bytes.decode])
def test_the_json_of_an_editor_is_text(kind: Any) -> None:
    delta = b'{"ops":[{"insert":"Wells "},{"attributes":{"bold":true},"insert":"for all\\n"}]}'

    resource = mapped({"title": kind(delta)})

    assert [title.value for title in resource.titles] == ["Wells for all"]


def test_a_separator_of_an_unknown_field_is_a_fault() -> None:
    source = define_source("csv", options={"split": {"partner": ";", "subjects": 3}})

    texts = [fault.text for fault in faults(source)]

    assert ["unknown field 'split.partner'" in texts[0], "split.subjects is 3" in texts[1]] == [True, True]  # fmt: skip
