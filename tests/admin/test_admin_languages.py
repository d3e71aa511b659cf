"""The admin pages in the six languages of the portal."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from rows import each
from starlette.applications import Starlette
from starlette.routing import Mount

from harvesters.admin.app import create_admin
from harvesters.ledger.models import Outcome, State
from harvesters.reason_texts import TEXTS
from harvesters.reasons import Reason
from languages.request_locale import LANGUAGES, use_language
from languages.translations import gettext

from .conftest import bearer, staged
from .test_admin_pages import PAGES

HEADINGS = {
    "en": "Inbox", "fr": "À traiter", "es": "Bandeja de entrada", "ar": "صندوق الوارد", "zh": "待办", "ru": "Входящие",
}  # fmt: skip

_PLACEHOLDER = re.compile(r"%\(\w+\)[sr]")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_each_page_is_in_the_language_of_the_browser(world: Any, language: str) -> None:
    world.add_held_plan((staged("a", Outcome.NEW),))
    await world.sign_in("admin")

    answers = [
        await world.client.get(path, headers={"Accept-Language": language}) for path in PAGES
    ]

    assert [answer.headers["content-language"] for answer in answers] == [language] * len(PAGES)
    assert f"<h1>{HEADINGS[language]}</h1>" in answers[0].text
    direction = "rtl" if language == "ar" else "ltr"
    assert all(f'<html lang="{language}" dir="{direction}">' in answer.text for answer in answers)


async def test_a_chosen_language_is_kept_by_the_cookie_of_the_portal(world: Any) -> None:
    await world.sign_in("read")

    chosen = await world.client.get("/admin/?lang=es")
    next_page = await world.client.get("/admin/page/runs")

    assert "language=es; Path=/;" in chosen.headers["set-cookie"]
    assert "<h1>Ejecuciones</h1>" in next_page.text


async def test_a_page_links_to_itself_in_all_languages(world: Any) -> None:
    await world.sign_in("admin")
    form = {"csrf": await world.csrf(), "name": "Ada", "scope": "read"}

    page = await world.client.get("/admin/page/runs?source=projects")
    answer = await world.client.post("/admin/page/keys", data=form)

    assert all(
        f'href="/admin/page/runs?source=projects&amp;lang={tag}"' in page.text for tag in LANGUAGES
    )
    assert all(f'href="/admin/?lang={tag}"' in answer.text for tag in LANGUAGES)


async def test_a_refused_form_says_why_in_the_language_of_the_request(world: Any) -> None:
    await world.sign_in("read")
    form = {"csrf": await world.csrf()}

    answer = await world.client.post(
        "/admin/page/sources/projects/hold", data=form, headers={"Accept-Language": "fr"}
    )

    assert answer.status_code == 403
    assert "<h1>Accès refusé</h1>" in answer.text
    assert (
        "Il faut une clé avec l’autorisation « exploitation » ; la vôtre a « lecture »."
        in answer.text
    )


async def test_a_failed_sign_in_is_marked_and_says_why_in_the_language_of_the_request(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post(
        "/admin/sign-in", data={"key": "stk_wrong"}, headers={"Accept-Language": "ru"}
    )

    assert answer.status_code == 401
    assert "Вход не выполнен: ключ введён с ошибкой, отозван или истёк." in answer.text
    assert 'aria-invalid="true"' in answer.text


async def test_a_held_plan_has_its_reasons_in_the_language_without_commands(world: Any) -> None:
    values: dict[str, int | str | Reason] = {
        "count": 4000,
        "total": 5000,
        "share": "80%",
        "limit": "10%",
    }
    run = world.add_held_plan((staged("a", Outcome.NEW),), reason=Reason("missing", values))
    await world.sign_in("admin")

    pages = [
        await world.page(path, headers={"Accept-Language": "es"})
        for path in ("/admin/", f"/admin/page/runs/{run.id}")
    ]

    assert all(
        "faltan 4.000 de 5.000 fichas publicadas (80%); el límite es 10%" in page for page in pages
    )
    assert [page for page in pages if "stocktake plans show" in page] == []


async def test_an_incomplete_run_says_why_in_the_language_of_the_request(world: Any) -> None:
    run = world.add_held_plan((staged("a", Outcome.NEW),))
    reasons = (Reason("list_ended_early", {"fetched": 1200, "total": 3000}), Reason("no_deletions"))
    world.ledger.save(replace(run, state=State.INCOMPLETE, reasons=reasons))
    await world.sign_in("read")

    page = await world.client.get("/admin/page/runs", headers={"Accept-Language": "zh"})

    assert "列表在 3,000 条记录中的第 1,200 条后结束；没有记录被标记为已删除" in page.text


async def test_why_a_record_is_withheld_is_in_the_language_of_the_request(world: Any) -> None:
    rule = Reason("broken_rule", {"message": "It has no title.", "property": "title"})
    unreadable = Reason("listed_record", {"position": 7, "error": Reason("no_oai_metadata")})
    run = world.add_held_plan(
        (
            staged("a", Outcome.WITHHELD, reason=rule),
            staged("b", Outcome.UNREADABLE, reason=unreadable),
        )
    )
    await world.sign_in("read")

    pages = [
        await world.page(
            f"/admin/page/runs/{run.id}?outcome={outcome}", headers={"Accept-Language": "fr"}
        )
        for outcome in ("withheld", "unreadable")
    ]

    assert "Il n&#39;y a pas de titre. (title)" in pages[0]
    assert "la notice à la position 7 de la liste : une notice sans métadonnées" in pages[1]


async def test_names_in_an_arabic_reason_are_isolated_and_escaped(world: Any) -> None:
    reason = Reason(
        "on_hold_because", {"by": "Ada <b>", "since": "2026-11-27 06:32", "note": "انتظر"}
    )
    run = world.add_held_plan((staged("a", Outcome.NEW),), reason=reason)
    await world.sign_in("read")

    page = await world.client.get(f"/admin/page/runs/{run.id}", headers={"Accept-Language": "ar"})

    name, time, note = (
        f'<bdi dir="{direction}">{text}</bdi>'
        for direction, text in (
            ("ltr", "Ada &lt;b&gt;"),
            ("ltr", "2026-11-27 06:32"),
            ("auto", "انتظر"),
        )
    )
    assert f"علّق {name} المصدر منذ {time} UTC: {note}" in page.text


async def test_a_refused_decision_says_why_in_the_language_of_the_request(world: Any) -> None:
    run = world.add_held_plan((staged("a", Outcome.NEW),))
    world.ledger.save(replace(run, state=State.REJECTED))
    await world.sign_in("operate")
    form = {"csrf": await world.csrf()}

    answer = await world.client.post(
        f"/admin/page/plans/{run.id}/approve", data=form, headers={"Accept-Language": "fr"}
    )

    assert answer.status_code == 409
    assert f"{run.id} : n’attend pas d’approbation (état : rejected)" in answer.text


@each("language", [tag for tag in LANGUAGES if tag != "en"])
def test_every_reason_has_a_text_in_every_language(language: str) -> None:
    english = {
        code: text
        for code, text in TEXTS.items()
        if re.search(r"[a-z]", _PLACEHOLDER.sub("", text))
    }

    with use_language(language):
        translated = {code: gettext(text) for code, text in english.items()}

    assert [code for code, text in english.items() if translated[code] == text] == []
    assert {code: _placeholders(text) for code, text in translated.items()} == {
        code: _placeholders(text) for code, text in english.items()
    }


def _placeholders(text: str) -> set[str]:
    return set(_PLACEHOLDER.findall(text))


async def test_the_api_answers_in_english_whatever_the_browser_asks_for(world: Any) -> None:
    headers = {**bearer(world.tokens["read"]), "Accept-Language": "ar"}

    answer = await world.client.get("/admin/runs/none.1", headers=headers)

    assert (
        answer.json()["detail"]
        == "There is no run with that identifier. GET /admin/runs lists the runs."
    )


@pytest.mark.parametrize(("demo", "banners"), [(True, 1), (False, 0)])
async def test_a_demo_installation_says_so_on_each_admin_page(
    world: Any, demo: bool, banners: int
) -> None:
    app = Starlette(routes=[Mount("/admin", create_admin(replace(world.context, demo=demo)))])
    transport = httpx.ASGITransport(app=app)
    site = replace(
        world, client=httpx.AsyncClient(transport=transport, base_url=world.client.base_url)
    )

    signing_in = await site.page("/admin/")
    await site.sign_in("admin")
    overview = await site.page("/admin/")

    texts = (signing_in, overview)
    assert [text.count("<b>Demonstration data</b>") for text in texts] == [banners] * 2
