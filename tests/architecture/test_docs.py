from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from generated import PageError, generate
from rows import each

from benchmarks.__main__ import NAMES, OTHERS
from command_line.settings import Settings
from harvesters.errors import FetchError, HarvestError, WebPageError
from harvesters.mappings.fields import FIELDS
from harvesters.mappings.mapping import MAPPINGS
from harvesters.options import Options
from harvesters.protocols.protocol import PROTOCOLS
from publisher.app import ROUTERS, create_app
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from web.respond import GRAPHS, TABLES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
REGISTRIES: dict[str, Iterable[str]] = {"protocols": PROTOCOLS, "mappings": MAPPINGS}


def _text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _rows(name: str) -> set[str]:
    first_cells = re.findall(r"^\|([^|]*)\|", _text(name), re.MULTILINE)
    return {word for cell in first_cells for word in re.findall(r"`([^`]+)`", cell)}


def _paths(routes: Iterable[Any]) -> Iterator[str]:
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _paths(included.routes)
        else:
            yield re.sub(r":\w+\}", "}", route.path)


def test_every_page_of_the_site_has_the_tables_that_it_names() -> None:
    names = [file.relative_to(DOCS).with_suffix("").as_posix() for file in DOCS.rglob("*.md")]

    texts = {name: generate(name, _text(f"{name}.md")) for name in names}

    assert len(texts) > 80
    mark = re.compile(r"^<!-- generated: |\| <!-- default -->", re.MULTILINE)
    assert [name for name, text in texts.items() if mark.search(text)] == []


@each(
    "page, row",
    [
        ("reference/protocols/ckan", "| `rows` | The number of packages per page; portals return at most 1000. | 100 |"),
        ("reference/limits", "| `rows` | 1,000,000 | rows of a table, triples of a graph | a cut |"),
        ("reference/commands", "## `stocktake sources list`\n\nList sources"),
        ("reference/commands", "stocktake sources list [OPTIONS]\n"),
        ("reference/commands", "| `--port` | Port to listen on. | `8000` |"),
        ("reference/settings", "## `STOCKTAKE_DATA`\n\nOption `--data`."),
        ("reference/commands", "## `stocktake runs show`\n\nShow"),
        ("reference/admin", "| `GET /admin/plans` | List the plans that await approval. |"),
        ("reference/submissions", "| `GET /submissions` | List your submissions."),
        ("reference/vocabulary", "### coverage\n\nHow far an initiative reaches.\n\nCodes: `local`,"),
        ("decisions/index", "| 1 | [The RDF store is embedded, read by worker processes](0001-the-store-is-embedded.md) |"),
    ],
)  # fmt: skip
def test_the_site_has_each_option_default_and_help_text(page: str, row: str) -> None:
    assert row in generate(page, _text(f"{page}.md"))


@each(
    "page, old, new",
    [
        ("reference/commands", "`stocktake harvest`", "`stocktake harvests`"),
        ("reference/admin", "api /admin", "api /operators"),
        ("reference/settings", "STOCKTAKE_HUB", "STOCKTAKE_HUT"),
        ("reference/limits", "| `rows` |", "| `lines` |"),
        ("reference/sources", "| `pause` |", "| `interval` |"),
        ("reference/shapes", "rules Event", "rules Record"),
        ("reference/releases", "## Tables", "<!-- generated: nothing -->"),
    ],
)
def test_a_page_with_an_unknown_or_missing_name_ends_the_build(
    page: str, old: str, new: str
) -> None:
    text = (
        _text(f"{page}.md").replace("STOCKTAKE_WEBSUB_HUB`\n", "STOCKTAKE_HUB`\n").replace(old, new)
    )

    with pytest.raises(PageError, match=page):
        generate(page, text)


def test_no_page_names_an_unknown_setting() -> None:
    names = {
        name.removesuffix("_FILE")  # NAME_FILE is the setting NAME in a file
        for file in DOCS.rglob("*.md")
        for name in re.findall(r"STOCKTAKE_[A-Z_]+", file.read_text(encoding="utf-8"))
    }

    assert names - set(Settings.VARIABLES) == set()


@pytest.mark.parametrize("folder", REGISTRIES)
def test_every_protocol_and_mapping_has_its_page(folder: str) -> None:
    pages = {
        file.stem: file.read_text(encoding="utf-8")
        for file in (DOCS / "reference" / folder).glob("*.md")
    }

    assert set(pages) == set(REGISTRIES[folder])
    assert [name for name, text in pages.items() if not text.startswith(f"# `{name}`\n")] == []


@each(
    "file", [DOCS / "reference" / "protocols" / f"{name}.md" for name, row in PROTOCOLS.items() if row.options is not Options]
    + [DOCS / "reference" / "mappings" / f"{name}.md" for name, row in MAPPINGS.items() if row.options is not Options]
)  # fmt: skip
def test_every_page_of_an_entry_with_options_lists_them(file: Path) -> None:
    assert "<!-- generated: options -->" in file.read_text(encoding="utf-8")


def test_the_readme_counts_protocols_and_mappings() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert f"from {len(PROTOCOLS)} kinds of interface" in text
    assert f"with {len(MAPPINGS)} [mappings]" in text


def test_the_tree_of_errors_has_every_class() -> None:
    text = (ROOT / "harvesters/errors.py").read_text(encoding="utf-8")
    tree = text.partition('"""\n\n')[0]

    assert [
        name
        for name in re.findall(r"^class (\w+)", text, re.MULTILINE)
        if not re.search(rf"\b{name}\b", tree)
    ] == []


def _outcomes(kind: type[HarvestError]) -> Iterator[str]:
    yield kind.outcome
    for subclass in kind.__subclasses__():
        yield from _outcomes(subclass)


@each("name", ROUTERS)
def test_every_router_has_its_heading(name: str) -> None:
    assert re.search(rf"^#+ `{re.escape(name)}`", _text("reference/endpoints.md"), re.MULTILINE)


@pytest.mark.smoke
def test_every_endpoint_has_its_row_or_heading(tmp_path: Path) -> None:
    paths = set(_paths(create_app(QueryService(tmp_path, Iris())).routes))

    page = generate("reference/endpoints", _text("reference/endpoints.md"))
    documented = set(re.findall(r"`(?:GET |POST )?(/[^`\s]*)`", page))

    assert "/health" in paths
    assert paths - documented == set()


def test_every_name_has_its_row() -> None:
    outcomes = {"sent", "answered", "unchanged", "redirected", "retried"}
    names: dict[str, set[str]] = {
        "reference/mappings/fields.md": set().union(*FIELDS.values()),
        "explanation/benchmarks.md": {*NAMES, *OTHERS},
        "explanation/harvesting.md": outcomes | {*_outcomes(FetchError), *_outcomes(WebPageError)} - {FetchError.outcome},
        "reference/endpoints.md": {row.media.partition(";")[0] for row in (*GRAPHS.values(), *TABLES.values())},
    }  # fmt: skip

    assert {page: known - _rows(page) for page, known in names.items() if known - _rows(page)} == {}


def test_every_link_to_a_file_leads_to_one() -> None:
    link = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
    links = [
        (file, target)
        for file in PAGES
        for target in link.findall(file.read_text(encoding="utf-8"))
    ]

    assert len(links) > 200
    assert [
        f"{file}: {target}" for file, target in links if not (file.parent / target).exists()
    ] == []


def test_no_two_decisions_have_the_same_number() -> None:
    numbers = [int(file.name[:4]) for file in DECISIONS]

    assert len(numbers) == len(set(numbers))
    assert min(numbers) == 1


def test_every_decision_begins_with_its_number_date_and_status() -> None:
    rest = r"\. \S[^\n]*\n\n\d{4}-\d\d-\d\d, (proposed|accepted|superseded by \d+)\b"

    others = [
        file.name
        for file in DECISIONS
        if not re.match(f"# {int(file.name[:4])}{rest}", file.read_text(encoding="utf-8"))
    ]

    assert others == [], (
        "begin with '# NUMBER. TITLE', an empty line, then 'YYYY-MM-DD, accepted' (or proposed, superseded by N)"
    )


@pytest.mark.smoke
def test_all_files_that_the_site_is_built_from_exist() -> None:
    completed = subprocess.run(
        ["make", "--dry-run", "docs"], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )

    assert completed.returncode == 0, completed.stderr
