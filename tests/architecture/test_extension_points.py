from __future__ import annotations

import re
from pathlib import Path

from rows import each

from demo.source_definitions import write_sources
from harvesters.pipeline.record_processor import check_compatible
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.source import load

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
TEST_DEFINITIONS = sorted(TESTS.rglob("source_definitions/*.toml"))
DEFINITIONS = sorted([*(ROOT / "sources").glob("*.toml"), *TEST_DEFINITIONS])


def _demo_definitions(folder: Path) -> list[Path]:
    return [*write_sources("http://127.0.0.1:1", folder)]


def _accepts_payload(file: Path) -> bool:
    protocol, mapping = check_compatible(load(file))
    return protocol.payload_type in mapping.accepts


@each("file", DEFINITIONS)
def test_every_source_definition_is_valid(file: Path) -> None:
    assert _accepts_payload(file)


@each("file", TEST_DEFINITIONS)
def test_every_source_definition_has_its_test(file: Path) -> None:
    texts = "\n".join(
        module.read_text(encoding="utf-8")
        for module in sorted((TESTS / "harvesters").rglob("*.py"))
    )

    assert re.search(rf"\b{re.escape(file.stem)}\b", texts)


def test_every_source_definition_of_the_demo_is_valid(tmp_path: Path) -> None:
    invalid = [file.name for file in _demo_definitions(tmp_path) if not _accepts_payload(file)]

    assert invalid == []


@each("name", PROTOCOLS)
def test_every_protocol_has_its_test_module(name: str) -> None:
    assert (TESTS / "harvesters" / f"test_{name.replace('-', '_')}.py").exists()
