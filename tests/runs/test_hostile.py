from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from icalendar import Calendar
from lxml import etree
from projects import NOON, ProjectRegistry, harvest_context
from pyoxigraph import RdfFormat
from pyoxigraph import parse as read_rdf
from rows import each

from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import parse
from publisher.app import create_app
from publisher.portal.report.builder import build_report
from publisher.releases import builder as release
from publisher.store.query_service import QueryService
from vocab.iris import BASE, Iris

MARKED = "<svg/onload=alert(2)>"  # no tag by HTML's grammar, so it stays in a title


TITLES = (
    MARKED, '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "</title></textarea></style></script><svg/onload=alert(1)>",
    "<!--<![CDATA[<iframe srcdoc='x'>]]>-->", "{{ 7*7 }}{% include 'layout.html' %}", "&lt;script&gt;&#60;b&#62;", "photo\u202egnp.exe",
    "\u2067unclosed isolate", "\u2066closed\u2069 isolate", "a\u2028b\u2029c\x85d", "bell\x07 escape\x1b[31m red nul",
    "two\nlines\r\nSet-Cookie: a=b", "=cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0", "quote\" back\\slash ' comma, tab\t",
    '""" . <https://x.org/s> <https://x.org/p> "injected" . #', ']}}, {"injected": 1', "تجربة עברית mixed English",
    "\ufeff\U000e0041hidden tag",
)  # fmt: skip
ADDRESSES = (
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "vbscript:msgbox(1)",
    "data:text/html,<script>alert(1)</script>",
    'https://example.org/"><script>alert(1)</script>', "https://example.org/' onclick='alert(1)",
    "//example.org/x", "https://аррӏе.example/", "https://user:password@example.org/", "https://example.org/\u202egnp.exe",
)  # fmt: skip
DEFINITION = {
    "title": "Hostile <b>registry</b> \u202e", "protocol": "json", "mapping": "fields", "url": "https://registry.example/api",
    "licence": "https://creativecommons.org/licenses/by/4.0/", "pause": 0,
    "options": {"records": "results", "total": "total", "page": "page", "key": "id"},
    "fields": {
        "key": "id", "title@en": "name", "description@en": "name", "pages": "url", "lead": "name", "subjects": "name", "goals": "sdgs",
    },
}  # fmt: skip


LOGGING = """
import sys, structlog
from publisher.logs import configure_logging
configure_logging()
structlog.get_logger().warning("said", error=sys.argv[1])
"""
ROUNDS = max(len(TITLES), len(ADDRESSES))
_HANDLER = re.compile(r"on[a-z]+\Z")
_ACTING = {"script", "iframe", "object", "embed", "base", "style"}
_SUSPECT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\ufeff\U000e0000-\U000e007f]"
)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.active: list[str] = []
        self.links: list[str] = []
        self.blocks: list[str] = []
        self.text = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        results = dict(attrs)
        own = tag == "script" and (results.get("src") or "").startswith("/static/")
        # A block of JSON-LD is data, which no browser runs.
        self._inside = tag == "script" and attrs == [("type", "application/ld+json")]
        if self._inside:
            self.blocks.append("")
        elif tag in _ACTING and not own:
            self.active.append(f"<{tag}>")
        self.active += [
            f"{name}={value}"
            for name, value in attrs
            if _HANDLER.match(name) or name in ("style", "srcdoc")
        ]
        for name in ("href", "src", "action", "formaction"):
            if (value := results.get(name)) is not None:
                self.links.append(value)
                if not re.match(r"(?:https?://|/(?!/)|\?|#)", value):
                    self.active.append(f"{name}={value}")
        self.text += "".join(value or "" for _, value in attrs)

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.blocks[-1] += data
        else:
            self.text += data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rounds = zip(range(ROUNDS), cycle(TITLES), cycle(ADDRESSES), strict=False)
    projects = [{"id": f"h{n}{title[:9]}", "name": title, "url": address, "sdgs": "SDG 4"} for n, title, address in rounds]  # fmt: skip
    with harvest_context(tmp_path_factory.mktemp("hostile"), ProjectRegistry(projects)) as context:
        plan = harvest(parse("hostile", DEFINITION, "test"), context)
        assert plan.run.state.value == "committed"
        result: Path = context.data
        return result


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with QueryService(data, Iris(), readers=1) as service:
        await service.wait_until_current()
        transport = httpx.ASGITransport(app=create_app(service))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://stocktake.test"
        ) as client:
            yield client


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(data: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(data) as client:
        yield client


async def subjects(site: httpx.AsyncClient) -> list[str]:
    query = "SELECT DISTINCT ?s { GRAPH ?g { ?s a ?kind } FILTER(CONTAINS(STR(?s), '/hostile')) }"
    body = (await site.get("/sparql", params={"query": query, "format": "json"})).json()
    return [row["s"]["value"].removeprefix(BASE) for row in body["results"]["bindings"]]


PORTAL = (
    "/search?text=script", "/search?text=%3Cscript%3Ealert(1)%3C/script%3E&country=%22%3E%3Cimg", "/map", "/matrix", "/trends", "/gaps",
    "/events", "/documents", "/posts", "/prizes", "/sources", "/join", "/examples", "/catalog", "/releases", "/runs", "/initiatives",
    "/organizations", "/sparql?show=%3C/textarea%3E%3Cscript%3Ealert(1)%3C/script%3E", "/nowhere/%3Cscript%3E%E2%80%AE",
)  # fmt: skip


@pytest.mark.asyncio(loop_scope="session")
async def test_no_page_executes_or_misrenders_hostile_text(site: httpx.AsyncClient) -> None:
    results, texts, described = {}, "", ""
    things = [path.replace("id/", "page/", 1).partition("#")[0] for path in await subjects(site)]
    sound = {"/", "/sparql", "/exports", "/status", "/source/hostile", *(f"/{path}" for path in things)}  # fmt: skip

    for path in [*sound, *PORTAL]:
        answer = await site.get(path, headers={"Accept": "text/html"}, follow_redirects=True)
        page = Page(answer.text)
        texts += page.text
        described += "".join(json.dumps(json.loads(block), ensure_ascii=False) for block in page.blocks)  # fmt: skip
        suspects, unsafe = _SUSPECT.findall(page.text), "'unsafe" in answer.headers["content-security-policy"]  # fmt: skip
        failed = answer.status_code != 200 if path in sound else answer.status_code >= 500
        if page.active or suspects or failed or (unsafe and path in sound):
            results[path] = (answer.status_code, page.active, suspects)

    assert len(sound) > ROUNDS
    assert results == {}
    assert MARKED in texts  # as text, and not left out
    assert MARKED in described  # also in the JSON-LD
    assert "photo⟨U+202E⟩gnp.exe" in texts
    assert "xn--80ak6aa92e.example" in texts


@pytest.mark.asyncio(loop_scope="session")
@each(
    "path",
    ["/feeds/all.atom", "/feeds/goal/4.atom", "/oai?verb=ListRecords&metadataPrefix=oai_dc", "/oai?verb=%3Cscript%3E", "/sitemap.xml"],
)  # fmt: skip
async def test_every_xml_feed_is_well_formed_and_escapes_text(
    site: httpx.AsyncClient, path: str
) -> None:
    answer = await site.get(path, follow_redirects=True)

    tree = etree.fromstring(answer.content)  # a strict reader
    assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")
    assert [node.tag for node in tree.iter("{*}script", "{*}img", "{*}iframe", "{*}svg")] == []


@pytest.mark.asyncio(loop_scope="session")
async def test_the_event_stream_has_the_same_statements_and_no_injected_one(
    site: httpx.AsyncClient,
) -> None:
    answer = await site.get("/ldes/latest", headers={"Accept": "application/trig"})

    assert answer.status_code == 200, answer.text
    results = [quad.triple for quad in read_rdf(answer.content, RdfFormat.TRIG)]
    assert set(TITLES[:2]) <= {getattr(triple.object, "value", "") for triple in results}
    assert [triple for triple in results if str(triple.subject).startswith("<https://x.org/")] == []


@pytest.mark.asyncio(loop_scope="session")
async def test_activities_have_titles_as_text_and_no_injected_key(site: httpx.AsyncClient) -> None:
    answer = await site.get("/activities/1")

    items = answer.json()["orderedItems"]
    names = {name for item in items for name in item["object"].get("nameMap", {}).values()}
    assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")
    assert MARKED in names
    assert "injected" not in {key for item in items for key in (*item, *item["object"])}


@pytest.mark.smoke
async def test_a_calendar_has_no_property_injected_by_a_title(
    context: HarvestContext, registry: ProjectRegistry
) -> None:
    evil = "Forum\r\nEND:VEVENT\r\nBEGIN:VALARM\r\nACTION:PROCEDURE; , \\n"
    days = {"starts": "2026-05-04", "ends": "2026-05-05"}
    registry.projects = [{"id": "e1", "name": evil, "url": "https://example.org/", **days}]
    fields = {"kind": "event", "key": "id", "title@en": "name", "start": "starts", "end": "ends", "pages": "url"}  # fmt: skip
    plan = harvest(parse("hostile", DEFINITION | {"fields": fields}, "test"), context)
    assert plan.run.state.value == "committed"

    async with serving(context.journal.folder.parent) as client:
        answer = await client.get("/feeds/events.ics", follow_redirects=True)

    (event,) = Calendar.from_ical(answer.content).walk("VEVENT")
    assert " ".join(str(event["SUMMARY"]).split()) == " ".join(evil.split())
    assert event.subcomponents == []


@pytest.mark.asyncio(loop_scope="session")
async def test_a_report_neither_executes_nor_misrenders_hostile_text(
    data: Path, site: httpx.AsyncClient
) -> None:
    release.build_release(data, Iris(), NOON)

    result = build_report(data, Iris(), None, "en", {})

    page = Page((data / "reports" / result["name"] / "report.html").read_text())
    assert "Hostile <b>registry</b>" in page.text
    assert [
        item
        for item in page.active
        if item not in ("href=report.css", "href=report.pdf", "<style>")
    ] == []
    assert _SUSPECT.findall(page.text) == []
    assert (data / "reports" / result["name"] / "report.pdf").read_bytes().startswith(b"%PDF-")


async def queried(site: httpx.AsyncClient, query: str, *forms: str) -> dict[str, bytes]:
    answers = {form: await site.get("/sparql", params={"query": query, "format": form}) for form in forms}  # fmt: skip
    assert {answer.status_code for answer in answers.values()} == {200}
    return {form: answer.content for form, answer in answers.items()}


@pytest.mark.asyncio(loop_scope="session")
async def test_every_graph_format_has_the_same_statements(site: httpx.AsyncClient) -> None:
    query = "CONSTRUCT { ?s ?p ?o } { ?s ?p ?o FILTER(CONTAINS(STR(?s), '/hostile')) }"
    forms = {"ttl": RdfFormat.TURTLE, "nt": RdfFormat.N_TRIPLES, "jsonld": RdfFormat.JSON_LD, "rdf": RdfFormat.RDF_XML}  # fmt: skip

    answers = await queried(site, query, *forms)
    graphs = {form: {str(quad.triple) for quad in read_rdf(answers[form], kind)} for form, kind in forms.items()}  # fmt: skip

    # No title injects a statement.
    assert not any("x.org" in triple.partition(" ")[0] for triple in graphs["nt"])
    assert len(graphs["nt"]) > ROUNDS
    assert graphs["ttl"] == graphs["jsonld"] == graphs["nt"]
    assert len(graphs["rdf"]) == len(graphs["nt"])
    # A strict parser reads it too.
    assert etree.fromstring(answers["rdf"]).tag.endswith("}RDF")


@pytest.mark.asyncio(loop_scope="session")
async def test_every_table_format_has_the_titles_unchanged(site: httpx.AsyncClient) -> None:
    query = "SELECT ?t { ?s <http://purl.org/dc/terms/title> ?t FILTER(CONTAINS(STR(?s), '/id/initiative/hostile/')) }"

    answers = await queried(site, query, "json", "xml", "csv")

    titles = {row["t"]["value"] for row in json.loads(answers["json"])["results"]["bindings"]}
    rows = [*csv.reader(io.StringIO(answers["csv"].decode(), newline=""), strict=True)]
    assert titles == {row[0] for row in rows[1:]}
    assert {"=cmd|' /C calc'!A0", MARKED} <= titles
    assert len(etree.fromstring(answers["xml"]).findall(".//{*}result")) == len(titles)


@pytest.mark.asyncio(loop_scope="session")
async def test_hostile_text_breaks_no_header_and_no_log_line(
    site: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "a\r\nSet-Cookie: evil=1\r\n\r\n<script>"

    answers = [
        await site.get("/dumps/" + "x%0d%0aSet-Cookie:%20evil=1"),
        await site.get("/page/initiative/hostile/%0d%0aSet-Cookie:%20evil"),
        await site.get("/sparql", params={"query": "SELECT * {", "format": evil}),
        await site.get("/sparql", params={"query": evil}),
        await site.get("/concept", params={"iri": "http://x.org/" + evil}),
        await site.get("/page/initiative/hostile/%0d%0aSet-Cookie:%20evil"),
        await site.post("/sparql", content=b"x", headers={"Content-Type": 'text/x; a="b"'}),
    ]

    assert [answer.status_code for answer in answers if not 400 <= answer.status_code < 500] == []
    assert [answer for answer in answers if "set-cookie" in answer.headers] == []
    assert [
        answer for answer in answers if answer.headers["content-type"] != "application/problem+json"
    ] == []


@pytest.mark.parametrize("hostile", ["a\nb\r\nc", "red \x1b[31m", "a\u2028b\x85c"], ids=ascii)
@pytest.mark.smoke
def test_a_log_event_stays_one_line(hostile: str) -> None:
    line = [sys.executable, "-c", LOGGING, hostile]

    text = subprocess.run(
        line, capture_output=True, cwd=Path(__file__).parents[2], timeout=60, check=True
    ).stderr

    # str.splitlines() splits at everything that any reader takes for an end of line.
    assert len(text.decode().splitlines()) == 1
    assert _SUSPECT.findall(text.decode().removesuffix("\n")) == []
