"""The admin page of reported problems: shown escaped, answered by operators, and in the inbox."""

from __future__ import annotations

from typing import Any

import httpx
from clocks import NOON

from harvesters.ledger.participation.reported_problems import ProblemState
from vocab.iris import BASE

from .conftest import HOSTILE
from .test_admin_pages import csrf, sign_in

PAGE = "/admin/page/problems"


def add(world: Any, address: str | None = "reader@example.org") -> int:
    number: int = world.ledger.problems.add_problem(
        "projects", "p1", "title", HOSTILE, address, "es", "digest", NOON
    )
    return number


async def test_a_problem_is_in_the_inbox_and_escaped_on_its_page(
    client: httpx.AsyncClient, world: Any
) -> None:
    add(world)
    await sign_in(client, world.tokens["read"])

    inbox, page = (await client.get("/admin/")).text, (await client.get(PAGE)).text

    assert (
        '<a href="/admin/page/problems" class="waiting">Reported problems <bdi>1</bdi></a>' in inbox
    )
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "Answer and close" not in page


async def test_a_problem_with_a_page_leads_to_it(client: httpx.AsyncClient, world: Any) -> None:
    world.ledger.problems.add_problem("", "/map", "other", "It is empty.", None, "en", "", NOON)
    world.ledger.problems.add_problem("projects", "", "other", "It is late.", None, "en", "", NOON)
    await sign_in(client, world.tokens["read"])

    page = (await client.get(PAGE)).text

    assert f'<a href="{BASE}map">' in page
    assert f'<a href="{BASE}source/projects">' in page
    assert page.count("not sent to the registry yet") == 1


async def test_an_answer_closes_the_problem_and_is_mailed(
    client: httpx.AsyncClient, world: Any
) -> None:
    number = add(world)
    await sign_in(client, world.tokens["operate"])

    empty = await client.post(f"{PAGE}/{number}", data={"csrf": await csrf(client), "answer": " "})
    answered = await client.post(
        f"{PAGE}/{number}", data={"csrf": await csrf(client), "answer": "We asked the registry."}
    )
    again = await client.post(
        f"{PAGE}/{number}", data={"csrf": await csrf(client), "answer": "Twice"}
    )

    problem, [queued] = (
        world.ledger.problems.reported_problem(number),
        world.ledger.outbox.messages(),
    )
    assert (empty.status_code, answered.status_code, again.status_code) == (422, 303, 404)
    assert (problem.state, problem.address) == (ProblemState.ANSWERED, None)
    assert (queued.message.address, "We asked the registry." in queued.message.text) == (
        "reader@example.org",
        True,
    )
    assert "Respuesta" in queued.message.text
    assert "answered a reported problem" in (await client.get("/admin/page/audit-log")).text


async def test_an_answer_wants_an_operator(client: httpx.AsyncClient, world: Any) -> None:
    number = add(world)
    await sign_in(client, world.tokens["read"])

    answer = await client.post(
        f"{PAGE}/{number}", data={"csrf": await csrf(client), "answer": "no"}
    )

    assert answer.status_code == 403
    assert world.ledger.problems.reported_problem(number).state is ProblemState.OPEN
