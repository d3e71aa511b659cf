"""Positions: at which entry of the journal something stands that follows it, in a small file of its folder."""

from __future__ import annotations

from pathlib import Path

NAME = "position"


def read_position(folder: Path) -> int:
    """Tell at which entry of the journal what *folder* shows stands, -1 where it shows nothing."""
    try:
        return int((folder / NAME).read_text())
    except (FileNotFoundError, ValueError):
        return -1


def write_position(folder: Path, entry: int) -> None:
    """Tell that what *folder* shows stands at the journal's entry number *entry*."""
    (folder / NAME).write_text(str(entry))
