"""The public addresses of the journal; standard tools make a later dump from a dump and patches."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from collections import Counter
from pathlib import Path

import httpx
import pytest
from pyoxigraph import RdfFormat, parse
from rows import each

from journal.journal import Journal
from publisher.releases.dump import canonical_quads
from publisher.store.query_service import QueryService
from vocab.iris import Iris

IRIS = Iris()
BASE = IRIS.base
FOREVER = "public, max-age=31536000, immutable"
IDENTITY, GZIP = {"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip"}
# This uses standard tools alone: the last row about a quad decides whether it is in the dump, which
# the C locale sorts by bytes.
REPLAY = r"""
( gzip -dc "$1" | sed 's/^/A /' ; shift ; cat "$@" ) |
LC_ALL=C awk '/^[AD] </ { last[substr($0, 3)] = substr($0, 1, 1) } END { for (quad in last) if (last[quad] == "A") print quad }' |
LC_ALL=C sort
"""


@pytest.fixture(scope="module")
def service(world: Path) -> QueryService:
    """Return a service that is not opened, since the journal needs no store."""
    return QueryService(world, IRIS, follow=False)


@pytest.fixture
def client(inside: httpx.AsyncClient) -> httpx.AsyncClient:
    """Return the client in this process, since the journal does not depend on the store."""
    return inside


@pytest.fixture
def journal(world: Path) -> Journal:
    return Journal(world / "journal")


@pytest.mark.smoke
async def test_a_dump_and_the_patches_after_it_give_the_later_dump_by_awk_and_sort(
    client: httpx.AsyncClient, journal: Journal, tmp_path: Path
) -> None:
    with gzip.open(tmp_path / "dump-1.nq.gz", "wb") as file:
        file.writelines(canonical_quads(journal, 1))
    for number in (2, 3):
        answer = await client.get(f"/journal/{number}", headers=IDENTITY)
        (tmp_path / f"{number}.rdfp").write_bytes(answer.content)

    line = ["sh", "-c", REPLAY, "replay", "dump-1.nq.gz", "2.rdfp", "3.rdfp"]
    replayed = subprocess.run(line, cwd=tmp_path, capture_output=True, check=True).stdout

    assert replayed == b"".join(canonical_quads(journal, 3))


async def test_an_entry_is_an_rdf_patch_that_may_be_kept_for_ever(
    client: httpx.AsyncClient, journal: Journal
) -> None:
    answer = await client.get("/journal/2", headers=IDENTITY)
    head = await client.head("/journal/2", headers=IDENTITY)

    line, _, rest = answer.content.partition(b"\n")
    assert line.decode() == f"H id <urn:sha256:{hashlib.sha256(rest).hexdigest()}> ."
    assert answer.headers["content-type"] == "application/rdf-patch"
    assert answer.headers["cache-control"] == FOREVER
    assert answer.headers["etag"] == f'"{journal.entry(2).id}"'  # type: ignore[union-attr]
    assert "content-encoding" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == answer.headers["content-length"]


async def test_an_entry_is_a_patch_or_its_gzip_file(
    client: httpx.AsyncClient, journal: Journal
) -> None:
    packed = await client.get("/journal/2.gz")
    plain = await client.get("/journal/2", headers=GZIP)

    assert plain.headers["content-type"] == "application/rdf-patch"
    assert packed.headers["content-type"] == "application/gzip"
    assert packed.content == journal.entry(2).path.read_bytes()  # type: ignore[union-attr]
    assert gzip.decompress(packed.content) == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    for path in ("/journal/2", "/journal/2.gz"):
        etag = (await client.head(path)).headers["etag"]
        again = await client.get(path, headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")


@each(
    "byte_range, start, end",
    [("10-29", 10, 30), ("30-", 30, None), ("-7", -7, None), ("5-99999999", 5, None)],
)
async def test_a_part_of_the_file_of_an_entry_is_sent(
    client: httpx.AsyncClient, byte_range: str, start: int, end: int | None
) -> None:
    whole = (await client.get("/journal/3.gz")).content
    numbers = range(len(whole))[start:end]

    part = await client.get("/journal/3.gz", headers={"Range": f"bytes={byte_range}"})

    assert (part.status_code, part.content) == (206, whole[start:end])
    assert part.headers["content-range"] == f"bytes {numbers[0]}-{numbers[-1]}/{len(whole)}"


async def test_a_range_that_does_not_fit_is_refused_or_passed_over(
    client: httpx.AsyncClient,
) -> None:
    for text, more, status in (
        ("bytes=99999999-", {}, 416),
        ("bytes=0-3", {"If-Range": '"another"'}, 200),
    ):
        answer = await client.get("/journal/3.gz", headers={"Range": text, **more})
        assert answer.status_code == status, text
    for suffix in ("ttl", "nt", "jsonld"):
        answer = await client.get("/journal/", params={"format": suffix})
        graph = parse(answer.content, RdfFormat.from_extension(suffix))
        expected = {f"{BASE}journal/", *(f"{BASE}journal/{number}" for number in (1, 2, 3))}
        assert {quad.subject.value for quad in graph} == expected


async def test_the_list_begins_with_the_newest_and_goes_on_page_by_page(
    client: httpx.AsyncClient, journal: Journal
) -> None:
    first = (await client.get("/journal/", params={"per": 2})).json()
    second = (await client.get(first["next"])).json()
    back = (await client.get(second["previous"])).json()
    before, entry = journal.entry(2), journal.entry(3)

    numbers = [[item["number"] for item in page["entries"]] for page in (first, second, back)]
    assert numbers == [[3, 2], [1], [3, 2]]
    assert (first["previous"], second["next"]) == (None, None)
    newest = first["entries"][0]
    assert before is not None
    assert entry is not None
    rows = Counter(row[:2] for row in entry.rows())
    assert (newest["added"], newest["removed"]) == (rows["A "], rows["D "])
    assert (newest["run"], newest["bytes"]) == ("run-3", entry.path.stat().st_size)
    assert newest["previous"] == before.id


async def test_an_empty_journal_has_a_head_too(
    service: QueryService,
    client: httpx.AsyncClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "journal", Journal(tmp_path / "empty"))

    head, listed = await client.get("/journal/head"), await client.get("/journal/")

    assert (head.json()["number"], head.json()["id"]) == (0, None)
    assert listed.json()["entries"] == []
