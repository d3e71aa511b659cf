from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from itertools import product
from typing import Any

import httpx
import pytest

from harvesters.ledger import operators
from harvesters.ledger.models import Outcome, StagedRecord, State
from web.middleware import MAX_FAILURES
from web.sessions import IDLE_TIMEOUT, MAX_AGE

from .conftest import HOSTILE, staged

CORPUS = [
    HOSTILE, '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "\u202e\u2066\u200f", 'a\nb\tc\\d"e', "{{ 7 * 7 }}%(x)s{x}",
    "x" * 20_000, "\ufdfd" * 500, "e" + "\u0301" * 3_000, "\U0001f468\u200d\U0001f469", "]]> <!-- -->",
]  # fmt: skip
PAGES = (
    "/admin/", "/admin/page/sources", "/admin/page/sources/projects", "/admin/page/sources/projects/definition", "/admin/page/new-source",
    "/admin/page/runs", "/admin/page/runs/projects.1", "/admin/page/alerts", "/admin/page/problems", "/admin/page/identity",
    "/admin/page/gaps", "/admin/page/suggestions", "/admin/page/identity/publish", "/admin/page/identity/rule", "/admin/page/logs",
    "/admin/page/audit-log", "/admin/page/keys", "/admin/page/system",
)  # fmt: skip
SOURCE = "/admin/page/sources/projects"
FORMS = {
    **{f"{SOURCE}/{action}": "operate" for action in ("runs", "hold", "release", "preview", "remap")},
    "/admin/page/plans/approve": "operate", "/admin/page/plans/reject": "operate", "/admin/page/plans/projects.1/approve": "operate",
    "/admin/page/plans/projects.1/reject": "operate", "/admin/page/definition": "admin", "/admin/page/keys": "admin",
    "/admin/page/keys/00000000/revoke": "admin", "/admin/page/new-source": "admin",
}  # fmt: skip


class Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [name for name, _ in attrs]


def harmless(text: str) -> Outline:
    created = Outline()
    created.feed(text)
    assert {"script", "style", "iframe"} & set(created.elements) == set()
    acting = [name for name in created.attributes if name.startswith("on") or name == "style"]
    assert acting == []
    assert not {"\u202e", "\u2066", "\u200f"} & {*text}
    return created


async def test_a_page_without_a_session_is_401_and_asks_for_the_key(
    client: httpx.AsyncClient,
) -> None:
    for path in PAGES:
        answer = await client.get(path)
        assert answer.status_code == 401, path
        assert f'name="path" value="{path}"' in answer.text
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="stocktake"'


async def test_a_key_begins_a_session_whose_cookie_holds_no_key(world: Any) -> None:
    answer = await world.sign_in("read", "/admin/page/audit-log")
    page = await world.client.get("/admin/")
    secure = await world.client.post(
        "https://admin.example/admin/sign-in", data={"key": world.tokens["read"]}
    )

    cookie = answer.headers["Set-Cookie"]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/page/audit-log")
    assert attributes >= {"httponly", "samesite=strict", "path=/admin"}
    assert "secure" not in cookie.lower()
    assert "; secure" in secure.headers["Set-Cookie"].lower()
    assert world.tokens["read"][-43:] not in cookie
    assert page.status_code == 200


async def test_signing_in_redirects_only_to_admin_pages(world: Any) -> None:
    elsewhere = [
        "https://evil.example/", "//evil.example/", "/admin/..//evil", "/admin/\\evil", "/sparql", "javascript:1", "/admin/\n/x",
    ]  # fmt: skip

    led = [(await world.sign_in("read", path)).headers["Location"] for path in elsewhere]

    assert led == ["/admin/"] * len(elsewhere)


async def test_a_wrong_key_or_another_site_begins_no_session_and_is_counted(world: Any) -> None:
    answers = [await world.sign_in("stk_00000000_" + "A" * 43) for _ in range(MAX_FAILURES + 1)]

    assert [answer.status_code for answer in answers] == [401] * MAX_FAILURES + [429]
    assert not world.client.cookies
    world.clock.advance(timedelta(hours=1))
    key, evil = {"key": world.tokens["read"]}, {"Origin": "https://evil.example"}
    answer = await world.client.post("/admin/sign-in", data=key, headers=evil)
    assert (answer.status_code, [*world.client.cookies]) == (403, [])


@pytest.mark.parametrize("passing", [IDLE_TIMEOUT, MAX_AGE])
async def test_a_session_ends_by_itself(reader: Any, passing: timedelta) -> None:
    step = IDLE_TIMEOUT / 2 if passing == MAX_AGE else passing
    for _ in range(int(passing / step) - 1):
        reader.clock.advance(step)
        assert (await reader.client.get("/admin/")).status_code == 200

    reader.clock.advance(step)

    assert (await reader.client.get("/admin/")).status_code == 401


async def test_a_session_ends_with_its_key_and_with_another_sign_in(world: Any) -> None:
    await world.sign_in("read")
    before = (await world.client.get("/admin/")).status_code
    operators.revoke_key(world.ledger, world.keys["read"], world.clock.now())
    revoked = (await world.client.get("/admin/")).status_code
    await world.sign_in("operate")
    first = world.client.cookies["admin"]
    await world.sign_in("admin")

    assert (before, revoked) == (200, 401)
    assert world.client.cookies["admin"] != first
    assert world.context.sessions.find(first) is None


async def test_signing_out_ends_the_session_at_the_server(reader: Any) -> None:
    cookies = dict(reader.client.cookies)

    await reader.send("/admin/sign-out")
    reader.client.cookies.update(cookies)

    assert (await reader.client.get("/admin/")).status_code == 401


async def test_a_form_without_its_sessions_token_or_of_another_site_does_nothing(
    admin: Any,
) -> None:
    admin.add_held_plan((staged("a"),))
    good = {"csrf": await admin.csrf()}
    foreign = ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"})
    requests: list[tuple[dict[str, str], dict[str, str]]] = [
        ({"note": "x"}, {}), ({"csrf": "é" * 43}, {}), *((good, headers) for headers in foreign),
    ]  # fmt: skip

    for path, (form, headers) in product(FORMS, requests):
        answer = await admin.client.post(path, data=form, headers=headers)
        assert answer.status_code == 403, (path, form, headers)
    assert operators.audit_entries(admin.ledger) == []
    assert admin.ledger.run("projects.1").state is State.HELD


async def test_a_form_wants_the_scope_of_its_action(world: Any) -> None:
    world.add_held_plan((staged("a"),))
    for scope, count in (("read", 13), ("operate", 4)):
        await world.sign_in(scope)
        paths = [path for path, wanted in FORMS.items() if wanted != scope]
        codes = [(await world.send(path)).status_code for path in paths]
        assert codes == [403] * count

    assert operators.audit_entries(world.ledger) == []


async def test_what_is_no_form_is_refused(admin: Any) -> None:
    many = b"&".join(b"a%d=1" % number for number in range(199))
    for body in (b"csrf=" + b"x" * 61_000, b"\xff\xfe", many, b"no form"):
        answer = await admin.client.post("/admin/page/keys", content=body)
        assert answer.status_code == 422, body[:9]


async def test_a_form_takes_the_longest_note_in_any_script(operator: Any) -> None:
    run = operator.add_held_plan((staged("a"),))

    answer = await operator.send(f"/admin/page/plans/{run.id}/reject", {"reason": "字" * 2_000})

    assert answer.status_code == 303


async def test_a_form_holds_and_releases_a_source_and_asks_for_a_run(operator: Any) -> None:
    await operator.send(f"{SOURCE}/hold", {"reason": "its owner asked"})
    page = await operator.page(SOURCE)
    await operator.send(f"{SOURCE}/release")
    await operator.send(f"{SOURCE}/runs", {"full": "yes"})

    [request] = operators.waiting_requests(operator.ledger)
    acts = [act.what for act in operators.audit_entries(operator.ledger)]
    assert "its owner asked" in page
    assert (request.source, request.full) == ("projects", True)
    assert request.by == operator.keys["operate"].display_name
    assert acts == ["requested a run", "released", "held"]


async def test_the_form_of_a_run_names_the_waiting_plan_that_it_would_supersede(
    operator: Any,
) -> None:
    run = operator.add_held_plan((staged("a"),))

    page = await operator.page(SOURCE)
    unconfirmed = await operator.send(f"{SOURCE}/runs")
    confirmed = await operator.send(f"{SOURCE}/runs", {"supersede": run.id})

    assert f'name="supersede" value="{run.id}" required' in page
    assert (unconfirmed.status_code, confirmed.status_code) == (409, 303)
    assert run.id in unconfirmed.text
    assert len(operators.waiting_requests(operator.ledger)) == 1


async def test_a_form_rejects_a_plan_and_leads_to_its_run(operator: Any) -> None:
    run = operator.add_held_plan((staged("a"),))

    answer = await operator.send(
        f"/admin/page/plans/{run.id}/reject", {"reason": "half is missing"}
    )

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/admin/page/runs/{run.id}")
    assert operator.ledger.run(run.id).state is State.REJECTED
    assert "half is missing" in await operator.page("/admin/page/audit-log")


async def test_a_key_that_was_made_is_shown_once(admin: Any) -> None:
    form = {"name": "Ada", "scope": "operate", "days": "30"}

    created = await admin.send("/admin/page/keys", form)
    again = await admin.page("/admin/page/keys")

    token = re.search(r"stk_[0-9a-f]{8}_[\w-]{43}", created.text)
    assert token
    key = operators.check_token(admin.ledger, token[0], admin.clock.now())
    assert key is not None
    assert key.name == "Ada"
    assert token[0] not in again
    assert "Ada" in again


async def test_a_key_that_cannot_be_is_refused(admin: Any) -> None:
    for form in (
        {"scope": "all"}, {"days": "0"}, {"days": "-1"}, {"days": "9" * 30}, {"name": ""}, {"name": "\u202e"}, {"name": "x" * 101},
    ):  # fmt: skip
        answer = await admin.send("/admin/page/keys", {"name": "Ada", "scope": "read", **form})
        assert answer.status_code == 422, form
    assert len(operators.list_keys(admin.ledger)) == 3


async def test_nothing_of_a_registry_acts_in_a_page(operator: Any) -> None:
    staged_records = (
        staged(HOSTILE, title=HOSTILE),
        staged("b", Outcome.WITHHELD, reason=HOSTILE),
        StagedRecord(HOSTILE, Outcome.REIDENTIFIED, "aa", "bb", other=HOSTILE),
    )
    run = operator.add_held_plan(staged_records, reason=HOSTILE)
    paths = [f"/admin/page/runs/{run.id}?outcome={name}" for name in ("new", "withheld", "reidentified")]  # fmt: skip

    for path in ("/admin/", "/admin/page/runs", *paths):
        text = await operator.page(path)
        harmless(text)
        assert "&lt;script&gt;" in text, path
        assert "⟨U+202E⟩" in text, path


@pytest.mark.parametrize("value", CORPUS, ids=range(len(CORPUS)))
async def test_a_hostile_value_is_text_in_the_difference_of_a_record(
    world: Any, value: str
) -> None:
    literal = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    literal = literal.replace("\t", r"\t")
    first = world.add_held_plan((staged("a", title=literal), staged("b", title="plain")))
    await world.api(f"/plans/{first.id}/approve", method="POST")
    world.clock.advance(timedelta(days=1))
    titles = (("a", "plain"), ("b", literal))
    records = tuple(staged(key, Outcome.CHANGED, title=title) for key, title in titles)
    run = world.add_held_plan(records, reason=value)
    await world.sign_in("operate")

    reply = await world.client.get(f"/admin/page/runs/{run.id}?outcome=changed")

    harmless(reply.text)
    assert reply.status_code == 200
    assert reply.text.count("plain") >= 2
    assert "<img src=x" not in reply.text
    assert len(reply.text) < 200_000


async def test_a_plans_page_states_why_it_waits_and_what_would_change(operator: Any) -> None:
    withheld = staged("b", Outcome.WITHHELD, reason="it has no title")
    run = operator.add_held_plan((staged("a", title="Clinics"), withheld), reason="9 of 10 vanished")  # fmt: skip

    page = await operator.page(f"/admin/page/runs/{run.id}")

    for text in ("9 of 10 vanished", "Clinics", f'action="/admin/page/plans/{run.id}/approve"'):
        assert text in page
    path = f"/admin/page/runs/{run.id}?outcome=withheld"
    assert "it has no title" in await operator.page(path)


@pytest.mark.parametrize(("language", "sheets"), [("ar", ["fonts"]), ("zh", ["fonts", "fonts-zh"])])
async def test_pages_name_the_fonts_of_this_host_and_may_load_them(
    client: httpx.AsyncClient, language: str, sheets: list[str]
) -> None:
    page = await client.get("/admin/", params={"lang": language})

    assert re.findall(r'href="/static/query/([a-z-]+)\.css"', page.text) == sheets
    assert "font-src 'self'" in page.headers["content-security-policy"]
    assert "script-src" not in page.headers["content-security-policy"]


async def test_who_may_only_look_sees_no_buttons_of_actions(reader: Any) -> None:
    run = reader.add_held_plan((staged("a"),))

    for path in ("/admin/", "/admin/page/sources", SOURCE, f"/admin/page/runs/{run.id}"):
        text = await reader.page(path)
        assert set(re.findall(r'action="([^"]+)"', text)) == {"/admin/sign-out"}, path


async def test_an_invalid_source_definition_hides_no_other(reader: Any) -> None:
    (reader.context.source_dir / "wrong.toml").write_text("title = 1", encoding="utf-8")

    page = await reader.client.get("/admin/")

    assert page.status_code == 200
    assert "wrong.toml" in page.text
    assert "They are not harvested until their definition is corrected." in page.text
    assert "Projects" in await reader.page("/admin/page/sources")
