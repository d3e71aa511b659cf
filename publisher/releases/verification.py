"""Check the files of dumps, releases and reports against their checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

import minisign

from journal.journal import Fault
from publisher.errors import DamagedRelease
from publisher.releases.signature import PUBLIC, SECRET, SUFFIX
from publisher.store.releases.manifest import MANIFEST, read_manifest, release_numbers

_RELEASE_REMEDY = (
    "restore this file from a backup or a mirror; a release is never rebuilt under its number"
)
_KEY_REMEDY = "restore signing/ from a backup; nobody trusts a new key"
_REPORT_REMEDY = "delete this report's folder, then rebuild it with stocktake report"
DUMP_REMEDY = "run stocktake verify --repair, or delete it and run stocktake dump"
_SUMS = "SHA256SUMS"


def dump_faults(folder: Path) -> Iterator[Fault]:
    """Yield the dumps in *folder* that do not match their checksum file."""
    for sums in sorted(folder.glob("*.sha256")):
        yield from _sum_faults(sums, DUMP_REMEDY)


def release_faults(folder: Path) -> Iterator[Fault]:
    """Yield the files of the releases in *folder* that are missing or do not match the manifest;
    withdrawn releases have none.
    """
    for number in release_numbers(folder):
        name = f"{folder.name}/{number}"
        try:
            release = read_manifest(folder / str(number))
        except (OSError, DamagedRelease) as error:
            yield Fault(f"{name}/{MANIFEST}", f"cannot be read: {error}", _RELEASE_REMEDY)
            continue
        for file in release.files if release.withdrawn is None else ():
            if problem := _problem(folder / str(number) / file.name, file.sha256):
                yield Fault(f"{name}/{file.name}", problem, _RELEASE_REMEDY)
        if release.withdrawn is None:
            if (sums := folder / str(number) / _SUMS).exists():
                yield from _sum_faults(sums, _RELEASE_REMEDY, {file.name for file in release.files})
            yield from _signature_faults(folder / str(number), release.key)


def report_faults(folder: Path) -> Iterator[Fault]:
    """Yield the files of the reports in *folder* that do not match their checksums."""
    for sums in sorted(folder.glob(f"*/{_SUMS}")):
        yield from _sum_faults(sums, _REPORT_REMEDY)


def key_faults(folder: Path) -> Iterator[Fault]:
    """Yield the faults of the signing key in *folder*."""
    if not (folder / SECRET).exists():
        return
    try:
        public = minisign.SecretKey.from_file(folder / SECRET).get_public_key()
        if (folder / PUBLIC).read_bytes() != bytes(public):
            yield Fault(
                f"{folder.name}/{PUBLIC}", f"is not the public key of {SECRET}", _KEY_REMEDY
            )
    except (OSError, ValueError) as error:
        yield Fault(
            f"{folder.name}/{SECRET}",
            f"the key that signs releases cannot be read: {error}",
            _KEY_REMEDY,
        )


def _signature_faults(folder: Path, key: str) -> Iterator[Fault]:
    for signature in sorted(folder.glob(f"*{SUFFIX}")) if key else ():
        try:
            minisign.PublicKey.from_base64(key).verify_file(signature.with_suffix(""))
        except (OSError, ValueError) as error:
            yield Fault(
                f"{folder.parent.name}/{folder.name}/{signature.name}",
                f"is not a signature of its file: {error}",
                _RELEASE_REMEDY,
            )


def _sum_faults(sums: Path, remedy: str, checked: Collection[str] = ()) -> Iterator[Fault]:
    """Yield the files that differ from the lines ``digest  name`` of *sums*, without those that
    were *checked*.
    """
    parent = sums.parent.parent if sums.name == _SUMS else sums.parent
    prefix = parent.name if sums.name != _SUMS else f"{parent.name}/{sums.parent.name}"
    try:
        lines = sums.read_text().splitlines()
        expected_digests = [
            (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1].lstrip("*"))
            for line in lines
            if line
        ]
    except (OSError, ValueError, IndexError) as error:
        yield Fault(f"{prefix}/{sums.name}", f"cannot be read: {error}", remedy)
        return
    for digest, name in expected_digests:
        if name not in checked and (problem := _problem(sums.parent / name, digest)):
            yield Fault(f"{prefix}/{name}", problem, remedy)


def _problem(path: Path, expected: str) -> str:
    """Return what is wrong with a file, "" if it has the SHA-256 *expected*."""
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if actual == expected else "does not match its SHA-256"
