"""List the dumps in a folder."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from publisher.releases.dump import read_checksums

NAME = re.compile(r"stocktake-(\d+)\.(?:nq|ttl|gone\.csv)\.gz(\.sha256)?\Z")


class DumpFile(NamedTuple):
    """A dump: *made* in UTC, *digest* its SHA-256 in hexadecimal."""

    name: str
    size: int
    created: str
    digest: str


def list_dumps(folder: Path) -> list[DumpFile]:
    """List the dumps, the newest first."""
    paths = [path for path in folder.glob("stocktake-*.gz") if NAME.match(path.name)]
    digests = read_checksums(paths)
    paths.sort(key=lambda path: (-int(path.name.split("-")[1].split(".")[0]), path.name))
    return [
        DumpFile(path.name, path.stat().st_size, _created(path), digests.get(path.name, ""))
        for path in paths
    ]


def _created(path: Path) -> str:
    return f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%dT%H:%M:%SZ}"
