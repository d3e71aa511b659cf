from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from harvesters.admin.app import create_admin
from harvesters.ledger.models import Outcome, State
from harvesters.reasons import Reason
from languages.translations import LANGUAGES

from .conftest import staged
from .test_admin_pages import PAGES

HEADINGS = {
    "en": "Inbox", "fr": "À traiter", "es": "Bandeja de entrada", "ar": "صندوق الوارد", "zh": "待办", "ru": "Входящие",
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
async def test_each_page_is_in_the_language_of_the_browser(admin: Any, language: str) -> None:
    admin.add_held_plan((staged("a", Outcome.NEW),))
    direction = "rtl" if language == "ar" else "ltr"

    for path in PAGES:
        answer = await admin.client.get(path, headers={"Accept-Language": language})
        assert answer.headers["content-language"] == language, path
        assert f'<html lang="{language}" dir="{direction}">' in answer.text, path
    assert f"<h1>{HEADINGS[language]}</h1>" in await admin.page("/admin/", language)


async def test_a_chosen_language_is_kept_by_the_cookie_of_the_portal(reader: Any) -> None:
    chosen = await reader.client.get("/admin/?lang=es")

    assert "language=es; Path=/;" in chosen.headers["set-cookie"]
    assert "<h1>Ejecuciones</h1>" in await reader.page("/admin/page/runs")


async def test_a_page_links_to_itself_in_all_languages(admin: Any) -> None:
    page = await admin.page("/admin/page/runs?source=projects")
    answer = await admin.send("/admin/page/keys", {"name": "Ada", "scope": "read"})

    for tag in LANGUAGES:
        assert f'href="/admin/page/runs?source=projects&amp;lang={tag}"' in page
        assert f'href="/admin/?lang={tag}"' in answer.text


async def test_a_refused_form_says_why_in_the_language_of_the_request(world: Any) -> None:
    run = world.add_held_plan((staged("a", Outcome.NEW),))
    world.ledger.save(replace(run, state=State.REJECTED))
    world.client.headers["Accept-Language"] = "fr"

    failed = await world.sign_in("stk_wrong")
    await world.sign_in("read")
    denied = await world.send("/admin/page/sources/projects/hold")
    await world.sign_in("operate")
    refused = await world.send(f"/admin/page/plans/{run.id}/approve")

    assert (failed.status_code, denied.status_code, refused.status_code) == (401, 403, 409)
    assert "Échec de la connexion" in failed.text
    assert 'aria-invalid="true"' in failed.text
    assert "<h1>Accès refusé</h1>" in denied.text
    scopes = "une clé avec l’autorisation « exploitation » ; la vôtre a « lecture »."
    assert scopes in denied.text
    assert f"{run.id} : n’attend pas d’approbation (état : rejected)" in refused.text


async def test_reasons_of_runs_and_records_are_in_the_language_of_the_request(admin: Any) -> None:
    values: dict[str, int | str | Reason] = {
        "count": 4000, "total": 5000, "share": "80%", "limit": "10%",
    }  # fmt: skip
    rule = Reason("broken_rule", message="It has no title.", property="title")
    unreadable = Reason(
        "the record at %(position)s of the list: %(error)s",
        position=7,
        error=Reason("a record without metadata"),
    )
    records = (
        staged("a", Outcome.WITHHELD, reason=rule),
        staged("b", Outcome.UNREADABLE, reason=unreadable),
    )
    run = admin.add_held_plan(records, reason=Reason("missing", **values))
    ended = Reason(
        "the list ended after %(fetched)s of %(total)s records", fetched=1200, total=3000
    )
    admin.create_run(
        state=State.INCOMPLETE, reasons=(ended, Reason("no record was marked as deleted"))
    )
    path = f"/admin/page/runs/{run.id}"

    withheld = await admin.page(f"{path}?outcome=withheld", "fr")
    unread = await admin.page(f"{path}?outcome=unreadable", "fr")
    incomplete = await admin.page("/admin/page/runs", "zh")
    plans = [await admin.page(page, "es") for page in ("/admin/", path)]

    assert "Il n&#39;y a pas de titre. (title)" in withheld
    assert "la notice à la position 7 de la liste : une notice sans métadonnées" in unread
    assert "列表在 3,000 条记录中的第 1,200 条后结束；没有记录被标记为已删除" in incomplete
    for page in plans:
        assert "faltan 4.000 de 5.000 fichas publicadas (80%); el límite es 10%" in page
        assert "stocktake plans show" not in page


async def test_names_in_an_arabic_reason_are_isolated_and_escaped(reader: Any) -> None:
    values = {"by": "Ada <b>", "since": "2026-11-27 06:32", "note": "انتظر"}
    run = reader.add_held_plan(
        (staged("a", Outcome.NEW),), reason=Reason("on_hold_because", **values)
    )

    page = await reader.page(f"/admin/page/runs/{run.id}", "ar")

    name, time = (f'<bdi dir="ltr">{text}</bdi>' for text in ("Ada &lt;b&gt;", "2026-11-27 06:32"))
    assert f'علّق {name} المصدر منذ {time} UTC: <bdi dir="auto">انتظر</bdi>' in page


async def test_the_api_answers_in_english_whatever_the_browser_asks_for(world: Any) -> None:
    world.client.headers["Accept-Language"] = "ar"

    detail = (await world.api("/runs/none.1", "read")).json()["detail"]

    assert detail == "There is no run with that identifier. GET /admin/runs lists the runs."


@pytest.mark.parametrize(("demo", "banners"), [(True, 1), (False, 0)])
async def test_a_demo_installation_says_so_on_each_admin_page(
    world: Any, demo: bool, banners: int
) -> None:
    app = Starlette(routes=[Mount("/admin", create_admin(replace(world.context, demo=demo)))])
    world.client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=world.client.base_url
    )

    texts = [await world.page("/admin/")]
    await world.sign_in("admin")
    texts.append(await world.page("/admin/"))

    assert [text.count("<b>Demonstration data</b>") for text in texts] == [banners] * 2
