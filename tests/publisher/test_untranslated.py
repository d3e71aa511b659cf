"""No sentence of ours stays English: the templates hold no bare text, and who walks the pages in a
language meets none.
"""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes
from rows import each

from languages.request_locale import LANGUAGES
from languages.translations import FOLDER

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted(
    file
    for folder in ("publisher", "harvesters/admin", "harvesters/participation/*")
    for file in ROOT.glob(f"{folder}/templates/*.html")
)
# Names, which are the same in every language, and what is typed as it stands.
NAMES = {
    *(
        "WSIS", "Stocktaking", "RDF", "XML", "JSON", "CSV", "SPARQL", "Turtle", "VoID", "Atom", "PDF", "SVG", "SHA", "gzip", "DataCite",
    ),
    *(
        "Zenodo", "CITATION", "cff", "release", "json", "CKAN", "IATI", "UTC", "SUMS", "stocktake", "sources", "check", "preview",
        "harvest", "submissions",
    ),
    *("dry", "run", "minisign", "stk", "API", "OpenAPI", "SSSOM", "sdg"),
    *("DuckDB", "pandas", "polars", "Excel", "QGIS"),
}  # fmt: skip
# attributes that people read or hear
SHOWN = ("title", "alt", "aria-label", "placeholder", "data-label", "label")
EMPTY = ("meta", "link", "input", "img", "br", "col", "rect", "path", "circle", "hr", "line")
SILENT = {"script", "style", "code", "pre", "textarea", "bdi", "time", "title"}
# pages that show statements as they are
VOCABULARY = ("scheme", "concept", "ns", "memento", "record", "run")
# of the test world
DATA = (
    "ICT Authority", "Registry of demo", "file.ttl", "Clinics United", "Ministry of Health", "Fund for Health",
)  # fmt: skip
ADDRESS = re.compile(r"https?://|/feeds/|data\.json|source/")
LATIN = re.compile(r"[A-Za-z]{3,}")


class Texts(HTMLParser):
    """The texts of a page that stand in its own language: what bears another, or has its direction
    by itself, is data.
    """

    def __init__(self, language: str = "") -> None:
        super().__init__()
        self.language, self.texts, self._depth, self._stack = language, set[str](), 0, list[bool]()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        results = {name: value or "" for name, value in attrs}
        foreign = tag not in ("html", "a") and results.get("lang", self.language) != self.language
        data = (
            tag in SILENT
            or foreign
            or ("dir" in results and tag not in ("html", "input"))
            or (tag == "a" and "lang" in results)
        )
        if tag not in EMPTY:
            self._stack.append(data)
            self._depth += data
        if not self._depth and not data:
            self.texts |= {results[name] for name in SHOWN if results.get(name)}
        if tag == "a" and results.get("href", "").startswith("/"):
            self.links.append(results["href"].partition("#")[0])

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY and self._stack:
            self._depth -= self._stack.pop()

    def handle_data(self, data: str) -> None:
        if not self._depth and data.strip():
            self.texts.add(" ".join(data.split()))


def bare(template: str) -> set[str]:
    """Return the words of a template that stand outside of every sentence that is translated."""
    template = re.sub("{% block style %}.*?{% endblock %}", "", template)  # names of style sheets
    tree = Environment(extensions=["jinja2.ext.i18n"], autoescape=True).parse(template)
    content = "".join(
        node.data if isinstance(node, nodes.TemplateData) else "" for node in _leaves(tree)
    )
    reader = Texts()
    reader.feed(re.sub(r'&[a-z]+;|\b(lang|dir|aria-describedby|aria-invalid)="[^"]*"', "", content))
    return {word for text in reader.texts for word in LATIN.findall(text)} - NAMES


def _leaves(node: nodes.Node) -> list[nodes.Node]:
    """Return what a template writes, in order: its literal text, and of each expression one leaf."""
    results: list[nodes.Node] = []
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.TemplateData):
            results.append(child)
        elif isinstance(child, nodes.Expr):
            results.append(nodes.Const(""))
        else:
            results += _leaves(child)
    return results


@each("template", TEMPLATES)
def test_a_template_holds_no_sentence_that_cannot_be_translated(template: Any) -> None:
    assert bare(template.read_text(encoding="utf-8")) == set()


def test_a_bare_sentence_in_a_template_is_found() -> None:
    assert bare('<p title="Hello you">{{ _("Home") }} and more {% if x %}again{% endif %}</p>') == {
        "Hello", "you", "and", "more", "again",
    }  # fmt: skip


BEGIN = (
    "/", "/search?q=zz", "/record/demo/lost", "/nowhere", "/exports", "/organizations", "/sparql?example=matrix", "/reports/", "/join",
)  # fmt: skip
WALKED: dict[str, dict[str, Texts]] = {}
EACH = 1  # pages of a kind that are walked; the others are made by the same template


def kind(href: str) -> str:
    """Return what kind of page an address is of: its template's, as near as its path tells."""
    parts = href.partition("?")[0].strip("/").split("/")
    if parts[0] == "scheme":  # those of each scheme have the same template
        return "scheme" if len(parts) == 2 else "scheme/concept"
    return "/".join(parts[:2] if parts[0] == "page" else parts[:1])


async def walk(client: httpx.AsyncClient, language: str) -> dict[str, Texts]:
    """Read the pages that links lead to from `/`, some of each kind."""
    waiting, visited, counts = list(BEGIN), WALKED.setdefault(language, {}), dict[str, int]()
    if visited:
        return visited
    while waiting:
        href = waiting.pop(0)
        if (
            href in visited
            or href.startswith("/docs/")
            or "lang=" in href
            or "format=" in href
            or counts.get(kind(href), 0) >= EACH
        ):
            continue
        headers = {"Accept": "text/html", "Accept-Language": language}
        answer = await client.get(href, headers=headers, follow_redirects=True)
        counts[kind(href)] = counts.get(kind(href), 0) + 1
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        assert answer.headers["content-language"] == language
        reader = Texts(language)
        reader.feed(answer.text)
        visited[href] = reader
        waiting += reader.links
    return visited


@pytest.mark.parametrize(
    "language",
    [
        pytest.param(tag, marks=() if tag == "ar" else pytest.mark.nightly)
        for tag in LANGUAGES
        if tag != "en"
    ],
)
async def test_who_walks_the_pages_meets_no_sentence_of_ours_in_english(
    client: httpx.AsyncClient, language: Any
) -> None:
    with (FOLDER / f"{language}.po").open("rb") as file:
        ours = {
            str(message.id): str(message.string)
            for message in read_po(file, locale=language)
            if message.id
        }
    english = {
        text.casefold()
        for text, translated in ours.items()
        if LATIN.search(text) and translated.casefold() != text.casefold()
    }
    english -= {translated.casefold() for translated in ours.values()}

    pages = await walk(client, language)

    kinds = {kind(href) for href in pages}
    assert {
        "", "search", "map", "matrix", "trends", "gaps", "sparql", "releases", "status", "journal", "dumps", "catalog", "join",
    } <= kinds  # fmt: skip
    left = {
        (text, href)
        for href, page in pages.items()
        for text in page.texts
        if text.casefold().strip(" :·.,") in english
    }
    assert left == set()


@pytest.mark.nightly
async def test_what_stands_alike_in_three_languages_is_a_name_or_data(
    client: httpx.AsyncClient,
) -> None:
    first, second, third = [await walk(client, language) for language in ("en", "fr", "ar")]

    alike = {
        (text, href)
        for href in first.keys() & second.keys() & third.keys()
        for text in first[href].texts & second[href].texts & third[href].texts
        if len(LATIN.findall(text)) >= 2 and kind(href).partition("/")[0] not in VOCABULARY
    }

    results = {
        (text, href)
        for text, href in alike
        if not set(LATIN.findall(text)) <= NAMES and not ADDRESS.match(text)
    }
    assert {(text, href) for text, href in results if not text.startswith(DATA)} == set()


@each(
    "path",
    ["/documents?page=x", "/search?per=x&page=0", "/id/none", "/record/demo/none", "/release/77", "/embed/none", "/trends?by=none"],
)  # fmt: skip
async def test_an_error_page_says_what_is_wrong_in_the_language_of_the_page(
    client: httpx.AsyncClient, path: str
) -> None:
    joined = "&" if "?" in path else "?"
    english = (await client.get(path, headers={"Accept": "application/json"})).json()["detail"]
    for language in ("fr", "ar"):
        page = await client.get(f"{path}{joined}lang={language}", headers={"Accept": "text/html"})

        assert page.status_code in (400, 404)
        assert english not in html.unescape(page.text)
        assert '<p class="lead">' in page.text
