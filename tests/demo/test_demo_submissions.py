from __future__ import annotations

from pathlib import Path

from command_line.demo import ADDRESS, seed_submissions
from demo.source_definitions import open_submissions
from harvesters.ledger import submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.participation import SubmissionState
from harvesters.participation.check import DuplicateFinder, check
from harvesters.participation.model import normalize
from harvesters.source import load
from vocab.iris import BASE


def test_the_demo_opens_submissions_and_keeps_what_an_operator_changed(tmp_path: Path) -> None:
    open_submissions(tmp_path)
    definition = tmp_path / "submissions.toml"
    source = load(definition)
    definition.write_text(
        definition.read_text(encoding="utf-8").replace("Stocktake demo", "Another"),
        encoding="utf-8",
    )
    changed = definition.read_text(encoding="utf-8")
    open_submissions(tmp_path)

    assert (source.enabled, source.protocol, source.mapping) == (True, "submissions", "submission")
    assert definition.read_text(encoding="utf-8") == changed


def test_what_a_visitor_reported_is_valid_and_stored_once(tmp_path: Path) -> None:
    open_submissions(tmp_path)
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    seed_submissions(url)
    seed_submissions(url)

    ledger = Ledger(url)
    visitor = submissions.submitter_of(ledger, mail=ADDRESS)
    assert visitor
    items = submissions.of_submitter(ledger, visitor.id)
    source = load(tmp_path / "submissions.toml")
    checks = [
        check(ledger, item.content, item.id, source, BASE, DuplicateFinder()) for item in items
    ]
    published = list(submissions.published(ledger))
    ledger.close()

    assert {item.state for item in items} == {
        SubmissionState.ACCEPTED,
        SubmissionState.SUBMITTED,
        SubmissionState.CHANGES_REQUESTED,
    }
    assert all(normalize(item.content, BASE, "en") == item.content for item in items)
    assert [checked.findings for checked in checks if not checked.is_valid] == []
    assert [key for key, _ in published] == ["demo-mesh"]
