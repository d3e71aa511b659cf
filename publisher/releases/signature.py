"""Sign files with Ed25519 in the format of minisign (https://jedisct1.github.io/minisign/), and check
the files of dumps, releases and reports against their signatures and checksums.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from minisign import KeyPair, PublicKey, SecretKey

from journal.files import replace_file
from journal.journal import Fault
from publisher.errors import DamagedRelease
from publisher.store.releases import MANIFEST, read_manifest, release_numbers

_RELEASE_REMEDY = (
    "restore this file from a backup or a mirror; a release is never rebuilt under its number"
)
_KEY_REMEDY = "restore signing/ from a backup; nobody trusts a new key"
_REPORT_REMEDY = "delete this report's folder, then rebuild it with stocktake report"
_DUMP_REMEDY = "run stocktake verify --repair, or delete it and run stocktake dump"
SUMS = "SHA256SUMS"
SUFFIX = ".minisig"
PUBLIC = "stocktake.pub"
SECRET = "stocktake.key"


def load_key(folder: Path) -> SecretKey:
    """Read the secret key in *folder*, or create one. It has no password: whoever can read the
    folder can sign.

    The public key is written into the same folder. Raises minisign.Error if the file is not a key.
    """
    path = folder / SECRET
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{SECRET}.part"
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(bytes(KeyPair.generate().secret_key))
            os.fsync(file.fileno())
        part.rename(path)
    secret = SecretKey.from_file(path)
    replace_file(folder / PUBLIC, bytes(secret.get_public_key()))
    return secret


def public_key_text(public: PublicKey) -> str:
    """Return a public key as ``minisign -P`` expects it."""
    return bytes(public.to_base64()).decode()


def sign(path: Path, secret: SecretKey, comment: str) -> Path:
    """Sign a file; *comment* is a trusted comment, which the signature covers. Return the path of
    the signature.
    """
    with path.open("rb") as file:
        signature = secret.sign(file, trusted_comment=f"{comment}\tfile:{path.name}\thashed")
    signature_path = path.with_name(path.name + SUFFIX)
    signature_path.write_bytes(bytes(signature).rstrip(b"\n") + b"\n")
    return signature_path


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dump_faults(folder: Path) -> Iterator[Fault]:
    """Yield the dumps in *folder* that do not match their checksum file."""
    for sums in sorted(folder.glob("*.sha256")):
        yield from _sum_faults(sums, folder.parent, _DUMP_REMEDY)


def report_faults(folder: Path) -> Iterator[Fault]:
    """Yield the files of the reports in *folder* that do not match their checksums."""
    for sums in sorted(folder.glob(f"*/{SUMS}")):
        yield from _sum_faults(sums, folder.parent, _REPORT_REMEDY)


def release_faults(folder: Path) -> Iterator[Fault]:
    """Yield the files of the releases in *folder* that are missing or do not match their signature;
    withdrawn releases have none.
    """
    for number in release_numbers(folder):
        place, name = folder / str(number), f"{folder.name}/{number}"
        try:
            release = read_manifest(place)
        except (OSError, DamagedRelease) as error:
            yield Fault(f"{name}/{MANIFEST}", f"cannot be read: {error}", _RELEASE_REMEDY)
            continue
        files = (
            () if release.withdrawn else (*(file.name for file in release.files), SUMS, MANIFEST)
        )
        for file in files:
            try:
                PublicKey.from_base64(release.key).verify_file(place / file)
            except (OSError, ValueError) as error:
                problem = f"does not match its signature, {file}{SUFFIX}: {error}"
                yield Fault(f"{name}/{file}", problem, _RELEASE_REMEDY)


def key_faults(folder: Path) -> Iterator[Fault]:
    if not (folder / SECRET).exists():
        return
    try:
        public = SecretKey.from_file(folder / SECRET).get_public_key()
        if (folder / PUBLIC).read_bytes() != bytes(public):
            problem = f"is not the public key of {SECRET}"
            yield Fault(f"{folder.name}/{PUBLIC}", problem, _KEY_REMEDY)
    except (OSError, ValueError) as error:
        problem = f"the key that signs releases cannot be read: {error}"
        yield Fault(f"{folder.name}/{SECRET}", problem, _KEY_REMEDY)


def _sum_faults(sums: Path, data: Path, remedy: str) -> Iterator[Fault]:
    """Yield the files that differ from the lines ``digest  name`` of *sums*, by their names below
    *data*.
    """
    try:
        lines = [line.split(maxsplit=1) for line in sums.read_text().splitlines() if line]
        expected = {sums.with_name(name.lstrip("*")): digest for digest, name in lines}
    except (OSError, ValueError) as error:
        yield Fault(str(sums.relative_to(data)), f"cannot be read: {error}", remedy)
        return
    for path, digest in expected.items():
        try:
            problem = "" if sha256_of(path) == digest else "does not match its SHA-256"
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        if problem:
            yield Fault(str(path.relative_to(data)), problem, remedy)
