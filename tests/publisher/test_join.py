"""Joining: the source definition that the form writes is tried within limits, and errors are shown
in the visitor's language.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from app_client import asking
from event_loops import session_loop
from rows import each

from command_line.settings import Settings
from command_line.site import visitor_commands
from publisher.app import SiteOptions, create_app
from publisher.errors import QuotaExceeded, StoreBusy
from publisher.pages import DOCUMENTATION
from publisher.portal.feed_samples import suggest_fields
from publisher.portal.visitors import MOST_PREVIEWS, WINDOW, ClientQuota, VisitorCommand
from publisher.portal.wizard import (
    from_query,
    preview,
    source_toml,
    with_suggestion,
)
from publisher.store.query_service import QueryService
from vocab.iris import BASE

SAMPLE = {
    "kind": "json", "title": "Test", "url": "https://registry.example/api", "licence": "https://example.org/l", "key": "id",
    "name": "name", "options": 'page = "page"',
}  # fmt: skip
ANSWER = {
    "records": [
        {"key": "<p1>", "outcome": "published", "title": "One & all", "reason": "", "warnings": ["No goal."], "statements": 30},
        {"key": "p2", "outcome": "withheld", "title": "", "reason": "No title (title)", "warnings": [], "statements": 0},
    ],
    "reported_total": 1200,
    "more": True,
    "error_kind": "",
    "error": "",
}  # fmt: skip
ECHO = "import sys; sys.stdin.read(); print(sys.argv[1])"


def runner(answer: object = ANSWER, **more: Any) -> VisitorCommand:
    return VisitorCommand((sys.executable, "-c", ECHO, orjson.dumps(answer).decode()), {}, **more)


def visitor(service: QueryService, trial: VisitorCommand | None) -> httpx.AsyncClient:
    commands = {"preview": trial} if trial else {}
    client: httpx.AsyncClient = asking(create_app(service, site=SiteOptions(commands=commands)))
    return client


async def answer_to(service: QueryService, trial: VisitorCommand | None = None, **how: Any) -> str:
    """Send the form; return the text of the page that answers."""
    async with visitor(service, trial) as client:
        page = await client.post("/join", **how)
    assert page.status_code == 200
    return page.text


@session_loop
async def test_a_dry_run_shows_the_outcome_on_each_record(service: QueryService) -> None:
    async with visitor(service, runner()) as client:
        page = await client.post("/join", data=SAMPLE, headers={"Accept-Language": "fr"})

    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    for text in (
        "&lt;p1&gt;",
        "One &amp; all",
        "No goal.",
        "No title (title)",
        "serait publiée",
        "retenue",
        "1\u202f200",
    ):
        assert text in page.text


@session_loop
@each(
    "kind, text",
    [("refused", "not on the public internet"), ("late", "too long"), ("definition", "has errors"), ("x", "test failed")],
)  # fmt: skip
async def test_errors_are_reported_by_kind_without_private_addresses(
    service: QueryService, kind: str, text: str
) -> None:
    trouble = {**ANSWER, "records": [], "error_kind": kind, "error": "host is at 10.1.2.3"}

    page = await answer_to(service, runner(trouble), data=SAMPLE)

    assert text in page
    assert ("10.1.2.3" in page) == (kind != "refused")


@session_loop
async def test_a_form_that_is_not_whole_is_shown_again_and_nobody_is_asked(
    service: QueryService,
) -> None:
    unasked, form = VisitorCommand(("/nowhere",), {}), {**SAMPLE, "options": "page = [1,"}

    page = await answer_to(service, unasked, data=form)
    without_workers = await answer_to(service, data=SAMPLE)

    assert "The options are not valid" in page
    assert 'aria-invalid="true"' in page
    assert "stocktake sources preview" in without_workers
    assert "Run test" not in without_workers
    link = 'href="/admin/page/new-source?kind=json&amp;title=Test&amp;'
    assert link in without_workers


@pytest.mark.parametrize(
    "sample",
    [json.dumps({"k" * 20_000: {f"a{number}": {"b": "c"} for number in range(2_000)}}),
     json.dumps([{"k" * 20_000: {f"a{number}": "b" for number in range(2_000)}}] * 2), f'"{"k " * 20_000}",b\n' + "c,d\n" * 2_000,
     f"<{'k' * 20_000}>" + "".join(f"<a{number}>b</a{number}>" for number in range(2_000)) + f"</{'k' * 20_000}>"],
    ids=["list", "fields", "csv", "xml"],
)  # fmt: skip
def test_a_long_name_in_a_sample_is_not_repeated_for_each_value(sample: str) -> None:
    tracemalloc.start()
    try:
        suggest_fields(sample.encode())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 8_000_000


@session_loop
@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Sec-Fetch-Site": "cross-site"}, 403), ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403),
     ({"Content-Type": "text/plain"}, 415), ({"Content-Length": "70000"}, 413)],
)  # fmt: skip
async def test_what_is_no_form_of_ours_is_refused(
    service: QueryService, headers: dict[str, str], status: int
) -> None:
    body = b"x=" + b"y" * 69_998 if status == 413 else b"kind=json"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with visitor(service, runner()) as client:
        answer = await client.post("/join", content=body, headers=form | headers)

    assert answer.status_code == status


async def test_one_definition_is_tried_at_a_time_and_one_without_end_is_killed() -> None:
    def running(script: str, **more: Any) -> VisitorCommand:
        return VisitorCommand((sys.executable, "-c", script), {}, **more)

    slow = running("import sys; sys.stdin.read()")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(preview(slow, "", "a"))
        await asyncio.sleep(0)
        with pytest.raises(StoreBusy):
            await preview(slow, "", "b")
    late = await preview(running("while True: pass", seconds=0.3), "", "a")
    broken = await preview(running("print('{\"records\": [')"), "", "a")

    assert [first.result()["error_kind"], broken["error_kind"]] == ["broken", "broken"]
    assert (late["error_kind"], late["records"]) == ("late", ())


async def test_a_client_has_so_many_tries_in_a_window_and_then_again() -> None:
    now = [0.0]
    item = runner(quota=ClientQuota(clock=lambda: now[0]))
    for _ in range(MOST_PREVIEWS):
        await preview(item, "", "a")

    with pytest.raises(QuotaExceeded) as spent:
        await preview(item, "", "a")
    assert (await preview(item, "", "b"))["reported_total"] == 1200
    now[0] = WINDOW
    assert (await preview(item, "", "a"))["reported_total"] == 1200
    assert spent.value.wait == int(WINDOW) + 1


def test_options_are_written_as_the_definition_has_them_and_bring_no_other_table() -> None:
    def written(options: str, **more: str) -> dict[str, Any]:
        return tomllib.loads(source_toml(from_query({**SAMPLE, **more, "options": options})))

    text = 'page = "p"\nsize = 5\nnames = ["a", "b"]\nmore = { "x y" = true }'
    sly = written('[limits]\nexpect = 5\n[fields]\nkey = "x"')

    assert written(text, records="results")["options"] == {
        "records": "results", "page": "p", "size": 5, "names": ["a", "b"], "more": {"x y": True},
    }  # fmt: skip
    # Tables among the options stay options, where the definition knows none of these names.
    assert {"limits", "fields"} <= sly["options"].keys()
    assert sly["fields"]["key"] == "id"
    assert from_query({**SAMPLE, "options": "day ="}).fault


async def test_the_real_command_goes_to_no_private_address_even_where_our_own_definitions_may(
    tmp_path: Path,
) -> None:
    data, allowed = tmp_path / "data", frozenset({"127.0.0.1"})
    url = f"sqlite:///{data}/ledger.sqlite"
    item = visitor_commands(Settings(data, tmp_path, BASE, url, allowed, "us@example.org", "rust"))[
        "preview"
    ]
    definition = source_toml(from_query({**SAMPLE, "url": "http://127.0.0.1:1/api"}))

    output = await preview(item, definition, "a")

    assert (output["error_kind"], output["records"]) == ("refused", [])
    assert not list(data.rglob("*"))


WITHOUT_FIELDS = {name: text for name, text in SAMPLE.items() if name not in ("key", "name")}


@session_loop
async def test_a_sample_suggests_the_fields_that_the_visitor_left_empty(
    service: QueryService,
) -> None:
    clinics = '{"uuid": "a", "title": "Clinics", "summary": "x", "country": "KE"}'
    sample = f'{{"data": [{clinics}, {{"uuid": "b", "title": "Roads", "country": "RW"}}]}}'

    page = await answer_to(
        service, data={**WITHOUT_FIELDS, "suggest": "1"}, files={"sample": (None, sample)}
    )

    for name, value in (("key", "uuid"), ("records", "data"), ("countries", "country")):
        assert f'name="{name}" type="text" value="{value}"' in page
    assert "key = &#34;uuid&#34;" in page
    assert "Example: <bdi>KE</bdi> · <bdi>RW</bdi>" in page


PROJECT = {"id": "P515029", "project_name": "Clinics", "sectors": [{"name": "Health", "code": "H"}]}
OTHER = {"id": "P515030", "project_name": "Roads", "url": "https://x.example/2"}


@each(
    "projects",
    [
        {"P515029": PROJECT},
        {"P515029": PROJECT, "P515030": OTHER},
        {"a": {"id": "1", "project_name": "A"}, "b": {**OTHER, "x": 1, "y": 2}, "c": PROJECT},
    ],
)
def test_objects_under_keys_are_records(projects: dict[str, dict[str, Any]]) -> None:
    document = {"rows": 10, "total": "1", "projects": projects, "facets": {}}

    suggested = suggest_fields(orjson.dumps(document))

    assert (suggested.records, suggested.count) == ("projects", len(projects))
    assert (suggested.fields["key"], suggested.fields["name"]) == ("id", "project_name")
    assert suggested.examples["project_name"][-1] == "Clinics" or len(projects) > 1


def test_addresses_but_not_those_of_pictures_and_lists_of_goals_are_recognized() -> None:
    sample = b'[{"id": 1, "name": "A", "image_url": "https://x.example/1.png", "url": "https://x.example/1"}]'

    assert suggest_fields(sample).fields["pages"] == "url"
    assert "pages" not in suggest_fields(sample.replace(b'"url"', b'"other"')).fields
    for goals in ("SDG 3; SDG 4", ["SDG 3; SDG 4", "SDG 5"], ["SDG 3", "SDG 5; SDG 9"]):
        document = orjson.dumps([{"id": 1, "title": "Clinics", "goals": goals}])
        state = with_suggestion(from_query({"kind": "json"}), suggest_fields(document))
        assert tomllib.loads(source_toml(state))["options"] == {"split": {"goals": ";"}}


UNREADABLE = (
    b"", b"[" * 50_000, b"<a>" * 500, b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b'\xff\x00,\n"', b"{}", b"a,b\n",
)  # fmt: skip


@session_loop
@each("sample", UNREADABLE)
async def test_a_sample_that_cannot_be_read_is_named_and_breaks_nothing(
    service: QueryService, sample: bytes
) -> None:
    form = {**WITHOUT_FIELDS, "suggest": "1"}

    page = await answer_to(service, data=form, files={"file": ("sample", sample)})

    assert "No records were recognized in this sample" in page


@session_loop
async def test_a_whole_definition_is_downloaded(service: QueryService) -> None:
    async with visitor(service, None) as client:
        file = await client.get("/join", params={**SAMPLE, "download": "1"})

    assert file.headers["Content-Disposition"] == 'attachment; filename="test.toml"'
    assert tomllib.loads(file.text)["fields"]["key"] == "id"


async def test_the_form_says_what_else_can_be_read_and_that_no_contact_is_published(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/join", params={"lang": "fr"})).text

    link = '<a href="/docs/reference/protocols.html">Tous les protocoles que nous savons lire</a>'
    assert (link in page) == DOCUMENTATION.is_dir()
    assert "Nous ne publions aucune coordonnée de personnes." in page
