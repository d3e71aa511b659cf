"""Read and write ``format.json``, which records the formats of those folders of a data directory
that cannot be rebuilt.

Projections of the journal have versions of their own and are rebuilt; the ledger has its
migrations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from journal.errors import DataFormatError
from journal.files import replace_file

FILE = "format.json"
# Increase a number with each change that earlier versions cannot read.
FORMATS: Mapping[str, int] = {"journal": 1, "archive": 1, "releases": 1, "reports": 1, "signing": 1}


def check_formats(data: Path) -> None:
    """Raise DataFormatError if a folder of *data* has a newer format than this version knows."""
    content = _read(data)
    formats, writer = content.get("formats", {}), content.get("version", "another version")
    for folder, number in formats.items():
        known = FORMATS.get(folder, 0)
        if number > known:
            raise DataFormatError(
                f"{data / folder} has the format {number}, written by Stocktake {writer}; Stocktake "
                f"{version('stocktake')} knows formats up to {known}. A downgrade is not possible: run the version "
                "that wrote it, or restore a backup from before its upgrade into an empty data directory"
            )


def are_recorded(data: Path) -> bool:
    """Return whether the formats of *data* are recorded as this version writes them."""
    return _read(data).get("formats") == FORMATS


def record_formats(data: Path) -> None:
    content = {"version": version("stocktake"), "formats": dict(FORMATS)}
    replace_file(data / FILE, json.dumps(content, indent=1) + "\n")


def record_if_new(data: Path) -> None:
    """Record the formats of a data directory that has no journal yet; an older one is left to
    ``stocktake upgrade``.
    """
    if not (data / "journal").exists() and not (data / FILE).exists():
        record_formats(data)


def _read(data: Path) -> dict[str, dict[str, int]]:
    """Return the content of the file; {} without one, as in directories of the first version,
    whose formats are all 1.
    """
    file = data / FILE
    try:
        content = json.loads(file.read_bytes())
        formats = content["formats"]
        if not all(type(number) is int for number in formats.values()):
            raise ValueError("a format is not a number")
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataFormatError(
            f"{file} is damaged ({error}); restore it from a backup, or delete it and run `stocktake upgrade`"
        ) from error
    return content  # type: ignore[no-any-return]
