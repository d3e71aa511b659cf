from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from browser import Browser, browsing
from PIL import Image
from processes import free_port, started, wait_for_url
from typer.testing import CliRunner
from waiting import wait_until

from stocktake import app
from vocab.iris import BASE

from .conftest import INITIATIVE, bearer, codes, definition, hidden
from .test_prizes import edition_text

ROOT = Path(__file__).parents[2]
RUN = CliRunner()
SECONDS = 240.0  # until a run has ended or a message is delivered
KENYA = "http://metadata.un.org/sdg/codes/geoArea/404"
ANSWERS: dict[str, dict[str, Any]] = {
    "type": {"type": ["Initiative"]}, "title": {"title": "Village telecentres"},
    "description": {"description": "Computers and courses in forty villages."},
    "organization": {"publisher-name": "Ministry of Information", "publisher-classification": ["government"], "publisher-country": [KENYA]},
    "partners": {"partner": "University of the Coast"}, "countries": {"country": [KENYA]}, "action-lines": {"actionLine": ["C4"]},
    "goals": {"goal": ["4"]}, "targets": {"target": ["4.4"]}, "why": {"why-4": "Girls learn to use computers."},
    "dates": {"start": "2025-01-01"}, "picture": {"picture-caption": "Computers"},
    "links": {"page": "https://telecentres.example/", "license": ["https://creativecommons.org/licenses/by/4.0/"]},
}  # fmt: skip
NUMBERS = count(1)  # each test has a network address of its own


@dataclass
class Mailbox:
    texts: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        body = message_from_bytes(envelope.content, policy=policy.default).get_content()
        self.texts.append((envelope.rcpt_tos[0], str(body)))
        return "250 OK"

    def link(self, after: int, receiver: str, kind: str = "confirm") -> str:
        """Wait for a message of a *kind* to *receiver* after the first *after* messages, and return
        the link in it.
        """

        def links() -> list[str]:
            texts = [text for to, text in self.texts[after:] if to == receiver]
            return [
                match[0]
                for text in texts
                if (match := re.search(rf"https?://\S+/submit/{kind}/\S+", text))
            ]

        return str(wait_until(links, f"mail for {receiver}", SECONDS)[0])


@dataclass(frozen=True)
class SubmissionSite:
    base: str
    mailbox: Mailbox
    key: str
    settings: dict[str, str]

    def command(self, *words: str) -> str:
        answer = RUN.invoke(app, [*words], env=self.settings)
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    def get(self, path: str, accept: str = "*/*") -> httpx.Response:
        return httpx.get(self.base + path, headers={"Accept": accept}, timeout=60)

    def rows(self, query: str) -> list[str]:
        params = {"query": query, "format": "csv"}
        answer = httpx.get(f"{self.base}/sparql", params=params, timeout=60)
        return answer.text.split("\r\n")[1:-1] if answer.status_code == 200 else []

    def titles(self) -> list[str]:
        title = "<http://purl.org/dc/terms/title>"
        return self.rows(f"SELECT ?title {{ ?it a <{BASE}ns#Initiative> ; {title} ?title }}")

    def wait_for_title(self, title: str, *, there: bool = True) -> None:
        wait_until(
            lambda: (title in self.titles()) == there, f"{title} in SPARQL", SECONDS, pause=1
        )

    def person(self, mail: str) -> httpx.Client:
        path, sent = f"{self.base}/submissions/confirmations", len(self.mailbox.texts)
        httpx.post(path, json={"mail": mail}, timeout=60).raise_for_status()
        secret = self.mailbox.link(sent, mail).rpartition("/")[2]
        token = httpx.post(f"{path}/{secret}", timeout=60).json()["token"]
        return httpx.Client(base_url=self.base, headers=bearer(token), timeout=60)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SubmissionSite]:
    home, port, mailbox = tmp_path_factory.mktemp("site"), free_port(), Mailbox()
    (home / "sources").mkdir()
    (home / "sources" / "submissions.toml").write_text(definition(), encoding="utf-8")
    prizes = (ROOT / "sources" / "prizes.toml").read_text(encoding="utf-8")
    prizes = prizes.replace("enabled   = false", "enabled   = true")
    prizes = prizes.replace("5 * * * *", "* * * * *")
    (home / "sources" / "prizes.toml").write_text(prizes, encoding="utf-8")
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings = {
        "STOCKTAKE_DATA": str(home / "data"),
        "STOCKTAKE_SOURCES": str(home / "sources"),
        "STOCKTAKE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "STOCKTAKE_SMTP_URL": f"smtp://127.0.0.1:{controller.port}?from=register@example.org&tls=none",
        "STOCKTAKE_TRUSTED_PROXIES": "127.0.0.1",
    }
    words = ["keys", "create", "Grace Hopper", "--scope", "operate"]
    environment = {**os.environ, **settings, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "stocktake", "up", "--port", str(port)]
    try:
        key = RUN.invoke(app, words, env=settings).stdout.strip()
        with started(line, cwd=home, env=environment, ended_by="TERM") as process:
            wait_for_url(f"http://127.0.0.1:{port}/health", process)
            yield SubmissionSite(f"http://127.0.0.1:{port}", mailbox, key, settings)
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as opened:
        disable_scripts(opened)
        yield opened


@pytest.fixture(autouse=True)
def address(browser: Browser) -> None:
    """Send the requests of each test from an address of its own, since each address has a limit."""
    browser.send_command("Network.enable")
    browser.send_command(
        "Network.setExtraHTTPHeaders", headers={"X-Forwarded-For": f"192.0.2.{next(NUMBERS)}"}
    )


def disable_scripts(browser: Browser, *, value: bool = True) -> None:
    """Disable the scripts of pages; *value* False enables them again, which axe needs."""
    browser.send_command("Emulation.setScriptExecutionDisabled", value=value)


@dataclass
class Visit:
    """A person at the browser; *faults* collects the violations that axe reports, if pages are
    *checked*, and the pages that are wider than a telephone.
    """

    browser: Browser
    packages: Path
    scripts: bool = False
    checked: bool = True
    faults: list[str] = field(default_factory=list)

    def look(self) -> None:
        name = str(self.browser.run("location.pathname"))
        if self.checked:
            disable_scripts(self.browser, value=False)
            self.faults += [f"{name}: {fault}" for fault in self.browser.faults(self.packages)]
            disable_scripts(self.browser, value=not self.scripts)
        width = self.browser.run("document.documentElement.scrollWidth")
        self.faults += [f"{name} is {width} px wide"] if width > 320 else []

    def fill(self, values: dict[str, object]) -> None:
        for name, value in values.items():
            fields = f"[...document.getElementsByName({json.dumps(name)})]"
            if isinstance(value, list):
                chosen = f"const wanted = {json.dumps(value)};"
                each = "for (const o of it.options ?? [it]) o[it.options ? 'selected' : 'checked'] = wanted.includes(o.value)"
                self.browser.run(f"{{ {chosen} {fields}.forEach((it) => {{ {each} }}) }} 0")
            else:
                self.browser.run(f"{fields}[0].value = {json.dumps(value)}; 0")

    def click(self, selector: str) -> None:
        result = self.browser.run(f"document.querySelectorAll({json.dumps(selector)}).length")
        assert result, (
            f"{self.path} has no {selector}: {self.browser.run('document.body.textContent')}"
        )
        self.browser.leave(f"document.querySelector({json.dumps(selector)}).click()")
        self.look()

    @property
    def path(self) -> str:
        return str(self.browser.run("location.pathname"))

    def send_when_due(self) -> None:
        """Send the summary until the page accepts it, which it does only after some seconds."""

        def is_sent() -> bool:
            self.browser.leave("document.querySelector('form[action$=summary] button').click()")
            return not self.browser.run("document.querySelectorAll('.fault').length")

        wait_until(is_sent, "the summary to be sent", 60, pause=2)
        self.look()


def accept(visit: Visit, site: SubmissionSite, title: str = "telecentres") -> None:
    visit.browser.open(f"{site.base}/admin/page/submissions", 320)
    if visit.browser.run("document.querySelectorAll('#key').length"):
        visit.browser.leave(
            f"document.querySelector('#key').value = '{site.key}'; document.querySelector('form').submit()"
        )
        visit.browser.open(f"{site.base}/admin/page/submissions", 320)
    visit.look()
    assert title in visit.browser.run("document.querySelector('main').textContent")
    visit.click(".plans a")
    visit.click("form[action$=accept] button")


ARABIC = {
    **ANSWERS,
    "title": {"title": "مراكز الاتصال في القرى", "_language": ["ar"]},
    "description": {"description": "حواسيب ودورات تدريبية في أربعين قرية."},
    "why": {"why-4": "تتعلم الفتيات استعمال الحاسوب."},
}


def attach(browser: Browser, file: Path) -> None:
    root = browser.send_command("DOM.getDocument")["root"]["nodeId"]
    field = browser.send_command("DOM.querySelector", nodeId=root, selector="input[type=file]")
    browser.send_command("DOM.setFileInputFiles", nodeId=field["nodeId"], files=[str(file)])


def let_a_year_pass(site: SubmissionSite) -> None:
    """Move the times of submissions back by a year, so that the submitters are asked whether they
    are still true.
    """
    file = Path(site.settings["STOCKTAKE_DATA"]) / "ledger.sqlite"
    with closing(sqlite3.connect(file, timeout=60)) as ledger, ledger:
        for name in ("created", "first_accepted", "confirmed"):
            ledger.execute(
                f"UPDATE submission SET {name} = datetime({name}, '-366 days') WHERE {name} IS NOT NULL"
            )


def send_form(
    visit: Visit, site: SubmissionSite, answers: dict[str, dict[str, object]], picture: Path, mail: str
) -> str:  # fmt: skip
    visit.look()
    visit.click("main form button")
    for name, values in answers.items():
        assert visit.path.endswith(f"/{name}")
        if name == "picture":
            attach(visit.browser, picture)
        visit.fill(values)
        visit.click("main form button")
    assert visit.browser.run("document.querySelector('img.picture').naturalWidth") == 60
    sent = len(site.mailbox.texts)
    visit.fill({"mail": mail})
    visit.send_when_due()
    visit.browser.open(site.mailbox.link(sent, mail), 320)
    visit.look()
    visit.click("main form button")
    assert visit.path.startswith("/submit/mine/")
    return visit.path


def publish(
    visit: Visit, site: SubmissionSite, language: str, folder: Path, mail: str
) -> tuple[str, str]:
    """Send the form, accept the submission, and open the page of the initiative when it is
    published; return the title, and the path of the submission.
    """
    answers = ARABIC if language == "ar" else ANSWERS
    title, browser = f"{answers['title']['title']} {len(mail)}", visit.browser
    answers = {**answers, "title": {**answers["title"], "title": title}}
    picture = folder / "photo.jpg"
    colour = (34, 102, 10 * len(mail))  # a new picture each time, since equal ones are stored once
    Image.new("RGB", (60, 40), colour).save(picture, comment=b"Nairobi")
    browser.send_command("Network.clearBrowserCookies")
    disable_scripts(browser, value=not visit.scripts)
    browser.open(f"{site.base}/submit?lang={language}", 320)
    mine = send_form(visit, site, answers, picture, mail)
    accept(visit, site, title)
    site.wait_for_title(title)
    id = mine.rpartition("/")[2]
    browser.open(f"{site.base}/page/initiative/submissions/{id}?lang={language}", 320)
    visit.look()
    width = "document.querySelector('figure img').naturalWidth"
    assert wait_until(lambda: browser.run(width), "the picture", 60) == 60
    citation = browser.run("document.querySelector('.citation').textContent")
    assert title in citation
    assert f"/id/initiative/submissions/{id}" in citation
    return title, mine


@pytest.mark.smoke
def test_from_the_form_to_a_published_initiative(
    site: SubmissionSite, browser: Browser, packages: Path, tmp_path: Path
) -> None:
    visit = Visit(browser, packages, checked=False)

    publish(visit, site, "ar", tmp_path, "zoe@example.org")

    assert visit.faults == []


@pytest.mark.parametrize(("language", "scripts"), [("ar", False), ("en", False), ("ar", True)])
def test_from_the_form_to_a_published_initiative_corrected_and_withdrawn(
    site: SubmissionSite, browser: Browser, packages: Path, tmp_path: Path, language: str, scripts: bool
) -> None:  # fmt: skip
    visit = Visit(browser, packages, scripts)
    mail = f"jane.{language}@example.org"
    title, mine = publish(visit, site, language, tmp_path, mail)
    id, corrected = mine.rpartition("/")[2], f"{title} 2"

    sent = len(site.mailbox.texts)
    let_a_year_pass(site)
    browser.open(site.mailbox.link(sent, mail, "still-true"), 320)
    visit.look()
    browser.open(f"{site.base}{mine}", 320)
    visit.look()
    visit.click("form[action$=confirm] button")
    visit.click("form[action$=change] button")
    visit.click("a[href$='/title']")
    visit.fill({"title": corrected})
    visit.click("button[name=then]")
    visit.send_when_due()
    accept(visit, site, corrected)
    site.wait_for_title(corrected)
    published = site.get(f"/page/initiative/submissions/{id}", "text/html")
    image = re.search(r'<img src="(/picture/[0-9a-f]{64}\.webp)" alt="([^"]+)"', published.text)
    assert image
    public = site.get(image[1])

    browser.open(f"{site.base}/submit/upload", 320)
    visit.look()
    assert visit.path == "/submit/upload"
    browser.open(f"{site.base}{mine}", 320)
    visit.click("form[action$=withdraw] button")
    site.wait_for_title(corrected, there=False)
    record = site.get(f"/record/submissions/{id}", "text/turtle")
    disable_scripts(browser)

    assert visit.faults == []
    assert image[2] == "Computers"
    assert published.status_code == 200
    assert "Last confirmed" in published.text
    assert 'id="history"' in published.text
    assert (public.status_code, b"Nairobi" in public.content) == (200, False)
    assert site.get(image[1]).status_code == 404
    assert (record.status_code, "gone" in record.text, "jane" in record.text) == (410, True, False)


def decide_by_http(site: SubmissionSite, id: str, decision: str) -> None:
    path, headers = f"/admin/page/submissions/{id}", {"Origin": site.base}
    with httpx.Client(
        base_url=site.base, headers=headers, follow_redirects=True, timeout=60
    ) as moderator:
        moderator.post("/admin/sign-in", data={"key": site.key})
        page = moderator.get(path)
        form = {"csrf": hidden(page), "version": hidden(page, "version"), "note": ""}
        answer = moderator.post(f"{path}/{decision}", data=form)
        assert answer.status_code == 200, answer.text


def test_the_same_by_http_alone(site: SubmissionSite) -> None:
    file, png = BytesIO(), {"Content-Type": "image/png"}
    Image.new("RGB", (60, 40)).save(file, "PNG")
    with site.person("carol@example.org") as client:
        sent_picture = client.post("/submissions/pictures", content=file.getvalue(), headers=png)
        picture = {"id": sent_picture.json()["id"], "caption": {"en": "A clinic"}}
        content = {**INITIATIVE, "title": {"en": "Clinics"}, "picture": picture}
        created = client.post("/submissions", json=content)
        id = created.json()["id"]
        path = f"/submissions/{id}"
        decide_by_http(site, id, "accept")
        site.wait_for_title("Clinics")
        data = site.get(f"/data/initiative/submissions/{id}.json").json()

        sent = len(site.mailbox.texts)
        let_a_year_pass(site)
        reminder = site.mailbox.link(sent, "carol@example.org", "still-true")
        match = {"If-Match": client.get(path).headers["ETag"]}
        changed = client.put(path, json={**data, "title": {"en": "Forty clinics"}}, headers=match)
        decide_by_http(site, id, "accept")
        site.wait_for_title("Forty clinics")
        withdrawn = client.delete(path, headers={"If-Match": client.get(path).headers["ETag"]})
        site.wait_for_title("Forty clinics", there=False)
    record = site.get(f"/record/submissions/{id}", "text/turtle")

    assert codes(created, changed, withdrawn, record) == [201, 200, 200, 410], changed.text
    assert {name: data["picture"][name] for name in picture} == picture
    assert "/submit/still-true/" in reminder
    assert "gone" in record.text


@pytest.mark.parametrize("language", ["en", "ar"])
def test_messages_of_the_rules_appear_while_a_person_types(
    site: SubmissionSite, browser: Browser, packages: Path, language: str
) -> None:
    def type_start(text: str) -> None:
        visit.fill({"start": text})
        event = "new Event('input', {bubbles: true})"
        browser.run(f"document.getElementById('start').dispatchEvent({event}); 0")

    message = "document.querySelector('[data-live=start]').textContent"
    visit = Visit(browser, packages)
    browser.open(f"{site.base}/submit?lang={language}", 320)
    for values in ({}, ANSWERS["type"], ANSWERS["title"], ANSWERS["description"]):
        visit.fill(values)
        visit.click("main form button")
    disable_scripts(browser, value=False)
    browser.open(f"{site.base}{visit.path.replace('/organization', '/dates')}?lang={language}", 320)
    type_start("31.5.2026")
    text = wait_until(lambda: browser.run(message), "a message", 60)
    type_start("2026-05-31")
    wait_until(lambda: not browser.run(message), "the message to go", 60)
    visit.look()
    disable_scripts(browser)

    assert ("year-month-day" in str(text)) == (language == "en")
    assert visit.faults == []


def set_days(site: SubmissionSite, folder: Path, opened: int) -> None:
    file, first = folder / "2027.toml", datetime.now(UTC).date() - timedelta(days=opened)
    file.write_text(edition_text(first), encoding="utf-8")
    site.command("prizes", "add", str(file))


def publish_initiative(visit: Visit, site: SubmissionSite) -> str:
    with site.person("ada@example.org") as client:
        answer = client.post("/submissions", json=INITIATIVE)
    accept(visit, site)
    site.wait_for_title(INITIATIVE["title"]["en"])
    return f"/page/initiative/submissions/{answer.json()['id']}"


def stages(site: SubmissionSite) -> list[str]:
    whole = f"<http://purl.org/dc/terms/isPartOf> <{BASE}id/event/prizes/2027>"
    rows = site.rows(f"SELECT ?stage {{ ?it <{BASE}ns#prizeStage> ?stage ; {whole} }}")
    return [row.rpartition("/")[2] for row in rows]


def test_a_nomination_becomes_the_winner_in_the_browser(
    site: SubmissionSite, browser: Browser, packages: Path, tmp_path: Path
) -> None:
    visit = Visit(browser, packages)
    initiative = publish_initiative(visit, site)
    set_days(site, tmp_path, 1)
    site.command("prizes", "expert", "2027", "mary@example.org")
    browser.send_command("Network.clearBrowserCookies")  # another person submitted the initiative
    browser.open(f"{site.base}/submit/prizes?lang=en", 320)
    visit.look()
    visit.click("main ul a")
    visit.click("a[href$=nominate]")
    sent = len(site.mailbox.texts)
    visit.fill({"mail": "mary@example.org"})
    visit.click("main form button")
    browser.open(site.mailbox.link(sent, "mary@example.org"), 320)
    visit.click("main form button")
    browser.open(f"{site.base}/submit/prizes/2027/nominate", 320)
    visit.look()
    visit.fill(
        {"initiative": f"{site.base}{initiative}", "category": ["C4"], "reason": "They learn."}
    )
    visit.click("form[action$=nominate] button")
    assert browser.run("document.querySelectorAll('form[action$=withdraw]').length") == 1
    id = json.loads(site.command("prizes", "show", "2027", "--json"))[0]["nomination"]

    set_days(site, tmp_path, 15)
    browser.open(f"{site.base}/submit/prizes/2027/review", 320)
    visit.look()
    visit.click("main ul.things a")
    visit.fill({"score-impact": ["4"], "score-partnerships": ["4"]})
    visit.click("main form button")
    site.command("prizes", "stage", "2027", id, "nominated")
    set_days(site, tmp_path, 20)
    for path in ("", "/2027/nominate", "/2027/review", "/2027"):
        browser.open(f"{site.base}/submit/prizes{path}?lang=ar", 320, dark=True)
        visit.look()
        assert browser.run("document.documentElement.dir") == "rtl"
    browser.open(f"{site.base}/submit/prizes/2027?lang=en", 320)
    visit.look()
    visit.click("form[action*=vote] button")
    ranked = json.loads(site.command("prizes", "show", "2027", "--json"))[0]

    site.command("prizes", "stage", "2027", id, "winner", "--special", "youth")
    wait_until(lambda: stages(site) == ["nominated"], "the nominee in SPARQL", SECONDS, pause=2)
    set_days(site, tmp_path, 45)
    wait_until(lambda: stages(site) == ["winner"], "the winner in SPARQL", SECONDS, pause=2)
    browser.open(f"{site.base}/submit/prizes/2027", 320)
    visit.look()
    [public] = site.get("/submissions/prizes/2027").json()["nominations"]
    published = site.get("/prizes.csv").text

    assert visit.faults == []
    assert (ranked["score"], ranked["votes"]) == (4.0, 1)
    assert (public["id"], public["category"], public["stage"], public["special"]) == (
        id, "C4", "winner", "youth",
    )  # fmt: skip
    assert "winner" in published
    assert "Youth prize" in browser.run("document.querySelector('main').textContent")


PATHS = ("/submit", "/submit/prizes", "/submit/mine", "/submit/confirm/nothing",
         "/submit/draft/nothing/title", "/submit/still-true/nothing")  # fmt: skip


def test_pages_in_arabic_on_a_telephone_have_no_fault(
    site: SubmissionSite, browser: Browser, packages: Path
) -> None:
    visit = Visit(browser, packages)
    for path in PATHS:
        browser.open(f"{site.base}{path}?lang=ar", 320, dark=True)
        visit.look()
        assert browser.run("document.documentElement.dir") == "rtl", path

    assert visit.faults == []
