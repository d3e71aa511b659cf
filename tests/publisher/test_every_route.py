"""What holds for every address of the publisher: validators, links, and answers to odd paths."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from in_process import SITE, running, serving
from live_server import served
from publish_fixture import copy_data
from rows import each
from waiting import wait_until

from harvesters.admin.app import create_admin
from harvesters.admin.context import AdminContext
from journal.journal import Journal
from publisher.portal.report import builder as reports
from publisher.releases.builder import build_release
from publisher.releases.dump import write_dumps
from publisher.routes import ROUTERS
from vocab.iris import Iris

IRIS = Iris()
NOW = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)
PUBLIC = "https://public.example"
RICH = "initiative/demo/a%2F1"
COUNT = "query=SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"
# An address, or some, of each route; "" where it has none that can be asked by GET without a key.
ADDRESSES: dict[str, tuple[str, ...]] = {
    "/": ("/",),
    "/home.{suffix}": ("/home.json", "/home.csv"),
    "/map": ("/map",),
    "/map.{suffix}": ("/map.json", "/map.csv"),
    "/trends": ("/trends",),
    "/trends.{suffix}": ("/trends.json",),
    "/topics": ("/topics",),
    "/topics.{suffix}": ("/topics.json",),
    "/compare": ("/compare", "/compare?one=country/404&other=goal/3", "/compare?from=entry/1"),
    "/compare.{suffix}": ("/compare.json?from=entry/1",),
    "/compare/moments": ("/compare/moments",),
    "/compare/records": ("/compare/records?from=entry/1",),
    "/mcp": (),
    "/embed/{rest:path}": ("/embed/count", "/embed/bars/goal?lang=fr", "/embed/map", "/embed/table/country", "/embed/trend/region"),
    "/oembed": (),
    "/llms.txt": ("/llms.txt",),
    "/data": ("/data",),
    "/columns": ("/columns",),
    "/about": ("/about",),
    "/about/design": ("/about/design",),
    "/api": ("/api",),
    "/report": ("/report",),
    "/help": ("/help",),
    "/gaps": ("/gaps",),
    "/gaps.{suffix}": ("/gaps.json",),
    "/figures/{rest:path}": ("/figures/line/C1", "/figures/goal/3.json"),
    "/country/{code}": ("/country/kenya", "/country/congo"),
    "/goal/{code}": ("/goal/3",),
    "/target/{code}": ("/target/3.8",),
    "/action-line/{code}": ("/action-line/c7-ehea",),
    "/events": ("/events",),
    "/events.{suffix}": ("/events.json",),
    "/documents": ("/documents",),
    "/documents.{suffix}": ("/documents.json",),
    "/posts": ("/posts",),
    "/posts.{suffix}": ("/posts.json",),
    "/prizes": ("/prizes",),
    "/prizes.{suffix}": ("/prizes.json",),
    "/join": ("/join",),
    "/validate": ("/validate",),
    "/explain": ("/explain",),
    "/matrix/counts": ("/matrix/counts",),
    "/matrix/counts.{suffix}": ("/matrix/counts.json",),
    "/search": ("/search", "/search?q=clinics"),
    "/search/suggest": ("/search/suggest?q=clin",),
    "/reconcile": ("/reconcile", "/reconcile?queries=%7B%22q%22%3A%7B%22query%22%3A%22Kenya%22%7D%7D"),
    "/reconcile/suggest/{what}": ("/reconcile/suggest/entity?prefix=ken", "/reconcile/suggest/type", "/reconcile/suggest/property"),
    "/reconcile/flyout/{what}": ("/reconcile/flyout/type?id=goal",),
    "/reconcile/properties": ("/reconcile/properties?type=initiative",),
    "/reconcile/view": ("/reconcile/view?id=http://metadata.un.org/sdg/3",),
    "/reconcile/preview": ("/reconcile/preview?id=http://metadata.un.org/sdg/3",),
    "/sparql": ("/sparql", f"/sparql?{COUNT}"),
    "/sparql/words": ("/sparql/words",),
    "/examples": ("/examples",),
    "/examples/{name}": (),
    "/rdf-graph-store": (f"/rdf-graph-store?graph={IRIS.record('demo', 'a/1').replace('%', '%25')}",),
    "/scratch": (),
    "/scratch/{name}": (),
    "/scratch/{name}/sparql": (),
    "/id/{rest:path}": (f"/id/{RICH}",),
    "/data/{kind}/{source}/{key:path}.json": (f"/data/{RICH}.json",),
    "/data/{rest:path}": (f"/data/{RICH}", f"/data/{RICH}.ttl"),
    "/page/{rest:path}": (f"/page/{RICH}",),
    "/linkset/{rest:path}": (f"/linkset/{RICH}", f"/linkset/{RICH}.json"),
    "/record/{source}/{key:path}.json": ("/record/demo/a%2F1.json",),
    "/record/{rest:path}": ("/record/demo/a%2F1", "/record/demo/a%2F1.ttl"),
    "/timegate/{rest:path}": ("/timegate/record/demo/a%2F1",),
    "/timemap/{rest:path}": ("/timemap/record/demo/a%2F1",),
    "/memento/{rest:path}": ("/memento/20260302080000/record/demo/a%2F1",),
    "/registries": ("/registries",),
    "/registries.{suffix}": ("/registries.json",),
    "/problem": ("/problem?record=/record/demo/a%2F1",),
    "/problem/{number}": (),
    "/follow": ("/follow?q=clinics&goal=3",),
    "/follow/confirm/{secret}": (),  # test_follow.py
    "/follow/stop/{secret}": (),
    "/feeds/search.{suffix}": ("/feeds/search.atom?q=clinics", "/feeds/search.json?goal=3"),
    "/quality": ("/quality",),
    "/quality.{suffix}": ("/quality.json", "/quality.ttl"),
    "/source/{source}/quality": ("/source/demo/quality",),
    "/source/{source}/quality.{suffix}": ("/source/demo/quality.json", "/source/demo/quality.svg"),
    "/source/{source}/report": ("/source/demo/report",),
    "/source/{source}/report.{suffix}": tuple(f"/source/demo/report.{suffix}" for suffix in ("json", "csv", "ttl", "atom")),
    "/cluster/{kind}/{source}/{key:path}.json": (),  # test_clusters.py has clusters
    "/cluster/{rest:path}": (),
    "/source/{source}.json": ("/source/demo.json",),
    "/source/{rest:path}": ("/source/demo", "/source/demo.ttl"),
    "/run/{run}.json": ("/run/run-2.json",),
    "/run/{rest:path}": ("/run/run-2",),
    "/scheme/{scheme}.json": ("/scheme/action-line.json",),
    "/scheme/{scheme}/version/{version}": ("/scheme/coverage/version/0.1.0",),
    "/scheme/{rest:path}": ("/scheme/action-line", "/scheme/action-line/C1"),
    "/concept": ("/concept?iri=http://metadata.un.org/sdg/3",),
    "/ns": ("/ns",),
    "/ns.{suffix}": ("/ns.ttl",),
    "/shapes": ("/shapes",),
    "/shapes.{suffix}": ("/shapes.ttl",),
    "/shapes/{version}": ("/shapes/0.1.0",),
    "/ns/{version}": ("/ns/0.1.0",),
    "/operations": ("/operations",),
    "/operations.{suffix}": ("/operations.ttl",),
    "/operations/{version}": ("/operations/0.1.0",),
    "/labels": ("/labels",),
    "/labels.{suffix}": ("/labels.ttl",),
    "/labels/{rest:path}": ("/labels/C3-fr",),
    "/country-lists": ("/country-lists",),
    "/country-lists.{suffix}": ("/country-lists.ttl",),
    "/country-lists/{rest:path}": ("/country-lists/ldc-2024-12-13",),
    "/facilitators": ("/facilitators",),
    "/facilitators.{suffix}": ("/facilitators.ttl",),
    "/facilitators/{rest:path}": ("/facilitators/C2-itu-2017",),
    "/scheme/{scheme}.sssom.tsv": ("/scheme/iati-region.sssom.tsv",),
    "/vocabulary.{suffix}": ("/vocabulary.ttl",),
    "/matrix": ("/matrix",),
    "/matrix.{suffix}": ("/matrix.ttl",),
    "/matrix/{rest:path}": (),
    "/context.jsonld": ("/context.jsonld",),
    "/frame/{name}.jsonld": ("/frame/Initiative.jsonld",),
    **{f"/things{end}": (f"/things{end}?source=demo",) for end in ("", ".json", ".html")},
    **{f"/{name}{end}": (f"/{name}{end}",) for name in ("organizations", "sources") for end in ("", ".json", ".html")},
    "/releases": ("/releases",),
    "/releases/": ("/releases/",),
    "/releases/stocktake.pub": ("/releases/stocktake.pub",),
    "/releases/{number}": ("/releases/1",),
    "/releases/{number}/": ("/releases/1/",),
    "/releases/{number}/{name}": (
        "/releases/1/stocktake-1.nq.gz",
        "/releases/1/stocktake-1.nq.gz.minisig",
        "/releases/1/SHA256SUMS",
        "/releases/1/release.json",
    ),
    "/release/{number}": ("/release/1", "/release/1.ttl"),
    "/reports/": ("/reports/",),
    "/reports/{name}/": ("/reports/release-1.en/",),
    "/reports/{name}/{file}": ("/reports/release-1.en/report.html", "/reports/release-1.en/report.pdf"),
    "/dumps/": ("/dumps/",),
    "/dumps/{name}": ("/dumps/stocktake-3.nq.gz", "/dumps/stocktake-3.nq.gz.sha256"),
    "/exports": ("/exports",),
    "/exports/{name}": (),
    "/exports/{name}/delete": (),
    "/exports/{name}/result": (),
    "/journal/": ("/journal/",),
    "/journal/head": ("/journal/head",),
    "/journal/{name}": ("/journal/2", "/journal/2.gz"),
    "/catalog": ("/catalog",),
    "/catalog.{suffix}": ("/catalog.ttl",),
    "/data.json": ("/data.json",),
    "/api/action/{action}": ("/api/action/status_show", "/api/action/package_list"),
    "/api/3/action/{action}": ("/api/3/action/status_show", "/api/3/action/package_search"),
    "/ldes": ("/ldes",),
    "/ldes/shape": ("/ldes/shape",),
    "/ldes/time": ("/ldes/time",),
    "/ldes/time/{month}": ("/ldes/time/2026-03",),
    "/ldes/time/{day}/{page}": ("/ldes/time/2026-03-02/1",),
    "/ldes/latest": ("/ldes/latest",),
    "/ldes/latest/{after}": (),
    "/ldes/version/{rest:path}": ("/ldes/version/2/demo/a%2F1",),
    "/oai": ("/oai?verb=Identify", "/oai?verb=ListRecords&metadataPrefix=oai_dc", "/oai?verb=none"),
    "/feeds/events.ics": ("/feeds/events.ics",),
    "/feeds/events/{source}/{key:path}.ics": (),  # this register has no event
    "/feeds/all.atom": ("/feeds/all.atom",),
    "/feeds/{family}/{code}.atom": ("/feeds/source/demo.atom", "/feeds/goal/3.atom"),
    "/feeds/{family}/{code}/{basis}.atom": ("/feeds/goal/3/declared.atom",),
    "/activities": ("/activities",),
    "/activities/{number}": ("/activities/1",),
    "/sitemap.xml": ("/sitemap.xml",),
    "/sitemap-{number}.xml": ("/sitemap-1.xml",),
    "/robots.txt": ("/robots.txt",),
    "/.well-known/security.txt": ("/.well-known/security.txt",),
    "/openapi.json": ("/openapi.json",),
    "/docs/api": ("/docs/api",),
    "/.well-known/void": ("/.well-known/void",),
    "/metrics": ("/metrics",),
    "/livez": ("/livez",),
    "/readyz": ("/readyz",),
    "/health": ("/health",),
    "/logo": (),
    "/status": ("/status",),
    "/status.json": ("/status.json",),
}  # fmt: skip
EVERY = sorted({address for addresses in ADDRESSES.values() for address in addresses})


@pytest.fixture(scope="module")
def data(level: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a release, its report and dumps."""
    item = copy_data(level, tmp_path_factory.mktemp("routes"), "store")
    build_release(item, IRIS, NOW)
    reports.build_report(item, IRIS, None, "en", {})
    list(write_dumps(Journal(item / "journal"), item / "dumps"))
    result: Path = item
    return result


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[str]:
    with served(data, {"STOCKTAKE_PUBLIC_URL": PUBLIC}) as url:
        yield url


def is_ready(client: httpx.Client, path: str) -> bool:
    return client.get(path).status_code != 503


@pytest.fixture(scope="module")
def client(data: Path) -> Iterator[httpx.Client]:
    with (
        running(serving(data, PUBLIC, "help@public.example")) as transport,
        httpx.Client(transport=transport, base_url=SITE) as item,
    ):
        # the history is read beside the store
        for path in ("/timemap/record/demo/a%2F1", "/oai?verb=Identify"):
            wait_until(partial(is_ready, item, path), f"{path} to be ready")
        yield item


def test_every_route_has_an_address_here() -> None:
    paths = {getattr(route, "path", "") for router in ROUTERS.values() for route in router.routes}

    assert paths ^ set(ADDRESSES) == set()


HOSTILE = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Server": "evil.example",
    "Forwarded": "host=evil.example",
}


@each("accept", ["text/html", "*/*"])
@each("address", EVERY)
def test_links_do_not_name_the_host_and_what_a_client_holds_is_not_sent_again(
    client: httpx.Client, address: str, accept: str
) -> None:
    first = client.get(address, headers={"Accept": accept, **HOSTILE})

    assert first.status_code < 500
    assert b"evil.example" not in first.content
    assert "evil.example" not in str(first.headers)
    if first.status_code == 200 and "no-store" not in first.headers.get("Cache-Control", ""):
        again = client.get(
            address, headers={"Accept": accept, "If-None-Match": first.headers["ETag"]}
        )
        if again.status_code == 200:  # a page may turn with the clock between the two
            again = client.get(
                address, headers={"Accept": accept, "If-None-Match": again.headers["ETag"]}
            )
        other = client.get(address, headers={"Accept": accept, "If-None-Match": '"other"'})

        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"]
        assert other.status_code == 200
    else:
        assert first.status_code in (200, 300, 301, 302, 303, 307, 308, 406)


def test_each_answer_in_json_parses(client: httpx.Client) -> None:
    headers = {"Accept": "application/json, application/ld+json;q=0.9, */*;q=0.1"}

    answers = [client.get(address, headers=headers) for address in EVERY]
    in_json = [item for item in answers if "json" in item.headers.get("Content-Type", "")]
    faults = [str(item.url) for item in in_json if not isinstance(item.json(), dict | list)]

    assert len(in_json) > 50
    assert faults == []


@each(
    "address",
    ["/oai?verb=Identify", "/feeds/all.atom", "/sitemap.xml", "/robots.txt", "/ldes", "/activities", "/.well-known/security.txt"],
)  # fmt: skip
def test_links_begin_with_the_configured_address(client: httpx.Client, address: str) -> None:
    text = client.get(address, headers={"Accept": "*/*"}).text

    assert f"{PUBLIC}/" in text


@each(
    "address",
    ["/dumps", "/journal", "/reports", "/releases", "/releases/1", "/health/", "/admin", "/admin/sources/"],
)  # fmt: skip
def test_redirects_stay_at_the_host_of_the_request(client: httpx.Client, address: str) -> None:
    answer = client.get(address, headers={"Host": "evil.example"})

    assert "evil.example" not in answer.headers.get("Location", "")
    assert not urlsplit(answer.headers.get("Location", "")).netloc


def ask(server: str, head: bytes) -> bytes:
    with socket.create_connection(
        ("127.0.0.1", urlsplit(server).port or 0), timeout=30
    ) as connection:
        connection.sendall(head)
        answer = b""
        while block := connection.recv(65_536):
            answer += block
    return answer


@each(
    "head, status",
    [(b"GET /robots.txt HTTP/1.1\r\nConnection: close\r\n\r\n", b"400"), (b"GET /admin/ HTTP/1.1\r\nConnection: close\r\n\r\n", b"400"),
     (b"GET /static/style.css HTTP/1.1\r\nConnection: close\r\n\r\n", b"400"),
     (b"GET /robots.txt HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", b"400"),
     (b"GET /robots.txt HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", b"400"),
     (b'GET /robots.txt HTTP/1.1\r\nHost: "><script>\r\nConnection: close\r\n\r\n', b"400"),
     (b"GET /robots.txt HTTP/1.1\r\nHost: a.example/x\r\nConnection: close\r\n\r\n", b"400"),
     (b"GET /robots.txt HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\nConnection: close\r\n\r\n", b"400"),
     (b"GET /robots.txt HTTP/1.1\r\nHost: a.example:80\r\nConnection: close\r\n\r\n", b"200"),
     (b"GET /robots.txt HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n", b"200"), (b"GET /robots.txt HTTP/1.0\r\n\r\n", b"200")],
)  # fmt: skip
@pytest.mark.smoke
def test_request_without_a_valid_host_is_400(server: str, head: bytes, status: bytes) -> None:
    answer = ask(server, head)

    assert answer.split(b" ", 2)[1] == status


STEMS = sorted(
    {
        path.partition("{")[0]
        for path in ADDRESSES
        if path not in ("/", "/scratch/{name}", "/scratch/{name}/sparql")
    }
)


TAILS = [
    "/", "//", "///", "/%2F", "/.", "/..%2f", "/%00", "/%FF", "/a//b", "//a", "/a/", ".", "..", ".json", "?format=none",
]  # fmt: skip


@each("stem", STEMS)
def test_odd_path_is_no_server_error(client: httpx.Client, stem: str) -> None:
    # each tail after every fifth stem, since a route often has several stems
    assert _failures(client, stem, TAILS[STEMS.index(stem) % 5 :: 5]) == {}


@pytest.mark.nightly
@each("stem", STEMS)
def test_no_odd_path_is_a_server_error(client: httpx.Client, stem: str) -> None:
    assert _failures(client, stem, TAILS) == {}


def _failures(client: httpx.Client, stem: str, tails: Sequence[str]) -> dict[str, int]:
    """Request *stem* with each of *tails*; return the statuses of server errors."""
    answers = {
        tail: client.get(f"{stem.rstrip('/')}{tail}", headers={"Accept": "*/*"}) for tail in tails
    }
    return {
        tail: answer.status_code for tail, answer in answers.items() if answer.status_code >= 500
    }


MISSING = [
    "/reports/nope/", "/reports/nope/report.html", "/linkset/", "/linkset//", "/memento//", "/ldes/version//", "/dumps/nope",
]  # fmt: skip


@each("address", MISSING)
def test_what_is_not_there_is_404(client: httpx.Client, address: str) -> None:
    assert client.get(address).status_code == 404


def test_report_is_found_by_its_name(client: httpx.Client) -> None:
    answer = client.get("/reports/release-1.en/")

    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        "/reports/release-1.en/report.html",
    )


def test_admin_addresses_do_not_name_the_host_of_the_request(
    client: httpx.Client, tmp_path: Path
) -> None:
    described = create_admin(AdminContext(tmp_path, tmp_path, "sqlite://", IRIS.base)).openapi()[
        "paths"
    ]
    paths = {re.sub(r"{\w+}", "x", path) for path in described} | {
        "/", "/page/runs", "/page/audit-log", "/page/keys", "/style.css",
    }  # fmt: skip

    answers = [
        client.get(f"/admin{path}{end}", headers={"Host": "evil.example"})
        for path in sorted(paths)
        for end in ("", "/")
    ]

    assert len(paths) > 15
    assert [
        str(answer.url)
        for answer in answers
        if b"evil.example" in answer.content or "evil.example" in str(answer.headers)
    ] == []
