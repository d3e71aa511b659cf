import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from damage import count_verified

from journal.errors import ChainError, JournalWriteError
from journal.journal import Journal, journal_faults

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONE = 'A <urn:s> <urn:p> "one" <urn:g> .'
TWO = 'D <urn:s> <urn:p> "one" <urn:g> .\nA <urn:s> <urn:p> "two" <urn:g> .'


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    log = Journal(tmp_path / "journal")
    log.append([ONE], run="s.1", time=NOW)
    log.append([TWO], run="s.2", time=NOW)
    return log


def test_an_empty_journal_has_no_head(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    assert journal.head is None
    assert list(journal.entries()) == []
    assert count_verified(journal) == 0


def test_an_entry_has_its_rows_and_the_id_of_the_previous_entry(journal: Journal) -> None:
    first, second = journal.entries()

    assert list(first.rows()) == [ONE]
    assert list(second.rows()) == TWO.split("\n")
    assert (first.number, first.previous, first.run, first.time) == (1, None, "s.1", NOW)
    assert (second.number, second.previous) == (2, first.id)
    assert journal.head == second


def test_entries_are_read_from_a_position(journal: Journal) -> None:
    assert [entry.number for entry in journal.entries(after=1)] == [2]


def test_a_run_that_lost_its_lock_appends_nothing(journal: Journal) -> None:
    def fence() -> None:
        raise PermissionError("the lock is lost")

    with pytest.raises(JournalWriteError, match="the lock is lost"):
        journal.append([ONE], run="s.3", time=NOW, fence=fence)

    assert count_verified(journal) == 2
    assert [
        path.name for path in journal.folder.iterdir() if path.suffix in (".part", ".body")
    ] == []


def test_a_number_is_used_once_by_concurrent_writers(journal: Journal) -> None:
    def another() -> None:
        (journal.folder / "000000003.rdfp.gz").write_bytes(
            (journal.folder / "000000002.rdfp.gz").read_bytes()
        )

    with pytest.raises(JournalWriteError, match="another writer has taken number 3"):
        journal.append([ONE], run="s.3", time=NOW, fence=another)


def test_an_entry_is_an_rdf_patch_with_its_header_first(journal: Journal) -> None:
    entry = list(journal.entries())[1]

    lines = gzip.decompress(entry.path.read_bytes()).decode().split("\n")

    assert lines[:2] == [
        f"H id <urn:sha256:{entry.id}> .",
        f"H prev <urn:sha256:{entry.previous}> .",
    ]
    assert lines[2:5] == ['H run "s.2" .', 'H time "2026-01-02T03:04:05Z" .', "TX ."]
    assert lines[-2:] == ["TC .", ""]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    entries = [
        Journal(tmp_path / name).append([ONE, TWO], run="s.1", time=NOW) for name in ("a", "b")
    ]

    assert entries[0].path.read_bytes() == entries[1].path.read_bytes()


def test_a_valid_chain_is_verified(journal: Journal) -> None:
    assert count_verified(journal) == 2


def test_a_changed_entry_breaks_the_chain(journal: Journal) -> None:
    entry = next(journal.entries())
    entry.path.write_bytes(
        gzip.compress(gzip.decompress(entry.path.read_bytes()).replace(b"one", b"eno"))
    )

    assert "does not match its id" in next(journal_faults(journal)).problem


def test_a_missing_entry_is_a_gap(journal: Journal) -> None:
    next(journal.entries()).path.unlink()

    with pytest.raises(ChainError, match="entry 1 is missing"):
        list(journal.entries())


def test_an_entry_with_another_previous_id_breaks_the_chain(
    journal: Journal, tmp_path: Path
) -> None:
    other = Journal(tmp_path / "other")
    other.append(['A <urn:s> <urn:p> "other" <urn:g> .'], run="s.1", time=NOW)
    next(journal.entries()).path.write_bytes(next(other.entries()).path.read_bytes())

    assert "follows the entry" in next(journal_faults(journal)).problem


@pytest.mark.parametrize("bytes_lost", [1, 20, 60])
def test_a_truncated_last_entry_is_moved_aside(journal: Journal, bytes_lost: int) -> None:
    last = journal.head
    assert last is not None
    last.path.write_bytes(last.path.read_bytes()[:-bytes_lost])

    assert journal.recover() == journal.folder / "000000002.rdfp.gz.torn"
    assert [entry.number for entry in journal.entries()] == [1]


def test_a_complete_unverified_last_entry_is_kept(journal: Journal) -> None:
    (journal.folder / "verified").unlink()

    assert journal.recover() is None

    assert (journal.folder / "verified").read_text().startswith("000000002.rdfp.gz ")


def test_a_truncated_unverified_last_entry_is_moved_aside(journal: Journal) -> None:
    last = journal.head
    assert last is not None
    (journal.folder / "verified").unlink()
    last.path.write_bytes(last.path.read_bytes()[:-1])

    assert journal.recover() is not None


def test_incomplete_files_of_a_crash_are_removed(journal: Journal) -> None:
    for name in ("000000003.rdfp.part", "000000003.rdfp.body"):
        (journal.folder / name).write_bytes(b"half")

    assert journal.recover() is None

    assert not [path for path in journal.folder.iterdir() if path.suffix in {".part", ".body"}]
    assert count_verified(journal) == 2


def test_an_unwritable_journal_raises_and_shows_no_new_entry(journal: Journal) -> None:
    def broken() -> Iterator[str]:
        yield ONE
        raise OSError(28, "No space left on device")

    with pytest.raises(JournalWriteError, match=r"s\.3 could not be written: .*No space left"):
        journal.append(broken(), run="s.3", time=NOW)

    assert count_verified(journal) == 2
    assert sorted(path.name for path in journal.folder.iterdir()) == [
        "000000001.rdfp.gz",
        "000000002.rdfp.gz",
        "lock",
        "verified",
    ]
