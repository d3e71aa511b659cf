"""The pages `/problem` and `/problem/{number}`: what is sent, what is refused, and what is public."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import httpx
import pyoxigraph as ox
from app_client import asking
from event_loops import session_loop
from rows import each

from publisher.app import SiteOptions, create_app
from publisher.portal.problems import CATEGORIES, OA, PublicProblem
from publisher.store.query_service import QueryService
from vocab.iris import BASE

RECORD = f"{BASE}record/demo/a%2F1"
HTML = {"Accept": "text/html"}
FORM = {
    "record": "/record/demo/a%2F1", "category": "title", "text": "It is <b>wrong</b>", "address": "reader@example.org",
}  # fmt: skip


@dataclass
class ProblemsInMemory:
    """A store of problems in memory, in place of the ledger that the command line uses."""

    filed: list[tuple[str, ...]] = field(default_factory=list)

    def file(self, *values: str) -> int | None:
        if values[1] == "none":
            return None
        self.filed.append(values)
        return len(self.filed)

    def find(self, number: int) -> PublicProblem | None:
        if number > len(self.filed):
            return None
        times = ("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z")
        return PublicProblem(number, RECORD, self.filed[number - 1][2], "fixed", *times, "demo.7")


def visitor(service: QueryService, reports: ProblemsInMemory | None) -> httpx.AsyncClient:
    app = create_app(service, site=SiteOptions(problem_store=reports))
    client: httpx.AsyncClient = asking(app)
    return client


@session_loop
async def test_a_problem_is_filed_without_script_and_is_a_public_page_and_a_web_annotation(
    service: QueryService,
) -> None:
    stored = ProblemsInMemory()
    async with visitor(service, stored) as client:
        page = await client.get("/page/initiative/demo/a%2F1", headers=HTML)
        form = await client.get("/problem", headers=HTML)
        sent = await client.post("/problem", data=FORM, headers={"Accept-Language": "fr"})
        public_page = await client.get(sent.headers["location"], headers=HTML)
        data = (await client.get("/problem/1", headers={"Accept": "application/json"})).json()
        turtle = await client.get("/problem/1", headers={"Accept": "text/turtle"})

    assert "/problem?record=%2Frecord%2Fdemo%2Fa%252F1" in page.text
    assert all(f'<option value="{name}">' in form.text for name in CATEGORIES)
    assert form.text.count("Something else") == 1
    assert stored.filed == [("demo", "a/1", "title", FORM["text"], FORM["address"], "fr")]
    assert (sent.status_code, sent.headers["location"]) == (303, "/problem/1")
    assert public_page.status_code == 200
    assert "Fixed: a later harvest changed the record." in public_page.text
    assert data == {
        "iri": f"{BASE}problem/1", "record": RECORD, "category": "title", "state": "fixed", "created": "2026-03-01T12:00:00Z",
        "changed": "2026-03-02T12:00:00Z", "run": f"{BASE}run/demo.7",
    }  # fmt: skip
    for text in (public_page.text, str(data)):
        assert "reader@example.org" not in text
        assert "wrong" not in text
    store, problem = ox.Store(), ox.NamedNode(f"{BASE}problem/1")
    store.load(turtle.content, format=ox.RdfFormat.TURTLE)
    [target] = store.quads_for_pattern(problem, ox.NamedNode(f"{OA}hasTarget"), None)
    assert target.object == ox.NamedNode(RECORD)
    assert '"fixed"' in turtle.text


@each(
    "change, message",
    [({"record": "https://other.example/page"}, "There is no such record or page here"),
     ({"record": "//other.example/page"}, "There is no such record or page here"),
     ({"record": "/a page"}, "There is no such record or page here"),
     ({"record": "/record/demo/none"}, "There is no such record or page here"),
     ({"category": "nonsense"}, "Choose what the problem is about"), ({"text": " "}, "Write what is wrong"),
     ({"text": "x" * 4001}, "Write what is wrong"), ({"address": "a@b@c"}, "The mail address is not valid"),
     ({"address": "a@b.org\nBcc: c@d.org"}, "The mail address is not valid"),
     ({"address": "a@[127.0.0.1]"}, "The mail address is not valid"),
     ({"address": "a=?utf-8?q?=0A?=@b.org"}, "The mail address is not valid"),
     ({"website": "https://spam.example"}, "Leave the last field empty")],
)  # fmt: skip
@session_loop
async def test_a_faulty_form_is_shown_again_with_what_was_written(
    service: QueryService, change: dict[str, str], message: str
) -> None:
    stored = ProblemsInMemory()
    async with visitor(service, stored) as client:
        answer = await client.post("/problem", data=FORM | change)

    assert answer.status_code == 422
    assert message in answer.text
    assert "<b>wrong</b>" not in answer.text
    assert stored.filed == []


@each(
    "path, target",
    [("/page/initiative/demo/a%2F1", ("demo", "a/1")), (f"{BASE}id/initiative/demo/a%2F1", ("demo", "a/1")),
     ("/source/demo", ("demo", "")), ("/source/demo/quality", ("demo", "")), ("/matrix", ("", "/matrix")), ("/", ("", "/"))],
)  # fmt: skip
@session_loop
async def test_a_problem_is_about_a_record_a_source_or_a_page(
    service: QueryService, path: str, target: tuple[str, str]
) -> None:
    stored = ProblemsInMemory()
    async with visitor(service, stored) as client:
        sent = await client.post("/problem", data=FORM | {"record": path})

    assert sent.status_code == 303
    assert [filed[:2] for filed in stored.filed] == [target]


@each("path", ["/", "/matrix", "/source/demo", "/search?q=network", "/no-such-page"])
@session_loop
async def test_every_page_leads_to_the_form(service: QueryService, path: str) -> None:
    async with visitor(service, ProblemsInMemory()) as client:
        page = await client.get(path, headers=HTML)
        link = re.search(r'<footer.*?href="(/problem\?[^"]*)" rel="nofollow"', page.text, re.DOTALL)
        assert link
        form = await client.get(link[1], headers=HTML)

    assert f'value="{path.partition("?")[0]}"' in form.text


@session_loop
async def test_a_client_has_a_quota_other_sites_cannot_send_and_a_mirror_takes_none(
    service: QueryService,
) -> None:
    stored = ProblemsInMemory()
    async with visitor(service, stored) as client:
        foreign = [
            (await client.post("/problem", data=FORM, headers=headers)).status_code
            for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"})
        ]
        codes = [(await client.post("/problem", data=FORM)).status_code for _ in range(6)]
        last = await client.post("/problem", data=FORM)

    assert foreign == [403, 403]
    assert codes == [303, 303, 303, 303, 303, 429]
    assert last.headers["retry-after"].isdigit()
    assert len(stored.filed) == 5
    async with visitor(service, None) as client:
        form = await client.get("/problem", headers=HTML)
        answers = [await client.post("/problem", data=FORM), await client.get("/problem/1")]

    assert "This server takes no problems" in form.text
    assert [answer.status_code for answer in answers] == [404, 404]
