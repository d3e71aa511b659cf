"""Every address of the publisher needs a valid host, and no odd path is a server error."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from shutil import copytree
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import APIRouter
from in_process import listening, serving
from rows import each
from waiting import wait_until

from harvesters.admin.app import create_admin
from harvesters.admin.context import AdminContext
from journal.journal import Journal
from publisher.app import ROUTERS
from publisher.portal.report import builder as reports
from publisher.releases.dump import write_dumps
from vocab.iris import Iris

IRIS = Iris()
PUBLIC = "https://public.example"


@pytest.fixture(scope="module")
def server(release_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a server of a world with a release, its report and dumps."""
    data = Path(copytree(release_data, tmp_path_factory.mktemp("routes") / "data"))
    reports.build_report(data, IRIS, None, "en", {})
    list(write_dumps(Journal(data / "journal"), data / "dumps"))
    with listening(lambda _: serving(data, PUBLIC, "help@public.example")) as url:
        yield url


def is_ready(client: httpx.Client, path: str) -> bool:
    return client.get(path).status_code != 503


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server) as item:
        wait_until(partial(is_ready, item, "/oai?verb=Identify"), "the store to be ready")
        yield item


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
def test_request_without_a_valid_host_is_400(server: str, head: bytes, status: bytes) -> None:
    answer = ask(server, head)

    assert answer.split(b" ", 2)[1] == status


STEMS = sorted(
    {
        path.partition("{")[0]
        for router in ROUTERS.values()
        for route in router.routes
        if (path := getattr(route, "path", "/")) != "/"
    }
)


TAILS = [
    "/", "//", "///", "/%2F", "/.", "/..%2f", "/%00", "/%FF", "/a//b", "//a", "/a/", ".", "..", ".json", "?format=none",
]  # fmt: skip


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


def test_no_router_has_a_lifespan_which_the_app_would_ignore() -> None:
    default = type(APIRouter().lifespan_context)

    own = [name for name, router in ROUTERS.items() if type(router.lifespan_context) is not default]

    assert own == []
