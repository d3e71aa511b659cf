"""While an installation starts for the first time, its pages show the five steps and /health says
what is missing; its branding is on all pages.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from shutil import copytree

import followers
import httpx
import pytest
from app_client import asking
from event_loops import session_loop
from followers import follower_process
from live_server import ROOT

from journal.journal import Journal
from publisher.app import SiteOptions, create_app
from publisher.limits import Limits
from publisher.portal.first_start import FirstStart
from publisher.store.follow import writer_lock
from publisher.store.query_service import QueryService
from publisher.store.search.index import SearchUpdater
from vocab.iris import Iris
from web.branding import Branding

HTML = {"Accept": "text/html"}
STEPS = ("server", "harvest", "store", "search", "release")
LANGUAGES = ("en", "ar", "zh", "fr", "ru", "es")


def client(service: QueryService, branding: Branding) -> httpx.AsyncClient:
    opened: httpx.AsyncClient = asking(create_app(service, site=SiteOptions(branding)))
    return opened


@pytest.fixture
def service(tmp_path: Path) -> QueryService:
    """Return a service that follows no journal, so that it stays without a snapshot."""
    return QueryService(tmp_path, Iris(), follow=False)


@pytest.mark.smoke
async def test_an_empty_journal_has_pages_and_named_graphs(tmp_path: Path) -> None:
    Journal(tmp_path / "journal")
    followers.level(followers.follower(tmp_path, (SearchUpdater,)))
    async with QueryService(tmp_path, Iris(), readers=1, follow=False) as opened:
        async with client(opened, Branding()) as site:
            answers = [await site.get(path, headers=HTML) for path in ("/", "/search", "/sources")]
        counted = await opened.rows("SELECT (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } }")

    assert [answer.status_code for answer in answers] == [200] * 3
    assert [row["n"].value for row in counted] == ["0"]


@pytest.mark.parametrize("path", ["/", "/search?q=health", "/map", "/status"])
@pytest.mark.smoke
async def test_a_page_that_cannot_be_shown_yet_shows_the_five_steps_and_reloads(
    service: QueryService, path: str
) -> None:
    reason = "the journal is being loaded into the store"
    async with client(service, Branding()) as site:
        answer = await site.get(path, headers=HTML)
        pages = [
            (await site.get(path, params={"lang": tag}, headers=HTML)).text for tag in LANGUAGES
        ]

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.text.count("<li class=") == 5
    assert '<meta http-equiv="refresh" content="3">' in answer.text
    assert "<script" not in answer.text
    assert [reason in page for page in pages] == [tag == "en" for tag in LANGUAGES]
    # Without `lang` and `dir`, the reason has the language and direction of the page.
    assert all('<p class="quiet">' in page for page in pages)


async def test_health_says_why_the_portal_is_starting(service: QueryService) -> None:
    async with client(service, Branding()) as site:
        plain = (await site.get("/health")).json()
        service.follower.reason = "the store cannot be written: [Errno 28] No space left on device"
        full = await site.get("/health")
        page = await site.get("/", headers=HTML)

    assert plain["reason"] == "the journal is being loaded into the store"
    assert (full.status_code, full.json()["status"]) == (503, "starting")
    assert full.json()["reason"] == service.follower.reason
    assert "No space left on device" in page.text


async def test_pages_are_kept_and_compressed_while_the_first_page_shows_the_steps(
    small: Path, tmp_path: Path
) -> None:
    data = Path(copytree(small, tmp_path / "data"))
    headers, hits = HTML | {"Accept-Encoding": "gzip"}, []
    async with QueryService(data, Iris(), readers=1, follow=False) as service:
        # The data have no release, so that the first start is not over.
        app = create_app(service, site=SiteOptions(Branding(demo=True)))
        async with asking(app) as site:
            answers = []
            for path in ("/search", "/search", "/page/initiative/demo/1", "/", "/"):
                answers.append(await site.get(path, headers=headers))
                [metric] = app.state.request_metrics.cached_pages.collect()
                hits.append(
                    sum(
                        sample.value
                        for sample in metric.samples
                        if sample.name.endswith("_total") and sample.labels["result"] == "hit"
                    )
                )

    assert {answer.headers["content-encoding"] for answer in answers} == {"gzip"}
    assert "Harvest the registries" in answers[-1].text
    assert hits == [0, 1, 1, 1, 1]


@session_loop
async def test_no_menu_item_of_an_empty_installation_is_missing(tmp_path: Path) -> None:
    Journal(tmp_path / "journal")
    async with QueryService(tmp_path, Iris(), Limits(seconds=240, wait=240), readers=1) as service:
        await service.wait_until_current()
        async with client(service, Branding()) as site:
            home = (await site.get("/", headers=HTML)).text
            menu = home.partition("<header")[2].partition("</header>")[0]
            paths = sorted(set(re.findall(r'href="(/[^"?#]*)', menu)))
            answers = {path: (await site.get(path, headers=HTML)).status_code for path in paths}

    assert {"/search", "/sources", "/topics"} <= set(answers)
    assert set(answers.values()) == {200}


async def test_a_first_start_that_is_over_stays_over(service: QueryService) -> None:
    first = FirstStart(service)
    begun = await first.steps()
    (service.data / "store").mkdir()
    (service.data / "store" / "first-start").touch()

    again = FirstStart(service)

    assert tuple(step["name"] for step in begun) == STEPS
    assert [step["state"] for step in begun] == ["done", "active", "waiting", "waiting", "waiting"]
    assert await again.steps() == []


@pytest.mark.smoke
async def test_every_page_of_a_demo_says_so_in_its_language(service: QueryService) -> None:
    async with (
        client(service, Branding(name="Stocktake demo", demo=True)) as demo,
        client(service, Branding()) as other,
    ):
        for language, path in product(LANGUAGES, ("/", "/nowhere", "/join")):
            page = (await demo.get(path, params={"lang": language}, headers=HTML)).text
            assert '<aside class="demo"' in page
            assert "· Stocktake demo</title>" in page
            assert ("Demonstration data" in page) == (language == "en")
        assert 'class="demo"' not in (await other.get("/", headers=HTML)).text


async def test_name_logo_and_contact_of_an_installation_are_on_its_pages(
    service: QueryService, tmp_path: Path
) -> None:
    (tmp_path / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    async with client(
        service, Branding("Stocktaking <of> Kenya", "help@example.org", tmp_path / "logo.svg")
    ) as site:
        page = (await site.get("/nowhere", headers=HTML)).text
        logo = await site.get("/logo")
    async with client(service, Branding()) as plain:
        none = await plain.get("/logo")

    assert "<bdi>Stocktaking &lt;of&gt; Kenya</bdi>" in page
    assert '<img src="/logo"' in page
    assert '<a href="mailto:help@example.org">Contact</a>' in page
    assert (logo.status_code, logo.headers["Content-Type"]) == (200, "image/svg+xml")
    assert none.status_code == 404


@pytest.mark.smoke
def test_a_follower_that_waits_for_another_one_reports_which(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; import sys; from publisher.store.follow import writer_lock; "
        "held = writer_lock(Path(sys.argv[1])); print(1, flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    reasons: list[str] = []

    def report(reason: str) -> None:
        reasons.append(reason)
        if reason:
            other.communicate("", timeout=60)  # The process exits and releases the lock.

    try:
        assert other.stdout is not None
        other.stdout.readline()
        writer_lock(tmp_path / "lock", report).close()
    finally:
        other.kill()
        other.wait()

    assert len(reasons) == 2
    assert f"process {other.pid} writes this store" in reasons[0]
    assert reasons[1] == ""


def test_a_follower_that_cannot_write_reports_the_reason(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "snapshots").write_text("a file where a folder should be")

    with follower_process(tmp_path, "https://x/status") as (_, reports):
        reason = reports.recv()["reason"]

    assert "store cannot be written" in reason
    assert "snapshots" in reason
