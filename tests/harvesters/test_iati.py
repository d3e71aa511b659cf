from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from rows import each
from simulated import define_source, harvest, items, keys

from harvesters.errors import ParseError
from harvesters.page_model import InvalidRecord, Page
from harvesters.protocols.document import MAX_RECORDS

ROOT = "https://registry.example"


def activity(key: str, *, more: str = "", attributes: str = "", secondary: str = "0") -> str:
    return (
        f"<iati-activity {attributes}><iati-identifier>{key}</iati-identifier>"
        f'<reporting-org secondary-reporter="{secondary}"/><title><narrative>{key}</narrative></title>{more}</iati-activity>'
    )


def file(*activities: str) -> bytes:
    return f'<?xml version="1.0"?><iati-activities version="2.03">{"".join(activities)}</iati-activities>'.encode()


class IatiPortal:
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
    portal: Any, *, cursor: str | None = None, since: datetime | None = None, url: str = ROOT, **options: Any
) -> list[Page[Any]]:  # fmt: skip
    source = define_source("iati", "iati_activity", url=url, options=options)
    return harvest(portal, source, since, cursor)


def file_pages(content: bytes) -> list[Page[Any]]:
    answer = httpx.Response(200, content=content)
    return pages(lambda request: answer, url=f"{ROOT}/a.xml")


def test_the_files_of_all_publishers_come_one_after_the_other() -> None:
    portal = IatiPortal({"a": file(activity("A-1"), activity("A-2")), "b": file(activity("B-1"))})

    whole = pages(portal)

    assert keys(whole) == ["A-1", "A-2", "B-1"]
    assert (whole[-1].cursor, {page.incomplete_reason for page in whole}) == (None, {None})
    for number, page in enumerate(whole[:-1], 1):
        rest = pages(portal, cursor=page.cursor)
        assert keys(whole[:number]) + keys(rest) == keys(whole)


def test_a_file_that_changed_meanwhile_is_read_anew() -> None:
    names = [f"A-{number}" for number in range(MAX_RECORDS + 1)]
    before, after = (IatiPortal({"a": file(*map(activity, rows))}) for rows in (names, names[1:]))
    cursor = pages(before)[0].cursor

    result, unchanged = pages(after, cursor=cursor), pages(before, cursor=cursor)

    assert (keys(result), result[0].again) == (names[1:], True)
    assert (keys(unchanged), unchanged[0].again) == (names[MAX_RECORDS:], False)


UNNAMED = file(activity("A-1"), "<iati-activity><title>&</title></iati-activity>", activity("A-3"))


@each(
    "content, expected, reason",
    [(b"", [None, "B-1"], "https://a.example/a.xml: answered 404"),
     (file(activity("A-1"), activity("A-2"))[:-40], ["A-1", None, "B-1"], "not well-formed XML"),
     (UNNAMED, ["A-1", None, "A-3", None, "B-1"], "not well-formed XML")],
)  # fmt: skip
def test_a_missing_or_broken_file_costs_its_own_activities_and_is_incomplete(
    content: bytes, expected: list[str | None], reason: str
) -> None:
    result = pages(IatiPortal({"a": content, "b": file(activity("B-1"))}))

    assert keys(result) == expected
    lost = [item.reason for item in items(result) if isinstance(item, InvalidRecord)]
    assert reason in " ".join(lost)
    assert result[-1].incomplete_reason


NO_ID = "<iati-activity><title><narrative>Wells</narrative></title></iati-activity>"
TWICE = "<iati-activity><iati-identifier>A-2</iati-identifier>"


@each(
    "bad, key, fault",
    [(activity("A-2", more="<a>Health & water</a>"), "A-2", "the activity 'A-2' cannot be read: xmlParseEntityRef"),
     (activity("A-2", more="<b>"), "A-2", "the activity 'A-2' cannot be read: Opening and ending tag mismatch"),
     (TWICE, "A-2", "the activity 'A-2' cannot be read"),
     (NO_ID, None, "an activity without an iati-identifier, titled 'Wells'")],
)  # fmt: skip
def test_a_bad_activity_costs_one_activity(bad: str, key: str | None, fault: str) -> None:
    comment = f"<!-- {activity('A-0')} -->"

    result = file_pages(file(activity("A-1"), bad, comment, activity("A-3"), activity("A-4")))  # fmt: skip

    assert keys(result) == ["A-1", key, "A-3", "A-4"]
    (lost,) = [item.reason for item in items(result) if isinstance(item, InvalidRecord)]
    assert lost.startswith(f"{ROOT}/a.xml: {fault}")


def test_a_registry_that_cannot_be_read_ends_the_run() -> None:
    answer = httpx.Response(200, text='{"success":true,"result":[]}')

    with pytest.raises(ParseError, match="not a package_search response"):
        pages(lambda request: answer)


def test_only_what_changed_is_asked_for() -> None:
    portal = IatiPortal({"a": file(activity("A-1"))})

    pages(portal, since=datetime(2026, 1, 2, tzinfo=UTC), publishers=["x", "y"])

    assert portal.request_log[0].params["fq"] == (
        "((extras_filetype:activity) AND (organization:(x OR y))) AND metadata_modified:[2026-01-01T23:59:59Z TO *]"
    )


REPORTED = (activity("P", attributes='hierarchy="1"'), activity("C", attributes='hierarchy="2"'), activity("N"),
activity("S", secondary="1"))  # fmt: skip


@each(
    "options, expected",
    [({}, "PCN"), ({"hierarchy": 0}, "PCN"), ({"hierarchy": 1}, "PN"), ({"hierarchy": 2}, "C")],
)  # fmt: skip
def test_secondary_reports_are_left_out_and_one_level_taken_as_configured(
    options: dict[str, Any], expected: str
) -> None:
    assert keys(pages(IatiPortal({"a": file(*REPORTED)}), **options)) == [*expected]


def test_files_of_secondary_publishers_are_not_asked_for() -> None:
    portal = IatiPortal({"a": file(activity("A-1"))}, publisher_source_type="secondary_source")

    assert keys(pages(portal)) == []
    assert [url.host for url in portal.request_log] == ["registry.example"]


def test_each_activity_is_a_document_of_its_own() -> None:
    one, two = items(file_pages(file(activity("A-1"), activity("A-2"))))

    assert one.payload.getparent() is two.payload.getparent() is None
    assert [item.payload.findtext("iati-identifier") for item in (one, two)] == ["A-1", "A-2"]
