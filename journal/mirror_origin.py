"""Origin: whose journal a journal is a copy of; a mirror says so in a file beside its entries, which both wings read."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from journal.errors import JournalError

NAME = "origin.json"


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """An entry of the origin that failed a check of the mirror, at *time* (UTC), for *reason*.

    *file* is where it is quarantined, in the data folder; *etag* is what the origin calls it, None where it does not say.
    """

    number: int
    reason: str
    time: str
    file: str
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The Stocktake at *url* whose IRIs begin with *base*.

    *head* is the number of its newest entry when it was last asked, at *asked* (UTC, "" before the first answer); *trouble* tells why
    the mirror could not follow it then, "" where it could. *refused* is the entry that the mirror does not take, None where there is none.
    """

    url: str
    base: str
    head: int = 0
    asked: str = ""
    trouble: str = ""
    refused: RefusedEntry | None = None


def read(folder: Path) -> Origin | None:
    """Give the origin of the journal in *folder*, None where the journal is no mirror; raises JournalError where that cannot be told."""
    try:
        values = json.loads((folder / NAME).read_bytes())
        refused = values.pop("refused", None)
        return Origin(**values, refused=RefusedEntry(**refused) if refused else None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise JournalError(f"{folder / NAME} cannot be read ({error}); write it again with stocktake mirror URL, or remove it") from error


def write(folder: Path, origin: Origin) -> None:
    """Note the origin; the file is replaced whole."""
    part = folder / f"{NAME}.new"
    with part.open("w", encoding="utf-8") as file:
        json.dump(asdict(origin), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / NAME)
