"""Pages have all their texts in six languages, and names in those that the vocabulary has."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from event_loops import session_loop
from jinja2 import Environment, nodes
from rdf_terms import value
from rows import each

from harvesters.admin import pages
from harvesters.inspection.findings import OUTCOMES, REMEDIES
from harvesters.ledger.models import Scope, State
from harvesters.ledger.participation import SubmissionState
from harvesters.participation import actions, drafts, openid, submitters
from harvesters.participation.actions import CHANGED
from harvesters.participation.check import REASONS
from harvesters.participation.drafts import LANGUAGE, QUESTIONS
from harvesters.participation.model import FIELDS, MEMBERS, TYPE_LABELS, TYPES
from harvesters.participation.moderation import HISTORY
from harvesters.participation.prize_routes import DAYS
from languages.translations import (
    FOLDER,
    LANGUAGES,
    format_datetime,
    load_translations,
    use_language,
)
from publisher.apis.matching import PROPERTIES
from publisher.data.tables import ThingCount
from publisher.portal.facet_labels import FacetLabels, facet_title
from publisher.portal.figures import overview
from publisher.releases.tables import TABLES
from publisher.sparql.examples import EDITOR_TEXTS, SCRIPT_TEXTS, examples
from publisher.store.workers.pool import TIME_TEXT
from publisher.store.workers.query_request import MEMORY_TEXT
from vocab.field_changes import FIELD_NAMES
from vocab.iris import BASE, Iris
from vocab.schemes import ONTOLOGIES, graph_triples, label, ontology_triples, schemes
from vocab.terms import RDFS, SKOS
from web.endpoints import PARAMETER_ERRORS
from web.middleware import negotiate_language

ROOT = Path(__file__).parents[2]
FOLDERS = (
    ROOT / "publisher",
    ROOT / "harvesters" / "admin",
    ROOT / "harvesters" / "participation",
)
# The inbox answers programs, in English.
METHODS = [("inbox_api.py", "ignore"), ("**.py", "python"), ("templates/**.html", "jinja2")]
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}  # Trans blocks call gettext.
ERRORS = (
    "InvalidValue", "NotFound", "KeyNotFound", "RateLimited", "Unauthenticated", "SessionRequired", "CSRFError", "DefinitionChanged",
)  # fmt: skip
SUBMISSION_ERRORS = (
    "Closed", "LinkInvalid", "VersionRequired", "VersionConflict", "NotAllowed", "TooLarge", "UnsupportedMedia",
)  # fmt: skip
# The first argument of these classes is translated.
ERRORS_KEYWORDS = dict.fromkeys(
    (*ERRORS, "DatabaseUnavailable", "TranslatableText", *SUBMISSION_ERRORS)
)


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Return all texts of the pages."""
    options = {"templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"}}
    keywords = {**KEYWORDS, **ERRORS_KEYWORDS}
    messages = {
        message
        for folder in FOLDERS
        for _file, _line, message, _comments, _context in extract_from_dir(
            str(folder), METHODS, options, keywords
        )
        for message in ([message] if isinstance(message, str) else message)
        if message is not None
    }
    tables = (
        pages.MEANINGS, pages.LIMITS, pages.PARTS, pages.SENTENCES, FIELD_NAMES, EDITOR_TEXTS,
    )  # fmt: skip
    scopes = {scope.label for scope in Scope} | _words_of_submissions()
    messages |= {
        keyword for query_example in examples(Iris()) for keyword in query_example.keywords
    }
    columns = [column for table in TABLES.values() for column in table.columns]
    messages |= {text for column in columns for text in (column.description, column.unit) if text}
    messages |= {remedy for *_, remedy in REMEDIES} | {
        remedy for _rule, remedy in OUTCOMES.values()
    }
    messages |= {*PARAMETER_ERRORS.values()}
    messages |= {item.title for item in PROPERTIES.values() if item.title[:3] not in ("", "ISO")}
    return (
        messages
        | {*SCRIPT_TEXTS}
        | {text for table in tables for text in table.values()}
        | {state.value for state in State}
        | scopes
    )


def _words_of_submissions() -> set[str]:
    """Return the texts of the form and of the moderators' answers that are in tables."""
    fields = [*FIELDS.values(), LANGUAGE]
    texts = {question.text for question in QUESTIONS} | {
        text for field in fields for text in (field.label, field.hint) if text
    }
    answers = {text for mail in submitters.MAILS.values() for text in mail}
    answers -= {submitters.LINK, submitters.NOTE}
    answers |= {CHANGED, actions.TOO_MANY, drafts.GONE, submitters.INVALID, actions.UNCONFIRMED}
    faults = {*openid.FAULTS.values(), "links", "link in the title", "script", "speed"}
    labels = (
        {text for member in MEMBERS.values() for text in (member.label, member.kind.hint) if text}
        | {*TYPE_LABELS.values()}
        | {*HISTORY.values()}
    )
    labels |= {*TYPES} - {"Initiative"}  # The ontology names an initiative.
    return (
        texts
        | answers
        | faults
        | labels
        | {*DAYS.values()}
        | {state.value for state in SubmissionState}
        | {*REASONS.values()}
    )


# Words of pages that are spelled like a label of the vocabulary, each with the reason why it means
# something else and may be translated otherwise.
OTHER_MEANINGS = {
    "Country": "heads the areas of a record (dct:spatial); the label is that of the kind of area",
    "Website": "heads the web pages of a record (foaf:page); the label is that of a type of activity",
    "Concept": "heads any concept of a scheme (skos:Concept); the label is that of a classification's property",
    "Status": "names the page on the state of the portal, and the state of a record; the label is the status of an initiative",
    "Gone": "heads the records that a comparison no longer finds; the label is a state of a record",
    "Hold": "is the button that holds a source; the label is the reason of a hold",
    "Last change": "is of a reported problem; the label is that of a source",
    "Reason": "asks an operator or moderator for a reason; the label is why a run was held or a record is gone",
    "Data": "heads the forms of data of a page; the label is a word of the registry of digital public goods",
    "data": "names any data of a page; the label is a word of the registry of digital public goods",
    "Content": "heads the content of a page; the label is a word of the registry of digital public goods",
    "New": "heads the new records of a run or release; the label is the state of a registry without runs",
    "new": "is what became of a record; the label is the state of a registry without runs",
    "submitted": "is the state of a submission; the label is a stage of the prizes",
    "cancelled": "is said of an event; the label is the status of an initiative",
    "freshness": "is a keyword of an example query; the label is a property of a source",
    "named graphs": "is a keyword of an example query; the label is a count of a run",
}


@each("language", LANGUAGES)
def test_no_catalogue_translates_a_label_of_the_vocabulary(language: str) -> None:
    kinds = {f"{SKOS}prefLabel", f"{RDFS}label"}
    labels = {
        value(triple.object).casefold()
        for triples in (*map(ontology_triples, ONTOLOGIES), *map(graph_triples, schemes()))
        for triple in triples
        if triple.predicate.value in kinds and getattr(triple.object, "language", None) == "en"
    }
    with (FOLDER / f"{language}.po").open("rb") as file:
        texts = {
            message.id for message in read_po(file, locale=language) if isinstance(message.id, str)
        }

    assert {text for text in texts if text.casefold() in labels} <= OTHER_MEANINGS.keys()


def test_other_meanings_are_words_of_the_catalogues() -> None:
    with (FOLDER / "fr.po").open("rb") as file:
        texts = {message.id for message in read_po(file, locale="fr")}

    assert OTHER_MEANINGS.keys() - texts == set()


@each("language", LANGUAGES)
def test_facets_and_their_codes_are_named_by_the_vocabulary(language: str) -> None:
    names = FacetLabels(Iris())
    facets = ("line", "target", "coverage", "status", "type", "prize", "stage", "prizeyear")
    with use_language(language):
        titles = [facet_title(facet).casefold() for facet in facets]
        codes = [
            names.name("stakeholder", "academia"),
            names.name("status", "ongoing"),
            names.name("region", "cis"),
        ]
    terms = (
        "actionLine", "target", "coverage", "status", "activityType", "prizeCategory", "prizeStage", "prizeYear",
    )  # fmt: skip
    concepts = ("stakeholder-type/academia", "status/ongoing", "itu-region/cis")

    assert titles == [str(label(f"{BASE}ns#{term}", language)).casefold() for term in terms]
    assert codes == [label(f"{BASE}scheme/{concept}", language) for concept in concepts]


@each("language", [tag for tag in LANGUAGES if tag != "en"])
def test_every_word_of_the_pages_is_there_in_every_language(language: Any, words: set[str]) -> None:
    with (FOLDER / f"{language}.po").open("rb") as file:
        messages = [
            message
            for message in read_po(file, locale=language)
            if message.id and not message.fuzzy
        ]
    known = {text: string for message in messages for text, string in _pairs(message)}

    assert sorted(words - known.keys()) == []
    assert [text for text, translated in known.items() if not translated] == []
    assert [text for text, translated in known.items() if _gaps(text) != _gaps(translated)] == []


def _pairs(message: Message) -> Iterator[tuple[str, str]]:
    """Yield each English text with its translation; of a plural text, the last form."""
    if isinstance(message.id, str):
        yield message.id, str(message.string)
        return
    one, many = message.id
    assert message.string is not None
    yield one, message.string[0]
    yield many, message.string[-1]
    assert all(message.string)
    assert all(_gaps(many) == _gaps(form) for form in message.string)


def _gaps(text: str) -> list[str]:
    names = re.findall(r"%\((\w+)\)s|\{\w+\}|\b_[A-Z]+_", text)
    return sorted({*names, *re.findall(r"\{\w+\}|\b_[A-Z]+_", text)})


@pytest.mark.parametrize(
    ("language", "text", "label"),
    [("en", "committed", "updated"), ("en", "held", "waiting for approval"),
     ("fr", "no such word", "no such word"), ("xx", "Search", "Search")],
)  # fmt: skip
def test_values_of_the_data_have_plain_english_labels_and_unknown_words_stay(
    language: str, text: str, label: str
) -> None:
    assert load_translations(language).gettext(text) == label


@each(
    "language, one, many",
    [
        ("en", "1 initiative in 1 country or area.", "582 initiatives in 54 countries and areas."),
        ("ar", "1 مبادرة في 1 بلد أو منطقة.", "582 مبادرة في 54 بلدًا ومنطقة."),
        ("zh", "1 个国家和地区的 1 项举措。", "54 个国家和地区的 582 项举措。"),
        ("fr", "1 initiative dans 1 pays ou zone.", "582 initiatives dans 54 pays et zones."),
        ("ru", "1 инициатива в 1 стране или районе.", "582 инициативы в 54 странах и районах."),
        ("es", "1 iniciativa en 1 país o zona.", "582 iniciativas en 54 países y zonas."),
    ],
)
def test_a_finding_has_the_plural_and_the_full_stop_of_its_language(
    language: str, one: str, many: str
) -> None:
    names = FacetLabels(Iris(BASE), {})

    with use_language(language):
        results = [
            overview(
                {"country": {f"{code}": ThingCount(1, 1) for code in range(size)}}, names, total
            )
            for size, total in ((1, 1), (54, 582))
        ]

    assert results == [one, many]


@pytest.mark.parametrize(
    ("language", "expected"),
    [("ar", "\u2068C7 e-Government\u2069 (20)"), ("fr", "C7 e-Government (20)")],
)
def test_a_name_in_another_script_does_not_reorder_a_finding(language: str, expected: str) -> None:
    line = "http://names.example/line"

    class Names(FacetLabels):
        def short(self, facet: str, code: str) -> str:
            return "C7 e-Government"

    with use_language(language):
        sentence = overview({"line": {line: ThingCount(20, 23)}}, Names(Iris(BASE), {}), 20)

    assert expected in sentence


@each(
    "query, cookies, accept, language",
    [("lang=zh", "language=ru", "fr", "zh"), ("lang=xx", "language=ru", "fr", "ru"), ("", "language=xx", "fr-CH, en;q=0.5", "fr"),
     ("", "a=b; language=es", "", "es"), ("", "", "en;q=0.1, ar;q=0.9", "ar"), ("", "", "ar;q=0, de", "en"), ("", "", ";;q=x,,*", "en"),
     ("", "\x00=;;", "zh-Hant-TW", "zh")],
)  # fmt: skip
def test_a_language_is_chosen_by_address_then_by_choice_then_by_browser(
    query: str, cookies: str, accept: str, language: str
) -> None:
    assert negotiate_language(query, cookies, accept) == language


@session_loop
async def test_a_page_whose_key_has_a_slash_links_to_its_languages(
    inside: httpx.AsyncClient,
) -> None:
    page = await inside.get("/page/initiative/demo/a%2F1", headers={"Accept": "text/html"})

    assert 'href="/page/initiative/demo/a%2F1?lang=ar"' in page.text
    assert "demo/a/1?lang" not in page.text


@each(
    "language, written",
    [("en", "1 March 2026 08:05"), ("ar", "1 مارس 2026 08:05"), ("zh", "2026年3月1日 08:05"), ("fr", "1 mars 2026 08:05"),
     ("ru", "1 мар. 2026\u202fг. 08:05"), ("es", "1 mar 2026 08:05")],
)  # fmt: skip
def test_a_time_is_written_as_the_language_writes_it_and_what_is_none_stays(
    language: str, written: str
) -> None:
    with use_language(language):
        assert [
            format_datetime("2026-03-01T08:05:59Z"),
            format_datetime("2024"),
            format_datetime("soon"),
        ] == [written, "2024", "soon"]


@each("language", sorted(LANGUAGES))
def test_errors_at_the_limits_of_a_query_are_in_the_language_in_use(language: str) -> None:
    for text in (MEMORY_TEXT, TIME_TEXT):
        with use_language(language):
            detail = text.translated()

        assert (detail == text) is (language == "en")


TEMPLATES = sorted(
    file
    for folder in ("publisher", "harvesters/admin", "harvesters/participation")
    for file in ROOT.glob(f"{folder}/templates/*.html")
)
# Names, which are the same in every language, and words that a reader types as they are.
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
# People read or hear the values of these attributes.
SHOWN = ("title", "alt", "aria-label", "placeholder", "data-label", "label")
EMPTY = ("meta", "link", "input", "img", "br", "col", "rect", "path", "circle", "hr", "line")
SILENT = {"script", "style", "code", "pre", "textarea", "bdi", "time", "title"}
# Pages of these kinds show statements as they are.
VOCABULARY = ("scheme", "concept", "ns", "memento", "record", "run")
# Texts that begin with these are data of the test world.
DATA = (
    "ICT Authority", "Registry of demo", "file.ttl", "Clinics United", "Ministry of Health", "Fund for Health",
)  # fmt: skip
ADDRESS = re.compile(r"https?://|/feeds/|data\.json|source/")
LATIN = re.compile(r"[A-Za-z]{3,}")


class Texts(HTMLParser):
    """The texts of a page in its own language; elements with another `lang` or a `dir` are data."""

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
    """Return the words of a template that are outside all sentences that are translated."""
    template = re.sub("{% block style %}.*?{% endblock %}", "", template)  # names of style sheets
    tree = Environment(extensions=["jinja2.ext.i18n"], autoescape=True).parse(template)
    content = "".join(
        node.data if isinstance(node, nodes.TemplateData) else "" for node in _leaves(tree)
    )
    reader = Texts()
    reader.feed(re.sub(r'&[a-z]+;|\b(lang|dir|aria-describedby|aria-invalid)="[^"]*"', "", content))
    return {word for text in reader.texts for word in LATIN.findall(text)} - NAMES


def _leaves(node: nodes.Node) -> list[nodes.Node]:
    """Return the literal texts of a template in order, and an empty one for each expression."""
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
EACH = 1  # Pages of one kind have the same template, so that one of them is read.


def kind(href: str) -> str:
    """Return the kind of page at an address: its template, as far as the path shows it."""
    parts = href.partition("?")[0].strip("/").split("/")
    if parts[0] == "scheme":  # All schemes have the same template.
        return "scheme" if len(parts) == 2 else "scheme/concept"
    return "/".join(parts[:2] if parts[0] == "page" else parts[:1])


async def walk(client: httpx.AsyncClient, language: str) -> dict[str, Texts]:
    """Follow the links from BEGIN to EACH page of a kind; return the texts by address."""
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
