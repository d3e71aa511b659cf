"""The ledger: runs, drafts and records; a page and its checkpoint are kept together."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvesters.errors import LedgerError
from harvesters.fetch import Validator
from harvesters.ledger.account import Draft, Outcome, Run, State
from harvesters.ledger.book import Ledger

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    yield book
    book.close()


def new(key: str, *statements: str) -> Draft:
    return Draft(key, Outcome.NEW, f"digest of {key}", f"content of {key}", NOW, "\n".join(statements) or f"<{key}> <p> <o>")


def begun(ledger: Ledger) -> Run:
    return ledger.begin("s", NOW, "rules", sweep=True, since=None)


def settled(ledger: Ledger, *drafts: Draft, tombstones: dict[str, str] | None = None) -> Run:
    run = replace(begun(ledger), state=State.COMMITTED)
    ledger.stage(run, drafts, 0)
    ledger.settle(run, tombstones or {})
    return run


def test_runs_of_a_source_are_numbered(ledger: Ledger) -> None:
    assert [begun(ledger).id, begun(ledger).id] == ["s.1", "s.2"]


def test_an_unfinished_run_is_found_as_its_checkpoint_left_it(ledger: Ledger) -> None:
    run = replace(begun(ledger), cursor="page 2", pages=1, claimed=9, archived=123)
    ledger.stage(run, [new("a"), Draft(None, Outcome.UNREADABLE, reason="no key")], 0)

    assert ledger.open_run("s") == run
    assert ledger.staged(run) == 2
    assert ledger.met(run, ["a", "b"]) == {"a"}


def test_a_settled_run_has_published_its_new_records(ledger: Ledger) -> None:
    settled(ledger, new("a"), new("b"))

    known = ledger.known("s", ["a", "b", "c"])
    assert sorted(known) == ["a", "b"]
    assert known["a"].digest == "digest of a"
    assert ledger.published("s") == 2


def test_what_a_sweep_does_not_meet_has_vanished(ledger: Ledger) -> None:
    settled(ledger, new("a"), new("b"))
    run = begun(ledger)
    ledger.stage(run, [Draft("a", Outcome.UNCHANGED, "digest of a")], 0)

    assert ledger.vanished(run) == 1
    assert list(ledger.lost(run, misses=1)) == []


def test_a_record_that_two_sweeps_miss_is_lost(ledger: Ledger) -> None:
    settled(ledger, new("a"), new("b"))
    settled(ledger, Draft("a", Outcome.UNCHANGED, "digest of a"))
    run = begun(ledger)
    ledger.stage(run, [Draft("a", Outcome.UNCHANGED, "digest of a")], 0)

    assert list(ledger.lost(run, misses=1)) == [("b", NOW, "<b> <p> <o>")]


def test_a_record_that_comes_back_has_no_misses(ledger: Ledger) -> None:
    settled(ledger, new("a"), new("b"))
    settled(ledger, Draft("a", Outcome.UNCHANGED, "digest of a"))
    settled(ledger, Draft("a", Outcome.UNCHANGED, "digest of a"), Draft("b", Outcome.UNCHANGED, "digest of b"))
    run = begun(ledger)

    assert list(ledger.lost(run, misses=1)) == []


def test_a_changed_draft_comes_with_the_description_before_it(ledger: Ledger) -> None:
    settled(ledger, new("a", "<a> <p> <old>"))
    run = begun(ledger)
    changed = replace(new("a", "<a> <p> <new>"), outcome=Outcome.CHANGED)
    ledger.stage(run, [changed], 0)

    assert list(ledger.drafts(run, [Outcome.CHANGED])) == [(changed, "<a> <p> <old>")]


def test_a_gone_record_keeps_its_tombstone_and_is_no_longer_published(ledger: Ledger) -> None:
    settled(ledger, new("a"))
    settled(ledger, Draft("a", Outcome.GONE), tombstones={"a": "<a> <p> <tombstone>"})

    assert ledger.known("s", ["a"])["a"].gone
    assert ledger.published("s") == 0


def test_what_was_not_published_stays_listed_with_its_reason(ledger: Ledger) -> None:
    run = settled(ledger, new("a"), Draft("b", Outcome.WITHHELD, reason="no title"))

    assert [(draft.key, draft.reason) for draft in ledger.troubles(run)] == [("b", "no title")]


def test_reasons_are_counted_the_commonest_first(ledger: Ledger) -> None:
    withheld = [Draft(key, Outcome.WITHHELD, reason="no title") for key in ("a", "c")]
    others = [Draft("b", Outcome.UNREADABLE, reason="cut"), Draft("d", Outcome.DUPLICATE, reason="twice")]

    run = settled(ledger, *withheld, *others)

    assert list(ledger.reasons(run).items()) == [("no title", 2), ("cut", 1)]


def test_a_forgotten_run_leaves_no_trace(ledger: Ledger) -> None:
    run = begun(ledger)
    ledger.stage(run, [new("a")], 0)

    ledger.forget(run)

    assert ledger.runs() == []
    assert ledger.staged(run) == 0


def test_validators_are_replaced_whole(ledger: Ledger) -> None:
    ledger.set_validators("s", {"https://x.example/1": Validator('"1"', None)})
    ledger.set_validators("s", {"https://x.example/2": Validator(None, "yesterday"), "https://x.example/3": Validator(None, None)})

    assert ledger.validators("s") == {"https://x.example/2": Validator(None, "yesterday")}


def test_a_ledger_is_opened_again_as_it_was(ledger: Ledger, tmp_path: Path) -> None:
    settled(ledger, new("a"))

    again = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite")

    assert again.published("s") == 1
    again.close()


@pytest.mark.parametrize("url", ["mysql://host/x", "no url", "sqlite:////no/such/folder/ledger.sqlite"])
def test_a_ledger_that_cannot_be_opened_says_so(url: str) -> None:
    with pytest.raises(LedgerError):
        Ledger(url)
