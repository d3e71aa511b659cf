"""Read and write the number of the last journal entry that an index holds, a small file in its
folder.
"""

from __future__ import annotations

from pathlib import Path

NAME = "position"


def read_position(folder: Path) -> int:
    """Return the number of the journal entry that *folder* shows, -1 where it shows nothing."""
    try:
        return int((folder / NAME).read_text())
    except (FileNotFoundError, ValueError):
        return -1


def write_position(folder: Path, entry: int) -> None:
    """Record that *folder* shows the journal up to entry number *entry*."""
    (folder / NAME).write_text(str(entry))
