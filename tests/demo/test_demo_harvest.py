from __future__ import annotations

from pathlib import Path

import pytest
from demo_counts import expected_counts

from demo.registries import Demo
from demo.scenario import SHARES
from demo.source_definitions import write_sources
from harvesters.network.fetch import Fetch, NetworkSettings
from harvesters.page_model import DeletedRecord, Record
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.source import load


@pytest.mark.parametrize("name", SHARES)
def test_a_definition_leads_to_all_records_of_its_registry(
    demo: Demo, tmp_path: Path, name: str
) -> None:
    source = load(write_sources(demo.url, tmp_path, (name,))[0])
    protocol = PROTOCOLS[source.protocol]
    protocol.options.of(source)

    with Fetch(NetworkSettings(allow=frozenset({"127.0.0.1"})), pause=0) as fetch:
        items = [item for page in protocol.collect(source, fetch, None) for item in page.items]

    expected = expected_counts(600, 3)[name]
    gone = sum(isinstance(item, DeletedRecord) for item in items)
    assert sum(isinstance(item, Record) for item in items) == len(items) - gone == expected.records
    assert gone == (expected.deleted if name == "oai" else 0)
