"""Define the journal's exceptions.

JournalError
├── ChainError                an entry is broken, missing or not the one that its successor names
│   ├── DamagedHeadError      the newest entry is damaged
│   └── ForkError             another journal has diverged from this one
├── DataFormatError           the data directory is of a newer version, or its format file is damaged
├── JournalWriteError         the journal cannot be written
└── ReadOnlyMirrorError       the journal is a mirror
"""

from typing import ClassVar


class JournalError(Exception):
    """An error of the journal; a command that it ends exits with *exit_code*.

    The English *message* has a place such as ``%(path)s`` for each of the *values*. The catalogues
    have translations of messages with values.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message, self.values = message, {name: str(value) for name, value in values.items()}


class ChainError(JournalError):
    """An entry is broken, missing or not the one that its successor names; restore the file from a
    mirror or a backup.
    """


class DamagedHeadError(ChainError):
    """The newest entry of this journal is damaged, so that none can be chained to it."""


class ForkError(ChainError):
    """Another journal has diverged from this one: it has another entry, or none, at the same
    number.
    """


class DataFormatError(JournalError):
    """A data directory cannot be used by this version; the message says what to do."""

    exit_code = 2


class ReadOnlyMirrorError(JournalError):
    """The journal is a mirror, to which only its origin's entries are written."""


class JournalWriteError(JournalError):
    """The journal cannot be written; free space or correct the permissions, then run again. No
    partial entry is visible.
    """
