"""The doors: what anyone can add (a protocol, a mapping, a card) comes with what tries it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.source_definitions import write_sources
from harvesters.compatibility import check_compatible
from harvesters.mappings.registry import MAPPINGS
from harvesters.protocols.registry import PROTOCOLS
from harvesters.source import load

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
CARDS = sorted([*(ROOT / "sources").glob("*.toml"), *TESTS.rglob("cards/*.toml")])


def _played(folder: Path) -> Iterator[Path]:
    yield from write_sources("http://127.0.0.1:1", folder)


def _modules(room: str) -> str:
    """Join the sources of a room's tests."""
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted((TESTS / room).rglob("*.py")))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_every_card_is_good(card):
    source = load(card)

    assert check_compatible(source)[0].payload_type in check_compatible(source)[1].accepts


@pytest.mark.parametrize("card", [card for card in CARDS if card.is_relative_to(TESTS)], ids=lambda card: card.stem)
def test_every_card_has_its_test(card):
    assert re.search(rf"\b{re.escape(card.stem)}\b", _modules("harvesters"))


def test_every_card_of_the_demo_is_good(tmp_path):
    sources = [load(card) for card in _played(tmp_path)]

    assert [check_compatible(source)[0].payload_type in check_compatible(source)[1].accepts for source in sources] == [True] * len(sources)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_played_by_the_demo_or_by_recorded_answers(name, tmp_path):
    assert name in {load(card).protocol for card in [*_played(tmp_path), *CARDS]}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_has_the_tests_of_its_rules(name):
    assert (TESTS / "harvesters" / f"test_{name.replace('-', '_')}.py").exists()


@pytest.mark.parametrize("name", MAPPINGS)
def test_every_mapping_has_its_golden_reply(name):
    folder = TESTS / "harvesters" / "replies" / name

    assert load(folder / "card.toml").mapping == name
    assert (folder / "expected.nt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MAPPINGS)
def test_every_mapping_is_tried_on_real_records(name):
    assert name in {load(card).mapping for card in CARDS}
