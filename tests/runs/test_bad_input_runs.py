from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from harvesters.errors import HarvestError
from harvesters.ledger.models import State
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import Source, parse

FEEDS = Path(__file__).parents[3] / "shared" / "feeds"
OAI = b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'
MADE = [b"", b"\xff\xfe", b"[" * 1000, b"<html><p>Log in", OAI + b"<ListRecords><record>"]
MADE += [OAI + b'<error code="badArgument"/></OAI-PMH>']
REAL = [
    *(file for folder in ("broken", "html") for file in sorted((FEEDS / folder).glob("*"))),
    *(FEEDS / "oai").glob("sickle_ListRecordsBroken.xml"),
    *(FEEDS / "oai").glob("sickle_undefinedError.xml"),
]
CARDS = {"oai-pmh": "oai_dc", "ckan": "ckan_package", "json": "fields"}


def definition(protocol: str) -> Source:
    table = {
        "title": "StoreFailure", "protocol": protocol, "mapping": CARDS[protocol], "url": "https://broken.example/api",
        "licence": "https://example.org/l", "pause": 0, "fields": {"title": "name"} if protocol == "json" else {},
    }  # fmt: skip
    return parse(f"broken-{protocol}", table, "test")


@pytest.mark.parametrize("protocol", CARDS)
def test_no_bad_response_changes_published_data(
    protocol: str, source: Source, context: HarvestContext
) -> None:
    harvest(source, context)
    published = [path.read_bytes() for path in sorted(context.journal.folder.glob("*.gz"))]
    ended, output = set(), []

    for content in [*MADE, *(file.read_bytes() for file in REAL)]:
        bad = replace(
            context,
            network=replace(
                context.network,
                transport=httpx.MockTransport(
                    lambda _, content=content: httpx.Response(200, content=content)
                ),
            ),
        )
        try:
            ended.add(harvest(definition(protocol), bad).run.state)
        except HarvestError as error:
            output.append(str(error))
            ended.add(context.ledger.runs(f"broken-{protocol}")[0].state)

    assert ended <= {State.FAILED, State.HELD}
    assert all("broken" in message for message in output)
    assert [path.read_bytes() for path in sorted(context.journal.folder.glob("*.gz"))] == published
