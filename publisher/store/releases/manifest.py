"""Read and write the manifests of releases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from journal.atomic_file import replace_file
from publisher.errors import DamagedRelease

MANIFEST = "release.json"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a release. *bytes* and *sha256* are of the file as stored, compressed or not;
    *rows* is for tables only.
    """

    name: str
    media: str
    bytes: int
    sha256: str
    says: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseSource:
    """A source whose records are in a release."""

    name: str
    title: str
    publisher: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """Release *number*: the state after journal entry *position*, whose id is *entry*, issued at
    *issued* (UTC, to the second).

    *previous* is the number of the previous release. *counts* are of its content, *changes* of the
    differences from the previous release by kind, source and action line. *withdrawn* is when its
    files were removed by the retention policy, None while they exist. *demo* marks a release of the
    demo, whose data are fictitious; the manifest contains it only if it is true.
    """

    number: int
    iri: str
    position: int
    entry: str
    issued: str
    previous: int | None
    counts: Mapping[str, int]
    changes: Mapping[str, object]
    sources: tuple[ReleaseSource, ...] = ()
    files: tuple[File, ...] = ()
    key: str = ""  # the public key, as ``minisign -P`` expects it
    withdrawn: str | None = None
    format: int = field(default=1)
    demo: bool = False

    @property
    def day(self) -> str:
        return self.issued[:10]

    def file(self, name: str) -> File | None:
        """Return the file *name*, None if there is none."""
        return next((file for file in self.files if file.name == name), None)


_RELEASE = TypeAdapter(Release)


def write_manifest(folder: Path, release: Release) -> None:
    """Write the manifest into *folder*, replacing an older one atomically."""
    fields = {name: value for name, value in asdict(release).items() if name != "demo" or value}
    replace_file(folder / MANIFEST, json.dumps(fields, indent=1, ensure_ascii=False) + "\n")


def read_manifest(folder: Path) -> Release:
    """Read the manifest in *folder*; raise FileNotFoundError if there is none, and DamagedRelease
    if it cannot be read.
    """
    content = (folder / MANIFEST).read_bytes()
    try:
        return _RELEASE.validate_json(content)
    except ValueError as error:
        raise DamagedRelease(
            f"{MANIFEST} of release {folder.name} cannot be read; restore it from a backup or a mirror"
        ) from error


def release_numbers(releases: Path) -> list[int]:
    """Return the numbers of the existing releases, ascending."""
    return sorted(int(path.name) for path in releases.glob("[0-9]*") if path.name.isdecimal())


def newest_release(releases: Path) -> Release | None:
    """Return the newest release, None while there is none."""
    numbers = release_numbers(releases)
    return read_manifest(releases / str(numbers[-1])) if numbers else None


def list_releases(releases: Path) -> list[Release]:
    """Return all releases, the newest first."""
    return [read_manifest(releases / str(number)) for number in reversed(release_numbers(releases))]


def get_release(releases: Path, number: int) -> Release | None:
    """Return release *number*, None if there is none."""
    try:
        return read_manifest(releases / str(number))
    except FileNotFoundError:
        return None
