"""Store whose journal a mirror copies, in a file beside its entries."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar, get_type_hints

from journal.atomic_file import replace_file
from journal.errors import JournalError

NAME = "origin.json"


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


_Item = TypeVar("_Item", Origin, RefusedEntry)


def read(folder: Path) -> Origin | None:
    """Return the origin of the journal in *folder*, None if the journal is not a mirror; raises
    JournalError if the file is invalid.
    """
    try:
        values = json.loads((folder / NAME).read_bytes())
        refused = values.pop("refused", None)
        return _checked(
            Origin(**values, refused=_checked(RefusedEntry(**refused)) if refused else None)
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise JournalError(
            f"{folder / NAME} cannot be read ({error}); write it again with stocktake mirror URL, or remove it"
        ) from error


def _checked(item: _Item) -> _Item:
    """Return *item*; raise ValueError if a value has not the type of its field, or is a text that
    UTF-8 cannot encode.
    """
    for name, kind in get_type_hints(type(item)).items():
        value = getattr(item, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r:.40}")
        if isinstance(value, str):
            value.encode()
    return item


def write(folder: Path, origin: Origin) -> None:
    """Store the origin; the file is replaced atomically."""
    replace_file(folder / NAME, json.dumps(asdict(origin)))
