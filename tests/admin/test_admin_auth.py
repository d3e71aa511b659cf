from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from harvesters.admin.actions import get_key
from harvesters.admin.app import create_admin
from harvesters.admin.context import AdminContext, require_session
from harvesters.ledger import operators
from harvesters.ledger.models import Scope
from web.middleware import MAX_CONCURRENT_REQUESTS, MAX_FAILURES, MAX_PRIVATE_BODY, WINDOW_SECONDS

SCOPES = ("read", "operate", "admin")
WRONG_KEY = "stk_00000000_" + "A" * 43


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    scope: str
    status: int
    body: dict[str, Any] | None = None


ROUTES = [
    Call("GET", "/sources", "read", 200), Call("GET", "/sources/projects", "read", 200),
    Call("POST", "/sources/projects/runs", "operate", 202, {"full": True}), Call("DELETE", "/sources/projects/hold", "operate", 409),
    Call("PUT", "/sources/projects/hold", "operate", 200, {"reason": "its owner asked"}), Call("GET", "/run-requests", "read", 200),
    Call("GET", "/run-requests/9", "read", 404), Call("GET", "/plans", "read", 200), Call("GET", "/plans/projects.1", "read", 404),
    Call("GET", "/plans/projects.1/records?outcome=new", "read", 404),
    Call("POST", "/plans/projects.1/approve", "operate", 404, {"note": "looked at it"}),
    Call("POST", "/plans/projects.1/reject", "operate", 404, {"reason": "half of it is missing"}),
    Call("POST", "/plans/projects.1/undo", "operate", 404, {"reason": "wrong source"}), Call("GET", "/runs/projects.1/log", "read", 404),
    Call("GET", "/runs", "read", 200), Call("GET", "/runs/projects.1", "read", 404),
    Call("GET", "/runs/projects.1/records?outcome=new", "read", 404), Call("GET", "/audit-log", "read", 200),
    Call("GET", "/metrics", "read", 200), Call("GET", "/keys", "admin", 200),
    Call("POST", "/keys", "admin", 201, {"name": "Ada", "scope": "read"}), Call("GET", "/keys/00000000", "admin", 404),
    Call("DELETE", "/keys/00000000", "admin", 404),
]  # fmt: skip
# Anyone may send these requests, since their responses contain no data.
OPEN = {("GET", "/openapi.json"), ("GET", "/style.css"), ("POST", "/sign-in")}


def routes(path: Path) -> Iterator[tuple[str, APIRoute | Any]]:
    stack = list(create_admin(AdminContext(path, path, "sqlite://", "https://example.org/")).routes)
    for route in stack:
        included = getattr(route, "original_router", None)
        if included is not None:
            stack.extend(included.routes)
        else:
            yield from ((method, route) for method in route.methods - {"HEAD"})  # type: ignore[attr-defined]


async def ask(client: httpx.AsyncClient, token: str | None, route: Call) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await client.request(
        route.method, "/admin" + route.path, json=route.body, headers=headers
    )


async def status(world: Any, token: str) -> int:
    return (await ask(world.client, token, ROUTES[0])).status_code


def test_every_address_of_the_api_is_in_the_table(tmp_path: Path) -> None:
    known = {(route.method, route.path.partition("?")[0]) for route in ROUTES}
    patterns = [
        (method, re.sub(r"\{\w+\}", "[^/]+", route.path))
        for method, route in routes(tmp_path)
        if getattr(route, "include_in_schema", False)
    ]

    def is_known(method: str, path: str) -> bool:
        return any(method == m and re.fullmatch(path, p) for m, p in known)

    assert {pattern for pattern in patterns if not is_known(*pattern)} <= OPEN
    assert len(patterns) >= len(ROUTES)


def test_every_page_wants_a_session(tmp_path: Path) -> None:
    without = {
        (method, route.path)
        for method, route in routes(tmp_path)
        if not getattr(route, "include_in_schema", True)
        and require_session not in _dependencies(getattr(route, "dependant", None))
    }

    assert without == OPEN


@pytest.mark.parametrize(("token", "more"), [(None, ""), (WRONG_KEY, ', error="invalid_token"')])
async def test_without_a_valid_key_the_api_answers_401_and_says_so(
    world: Any, token: str | None, more: str
) -> None:
    for route in ROUTES:
        world.clock.advance(timedelta(seconds=WINDOW_SECONDS))
        answer = await ask(world.client, token, route)
        assert answer.status_code == 401, route
        assert answer.headers["WWW-Authenticate"] == f'Bearer realm="stocktake"{more}'
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert WRONG_KEY not in answer.text


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_opens_what_its_scope_allows_and_no_more(world: Any, scope: str) -> None:
    allowed = [route for route in ROUTES if SCOPES.index(scope) >= SCOPES.index(route.scope)]

    for route in ROUTES:
        if route not in allowed:
            answer = await ask(world.client, world.tokens[scope], route)
            wanted = f'error="insufficient_scope", scope="{route.scope}"'
            assert (answer.status_code, wanted in answer.headers["WWW-Authenticate"]) == (403, True)
    assert operators.audit_entries(world.ledger) == []
    for route in allowed:
        answer = await ask(world.client, world.tokens[scope], route)
        assert answer.status_code == route.status, route


def _dependencies(dependant: Any) -> set[object]:
    """Return the functions that a route depends on, at any depth."""
    own = dependant.dependencies if dependant else ()
    return {call for item in own for call in (item.call, *_dependencies(item))}


async def test_a_revoked_key_is_refused_at_once_and_an_expired_one_from_its_last_instant_on(
    world: Any,
) -> None:
    before = await status(world, world.tokens["read"])

    operators.revoke_key(world.ledger, world.keys["read"], world.clock.now())

    assert (before, await status(world, world.tokens["read"])) == (200, 401)

    _, token = operators.create_key(world.ledger, "for a day", Scope.READ, world.clock.now(), 1)

    world.clock.advance(timedelta(days=1, seconds=-1))
    good = await status(world, token)
    world.clock.advance(timedelta(seconds=1))

    assert (good, await status(world, token)) == (200, 401)


async def test_the_last_use_of_a_key_is_noted_to_the_minute(world: Any) -> None:
    began, number, token = world.clock.now(), world.keys["read"].id, world.tokens["read"]

    await status(world, token)
    world.clock.advance(timedelta(seconds=59))
    await status(world, token)
    within = get_key(world.ledger, number).last_used
    world.clock.advance(timedelta(seconds=1))
    await status(world, token)

    assert within == began
    assert get_key(world.ledger, number).last_used == began + timedelta(minutes=1)


async def test_what_is_not_the_key_is_a_wrong_key_and_in_the_address_it_opens_nothing(
    world: Any,
) -> None:
    token = world.tokens["admin"]
    turned = token[:-1] + ("A" if token[-1] != "A" else "B")
    wrong = [
        "stk_", "x" * 10_000, "stk_00000000_" + "é" * 43, "' OR 1=1 --", "stk_%s_short", "stk_00000000_" + "A" * 44, turned,
    ]  # fmt: skip

    for text in wrong:
        headers = {b"Authorization": b"Bearer " + text.encode()}
        assert (await world.client.get("/admin/sources", headers=headers)).status_code == 401, text
    answer = await world.client.get("/admin/sources", params={"access_token": token})
    assert (answer.status_code, token in answer.text) == (401, False)


async def test_a_client_with_too_many_wrong_keys_has_to_wait(world: Any) -> None:
    wrong = [await status(world, WRONG_KEY) for _ in range(MAX_FAILURES)]

    refused = await ask(world.client, WRONG_KEY, ROUTES[0])
    world.clock.advance(timedelta(seconds=WINDOW_SECONDS))
    after = await status(world, WRONG_KEY)

    assert wrong == [401] * MAX_FAILURES
    assert (refused.status_code, after) == (429, 401)
    for _ in range(2 * MAX_FAILURES):
        await status(world, WRONG_KEY)
    # A valid key from the same address is not locked out, and another client need not wait.
    assert [await status(world, token) for token in world.tokens.values()] == [200] * 3
    for _ in range(MAX_FAILURES):
        world.context.throttle.record_failure("2001:db8::1")
    waits = [
        world.context.throttle.retry_after(address) > 0
        for address in ("2001:db8::ffff", "2001:db8:0:1::1", "192.0.2.1")
    ]
    assert waits == [True, False, False]
    assert 0 < int(refused.headers["Retry-After"]) <= WINDOW_SECONDS + 1


async def test_pages_and_api_answer_head_as_get_without_a_body(admin: Any) -> None:
    headers = {"Authorization": f"Bearer {admin.tokens['admin']}"}

    for path in (
        "", "page/runs", "page/audit-log", "page/keys", "sources", "runs", "keys", "style.css",
    ):  # fmt: skip
        get = await admin.client.get(f"/admin/{path}", headers=headers)
        head = await admin.client.head(f"/admin/{path}", headers=headers)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-length"] == get.headers["content-length"], path


async def test_what_is_kept_of_a_key_opens_nothing(world: Any, tmp_path: Path) -> None:
    world.ledger.close()

    stored = b"".join(file.read_bytes() for file in tmp_path.glob("ledger.sqlite*"))

    for token in world.tokens.values():
        assert token.split("_", 2)[2].encode() not in stored
    assert world.keys["admin"].hash.encode() in stored
    assert world.keys["admin"].hash not in repr(world.keys["admin"])


async def test_admin_pages_answer_503_without_the_ledger(world: Any, tmp_path: Path) -> None:
    world.ledger.close()
    for file in tmp_path.glob("ledger.sqlite*"):
        file.rename(file.with_name(f"away-{file.name}"))

    answer = await world.api("/sources", "read")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert str(tmp_path) not in answer.text


async def test_every_answer_keeps_to_itself(world: Any) -> None:
    answers = [await world.api("/sources", "read")]
    for path in ("sources", "", "style.css", "none"):
        answers.append(await world.client.get(f"/admin/{path}"))

    denied = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
    assert [answer.status_code for answer in answers] == [200, 401, 401, 200, 404]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Permissions-Policy"] == denied


async def test_a_body_that_is_too_large_is_refused_before_anything_is_read_of_it(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/admin/keys", content=b"x" * (MAX_PRIVATE_BODY + 1))

    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
    assert answer.headers["Cache-Control"] == "no-store"


async def test_requests_over_the_limit_wait_for_their_turn(world: Any) -> None:
    requests = [status(world, world.tokens["read"]) for _ in range(3 * MAX_CONCURRENT_REQUESTS)]

    assert {*await asyncio.gather(*requests)} == {200}


async def test_a_key_for_submissions_opens_no_admin_page(world: Any) -> None:
    _, token = operators.create_key(world.ledger, "Ministry", Scope.SUBMIT, world.clock.now())

    signed_in = await world.sign_in(token)

    assert (signed_in.status_code, "set-cookie" in signed_in.headers) == (401, False)
    assert await status(world, token) == 403
