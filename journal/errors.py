"""The hall's errors: JournalError > ChainError (a break in the log), FullError (it cannot be written)."""


class JournalError(Exception):
    """Something is wrong with the journal."""


class ChainError(JournalError):
    """An entry is torn, missing or not the one that its successor names; restore the file from a mirror or a backup."""


class FullError(JournalError):
    """The journal cannot be written; free space or mend the permissions, then run again: nothing half done is seen."""
