"""Check the files of the journal, and describe what is damaged in any file of a data directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from journal.entry import read_header
from journal.errors import ChainError, JournalError
from journal.journal import Journal

_REMEDY = "restore this file from a backup or a mirror (docs: How to back up)"


@dataclass(frozen=True, slots=True)
class Fault:
    """One damaged file or row: *name* is relative to the data directory, *remedy* is what a person
    must do.
    """

    name: str
    problem: str
    remedy: str


def journal_faults(journal: Journal) -> Iterator[Fault]:
    """Read every entry, and yield one fault for each that is missing, does not match its hash, or
    does not follow the one before, or that the object store of a shared journal lacks.

    Reads about 100 MB of uncompressed entries a second. Entries are never repaired: nothing else
    holds all that they hold.
    """
    if journal.store:
        try:
            journal.compare(journal.store)
        except ChainError as error:
            # its text ends with what to do
            problem, _, remedy = str(error).rpartition("; ")
            yield Fault(journal.store.url, problem, remedy)
        except JournalError as error:
            yield Fault(journal.store.url, str(error), "check its address, then verify again")
    expected, previous = 1, ""
    for path in journal.paths():
        name, number = f"{journal.folder.name}/{path.name}", int(path.name.split(".")[0])
        if number != expected:
            missing = (
                f"entries {expected} to {number - 1} are"
                if number > expected + 1
                else f"entry {expected} is"
            )
            yield Fault(name, f"{missing} missing before it", _REMEDY)
            previous = ""
        expected = number + 1
        try:
            entry = read_header(path)
            if (previous and entry.previous != previous) or (number == 1 and entry.previous):
                yield Fault(
                    name,
                    f"follows the entry {entry.previous}, but {previous or 'nothing'} is before it",
                    _REMEDY,
                )
            entry.check()
        except (ChainError, UnicodeDecodeError) as error:
            yield Fault(name, str(error), _REMEDY)
            previous = ""
        else:
            previous = entry.id
