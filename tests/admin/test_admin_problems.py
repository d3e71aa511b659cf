from __future__ import annotations

from functools import partial
from typing import Any

from clocks import NOON

from harvesters.ledger import outbox
from harvesters.ledger.participation import ProblemState, ReportedProblem
from harvesters.runs.reported_problems import reported_problem
from vocab.iris import BASE

from .conftest import HOSTILE

PAGE = "/admin/page/problems"


def add(world: Any, address: str | None = "reader@example.org") -> int:
    return store(world, "projects", "p1", "title", HOSTILE, address, "es")


def store(world: Any, *values: Any) -> int:
    problem: Any = partial(ReportedProblem, 0, *values)
    number: int = world.ledger.add(problem(ProblemState.OPEN, "digest", NOON, NOON))
    return number


async def test_a_problem_is_in_the_inbox_and_escaped_on_its_page(reader: Any) -> None:
    add(reader)

    inbox, page = await reader.page("/admin/"), await reader.page(PAGE)

    assert (
        '<a href="/admin/page/problems" class="waiting">Reported problems <bdi>1</bdi></a>' in inbox
    )
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "Answer and close" not in page


async def test_a_problem_with_a_page_leads_to_it(reader: Any) -> None:
    store(reader, "", "/map", "other", "It is empty.", None, "en")
    store(reader, "projects", "", "other", "It is late.", None, "en")

    page = await reader.page(PAGE)

    assert f'<a href="{BASE}map">' in page
    assert f'<a href="{BASE}source/projects">' in page
    assert page.count("not sent to the registry yet") == 1


async def test_an_answer_closes_the_problem_and_is_mailed(operator: Any) -> None:
    number = add(operator)

    empty = await operator.send(f"{PAGE}/{number}", {"answer": " "})
    answered = await operator.send(f"{PAGE}/{number}", {"answer": "We asked the registry."})
    again = await operator.send(f"{PAGE}/{number}", {"answer": "Twice"})

    problem = reported_problem(operator.ledger, number)
    [queued] = outbox.messages(operator.ledger)
    assert (empty.status_code, answered.status_code, again.status_code) == (422, 303, 404)
    assert problem
    assert (problem.state, problem.address) == (ProblemState.ANSWERED, None)
    assert queued.address == "reader@example.org"
    assert "We asked the registry." in queued.text
    assert "Respuesta" in queued.text
    assert "answered a reported problem" in await operator.page("/admin/page/audit-log")


async def test_an_answer_wants_an_operator(reader: Any) -> None:
    number = add(reader)

    assert (await reader.send(f"{PAGE}/{number}", {"answer": "no"})).status_code == 403
    problem = reported_problem(reader.ledger, number)
    assert problem
    assert problem.state is ProblemState.OPEN
