"""Publishers that read one journal from its folder, an object store or an origin answer alike,
also behind a load balancer.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import boto3
import httpx
import pytest
from load_balancer import Publishers, balanced, child, get, patient, running
from lxml import etree
from moto.server import ThreadedMotoServer
from mutating_source import IRIS, begin, move, read_graphs
from processes import free_port
from pyoxigraph import RdfFormat, parse
from rows import each
from waiting import wait_until

from journal import store
from publisher.releases import copies
from publisher.releases.builder import build_release
from vocab.describe import quads
from vocab.provenance import SourceStatus, describe_source_statuses

OAI = "{http://www.openarchives.org/OAI/2.0/}"
SEEN = datetime(2026, 4, 28, tzinfo=UTC)
ONE = {"verb": "GetRecord", "metadataPrefix": "oai_dc"}
BUCKET = "s3://many/stocktake"
NEW = "/record/demo/i%2F900"
PATHS = (
    "/record/demo/i%2F1?format=nt", "/data/initiative/demo/i%2F1?format=ttl", "/page/initiative/demo/i%2F1",
    "/sparql?format=json&query=SELECT (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } }", "/things.json?source=demo&sort=title", "/journal/2",
    "/.well-known/void?format=nt",
)  # fmt: skip


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    results = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in results.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="many")
        yield results
    server.stop()


@pytest.fixture(scope="module")
def publishers(
    s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Publishers]:
    """Yield three publishers of one journal and its release, and their load balancer."""
    one, two, three = (tmp_path_factory.mktemp(name) for name in ("folder", "store", "mirror"))
    store.bind_replica(one / "journal", BUCKET)
    journal = begin(one)
    result = describe_source_statuses(
        [SourceStatus("demo", SEEN, SEEN, "published", 260, None)], IRIS
    )
    (one / "status.nq").write_text("".join(f"{quad}\n" for quad in quads(result, IRIS.status)))
    assert journal.store
    journal.store.replace("status.nq", one / "status.nq")
    copies.upload(one, build_release(one, IRIS, SEEN).number)
    public = {"STOCKTAKE_PUBLIC_URL": f"http://127.0.0.1:{(port := free_port())}"}
    with (
        running({"STOCKTAKE_DATA": str(one), **public}, "serve") as (first, _),
        running(
            {"STOCKTAKE_DATA": str(two), "STOCKTAKE_OBJECT_STORE_URL": BUCKET, **public}, "serve"
        ) as (second, process),
    ):
        settle(first)
        words = ("mirror", first, "--serve", "--every", "1", "--pause", "0")
        with running({"STOCKTAKE_DATA": str(three), **public}, *words) as (third, _):
            for url in (second, third):
                settle(url)
            with balanced(port, first, second, third) as balancer:
                yield Publishers(first, second, third, balancer, one, child(process, "follower"))


def settle(url: str) -> None:
    wait_until(lambda: health(url)["lag"] == 0, f"{url} to be level")
    paths = "search?q=network oai?verb=ListSets ldes/latest releases/1/release.json catalog.ttl"
    for path in paths.split():
        wait_until(partial(is_ready, f"{url}/{path}"), f"{url}/{path}")


def is_ready(url: str) -> bool:
    code: int = get(url, Accept="*/*").status_code
    return code == 200


def shows(url: str, entry: int) -> bool:
    return (health(url)["position"], health(url)["lag"]) == (entry, 0)


def lists(url: str, record: dict[str, str]) -> bool:
    return "<metadata>" in get(f"{url}/oai", record).text


def health(url: str) -> dict[str, Any]:
    result: dict[str, Any] = get(f"{url}/health").json()
    return result


def same(publishers: Publishers, path: str) -> list[httpx.Response]:
    """Request *path* of each publisher as if all had one address."""
    return [
        get(url + path, Host="data.example", Accept_Encoding="identity") for url in publishers.each
    ]


@each("path", PATHS)
def test_an_answer_has_the_same_bytes_and_tag_wherever_it_comes_from(
    publishers: Publishers, path: str
) -> None:
    wait_until(
        lambda: len({item.headers.get("etag") for item in same(publishers, path)}) == 1,
        f"texts and tables of all to be level: {path}",
    )
    answers = same(publishers, path)

    headers = {"Host": "data.example", "If_None_Match": answers[0].headers["etag"]}
    again = [get(publishers.balancer + path, **headers) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert [item.status_code for item in again] == [304, 304, 304]


def test_source_states_are_equal_everywhere(publishers: Publishers) -> None:
    answers = same(publishers, "/status?format=nt")

    assert b"lastSuccess" in answers[0].content
    assert len({answer.content for answer in answers}) == 1


def test_a_release_is_the_same_bytes_wherever_it_comes_from(publishers: Publishers) -> None:
    listed = get(f"{publishers.balancer}/releases/1/release.json").json()
    names = [file["name"] for file in listed["files"]]
    names += ["SHA256SUMS", "SHA256SUMS.minisig", "release.json"]

    different = [
        name
        for name in names
        if len({item.content for item in same(publishers, f"/releases/1/{name}")}) != 1
    ]
    keys = {item.content for item in same(publishers, "/releases/stocktake.pub")}

    assert len(names) > 20
    assert (different, len(keys)) == ([], 1)


def test_a_list_of_oai_that_is_walked_through_the_balancer_has_each_record_once(
    publishers: Publishers,
) -> None:
    results, parameters = list[str](), {"metadataPrefix": "oai_dc"}

    while parameters:
        names, token = page(publishers.balancer, parameters)
        results, parameters = results + names, {"resumptionToken": token} if token else {}

    assert sorted(results) == sorted(read_graphs(publishers.data))


def page(url: str, parameters: dict[str, str]) -> tuple[list[str], str | None]:
    answer = etree.fromstring(patient(f"{url}/oai", {"verb": "ListRecords", **parameters}).content)
    assert answer.find(f"{OAI}error") is None, etree.tostring(answer)
    return [str(item.text) for item in answer.iter(f"{OAI}identifier")], answer.findtext(
        f".//{OAI}resumptionToken"
    ) or None


@pytest.mark.parametrize("view", ["/ldes/time", "/ldes/latest"])
def test_a_stream_that_is_walked_through_the_balancer_has_each_member_once(
    publishers: Publishers, view: str
) -> None:
    result = members(publishers.balancer, f"{publishers.balancer}{view}")

    assert sorted(result) == sorted(read_graphs(publishers.data))


def members(balancer: str, first: str) -> list[str]:
    """Follow a view of the stream to its end; return the record of each version."""
    results, seen, ahead = list[str](), {first}, [first]
    while ahead:
        answer = patient(ahead.pop(), Accept="application/n-quads")
        assert answer.status_code == 200, answer.text
        for quad in parse(answer.content, RdfFormat.N_QUADS):
            if quad.predicate.value == "http://purl.org/dc/terms/isVersionOf":
                results.append(quad.object.value)
            if (
                quad.predicate.value == "https://w3id.org/tree#node"
                and quad.object.value not in seen
            ):
                assert quad.object.value.startswith(balancer)
                seen.add(quad.object.value)
                ahead.append(quad.object.value)
    return results


def test_pages_of_a_search_through_the_balancer_have_each_thing_once(
    publishers: Publishers,
) -> None:
    results, path = list[str](), "/search?q=network&format=json"

    while path:
        body = patient(publishers.balancer + path).json()
        results += [item["thing"] for item in body["results"]]
        path = body["next"]

    assert len(results) == len(set(results)) == body["total"] >= 100


def test_one_that_is_behind_says_so_and_a_list_goes_on_by_the_others(
    publishers: Publishers,
) -> None:
    with publishers.held_back():
        move(publishers.data)
        for url in (publishers.folder, publishers.mirror):
            wait_until(partial(shows, url, 4), f"{url} to show entry 4")
            new = {**ONE, "identifier": IRIS.record("demo", "i/900")}
            wait_until(partial(lists, url, new), f"{url} to list a new record")
        wait_until(
            lambda: get(publishers.store + "/").headers.get("stocktake-lag") == "1",
            "the one that is held back to be behind",
        )

        late = get(publishers.store + NEW)
        early = get(publishers.folder + NEW, Accept="text/turtle")
        _, token = page(publishers.folder, {"metadataPrefix": "oai_dc"})
        sent_away = get(
            f"{publishers.store}/oai", {"verb": "ListRecords", "resumptionToken": token}
        )
        results, token = page(publishers.folder, {"metadataPrefix": "oai_dc"})
        while token:
            names, token = page(publishers.balancer, {"resumptionToken": token})
            results += names
        result = health(publishers.store)

    assert (result["position"], result["lag"], result["store"]) == (3, 1, {"error": ""})
    assert (late.status_code, late.headers["retry-after"]) == (503, "2")
    assert "1 journal entries are not loaded here yet" in late.text
    assert early.status_code == 200
    assert (sent_away.status_code, "only at 3" in sent_away.text) == (503, True)
    assert sorted(results) == sorted(read_graphs(publishers.data))
    wait_until(
        lambda: health(publishers.store)["lag"] == 0, "the one that was held back to be level"
    )
    wait_until(
        lambda: len({item.headers.get("etag") for item in same(publishers, PATHS[0])}) == 1,
        "all to answer alike",
    )
    assert get(publishers.store + NEW, Accept="text/turtle").status_code == 200
