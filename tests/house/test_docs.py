"""The docs: whatever a person can type, set, ask or meet has its heading or its row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from harvesters.admin.app import create_admin
from harvesters.admin.context import AdminContext
from harvesters.errors import FetchError, HarvestError, WebPageError
from harvesters.mappings.fields import FIELDS
from harvesters.mappings.registry import MAPPINGS
from harvesters.protocols.registry import PROTOCOLS
from harvesters.source import Limits, Source
from publisher.app import create_app
from publisher.formats import GRAPHS, TABLES
from publisher.routes import ROUTERS
from publisher.store.query_service import QueryService
from shapes.rules import rules
from stocktake import Settings, app
from vocab.iris import Iris

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ROOMS = {"protocols": PROTOCOLS, "mappings": MAPPINGS}


def _text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _section(name: str, title: str) -> str:
    """Give the text under the heading that names *title* in backticks, down to the next of its level or above; "" if there is none."""
    match = re.search(rf"^(#+) `{re.escape(title)}`[^\n]*\n(.*?)(?=^#{{1,6}} |\Z)", _text(name), re.MULTILINE | re.DOTALL)
    return match.group() if match else ""


def _rows(name: str) -> set[str]:
    """Give what stands in backticks in the first cell of the tables' rows."""
    return {word for cell in re.findall(r"^\|([^|]*)\|", _text(name), re.MULTILINE) for word in re.findall(r"`([^`]+)`", cell)}


def _linked(name: str, room: str) -> set[str]:
    """Give the pages of *room* that a page links by their names."""
    return set(re.findall(rf"\[`([^`]+)`\]\({room}/\1\.md\)", _text(name)))


def _commands(group: object, path: str) -> Iterator[tuple[str, list[str]]]:
    """Give each command's words and its own long options."""
    options = [option for parameter in group.params for option in parameter.opts if option.startswith("--") and option != "--help"]
    if options or not hasattr(group, "commands"):
        yield path, options
    for name, command in getattr(group, "commands", {}).items():
        yield from _commands(command, f"{path} {name}")


def _paths(routes: Iterable[object]) -> Iterator[str]:
    """Give the routes' paths without their converters; a router that was included holds its routes itself."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _paths(included.routes)
        else:
            yield re.sub(r":\w+\}", "}", route.path)


COMMANDS = dict(_commands(typer.main.get_command(app), "stocktake"))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_its_heading_and_every_option_its_word(path):
    section = _section("reference/commands.md", path)

    missing = [option for option in COMMANDS[path] if f"`{option}" not in section]

    assert section, f"docs/reference/commands.md has no heading `{path}`"
    assert missing == []


def test_no_command_is_told_that_is_none():
    told = set(re.findall(r"^#+ `(stocktake[^`]*)`", _text("reference/commands.md"), re.MULTILINE))

    assert told - set(COMMANDS) == set()


@pytest.mark.parametrize("variable", Settings.VARIABLES)
def test_every_setting_has_its_heading(variable):
    assert _section("reference/settings.md", variable)


def test_no_setting_is_told_that_is_none():
    told = {name for file in DOCS.rglob("*.md") for name in re.findall(r"STOCKTAKE_[A-Z_]+", file.read_text(encoding="utf-8"))}

    assert told - set(Settings.VARIABLES) == set()


@pytest.mark.parametrize("key", [item.name for kind in (Source, Limits) for item in fields(kind)])
def test_every_key_of_a_card_has_its_row(key):
    assert key in _rows("reference/sources.md")


@pytest.mark.parametrize(
    ("page", "options"),
    [(f"reference/{room}/{name}.md", row.options) for room, table in ROOMS.items() for name, row in table.items()],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_every_protocol_and_mapping_has_its_page_and_every_option_its_row(page, options):
    text = _text(page) if (DOCS / page).exists() else ""

    missing = [key for key, option in options.items() if f"| `{key}` | {option.help} |" not in text]

    assert text.startswith(f"# `{Path(page).stem}`\n"), f"docs/{page} is missing or has another heading"
    assert missing == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_page_of_a_protocol_or_mapping_is_in_its_list(room):
    pages = {file.stem for file in (DOCS / "reference" / room).glob("*.md")}

    assert pages == set(ROOMS[room]) == _linked(f"reference/{room}.md", room) & set(ROOMS[room])


def test_the_readme_counts_protocols_and_mappings():
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert f"from {len(PROTOCOLS)} kinds of interface" in text
    assert f"with {len(MAPPINGS)} [mappings]" in text


def test_every_field_of_the_model_has_its_row():
    assert set().union(*FIELDS.values()) - _rows("reference/mappings/fields.md") == set()


def _outcomes(kind: type[HarvestError]) -> Iterator[str]:
    yield kind.outcome
    for below in kind.__subclasses__():
        yield from _outcomes(below)


def test_every_outcome_of_a_request_has_its_row():
    known = {"asked", "answered", "unchanged", "redirected", "retried", *_outcomes(FetchError), *_outcomes(WebPageError)}

    assert known - {FetchError.outcome} - _rows("explanation/harvesting.md") == set()


@pytest.mark.parametrize("name", ROUTERS)
def test_every_outlet_has_its_heading(name):
    assert _section("reference/endpoints.md", name)


def test_every_endpoint_has_its_row_or_heading(tmp_path):
    paths = set(_paths(create_app(QueryService(tmp_path, Iris())).routes))

    told = set(re.findall(r"`(/[^`\s]*)`", _text("reference/endpoints.md")))

    assert "/health" in paths
    assert paths - told == set()


def test_every_address_of_the_desk_has_its_row(tmp_path):
    desk = create_admin(AdminContext(tmp_path, tmp_path, "sqlite://", "https://example.org/"))

    asked = {f"{method.upper()} /admin{path}" for path, operations in desk.openapi()["paths"].items() for method in operations}

    assert "GET /admin/plans" in asked
    assert asked - _rows("reference/admin.md") == set()


@pytest.mark.parametrize("row", [*GRAPHS.values(), *TABLES.values()], ids=lambda row: row.label)
def test_every_format_has_its_row(row):
    assert row.media.partition(";")[0] in _rows("reference/endpoints.md")


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.name)
def test_every_shape_has_its_row(rule):
    assert rule.name in _rows("reference/shapes.md")


@pytest.mark.parametrize("file", [*DOCS.rglob("*.md"), *ROOT.glob("*.md")], ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(file):
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", file.read_text(encoding="utf-8"))

    assert [link for link in links if not (file.parent / link).exists()] == []


DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))


def test_no_two_decisions_have_the_same_number():
    numbers = [int(file.name[:4]) for file in DECISIONS]

    assert len(numbers) == len(set(numbers))
    assert min(numbers) == 1


@pytest.mark.parametrize("file", DECISIONS, ids=lambda file: file.stem)
def test_every_decision_begins_with_its_number_date_and_status(file):
    begin = rf"# {int(file.name[:4])}\. \S[^\n]*\n\n\d{{4}}-\d\d-\d\d, (proposed|accepted|superseded by \d+)\b"

    matches = re.match(begin, file.read_text(encoding="utf-8"))

    assert matches, f"{file.name}: begin with '# NUMBER. TITLE', an empty line, then 'YYYY-MM-DD, accepted' (or proposed, superseded by N)"
