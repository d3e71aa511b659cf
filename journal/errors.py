"""The hall's errors: JournalError > ChainError (a break in the log) > ForkError, FullError (it cannot be written), CopyError."""


class JournalError(Exception):
    """Something is wrong with the journal."""


class ChainError(JournalError):
    """An entry is torn, missing or not the one that its successor names; restore the file from a mirror or a backup."""


class ForkError(ChainError):
    """Another journal has parted from ours: it names another entry, or none, where we hold one."""


class CopyError(JournalError):
    """The journal is a copy of another's, in which nothing but that is written."""


class FullError(JournalError):
    """The journal cannot be written; free space or mend the permissions, then run again: nothing half done is seen."""
