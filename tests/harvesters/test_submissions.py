from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import replay

from harvesters.errors import ParseError
from harvesters.ledger import submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.participation import Submission, SubmissionEvent, SubmissionState
from harvesters.mappings.mapping import MAPPINGS
from harvesters.network.fetch import Fetch, NetworkSettings
from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.pipeline.record_processor import load_crosswalks
from harvesters.protocols.submissions import collect
from harvesters.runs.collect import SubmissionTransport
from harvesters.source import Source, parse
from vocab.iris import BASE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEFINITION = {"title": "Submissions", "protocol": "submissions", "mapping": "submission", "url": "https://registry.example/submissions",
              "licence": "https://creativecommons.org/licenses/by/4.0/"}  # fmt: skip


@pytest.fixture
def source() -> Source:
    return parse("submissions", DEFINITION, "test")


def pages(source: Source, body: object) -> list[Any]:
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, content=json.dumps(body).encode())
    )
    with Fetch(NetworkSettings(transport=transport), pause=0, robots=False) as fetch:
        return list(collect(source, fetch, None))


def test_accepted_submissions_are_records_and_withdrawn_ones_are_deleted(source: Source) -> None:
    (page,) = pages(source, {"accepted": {"a": {"type": "Event"}, "b": []}, "withdrawn": ["c"]})

    assert [(type(item), item.key) for item in page.items] == [
        (Record, "a"),
        (InvalidRecord, "b"),
        (DeletedRecord, "c"),
    ]


def test_an_empty_list_is_no_change(source: Source) -> None:
    (page,) = pages(source, {"accepted": {}, "withdrawn": []})

    assert (page.unchanged, page.items) == (True, ())


@pytest.mark.parametrize(
    "body", [[], {}, {"accepted": []}, {"accepted": {}}, {"accepted": {}, "withdrawn": {}}]
)
def test_another_answer_ends_the_run(source: Source, body: object) -> None:
    with pytest.raises(ParseError, match="is not a list of submissions"):
        pages(source, body)


def test_the_ledger_answers_with_what_was_accepted_and_without_authors(
    tmp_path: Path, source: Source
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    content = {"type": "Event", "title": {"en": "Open day"}}
    for id in ("accepted", "waiting", "withdrawn"):
        new = Submission(
            id, "jane", SubmissionState.SUBMITTED, 1, content, None, "Open day", "en", NOON, NOON
        )
        submissions.add(ledger, (new, SubmissionEvent("submitted", "submitter", NOON)))
        event = SubmissionEvent("accepted", "a moderator", NOON)
        values = {
            "published": content,
            "first_accepted": NOON,
            "withdrawn": NOON if id == "withdrawn" else None,
        }
        assert id == "waiting" or submissions.change(ledger, new, event, values)

    with Fetch(
        NetworkSettings(transport=SubmissionTransport(ledger)), pause=0, robots=False
    ) as fetch:
        (page,) = collect(source, fetch, None)
    ledger.close()

    assert [(type(item), item.key) for item in page.items] == [
        (Record, "accepted"),
        (DeletedRecord, "withdrawn"),
    ]
    assert isinstance(page.items[0], Record)
    assert page.items[0].payload == content


def test_a_submission_of_an_unknown_type_is_unreadable(source: Source) -> None:
    read = MAPPINGS["submission"].prepare(source, load_crosswalks(BASE))

    with pytest.raises(ParseError, match="its type is 'Person'"):
        read(Record("a", {"type": "Person"}, b""))


def test_a_reply_of_every_type_is_recorded() -> None:
    recorded = json.loads(
        (Path(replay.__file__).parent / "replies" / "submission" / "reply.json").read_bytes()
    )

    assert {content["type"] for content in recorded["accepted"].values()} == {
        "Initiative",
        "Event",
        "Document",
        "Post",
    }
