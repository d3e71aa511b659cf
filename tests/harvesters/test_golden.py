from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import replay
from replay import crosswalks

from harvesters.errors import ParseError
from harvesters.mappings.mapping import MAPPINGS
from harvesters.network.fetch import Fetch, NetworkSettings
from harvesters.page_model import DeletedRecord, Record
from harvesters.pipeline.record_processor import check_compatible
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.source import load
from vocab.describe import describe
from vocab.iris import Iris
from vocab.terms import DCT

REPLIES = Path(__file__).parent / "replies"
FOLDERS = sorted(folder.name for folder in REPLIES.iterdir())
SHORT = Iris("https://w3id.org/wsis-stocktaking/")


def map_words(name: str) -> list[str]:
    """Return the statements of the records in a folder's reply, and a line for each record that is
    deleted or unreadable.
    """
    folder = REPLIES / name
    source = load(folder / "source.toml")
    protocol, reader = check_compatible(source)
    read = reader.prepare(source, crosswalks())
    lines = []
    with Fetch(NetworkSettings(transport=replay.played(folder)), pause=0, robots=False) as fetch:
        for item in (item for page in protocol.collect(source, fetch, None) for item in page.items):
            if isinstance(item, Record):
                try:
                    lines += [f"{line} ." for line in describe(read(item), SHORT, name)]
                except ParseError as error:
                    lines.append(f"# unreadable: {error}")
            else:
                lines.append(
                    f"# gone: {item.key}"
                    if isinstance(item, DeletedRecord)
                    else f"# unreadable: {item.reason}"
                )
    return lines


@pytest.mark.parametrize("name", FOLDERS)
def test_a_reply_becomes_the_statements_that_lie_beside_it(name: Any) -> None:
    file = REPLIES / name / "expected.nt"
    if not file.exists():
        file.write_text("".join(f"{line}\n" for line in map_words(name)), encoding="utf-8")
        pytest.fail(
            f"{file} was missing and has been written; check each statement and run the test again"
        )

    assert map_words(name) == file.read_text(encoding="utf-8").splitlines()


def test_every_protocol_and_every_mapping_has_its_reply() -> None:
    definitions = [load(REPLIES / name / "source.toml") for name in FOLDERS]

    assert {definition.protocol for definition in definitions} == set(PROTOCOLS)
    assert {definition.mapping for definition in definitions} == set(MAPPINGS)


def test_no_person_is_published_but_the_creator_of_a_document() -> None:
    lines = [line for name in FOLDERS for line in map_words(name)]

    persons = [line for line in lines if "jane" in line.lower() or "doe" in line.lower()]
    assert [
        line for line in persons if not ("/id/document/" in line and f"> <{DCT}creator> " in line)
    ] == []
    assert [line for line in lines if "@example" in line] == []
