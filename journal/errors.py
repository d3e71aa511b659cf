"""Define the journal's exceptions.

JournalError
├── ChainError           an entry is broken, missing or not the one that its successor names
│   └── ForkError            another journal has diverged from this one
├── JournalWriteError    the journal cannot be written
└── ReadOnlyMirrorError  the journal is a mirror
"""


class JournalError(Exception):
    """Something is wrong with the journal."""


class ChainError(JournalError):
    """An entry is broken, missing or not the one that its successor names; restore the file from a mirror or a backup."""


class ForkError(ChainError):
    """Another journal has diverged from this one: it has another entry, or none, at the same number."""


class ReadOnlyMirrorError(JournalError):
    """The journal is a mirror, to which only its origin's entries are written."""


class JournalWriteError(JournalError):
    """The journal cannot be written; free space or correct the permissions, then run again. No partial entry is visible."""
