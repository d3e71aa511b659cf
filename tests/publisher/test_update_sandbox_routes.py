"""Scratch stores: updates for those with a key, in bounds, and never on what is published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from rows import each
from starlette.requests import Request

from publisher.app import create_app
from publisher.errors import RowLimit, ScratchFull
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from publisher.store.update_sandbox import LIFETIME, MAX_SANDBOXES, Sandboxes
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.update import Update, using
from vocab.iris import Iris

KEY = {"Authorization": "Bearer right"}
COUNT = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"
RUNAWAY = "INSERT { ?a ?b 1 } WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l FILTER(?c + ?f + ?i + ?l < 0) }"
NUMBERS = "INSERT DATA { " + " ".join(f"<urn:s{n}> <urn:p> {n} ." for n in range(500)) + " }"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def operator(request: Request) -> bool:
    return request.headers.get("authorization") == "Bearer right"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(level: Path) -> AsyncIterator[httpx.AsyncClient]:
    service = QueryService(level, Iris(), Limits(seconds=240, wait=240), readers=1, follow=False)
    transport = httpx.ASGITransport(app=create_app(service, operator))
    async with (
        service,
        httpx.AsyncClient(transport=transport, base_url="http://scratch.test") as opened,
    ):
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def place(client: httpx.AsyncClient) -> AsyncIterator[str]:
    created = await client.post("/scratch", headers=KEY)
    yield created.headers["location"] + "/sparql"
    await client.delete(created.headers["location"], headers=KEY)


async def update(client: httpx.AsyncClient, place: str, text: str, **more: str) -> httpx.Response:
    return await client.post(place, data={"update": text, **more}, headers=KEY)


async def count(client: httpx.AsyncClient, place: str) -> str:
    answer = await client.get(place, params={"query": COUNT, "format": "csv"}, headers=KEY)
    return answer.text.split()[-1]


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"Authorization": "Bearer wrong"}, 403)]
)
async def test_without_a_key_nothing_is_made_asked_or_removed(
    client: httpx.AsyncClient, place: str, headers: dict[str, str], status: int
) -> None:
    store = place.removesuffix("/sparql")
    answers = [
        await client.post("/scratch", headers=headers),
        await client.get(store, headers=headers),
        await client.delete(store, headers=headers),
        await client.get(place, params={"query": COUNT}, headers=headers),
        await client.post(place, data={"update": "CLEAR ALL"}, headers=headers),
    ]

    assert {answer.status_code for answer in answers} == {status}
    assert all(("www-authenticate" in answer.headers) is (status == 401) for answer in answers)


async def test_by_default_nobody_is_permitted(world: Path) -> None:
    app = create_app(QueryService(world, Iris(), follow=False))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://scratch.test"
    ) as opened:
        answer = await opened.post("/scratch", headers=KEY)

    assert answer.status_code == 403


async def test_an_update_changes_the_store_and_never_what_is_published(
    client: httpx.AsyncClient, place: str
) -> None:
    before = await count(client, "/sparql")

    answer = await update(client, place, "INSERT DATA { <urn:s> <urn:p> 1, 2 }")

    assert answer.status_code == 204
    assert (await count(client, place), await count(client, "/sparql")) == ("2", before)


async def test_two_stores_know_nothing_of_each_other(client: httpx.AsyncClient, place: str) -> None:
    other = (await client.post("/scratch", headers=KEY)).headers["location"]

    await update(client, place, "INSERT DATA { <urn:s> <urn:p> 1 }")

    assert await count(client, f"{other}/sparql") == "0"
    await client.delete(other, headers=KEY)


async def test_a_store_is_described_and_is_gone_when_deleted(client: httpx.AsyncClient) -> None:
    store = (await client.post("/scratch", headers=KEY)).headers["location"]
    await update(client, f"{store}/sparql", "INSERT DATA { <urn:s> <urn:p> 1 }")

    body = (await client.get(store, headers=KEY)).json()
    gone = await client.delete(store, headers=KEY)
    after = await client.get(f"{store}/sparql", params={"query": COUNT}, headers=KEY)

    assert (body["endpoint"], body["quads"]) == (f"{store}/sparql", 1)
    assert (gone.status_code, after.status_code) == (204, 404)
    assert (await client.get("/scratch/none", headers=KEY)).status_code == 404


_PREFIX = "PREFIX x: <http://127.0.0.1:9/> PREFIX : <http://127.0.0.1:9/> "
LOADS = [
    "LOAD SILENT <http://host.invalid/>", "LOADSILENT<http://host.invalid/>", "load\t<http://host.invalid/> INTO GRAPH <urn:g>",
    "INSERT DATA { <urn:s> <urn:p> 1 };LOAD SILENT <http://host.invalid/>",
    "# a comment\r LOAD # another\n SILENT <http://host.invalid/>", "BASE <http://host.invalid/>LOAD SILENT <x>",
    f"{_PREFIX}LOAD SILENT x:y", f"{_PREFIX}LOADSILENTx:y", f"{_PREFIX}LOAD SILENT:y",
    "PREFIX load: <http://host.invalid/> LOAD SILENT load:x",
    "INSERT { ?s ?p ?o } WHERE { ?s ?p ?o FILTER(?a<?b#> \n) }; LOAD SILENT <http://host.invalid/> #'",
]  # fmt: skip


@pytest.mark.parametrize("text", LOADS)
async def test_load_is_refused_by_its_syntax(
    client: httpx.AsyncClient, place: str, text: str
) -> None:
    answer = await update(client, place, text)

    assert (answer.status_code, answer.json()["title"]) == (400, "LOAD is not supported")
    assert await count(client, place) == "0"


@pytest.mark.parametrize(
    "text",
    ["INSERT DATA { <urn:s> <urn:p> '; LOAD <urn:x>' } # LOAD <urn:x>", "INSERT DATA { <urn:s> <urn:p> '''\nload: x\n''' }",
     "PREFIX load: <urn:x:> INSERT DATA {\nload:a load:b load:c ; load:d load:e }",
     "PREFIX load: <urn:x:> WITH load:g INSERT { load:a load:b load:c } WHERE {}"],
)  # fmt: skip
async def test_update_that_only_names_load_is_done(
    client: httpx.AsyncClient, place: str, text: str
) -> None:
    answer = await update(client, place, text)

    assert answer.status_code == 204


async def test_long_update_is_read_for_load_in_linear_steps(
    client: httpx.AsyncClient, place: str
) -> None:
    many = "\nload:a load:b load:c ." * 20_000

    answer = await update(client, place, f"PREFIX load: <urn:x:> INSERT DATA {{{many}}}")

    assert answer.status_code == 204


@pytest.mark.parametrize(
    "text",
    ["LOAD <http://127.0.0.1:9/>", "LOAD <file:///etc/passwd>", "INSERT { ?s ?p ?o } WHERE { SERVICE <http://x/> { ?s ?p ?o } }"],
)  # fmt: skip
async def test_nothing_is_fetched_from_elsewhere(
    client: httpx.AsyncClient, place: str, text: str
) -> None:
    answer = await update(client, place, text)

    assert answer.status_code == 400
    assert await count(client, place) == "0"


async def test_a_wrong_update_is_refused_with_its_place(
    client: httpx.AsyncClient, place: str
) -> None:
    answer = await update(client, place, "INSERT DATA {\n <urn:s> }")

    assert (answer.status_code, answer.json()["line"]) == (400, 2)


async def test_an_update_of_several_parts_is_done_wholly_or_not_at_all(
    client: httpx.AsyncClient, place: str
) -> None:
    answer = await update(
        client, place, "INSERT DATA { <urn:s> <urn:p> 1 } ; DROP GRAPH <urn:none>"
    )

    assert answer.status_code == 400
    assert await count(client, place) == "0"


async def test_a_runaway_update_is_stopped_and_the_store_is_as_before(
    client: httpx.AsyncClient, place: str
) -> None:
    await update(client, place, NUMBERS)

    stopped = await update(client, place, RUNAWAY, timeout="0.5")

    assert stopped.status_code == 504
    assert await count(client, place) == "500"


async def test_an_update_and_a_query_at_once_are_refused(
    client: httpx.AsyncClient, place: str
) -> None:
    answer = await update(client, place, "CLEAR ALL", query=COUNT)

    assert answer.status_code == 400


async def test_questions_and_updates_of_one_store_wait_for_each_other(
    client: httpx.AsyncClient, place: str
) -> None:
    texts = [f"INSERT DATA {{ <urn:s> <urn:p> {n} }}" for n in range(8)]

    answers = await asyncio.gather(
        *(update(client, place, text) for text in texts), *(count(client, place) for _ in range(4))
    )

    assert [answer.status_code for answer in answers if isinstance(answer, httpx.Response)] == [
        204
    ] * 8
    assert await count(client, place) == "8"


async def test_a_store_that_would_grow_too_large_is_as_before(tmp_path: Path) -> None:
    stores = Sandboxes(tmp_path, Limits())
    store = await stores.create()
    await store.write(Update("INSERT DATA { <urn:s> <urn:p> 1, 2 }", "urn:x", 3))

    with pytest.raises(RowLimit, match="at most 3 quads"):
        await store.write(Update("INSERT DATA { <urn:s> <urn:p> 3, 4 }", "urn:x", 3))
    await store.write(Update("INSERT DATA { <urn:s> <urn:p> 3 }", "urn:x", 3))
    answer = await store.ask(QueryRequest(COUNT, table="csv"))
    text = b"".join([chunk async for chunk in answer.chunks()])
    await stores.close()

    assert text.split()[-1] == b"3"


async def test_there_are_so_many_stores_and_each_for_an_hour(tmp_path: Path) -> None:
    now = 0.0
    stores = Sandboxes(tmp_path, Limits(), lambda: now)
    created = [await stores.create() for _ in range(MAX_SANDBOXES)]

    with pytest.raises(ScratchFull):
        await stores.create()
    now = LIFETIME
    after = await stores.create()
    results = [await stores.find(store.name) for store in (*created, after)]
    await stores.close()

    assert results == [None] * MAX_SANDBOXES + [after]
    assert list(tmp_path.iterdir()) == []


async def test_what_an_earlier_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "scratch" / "left").mkdir(parents=True)
    stores = Sandboxes(tmp_path / "scratch", Limits())

    created = await stores.create()

    assert [path.name for path in (tmp_path / "scratch").iterdir()] == [created.name]
    await stores.close()


@each(
    "text, put_in",
    [("INSERT DATA { <a:a> <a:b> 'WHERE' }", "INSERT DATA { <a:a> <a:b> 'WHERE' }"),
     ("INSERT { ?s ?p 1 } WHERE { ?s ?p 2 }", "INSERT { ?s ?p 1 } USING <a:g> WHERE { ?s ?p 2 }"),
     ("DELETE#\nWHERE { ?s ?p 2 }", "DELETE#\n{ ?s ?p 2 } USING <a:g> WHERE { ?s ?p 2 }"),
     ("DELETE {} WHERE {} ; DELETE {} WHERE {}", "DELETE {} USING <a:g> WHERE {} ; DELETE {} USING <a:g> WHERE {}")],
)  # fmt: skip
async def test_the_graphs_that_the_request_names_are_put_in(text: str, put_in: str) -> None:
    assert using(text, ("a:g",), ()) == put_in
