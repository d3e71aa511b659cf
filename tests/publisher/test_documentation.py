"""The documentation site, the front page, the pages of the API and of the rules, comments on posts,
and addresses that are refused.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from app_client import asking
from browser import browsing
from pyoxigraph import Literal, NamedNode, RdfFormat, parse
from rows import each
from small_world import IRIS, SEEN, record_rows

import publisher
from journal.journal import Journal
from publisher.app import create_app
from publisher.limits import Limits
from publisher.pages import BUNDLE_FOLDER, DOCUMENTATION, Pages
from publisher.store.query_service import QueryService
from shapes.rules import rules
from vocab.initiative import Document, Post, Text
from vocab.iris import BASE, Iris
from web.templating import static_url

TEMPLATES = Path(publisher.__file__).parent / "templates"

built = pytest.mark.skipif(
    not (DOCUMENTATION / "index.html").exists(),
    reason="the documentation was not built; run make docs",
)


@built
async def test_documentation_is_served_with_its_styles_under_our_policy(
    client: httpx.AsyncClient,
) -> None:
    front, style = await client.get("/docs/"), await client.get("/docs/_static/styles/furo.css")

    assert (front.status_code, style.status_code) == (200, 200)
    assert "Stocktake" in front.text
    assert (
        "script-src" in front.headers["content-security-policy"]
        or "default-src" in front.headers["content-security-policy"]
    )
    assert "<script>" not in front.text
    assert ' style="' not in front.text
    assert '<a class="sidebar-brand" href="/">' in front.text


async def test_every_page_links_to_the_documentation_where_it_was_built(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/", headers={"Accept": "text/html"})).text

    assert ('href="/docs/"' in page) == DOCUMENTATION.is_dir()


async def test_the_data_page_links_to_the_recipes_where_the_documentation_was_built(
    client: httpx.AsyncClient,
) -> None:
    page = (
        await client.get("/data", headers={"Accept": "text/html", "Accept-Language": "fr"})
    ).text

    assert (
        '<a class="tile" href="/docs/how-to/use-the-tables.html"><b>Ouvrir dans vos outils</b>'
        in page
    ) == DOCUMENTATION.is_dir()


@each("path", sorted(TEMPLATES.rglob("*.html")))
def test_pages_link_to_the_documentation_only_where_it_was_built(path: Any) -> None:
    text = path.read_text()
    conditional = re.sub(r"{% if documented %}.*?{% endif %}", "", text, flags=re.DOTALL)

    assert 'href="/docs/' not in conditional


REFUSED = {
    400: [
        "/events?month=2025-13", "/events?month=x", "/documents?page=0", "/trends?by=colour", "/events?month=0000-01",
        "/things", "/things?concept=nothing:here", "/things?source=demo&sort=colour", "/things?source=demo&after=nonsense",
        "/organizations?sort=newest", "/search?kind=ship", "/search?sort=best", "/search?page=0", "/search?page=x",
        "/search?page=9999999999999999999999", "/search?per=1001", "/search?page=600&per=20", "/search?q=" + "x" * 1001,
        "/search?q=" + "%22" * 10_000, "/search?q=" + "(" * 10_000, "/search?q=" + "%E6%B0%B4" * 3_000,
        f"/search/suggest?q={'x' * 101}", "/search/suggest?limit=0", "/search/suggest?limit=21", "/search/suggest?limit=x",
        "/journal/?before=x", "/journal/?per=0", "/journal/?before=-3", "/journal/?before=99999999999999",
    ],
    404: [
        "/record/demo/none", "/record/demo", "/source/none", "/run/none", "/scheme/none", "/scheme/a/b/c", "/concept",
        "/concept?iri=x:y> ?p ?o } # \"'", "/cluster/initiative/demo", "/cluster/planet/demo/1", "/cluster/",
        *(f"/journal/{name}" for name in ("0", "4", "4.gz", "01", "-1", "999999999999", "head.gz", "..%2Fstatus.nq", "1.rdfp", "٣")),
        *(f"/reconcile/{name}?id=https://example.org/nothing" for name in ("view", "preview", "flyout/entity", "flyout/type")),
        "/source/nothing/report", "/id/initiative/demo/none", "/page/initiative/none/1", "/data/event/demo/1.ttl",
        "/id/organization/demo/none", "/id/x",
    ],
    406: [
        "/search/suggest?q=a&format=csv", "/search?format=pdf", "/status?format=csv", "/status?format=nonsense",
        "/source/demo/report.pdf",
    ],
}  # fmt: skip


@each("status, path", [(status, path) for status, paths in REFUSED.items() for path in paths])
async def test_what_cannot_be_asked_or_is_not_known_is_refused(
    client: httpx.AsyncClient, status: int, path: str
) -> None:
    answer = await client.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_addresses_and_times_of_harvests_run_from_left_to_right_on_an_arabic_page(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/source/demo?lang=ar", headers={"Accept": "text/html"})).text

    assert "03:15 UTC" in page
    assert re.search(r'href="https://creativecommons\.org/[^"]+"><bdi>CC', page)


async def test_all_that_a_registry_has_is_reached_by_going_on(client: httpx.AsyncClient) -> None:
    path: str | None = "/source/demo"
    seen: list[str] = []
    while path:
        page = (await client.get(path, headers={"Accept": "text/html"})).text
        named = [part.partition('"')[0] for part in page.split('<a href="/page/')[1:]]
        # The organizations of a registry are named beside the list of its records.
        seen += [item for item in named if not item.startswith("organization/")]
        path = (
            page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
            if 'rel="next"' in page
            else None
        )

    # The registry has one record more, which was removed and is listed on another page.
    assert (len(seen), len(set(seen))) == (124, 124)


HTML = {"Accept": "text/html"}


async def test_every_link_of_the_front_page_leads_somewhere(client: httpx.AsyncClient) -> None:
    page = (await client.get("/", headers=HTML)).text

    links = {link.replace("&amp;", "&") for link in re.findall(r'(?:href|src)="(/[^"]*)"', page)}
    # Of links that differ only in the values of their parameters, one is requested.
    of_kinds = {re.sub(r"=[^&]*", "=", link): link for link in sorted(links)}
    assert len(links) > len(of_kinds) > 20
    for link in of_kinds.values():
        assert (await client.get(link, headers=HTML)).status_code == 200, link


async def test_a_page_asks_nothing_of_another_host_and_runs_only_the_suggestions_script(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/", headers={"Accept": "text/html"})).text
    style = (await client.get("/static/style.css")).text

    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]*\.(?:css|js|png|woff2?)', page) == []
    assert re.findall("<script[^>]*>", page) == [
        f'<script src="{static_url(name)}" defer>' for name in ("embed.js", "suggest.js")
    ]
    assert "url(" not in style


SHOWN = """new Promise((resolve, reject) => {
  const violations = [];
  document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
  setTimeout(() => reject("Swagger UI shows no operation"), 60000);
  const poll = setInterval(() => {
    const operation = document.querySelector("#operations-find-search .opblock-summary-control");
    if (operation && document.getElementById("endpoints").hidden && !operation.ariaExpanded?.includes("true")) operation.click();
    if (document.querySelector("#operations-find-search .parameters")) {
      clearInterval(poll);
      resolve([document.querySelectorAll(".opblock").length, violations]);
    }
  }, 50);
})"""


GROUNDS = """(() => {
  const ground = (it) => getComputedStyle(it).backgroundColor, probe = document.body.appendChild(document.createElement("p"));
  probe.className = "card";
  return [ground(document.getElementById("swagger-ui")), ground(probe)];
})()"""


@pytest.fixture
def url(endpoint: str) -> str:
    return endpoint.removesuffix("/sparql")


def test_page_lists_endpoints_without_scripts(url: str) -> None:
    page = httpx.get(f"{url}/docs/api").text

    assert "<code>GET /search</code>" in page
    assert "<code>DELETE /exports/{name}</code>" in page


@pytest.mark.parametrize("dark", [False, True])
def test_swagger_ui_shows_all_operations_under_the_policy_without_faults(
    url: str, tmp_path: Path, packages: Path, dark: bool
) -> None:
    if not (BUNDLE_FOLDER / "api.js").exists():
        pytest.skip("the scripts were not built, for which npm is needed")
    with browsing(tmp_path) as browser:
        browser.open(f"{url}/docs/api", dark=dark)
        count, violations = browser.run(SHOWN)
        hosts = {
            match[1]
            for address in browser.request_log
            if (match := re.match(r"https?://([^/:]+)", address))
        }
        described = httpx.get(f"{url}/openapi.json").json()["paths"]
        faults = browser.faults(packages)
        ground, card = browser.run(GROUNDS)

    assert ground == card
    assert faults == []
    assert (count, violations, hosts) == (sum(map(len, described.values())), [], {"127.0.0.1"})
    assert count > 60


SH = "http://www.w3.org/ns/shacl#"


@each(
    "suffix, form",
    [("ttl", RdfFormat.TURTLE), ("nt", RdfFormat.N_TRIPLES), ("jsonld", RdfFormat.JSON_LD), ("rdf", RdfFormat.RDF_XML)],
)  # fmt: skip
async def test_shapes_have_messages_in_six_languages_in_every_format(
    client: httpx.AsyncClient, suffix: str, form: RdfFormat
) -> None:
    answer = await client.get(f"/shapes.{suffix}")

    triples = [quad.triple for quad in parse(answer.content, form)]
    title = NamedNode(f"{BASE}shapes#ResourceTitle")
    languages = {
        triple.object.language
        for triple in triples
        if triple.subject == title
        and triple.predicate.value == f"{SH}message"
        and isinstance(triple.object, Literal)
    }
    assert languages == {"en", "fr", "es", "ar", "zh", "ru"}


async def test_the_shapes_have_a_header_whose_version_is_served(client: httpx.AsyncClient) -> None:
    answer = await client.get("/shapes.ttl")
    header = {
        quad.predicate.value.replace("#", "/").rpartition("/")[2]: str(quad.object.value)
        for quad in parse(answer.content, RdfFormat.TURTLE)
        if quad.subject == NamedNode(f"{BASE}shapes")
        and isinstance(quad.object, Literal | NamedNode)
    }
    version = await client.get(
        "/" + header["versionIRI"].removeprefix(BASE), headers={"Accept": "text/turtle"}
    )
    other = await client.get("/shapes/9.9.9")

    assert header["versionIRI"] == f"{BASE}shapes/{header['versionInfo']}"
    assert header["license"] == "https://www.apache.org/licenses/LICENSE-2.0"
    assert (version.status_code, version.content) == (200, answer.content)
    assert (other.status_code, header["versionIRI"] in other.text) == (404, True)


async def test_the_page_of_the_rules_has_each_with_an_anchor_to_which_remarks_link(
    client: httpx.AsyncClient,
) -> None:
    pages = {
        path: (await client.get(path, headers={"Accept": "text/html"})).text
        for path in ("/shapes", "/shapes?lang=ru", "/page/initiative/demo/a%2F1")
    }
    listed = (await client.get("/shapes.json")).json()

    names = {rule.name for rule in rules().values()}
    assert [name for name in names if f'id="{name}"' not in pages["/shapes"]] == []
    assert {row["name"] for row in listed} == names
    assert "Нет названия." in pages["/shapes?lang=ru"]
    assert (
        '<a href="/shapes#NoTarget">No target is named.</a>' in pages["/page/initiative/demo/a%2F1"]
    )


def test_a_rule_has_its_message_and_another_shape_has_none() -> None:
    pages = Pages(Iris())

    assert pages.rule_message(f"{BASE}shapes#ResourceTitle") == "It has no title."
    assert pages.rule_message(f"{BASE}shapes#NoTarget") is None


HOSTILE = '<script>alert(1)</script>\n"two" & three'
PAGE = {"Accept": "text/html"}


@pytest.fixture
async def blog(tmp_path: Path) -> AsyncIterator[QueryService]:
    things = (
        Post(key="a b", titles=(Text("We opened", "en"),), content=Text("Come in.", "en")),
        Document(key="a b", titles=(Text("Report", "en"),)),
    )
    rows = [row for item in things for row in record_rows("demo", item)]
    Journal(tmp_path / "journal").append(rows, run="demo.1", time=SEEN)
    async with QueryService(tmp_path, IRIS, Limits(seconds=240, wait=240), readers=1) as opened:
        await opened.wait_until_current()
        yield opened


def client_of(blog: QueryService, comments: object) -> httpx.AsyncClient:
    app = create_app(blog)
    if comments is not None:
        app.state.comments = comments
    client: httpx.AsyncClient = asking(app)
    return client


async def test_accepted_comments_are_shown_as_text_with_a_form(blog: QueryService) -> None:
    posts: list[str] = []

    def read(post: str) -> list[tuple[datetime, str]]:
        posts.append(post)
        return [(SEEN, HOSTILE), (SEEN, "Second")]

    async with client_of(blog, read) as client:
        page = await client.get("/page/post/demo/a%20b", headers=PAGE)
        other = await client.get("/page/document/demo/a%20b", headers=PAGE)

    assert posts == ["post/demo/a%20b"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script>alert" not in page.text
    assert page.text.index("alert(1)") < page.text.index("Second")
    assert (
        'action="/submit/comments"><input type="hidden" name="about" value="post/demo/a%20b">'
        in page.text
    )
    assert 'action="/submit/comments"' not in other.text


async def test_site_without_comments_shows_no_form(blog: QueryService) -> None:
    async with client_of(blog, None) as client:
        page = await client.get("/page/post/demo/a%20b", headers=PAGE)

    assert page.status_code == 200
    assert "/submit/comments" not in page.text
    assert 'id="comments"' not in page.text
