"""Read and write the origin of a mirror, whose journal it copies, in a file beside its entries."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, with_config

from journal.errors import JournalError
from journal.files import replace_file

# Bytes of an unpacked entry: the first harvest of ten million records has about so many.
LARGEST = 64 << 30

NAME = "origin.json"


_FORBID = ConfigDict(extra="forbid")


@with_config(_FORBID)
@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """An entry of the origin that failed a check of the mirror, at *time* (UTC), for *reason*.

    *file* is its path in quarantine, in the data folder; *etag* is its ETag at the origin, None if
    it sent none.
    """

    number: int
    reason: str
    time: str
    file: str
    etag: str | None = None


@with_config(_FORBID)
@dataclass(frozen=True, slots=True)
class Origin:
    """The Stocktake at *url* whose IRIs begin with *base*.

    *head* is the number of its newest entry at the last request, at *checked* (UTC, "" before the
    first answer); *error* is why the mirror could not follow it then, "" if it could. *refused* is
    the entry that failed a check, None if there is none.
    """

    url: str
    base: str
    head: int = 0
    checked: str = ""
    error: str = ""
    refused: RefusedEntry | None = None


_ORIGIN = TypeAdapter(Origin)


def read(folder: Path) -> Origin | None:
    """Return the origin of the journal in *folder*, None if the journal is not a mirror; raises
    JournalError if the file is invalid.
    """
    try:
        return _ORIGIN.validate_json((folder / NAME).read_bytes(), strict=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise JournalError(
            f"{folder / NAME} cannot be read ({problem}); write it again with stocktake mirror URL, or remove it"
        ) from error


def write(folder: Path, origin: Origin) -> None:
    replace_file(folder / NAME, json.dumps(asdict(origin)))
