"""The registry's list, each publisher's file, and its activities."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from rows import each
from simulated import open_client

from harvesters.compatibility import check_compatible
from harvesters.errors import ParseError
from harvesters.page_model import InvalidRecord, Page, Record

from .conftest import DefineSource

ROOT = "https://registry.example"


def activity(key: str, *, more: str = "", attributes: str = "", secondary: str = "0") -> str:
    return (
        f"<iati-activity {attributes}><iati-identifier>{key}</iati-identifier>"
        f'<reporting-org secondary-reporter="{secondary}"/><title><narrative>{key}</narrative></title>{more}</iati-activity>'
    )


def file(*activities: str) -> bytes:
    return f'<?xml version="1.0"?><iati-activities version="2.03">{"".join(activities)}</iati-activities>'.encode()


class IatiPortal:
    """A registry that lists *files* by their publishers' names, and the publishers' own servers."""

    def __init__(self, files: dict[str, bytes], **extras: str) -> None:
        self.files = files
        self.extras = extras
        self.request_log: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.request_log.append(request.url)
        if request.url.path.endswith("package_search"):
            packages = [
                {"id": name, "name": name, "resources": [{"url": f"https://{name}.example/a.xml"}],
                 "extras": [{"key": key, "value": value} for key, value in self.extras.items()]}
                for name in self.files
            ]  # fmt: skip
            start, rows = int(request.url.params["start"]), int(request.url.params["rows"])
            result = {"count": len(packages), "results": packages[start : start + rows]}
            return httpx.Response(200, text=json.dumps({"success": True, "result": result}))
        content = self.files[request.url.host.removesuffix(".example")]
        return httpx.Response(200, content=content) if content else httpx.Response(404)


def pages(
    portal: Any,
    define_source: Any,
    *,
    cursor: str | None = None,
    since: datetime | None = None,
    url: str = ROOT,
    **options: Any,
) -> list[Page[Any]]:
    source = define_source("iati", "iati_activity", url=url, options=options)
    with open_client(portal) as fetch:
        return list(check_compatible(source)[0].collect(source, fetch, since, cursor))


def keys(iati_pages: list[Page[Any]]) -> list[str | None]:
    return [item.key for page in iati_pages for item in page.items]


def test_the_files_of_all_publishers_come_one_after_the_other(define_source: DefineSource) -> None:
    result = pages(
        IatiPortal({"a": file(activity("A-1"), activity("A-2")), "b": file(activity("B-1"))}),
        define_source,
    )

    assert keys(result) == ["A-1", "A-2", "B-1"]
    assert (result[-1].cursor, [page.incomplete_reason for page in result]) == (
        None,
        [None] * len(result),
    )


def test_a_run_goes_on_behind_each_page_that_was_kept(define_source: DefineSource) -> None:
    portal = IatiPortal({"a": file(activity("A-1")), "b": file(activity("B-1"))})
    whole = pages(portal, define_source)

    rests = [
        keys(whole[: number + 1]) + keys(pages(portal, define_source, cursor=page.cursor))
        for number, page in enumerate(whole[:-1])
    ]

    assert rests == [["A-1", "B-1"]] * (len(whole) - 1)


def test_a_file_that_changed_meanwhile_is_read_anew(define_source: DefineSource) -> None:
    cursor = pages(IatiPortal({"a": file(activity("A-1"), activity("A-2"))}), define_source)[
        0
    ].cursor

    result = pages(
        IatiPortal({"a": file(activity("A-0"), activity("A-1"))}), define_source, cursor=cursor
    )

    assert (keys(result), result[0].again) == (["A-0", "A-1"], True)


def test_a_missing_file_costs_its_own_activities_and_leaves_the_harvest_incomplete(
    define_source: DefineSource,
) -> None:
    result = pages(IatiPortal({"a": b"", "b": file(activity("B-1"))}), define_source)

    (output,) = [
        item.reason for page in result for item in page.items if isinstance(item, InvalidRecord)
    ]
    assert "https://a.example/a.xml: answered 404" in output
    assert keys(result) == [None, "B-1"]
    assert result[-1].incomplete_reason


def test_what_stands_before_a_fault_in_a_file_is_kept(define_source: DefineSource) -> None:
    broken = file(activity("A-1"), activity("A-2"))[:-40]

    result = pages(IatiPortal({"a": broken, "b": file(activity("B-1"))}), define_source)

    assert keys(result) == ["A-1", None, "B-1"]
    assert "not well-formed XML" in str(result[-1].incomplete_reason)


NO_ID = "<iati-activity><title><narrative>Wells</narrative></title></iati-activity>"
TWICE = "<iati-activity><iati-identifier>A-2</iati-identifier>"


@pytest.mark.parametrize(
    ("bad", "key", "fault"),
    [
        (activity("A-2", more="<a>Health & water</a>"), "A-2", "the activity 'A-2' cannot be read: xmlParseEntityRef"),
        (activity("A-2", more="<b>"), "A-2", "the activity 'A-2' cannot be read: Opening and ending tag mismatch"),
        (TWICE, "A-2", "the activity 'A-2' cannot be read"),
        (NO_ID, None, "an activity without an iati-identifier, titled 'Wells'"),
    ],
    ids=["a sign", "a tag", "no end", "no identifier"],
)  # fmt: skip
def test_a_bad_activity_costs_one_activity(
    bad: str, key: str | None, fault: str, define_source: DefineSource
) -> None:
    comment = f"<!-- {activity('A-0')} -->"
    content = file(activity("A-1"), bad, comment, activity("A-3"), activity("A-4"))

    result = pages(
        lambda request: httpx.Response(200, content=content), define_source, url=f"{ROOT}/a.xml"
    )

    assert keys(result) == ["A-1", key, "A-3", "A-4"]
    (reason,) = [item.reason for item in result[0].items if isinstance(item, InvalidRecord)]
    assert reason.startswith(f"{ROOT}/a.xml: {fault}")


def test_a_bad_activity_without_a_key_leaves_the_harvest_incomplete(
    define_source: DefineSource,
) -> None:
    content = file(activity("A-1"), "<iati-activity><title>&</title></iati-activity>", activity("A-3"))  # fmt: skip

    result = pages(IatiPortal({"a": content}), define_source)

    assert keys(result) == ["A-1", None, "A-3", None]
    assert "not well-formed XML" in str(result[-1].incomplete_reason)


def test_a_registry_that_cannot_be_read_ends_the_run(define_source: DefineSource) -> None:
    with pytest.raises(ParseError, match="not a package_search response"):
        pages(
            lambda request: httpx.Response(200, text='{"success":true,"result":[]}'), define_source
        )


def test_only_what_changed_is_asked_for(define_source: DefineSource) -> None:
    portal = IatiPortal({"a": file(activity("A-1"))})

    pages(portal, define_source, since=datetime(2026, 1, 2, tzinfo=UTC), publishers=["x", "y"])

    assert portal.request_log[0].params["fq"] == (
        "(extras_filetype:activity) AND (organization:(x OR y)) AND (metadata_modified:[2026-01-01T23:59:59Z TO *])"
    )


@pytest.mark.parametrize(
    ("options", "expected"), [({}, ["A-1"]), ({"secondary": True}, ["A-1", "A-2"])]
)
def test_secondary_reports_are_left_out_unless_configured(
    options: dict[str, Any], expected: list[str], define_source: DefineSource
) -> None:
    portal = IatiPortal({"a": file(activity("A-1"), activity("A-2", secondary="1"))})

    assert keys(pages(portal, define_source, **options)) == expected


def test_files_of_secondary_publishers_are_not_asked_for(define_source: DefineSource) -> None:
    portal = IatiPortal({"a": file(activity("A-1"))}, publisher_source_type="secondary_source")

    assert keys(pages(portal, define_source)) == []
    assert [url.host for url in portal.request_log] == ["registry.example"]


@pytest.mark.parametrize(("level", "expected"), [(0, ["P", "C", "N"]), (1, ["P", "N"]), (2, ["C"])])
def test_a_definition_may_take_one_level_of_the_hierarchy(
    level: int, expected: list[str], define_source: DefineSource
) -> None:
    portal = IatiPortal(
        {
            "a": file(activity("P", attributes='hierarchy="1"'), activity("C", attributes='hierarchy="2"'), activity("N")),
        }
    )  # fmt: skip

    assert keys(pages(portal, define_source, hierarchy=level)) == expected


def test_one_file_that_has_not_changed_is_not_read_again(define_source: DefineSource) -> None:
    result = pages(lambda request: httpx.Response(304), define_source, url=f"{ROOT}/a.xml")

    assert [page.unchanged for page in result] == [True]


@each(
    "message, text",
    [(b"<!DOCTYPE a [<!ENTITY b 'c'>]><iati-activities/>", "DOCTYPE, which is refused"),
     ("<!DOCTYPE a [<!ENTITY b 'c'>]><iati-activities/>".encode("utf-16"), "DOCTYPE, which is refused"),
     (b"<iati-organisations/>", "it begins with <iati-organisations>"), (b"<html></html>", "an HTML page"), (b"", "empty response"),
     (b"<iati-activities>", "not well-formed XML")],
)  # fmt: skip
def test_what_is_no_file_of_activities_is_reported(
    message: bytes, text: str, define_source: DefineSource
) -> None:
    with pytest.raises(ParseError, match=text):
        pages(
            lambda request: httpx.Response(200, content=message), define_source, url=f"{ROOT}/a.xml"
        )


def test_each_activity_is_a_document_of_its_own(define_source: DefineSource) -> None:
    (page,) = pages(
        lambda request: httpx.Response(200, content=file(activity("A-1"), activity("A-2"))),
        define_source,
        url=f"{ROOT}/a.xml",
    )

    payloads = [item.payload for item in page.items if isinstance(item, Record)]
    assert [(payload.getparent(), payload.findtext("iati-identifier")) for payload in payloads] == [
        (None, "A-1"),
        (None, "A-2"),
    ]
