"""The ledger: runs, drafts and records; a page and its checkpoint are kept together."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvesters.errors import LedgerError
from harvesters.ledger.account import Change, Draft, Outcome, Presence, Rewritten, Run, State
from harvesters.ledger.book import Ledger
from harvesters.ledger.missed import Absentee, Twin
from harvesters.ledger.settling import KEPT
from harvesters.network.fetch import Validator
from harvesters.record import Position

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


def settled(ledger: Ledger, *drafts: Draft, rewritten: Iterable[Rewritten] = ()) -> Run:
    run = replace(begun(ledger), state=State.COMMITTED)
    ledger.stage(run, drafts, 0)
    ledger.settle(run, rewritten)
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


def test_what_a_run_does_not_meet_is_absent(ledger: Ledger) -> None:
    settled(ledger, new("a"), new("b"))
    run = begun(ledger)
    ledger.stage(run, [Draft("a", Outcome.UNCHANGED, "digest of a")], 0)

    assert list(ledger.absent(run)) == [Absentee("b", Presence.PUBLISHED, 0, None)]


def test_a_vanished_record_is_still_served_with_its_mark_and_its_misses(ledger: Ledger) -> None:
    settled(ledger, new("a"), new("b"))
    run = begun(ledger)
    ledger.stage(run, [Draft("a", Outcome.UNCHANGED, "digest of a")], 0)
    ledger.plan(run, {}, lambda: iter([Draft("b", Outcome.VANISHED)]))

    ledger.settle(run, [Rewritten(-1, "b", Presence.VANISHED, "<b> <p> <marked>", NOW)])

    later = begun(ledger)
    ledger.stage(later, [Draft("a", Outcome.UNCHANGED, "digest of a")], 0)
    assert ledger.published("s") == 2
    assert list(ledger.absent(later)) == [Absentee("b", Presence.VANISHED, 1, NOW)]


def test_a_record_that_comes_back_has_no_misses(ledger: Ledger) -> None:
    settled(ledger, new("a"), new("b"))
    run = begun(ledger)
    ledger.plan(run, {}, lambda: iter([Draft("a", Outcome.VANISHED), Draft("b", Outcome.VANISHED)]))
    ledger.settle(run, [Rewritten(-2, "b", Presence.VANISHED, "<b> <p> <marked>", NOW)])
    back = begun(ledger)
    ledger.stage(back, [Draft("b", Outcome.RETURNED, "digest of b")], 0)

    ledger.settle(back, [Rewritten(0, "b", Presence.PUBLISHED, "<b> <p> <o>")])

    assert list(ledger.absent(begun(ledger)))[1] == Absentee("b", Presence.PUBLISHED, 0, None)


def test_a_changed_draft_comes_with_the_description_before_it(ledger: Ledger) -> None:
    settled(ledger, new("a", "<a> <p> <old>"))
    run = begun(ledger)
    changed = replace(new("a", "<a> <p> <new>"), outcome=Outcome.CHANGED)
    ledger.stage(run, [changed], 0)

    assert list(ledger.changes(run, [Outcome.CHANGED])) == [Change(0, changed, "<a> <p> <old>", Presence.PUBLISHED)]


def test_a_gone_record_keeps_its_tombstone_and_is_no_longer_published(ledger: Ledger) -> None:
    settled(ledger, new("a"))
    settled(ledger, Draft("a", Outcome.DELETED), rewritten=[Rewritten(0, "a", Presence.GONE, "<a> <p> <tombstone>")])

    assert ledger.known("s", ["a"])["a"].gone
    assert ledger.published("s") == 0


def test_a_new_draft_that_says_what_an_absent_record_says_has_moved(ledger: Ledger) -> None:
    settled(ledger, replace(new("a"), likeness=7), replace(new("b"), likeness=8))
    run = begun(ledger)
    ledger.stage(run, [replace(new("z"), likeness=7), replace(new("y"), likeness=9)], 0)

    assert ledger.moved(run) == {"a": "z"}


def test_drafts_that_say_the_same_have_not_moved_since_which_is_which_cannot_be_told(ledger: Ledger) -> None:
    settled(ledger, *(replace(new(key), likeness=7) for key in "ab"), replace(new("c"), likeness=8))
    run = begun(ledger)
    ledger.stage(run, [replace(new("x"), likeness=7), *(replace(new(key), likeness=8) for key in "yz")], 0)

    assert ledger.moved(run) == {}


def test_a_plan_may_be_drawn_again(ledger: Ledger) -> None:
    settled(ledger, replace(new("a"), likeness=7))
    run = begun(ledger)
    ledger.stage(run, [replace(new("z"), likeness=7)], 0)

    for _ in range(2):
        ledger.plan(run, ledger.moved(run), lambda: iter([Draft("a", Outcome.REPLACED, other="z")]))

    listed = [(draft.key, draft.outcome, draft.other) for draft in ledger.listed(run, Outcome)]
    assert listed == [("z", Outcome.REIDENTIFIED, "a"), ("a", Outcome.REPLACED, "z")]


def test_a_record_of_another_source_that_says_the_same_or_has_the_same_page_is_a_twin(ledger: Ledger) -> None:
    settled(ledger, *(replace(new(key), likeness=7, page=3) for key in "ab"))
    for source in ("r", "t"):
        run = ledger.begin(source, NOW, "rules", sweep=True, since=None)
        ledger.stage(run, [replace(new("1"), likeness=7), replace(new("2"), page=3), replace(new("3"), likeness=5, page=4)], 0)

        assert ledger.twins(run, 10) == [Twin("1", "s", "a", page=False), Twin("2", "s", "a", page=True)]


def test_what_was_unchanged_stays_listed_when_the_run_is_settled(ledger: Ledger) -> None:
    settled(ledger, new("a"), new("b"))
    at = Position("s/s.2.warc.gz", 10, 20)

    run = settled(ledger, *(Draft(key, Outcome.UNCHANGED, f"digest of {key}", at=at) for key in "ab"))

    assert list(ledger.listed(run, [Outcome.UNCHANGED])) == [Draft("a", Outcome.UNCHANGED, at=at), Draft("b", Outcome.UNCHANGED, at=at)]
    assert ledger.outcomes(run)[Outcome.UNCHANGED] == 2


def test_the_records_of_the_last_thirty_runs_are_listed(ledger: Ledger) -> None:
    first = settled(ledger, Draft("b", Outcome.WITHHELD, reason="no title"))
    second = settled(ledger, Draft("b", Outcome.WITHHELD, reason="no title"))

    for _ in range(KEPT - 1):
        settled(ledger)

    assert (len(ledger.troubles(first)), len(ledger.troubles(second))) == (0, 1)


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
