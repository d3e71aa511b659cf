"""Exports are queued, watched, fetched and deleted; nobody sees a half-written one, and a restart
loses none.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from waiting import wait_until_async

from publisher.errors import StoreBusy, TooManyQueries
from publisher.limits import Limits
from publisher.sparql.exports import MAX_ATTEMPTS, MAX_QUEUED, RETENTION, ExportQueue
from publisher.store.workers.query_request import QueryRequest

from .conftest import Serve

ALL = "SELECT ?s ?o { ?s ?p ?o }"
LARGE = "SELECT ?a ?o { ?a ?b ?o . ?d ?e ?f }"
ASK = QueryRequest("ASK { ?s ?p ?o }")
LIMITS = Limits(
    seconds=240, wait=240, rows=100, budget=0, export_seconds=240, export_rows=5_000_000
)


async def put(client: httpx.AsyncClient, query: str, form: str = "csv") -> httpx.Response:
    return await client.post("/exports", data={"query": query, "format": form})


async def ended(client: httpx.AsyncClient, where: str) -> dict[str, object]:
    async def finished() -> dict[str, object] | None:
        answer = (await client.get(where)).json()
        return answer if answer["state"] in ("done", "failed") else None

    return await wait_until_async(finished, f"the end of the export {where}")


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime(2026, 3, 1, tzinfo=UTC)]


@pytest.fixture
def exports(tmp_path: Path, clock: list[datetime]) -> ExportQueue:
    return ExportQueue(tmp_path / "exports", Limits(), lambda: clock[0])


@pytest.mark.smoke
async def test_an_export_answers_more_than_the_endpoint_gives_as_a_file_in_parts(
    serve: Serve,
) -> None:
    served = await serve(LIMITS)

    accepted = await put(served.client, ALL)
    results = await ended(served.client, accepted.headers["location"])
    result = await served.client.get(str(results["result"]))
    part = await served.client.get(
        str(results["result"]), headers={"Range": "bytes=0-3", "If-Range": result.headers["etag"]}
    )
    same = await served.client.get(
        str(results["result"]), headers={"If-None-Match": result.headers["etag"]}
    )

    assert (accepted.status_code, accepted.json()["state"]) == (202, "queued")
    assert (results["state"], results["rows"], results["position"]) == ("done", 3_000, 1)
    assert (len(result.content), hashlib.sha256(result.content).hexdigest()) == (
        results["size"],
        results["sha256"],
    )
    assert (part.status_code, part.content) == (206, b"s,o\r")
    assert (same.status_code, same.content) == (304, b"")
    assert result.headers["content-disposition"].endswith('.csv"')


async def test_an_export_of_named_graphs_has_all_of_them_and_what_is_no_query_is_refused_at_once(
    serve: Serve,
) -> None:
    served = await serve(LIMITS)

    accepted = await put(served.client, "SELECT ?s { GRAPH <https://x.org/g> { ?s ?p ?o } }")
    results = await ended(served.client, accepted.headers["location"])

    assert (results["state"], results["rows"]) == ("done", 3_000)

    wrong = await put(served.client, "SELECT * {")
    elsewhere = await put(served.client, "SELECT * { SERVICE <http://x.org/> { ?s ?p ?o } }")
    nothing, unknown = await put(served.client, ""), await served.client.get("/exports/" + "A" * 22)

    codes = [answer.status_code for answer in (wrong, elsewhere, nothing, unknown)]
    assert codes == [400, 400, 400, 404]
    assert wrong.json()["line"] == 1


async def test_a_form_of_another_site_queues_no_export(serve: Serve) -> None:
    served = await serve(LIMITS)
    foreign: tuple[dict[str, str], ...] = (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    )

    codes = [
        (await served.client.post("/exports", data={"query": ALL}, headers=headers)).status_code
        for headers in foreign
    ]

    assert codes == [403, 403]
    assert (await served.client.get("/exports")).json()["waiting"] == 0


async def test_an_export_past_its_own_limit_fails_with_the_reason(serve: Serve) -> None:
    served = await serve(replace(LIMITS, export_rows=1_000))

    results = await ended(served.client, (await put(served.client, ALL)).headers["location"])
    result = await served.client.get(f"/exports/{results['id']}/result")

    assert (results["state"], "more than 1000 rows" in str(results["reason"])) == ("failed", True)
    assert result.status_code == 409


async def test_a_running_export_is_stopped_and_leaves_nothing_when_it_is_deleted(
    serve: Serve, statements: Path
) -> None:
    served = await serve(LIMITS)
    where = (await put(served.client, LARGE + " ORDER BY RAND()")).headers["location"]

    async def is_running() -> bool:
        result: bool = (await served.client.get(where)).json()["state"] == "running"
        return result

    await wait_until_async(is_running, "the export to run")

    deleted = await served.client.delete(where)
    after = await served.client.get(where)
    next_one = await ended(served.client, (await put(served.client, ALL)).headers["location"])

    assert (deleted.status_code, after.status_code, next_one["state"]) == (204, 404, "done")
    assert not (statements / where.strip("/")).exists()


async def test_a_person_puts_and_watches_an_export_without_a_script(serve: Serve) -> None:
    served = await serve(LIMITS)
    browser = {"Accept": "text/html"}

    form = await served.client.get("/exports", headers=browser)
    sent = await served.client.post(
        "/exports", data={"query": ALL, "format": "tsv"}, headers=browser
    )
    waiting = await served.client.get(sent.headers["location"], headers=browser)
    await ended(served.client, sent.headers["location"])
    result_page = await served.client.get(sent.headers["location"], headers=browser)
    gone = await served.client.post(sent.headers["location"] + "/delete", headers=browser)

    assert ('action="/exports"' in form.text, sent.status_code) == (True, 303)
    pages = [
        ("Download the result" in page.text, 'http-equiv="refresh"' in page.text)
        for page in (waiting, result_page)
    ]
    # The export may be done already, but no page both offers a result and waits for it.
    assert pages[0] in ((False, True), (True, False))
    assert pages[1] == (True, False)
    assert (gone.status_code, (await served.client.get(sent.headers["location"])).status_code) == (
        303,
        404,
    )


async def test_a_client_has_so_many_under_way(exports: ExportQueue, clock: list[datetime]) -> None:
    exports.add(ASK, "192.0.2.1")
    exports.add(ASK, "192.0.2.1")

    with pytest.raises(TooManyQueries):
        exports.add(ASK, "192.0.2.1")
    clock[0] += timedelta(seconds=1)
    other = exports.add(ASK, "192.0.2.2")

    assert exports.ahead(other) == 2


async def test_the_queue_is_bounded_for_all(exports: ExportQueue) -> None:
    for number in range(MAX_QUEUED):
        exports.add(ASK, f"192.0.2.{number}")

    with pytest.raises(StoreBusy):
        exports.add(ASK, "198.51.100.1")


async def test_an_export_that_the_end_of_the_server_interrupted_runs_again_but_not_for_ever(
    exports: ExportQueue, clock: list[datetime]
) -> None:
    often = exports.add(ASK, "a")
    clock[0] += timedelta(seconds=1)
    first = exports.add(ASK, "b")
    exports.save({**often, "state": "running", "tries": MAX_ATTEMPTS})
    exports.save({**first, "state": "running", "tries": 1})
    (exports.folder / often["id"] / "part").write_bytes(b"half")
    (exports.folder / first["id"] / "state.json.new").write_bytes(b"{")

    chosen, failed = exports.next(), exports.get(often["id"])

    assert chosen is not None
    assert failed is not None
    assert (chosen["id"], failed["state"]) == (first["id"], "failed")
    assert not (exports.folder / often["id"] / "part").exists()


async def test_a_result_is_deleted_a_day_after_it_ended(
    exports: ExportQueue, clock: list[datetime]
) -> None:
    export = exports.add(ASK, "a")
    waiting = exports.add(ASK, "b")
    exports.end(export, state="done")

    clock[0] += RETENTION - timedelta(seconds=1)
    exports.delete_expired()
    before = exports.get(export["id"])
    clock[0] += timedelta(seconds=1)
    exports.delete_expired()

    assert (before is not None, exports.get(export["id"]), exports.get(waiting["id"])) == (
        True,
        None,
        waiting,
    )


@pytest.mark.parametrize("name", ["..", "../../journal", "", "A" * 21 + "/", "A" * 22 + "\n"])
async def test_no_name_leads_out_of_the_folder(exports: ExportQueue, name: str) -> None:
    exports.add(ASK, "a")

    assert exports.get(name) is None
    assert len(exports.all()) == 1
