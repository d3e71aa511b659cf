"""Tables of what curators decided, beside the source definitions: one line is written at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from harvesters.errors import SourceDefinitionError
from harvesters.reasons import Reason
from journal.atomic_file import replace_file
from journal.file_lock import FileLock

LineT = TypeVar("LineT")


def replace_line(
    file: Path,
    item: LineT,
    is_replaced: Callable[[LineT], bool],
    read: Callable[[Path], tuple[list[LineT], list[Reason]]],
    write: Callable[[Iterable[LineT]], str],
) -> None:
    """Write *item* to the table *file*, in place of the lines that *is_replaced* accepts; one
    writer at a time.

    Raises SourceDefinitionError with each line of the table that cannot be read, or if the file
    cannot be written; it is then unchanged.
    """
    try:
        file.parent.mkdir(exist_ok=True)
        with FileLock(file.with_name(f".{file.name}.lock"), wait=True):
            items, faults = read(file)
            if faults:
                raise SourceDefinitionError(*faults)
            replace_file(file, write([*(other for other in items if not is_replaced(other)), item]))
    except OSError as error:
        raise SourceDefinitionError(f"{file}: {error.strerror}; nothing was stored") from error
