"""The submissions app over a ledger of its own, with an organization's key, a test clock, and a
mail server to which nothing is sent.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from shutil import copy
from typing import Any

import httpx
import orjson
import pytest
from clocks import NOON, ManualClock
from starlette.applications import Starlette
from starlette.routing import Mount

from harvesters.admin.app import create_admin
from harvesters.admin.context import AdminContext
from harvesters.ledger import operators, outbox
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Key, Scope
from harvesters.ledger.participation import Submission
from harvesters.mappings.mapping import MAPPINGS
from harvesters.network.fetch import NetworkSettings
from harvesters.notifications.delivery import Channels, parse_mail_server
from harvesters.page_model import Record
from harvesters.participation import moderation
from harvesters.participation.app import create_submissions
from harvesters.participation.submitters import SubmissionContext
from harvesters.pipeline.record_processor import load_crosswalks
from harvesters.runs.collect import SubmissionTransport
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.plan import Plan
from harvesters.runs.run import harvest
from vocab.describe import describe
from vocab.iris import BASE, Iris

sys.path.insert(0, str(Path(__file__).parents[1] / "publisher"))  # the folder of `browser`

SITE = "http://site.example"
ROOT = Path(__file__).parents[2]
MAIL = "smtp://mail.example?from=register@example.org"
BROWSER: dict[str, Any] = {"follow_redirects": True, "headers": {"Origin": SITE}}
INITIATIVE: dict[str, Any] = {
    "type": "Initiative", "title": {"en": "Village telecentres"}, "description": {"en": "Computers and courses in forty villages."},
    "publisher": "Ministry of Information", "country": ["KE"], "actionLine": ["C4"], "goal": ["4"],
    "page": ["https://telecentres.example/"], "license": "https://creativecommons.org/licenses/by/4.0/", "start": "2025-01-01",
}  # fmt: skip


@dataclass
class SubmissionWorld:
    context: SubmissionContext
    admin: AdminContext
    clock: ManualClock
    folder: Path
    tokens: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        return self.context.ledger

    def mails(self) -> list[tuple[str, str]]:
        return [(item.address, item.text) for item in reversed(outbox.messages(self.ledger, 50))]

    def link(self, kind: str = "confirm") -> str:
        match = re.search(rf"/submit/{kind}/\S+", self.mails()[-1][1])
        assert match
        return match[0]

    def last_secret(self) -> str:
        return self.link().rpartition("/")[2]

    def accept(self, id: str) -> Submission:
        admin = self.context
        return moderation.accept(
            admin, self.keys["Grace"].display_name, moderation.find(admin, id), ""
        )

    def published_statements(self) -> list[str]:
        request = httpx.Request("GET", SITE)
        body = orjson.loads(SubmissionTransport(self.ledger).handle_request(request).content)
        mapper = MAPPINGS["submission"].prepare(
            self.context.submission_source(), load_crosswalks(BASE)
        )
        return [
            line
            for key, content in body["accepted"].items()
            for line in describe(mapper(Record(key, content, b"")), Iris(BASE), "submissions")
        ]

    def stored(self, id: str) -> Submission:
        return moderation.find(self.context, id)

    def read_key(self) -> tuple[Key, str]:
        return operators.create_key(self.ledger, "Reader", Scope.READ, NOON)

    def _run(self) -> AbstractContextManager[HarvestContext]:
        return open_context(
            self.folder, f"sqlite:///{self.folder}/ledger.sqlite", BASE, NetworkSettings("admin@example.org"),
            source_dir=self.folder / "sources", workers=0,
        )  # fmt: skip

    def harvest(self, source: str = "submissions") -> Plan:
        """Harvest a source a minute later."""
        self.clock.advance(timedelta(minutes=1))
        with self._run() as context:
            still = replace(context, now=self.clock.now)
            return harvest(self.context.source(source), still, full=True)

    def entries(self) -> str:
        with self._run() as context:
            return "\n".join(row for entry in context.journal.entries() for row in entry.rows())

    def set_definition(self, text: str) -> None:
        (self.folder / "sources" / "submissions.toml").write_text(text, encoding="utf-8")


def definition() -> str:
    return (
        (ROOT / "sources" / "submissions.toml")
        .read_text(encoding="utf-8")
        .replace("enabled   = false", "enabled   = true")
    )


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger with its tables, which tests copy."""
    file = tmp_path_factory.mktemp("submissions") / "ledger.sqlite"
    Ledger(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def world(tmp_path: Path, empty: Path) -> Iterator[SubmissionWorld]:
    (tmp_path / "sources").mkdir()
    copy(empty, tmp_path / "ledger.sqlite")
    clock = ManualClock()
    channels = Channels(parse_mail_server(MAIL), name="The register", public_url=SITE)
    place = (tmp_path, tmp_path / "sources", f"sqlite:///{tmp_path}/ledger.sqlite", BASE)
    admin = AdminContext(*place, clock.now, clock.seconds, channels=channels)
    context = SubmissionContext(*place, clock.now, clock.seconds, channels=channels)
    submission_world = SubmissionWorld(context, admin, clock, tmp_path)
    submission_world.set_definition(definition())
    for name, scope in (
        ("Ministry", Scope.SUBMIT),
        ("University", Scope.SUBMIT),
        ("Grace", Scope.OPERATE),
        ("Ada", Scope.OPERATE),
    ):
        submission_world.keys[name], submission_world.tokens[name] = operators.create_key(
            submission_world.ledger, name, scope, NOON
        )
    yield submission_world
    admin.close()
    context.close()


@pytest.fixture
async def client(world: SubmissionWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(world, headers=bearer(world.tokens["Ministry"])) as opened:
        yield opened


@pytest.fixture
async def browser(world: SubmissionWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(world, **BROWSER) as opened:
        yield opened


@asynccontextmanager
async def visiting(world: SubmissionWorld, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_submissions(world.context))
    async with httpx.AsyncClient(transport=transport, base_url=SITE, **options) as opened:
        yield opened


@asynccontextmanager
async def administering(world: SubmissionWorld) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Mount("/admin", create_admin(world.admin))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=SITE) as opened:
        yield opened


async def submitted(
    client: httpx.AsyncClient, content: dict[str, Any] | None = None, headers: dict[str, str] | None = None, **changed: Any
) -> dict[str, Any]:  # fmt: skip
    body = {**(content or INITIATIVE), **changed}
    answer = await client.post("/submissions", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def change(
    client: httpx.AsyncClient, id: str, content: dict[str, Any] | None, headers: dict[str, str] | None = None
) -> httpx.Response:  # fmt: skip
    path = f"/submissions/{id}"
    etag = (await client.get(path, headers=headers)).headers["ETag"]
    method = "PUT" if content else "DELETE"
    headers = {**(headers or {}), "If-Match": etag}
    return await client.request(method, path, json=content, headers=headers)


def hidden(page: httpx.Response, name: str = "csrf") -> str:
    match = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert match, page.text
    return match[1]


def codes(*answers: httpx.Response) -> list[int]:
    return [answer.status_code for answer in answers]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def person(
    world: SubmissionWorld, client: httpx.AsyncClient, mail: str = "jane@example.org", language: str = ""
) -> dict[str, str]:  # fmt: skip
    headers = {"Accept-Language": language} if language else {}
    await client.post("/submissions/confirmations", json={"mail": mail}, headers=headers)
    path = f"/submissions/confirmations/{world.last_secret()}"
    return bearer(str((await client.post(path, headers=headers)).json()["token"]))
