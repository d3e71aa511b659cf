"""Releases are served as pages, data, files in parts and signatures, and a query can be repeated on
a release.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from app_client import asking, served
from column_store import comparable, solutions
from minisign import PublicKey, Signature
from publish_fixture import copy_data, move_on
from pyoxigraph import RdfFormat, Store
from rows import each
from waiting import wait_until_async

from publisher.app import create_app
from publisher.data.tables import FacetIndex, Filter
from publisher.limits import Limits
from publisher.portal.releases import sort_by_code
from publisher.releases.builder import apply_retention, build_release
from publisher.store import releases as release_stores
from publisher.store.columns.engine import open_columns
from publisher.store.process import ChildProcess
from publisher.store.query_service import QueryService
from publisher.store.snapshots import checksum_faults
from publisher.store.verification import build_local, first_fault
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import may_compile
from vocab.iris import Iris

pytestmark = pytest.mark.asyncio(loop_scope="module")

IRIS = Iris()
NOW = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)
HTML = {"Accept": "text/html"}
ALL = "SELECT ?s ?p ?o { ?s ?p ?o }"
COUNT = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"
FILE = "/releases/3/stocktake-3.nq.gz"


@pytest.fixture(scope="module")
def released(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with three releases, of which the first is no longer kept."""
    data = copy_data(small, tmp_path_factory.mktemp("released"), "store")
    for number in range(3):
        build_release(data, IRIS, NOW)
        move_on(data, number)
    apply_retention(data / "releases", 2, NOW)
    result: Path = data
    return result


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(released: Path) -> AsyncIterator[QueryService]:
    async with QueryService(released, IRIS, Limits(seconds=240, wait=240), readers=2) as opened:
        await opened.wait_until_current()
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def client(service: QueryService) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(create_app(service)) as opened:
        yield opened


async def pinned(
    client: httpx.AsyncClient, number: int, query: str = ALL, **headers: str
) -> httpx.Response:
    """Send a query to a release, and again while the release is loaded for queries."""
    params = {"query": query, "format": "tsv", "release": str(number)}

    async def answer() -> httpx.Response | None:
        result = await client.get("/sparql", params=params, headers=headers)
        return result if result.status_code != 503 else None

    result = await wait_until_async(answer, f"release {number} to be loaded")
    assert result is not None
    return result


async def test_the_stated_checksum_is_that_of_the_file(client: httpx.AsyncClient) -> None:
    manifest = (await client.get("/releases/3/release.json")).json()
    answer = await client.get(FILE)

    digest = hashlib.sha256(answer.content)
    (output,) = [item for item in manifest["files"] if item["name"] == "stocktake-3.nq.gz"]
    assert (output["sha256"], output["bytes"]) == (digest.hexdigest(), len(answer.content))
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
    assert (
        answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    )
    assert "immutable" in answer.headers["cache-control"]


async def test_every_file_is_signed_by_the_key_that_is_served(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes((await client.get("/releases/stocktake.pub")).content)
    key = PublicKey.from_file(tmp_path / "key")
    names = [
        item["name"] for item in (await client.get("/releases/3/release.json")).json()["files"]
    ] + ["release.json", "SHA256SUMS"]

    for name in names:
        (tmp_path / name).write_bytes((await client.get(f"/releases/3/{name}")).content)
        (tmp_path / "sig").write_bytes((await client.get(f"/releases/3/{name}.minisig")).content)
        # It raises if the signature is wrong.
        key.verify_file(tmp_path / name, Signature.from_file(tmp_path / "sig"))
    assert len(names) > 10


async def test_a_download_that_broke_off_goes_on_and_a_file_that_is_held_is_not_sent_again(
    client: httpx.AsyncClient,
) -> None:
    whole = await client.get(FILE)
    size, etag = len(whole.content), whole.headers["etag"]
    half = size // 2

    first, rest, changed, beyond, same = [
        await client.get(FILE, headers=headers)
        for headers in (
            {"Range": f"bytes=0-{half - 1}"}, {"Range": f"bytes={half}-", "If-Range": etag},
            {"Range": f"bytes={half}-", "If-Range": '"other"'}, {"Range": f"bytes={size}-"}, {"If-None-Match": etag},
        )
    ]  # fmt: skip

    statuses = [item.status_code for item in (first, rest, changed, beyond, same)]
    assert statuses == [206, 206, 200, 416, 304]
    assert first.content + rest.content == whole.content
    assert rest.headers["content-range"] == f"bytes {half}-{size - 1}/{size}"
    assert same.content == b""


async def test_changes_by_action_line_are_in_the_order_of_the_lines() -> None:
    ordered = sort_by_code({code: {} for code in ("C1", "C10", "C2", "C7-ehea", "C11")})

    assert [code for code, _ in ordered] == ["C1", "C2", "C7-ehea", "C10", "C11"]


async def test_a_release_that_is_not_kept_states_what_it_was(client: httpx.AsyncClient) -> None:
    answers = [
        await client.get(f"/releases/1/{name}", headers=HTML)
        for name in ("", "release.json", "stocktake-1.nq.gz")
    ]
    answers.append(await pinned(client, 1))

    assert [answer.status_code for answer in answers] == [200, 200, 410, 410]
    assert "The files of this release have been withdrawn." in answers[0].text


@each(
    "path, status",
    [*((path, 404) for path in ("/release/9", "/releases/9/", "/releases/03/", "/releases/x/", "/releases/3/none", "/releases/3/.lock")),
     *((f"/sparql?query={COUNT}&release={number}", status) for number, status in (("99", 404), ("x", 400), ("0", 404), ("-1", 400)))],
)  # fmt: skip
async def test_what_is_not_there_is_not_found(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    assert (await client.get(path)).status_code == status


async def test_a_query_of_a_release_gives_what_was_published_then(
    client: httpx.AsyncClient, released: Path
) -> None:
    quads = Store()
    quads.bulk_load(
        gzip.decompress((released / "releases/2/stocktake-2.nq.gz").read_bytes()), RdfFormat.N_QUADS
    )
    triples = {quad.triple for quad in quads}

    counts = {
        number: int((await pinned(client, number, COUNT)).text.split()[1]) for number in (2, 3)
    }
    now = await client.get("/sparql", params={"query": COUNT, "format": "tsv"})

    assert counts == {2: len(triples), 3: len(triples) + 1}
    assert int(now.text.split()[1]) > counts[3]


async def test_a_citation_is_answered_in_the_same_bytes_after_the_data_has_moved_on(
    released: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(released, data, ignore=shutil.ignore_patterns("store"))

    async def answered() -> httpx.Response:
        async with served(data) as client:
            return await pinned(client, 3)

    first = await answered()
    move_on(data, 10)
    # Without its store, the release is loaded again from its own file.
    shutil.rmtree(data / "store")
    again = await answered()

    assert first.content.count(b"\n") > 1000
    assert again.content == first.content
    assert again.headers["stocktake-release"] == "3"


async def test_a_store_copied_from_the_snapshot_equals_one_loaded_from_the_quads(
    small: Path, tmp_path: Path
) -> None:
    data = copy_data(small, tmp_path)
    shared = '<http://purl.org/dc/terms/title> "Of the status"'
    (data / "status.nq").write_text(f"<{IRIS.base}source/x> {shared} <{IRIS.status}> .\n")
    build_local(data, IRIS)
    release = build_release(data, IRIS, NOW)
    snapshot = release_stores.current_snapshot(data, release)
    assert snapshot is not None

    def contents() -> tuple[list[str], object]:
        release_stores.create_store(data, release, IRIS)
        folder = release_stores.store_folder(data, release.number)
        with closing(FacetIndex(folder / "columns" / "columns.duckdb")) as tables:
            counts = dict(tables.counts_once(Filter()))
        store = Store.read_only(str(folder / "store"))
        assert list(checksum_faults(folder)) == []
        return list(map(str, store)), counts

    assert '"Of the status"' in "".join(map(str, Store.read_only(f"{snapshot.path}/store")))
    copied = contents()
    shutil.rmtree(data / "store")
    loaded = contents()

    assert len(loaded[0]) > 1000
    assert '"Of the status"' not in "".join(loaded[0])
    assert copied == loaded


async def test_processes_build_the_store_of_a_release_one_after_another(
    small: Path, tmp_path: Path
) -> None:
    data = copy_data(small, tmp_path, "store")
    release = build_release(data, IRIS, NOW)
    part = release_stores.store_folder(data, release.number).with_name(".part")
    (part / "of a process that was killed").mkdir(parents=True)

    building = asyncio.create_task(
        asyncio.to_thread(release_stores.create_store, data, release, IRIS)
    )
    await wait_until_async((part / "store").exists, "the store to be begun")
    other = await ChildProcess.launch(release_stores.__name__, {}, data, 1, IRIS.base, False)

    await asyncio.gather(other.exited.wait(), building)
    await other.stop()
    assert other.process.exitcode == 0
    assert list(checksum_faults(part.with_name("1"))) == []
    assert not part.exists()


async def test_store_that_is_built_has_columns_that_only_pages_ask(
    client: httpx.AsyncClient, released: Path
) -> None:
    first = await pinned(client, 3)
    again = await pinned(client, 3, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")  # A release is immutable.
    folder = release_stores.store_folder(released, 3)

    assert _columns_answer_alike(folder)
    assert may_compile(QueryRequest(COUNT_BY_PREDICATE, snapshot=str(folder)))
    assert not may_compile(QueryRequest(COUNT_BY_PREDICATE, snapshot=str(folder), release=3))
    assert not (folder / ".work").exists()


async def test_a_damaged_store_of_a_release_answers_503_and_is_built_again(
    client: httpx.AsyncClient, released: Path
) -> None:
    first = await pinned(client, 3)
    folder = release_stores.store_folder(released, 3)
    for path in (folder / "store").iterdir():
        if path.suffix == ".sst" or path.name.startswith(("CURRENT", "MANIFEST")):
            path.write_bytes(bytes(byte ^ 0xFF for byte in path.read_bytes()))
    # A comment makes this another query, to which there is no cached response.
    params = {"query": f"{ALL} #", "format": "tsv", "release": "3"}

    damaged = await client.get("/sparql", params=params)
    again = await pinned(client, 3, f"{ALL} #")

    assert (damaged.status_code, damaged.json()["title"]) == (
        503,
        "Damaged files are being rebuilt",
    )
    assert again.content == first.content
    assert first_fault(folder) == ""


COUNT_BY_PREDICATE = "SELECT ?p (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?p"


def _columns_answer_alike(folder: Path) -> bool:
    """Return whether the columns in the folder of a release answer as its store does."""
    store = Store.read_only(str(folder / "store"))
    opened = open_columns(folder)
    assert opened
    with closing(opened) as columns:
        result = solutions(columns.answer(QueryRequest(COUNT_BY_PREDICATE), small=0))
    answered: bool = comparable("", result) == comparable(
        "", solutions(store.query(COUNT_BY_PREDICATE))
    )
    return answered
