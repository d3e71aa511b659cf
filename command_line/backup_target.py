"""The storage of a backup, a folder or any URL that fsspec supports, such as
``s3://bucket/backup``, and its encryption with age.

The machine that is backed up has public keys only, so whoever breaks into it cannot read its
backups.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from harvesters.errors import HarvestError
from harvesters.parsing import import_optional

ENCRYPTED = ".age"  # appended to the name of a file that is encrypted


class BackupError(HarvestError):
    """A backup cannot be read or written; the message says what to do."""


class FolderTarget:
    """A folder of this machine, such as one on another disk.

    Files have names such as ``journal/000000001.rdfp.gz``, and appear under them when complete.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, None if it is missing."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def get(self, name: str, path: Path) -> None:
        """Copy a file to *path*, with its time; raises OSError."""
        shutil.copy2(self._folder / name, path)

    def put(self, name: str, path: Path) -> None:
        """Copy the file at *path*, with its time; it appears when it is complete and on the disk."""
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        shutil.copy2(path, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of every file."""
        paths = (path for path in self._folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self._folder)): path.stat().st_size for path in paths}

    def delete(self, name: str) -> None:
        (self._folder / name).unlink()


class UrlTarget:
    """An object store, or another file system of fsspec (https://filesystem-spec.readthedocs.io/),
    with the methods of a ``FolderTarget``.
    """

    def __init__(self, url: str) -> None:
        fsspec = import_module("fsspec")  # imported late: most backups are in a folder
        try:
            self._system, root = fsspec.core.url_to_fs(
                url, use_listings_cache=False, skip_instance_cache=True
            )
        except (ImportError, ValueError) as error:
            raise BackupError(
                f"{url} cannot be used: {error}; for s3:// pip install 'stocktake[s3]'"
            ) from error
        self._root = str(root).rstrip("/")

    def read(self, name: str) -> bytes | None:
        try:
            return bytes(self._system.cat_file(f"{self._root}/{name}"))
        except FileNotFoundError:
            return None

    def get(self, name: str, path: Path) -> None:
        self._system.get_file(f"{self._root}/{name}", str(path))

    def put(self, name: str, path: Path) -> None:
        """Upload the file at *path*; an object store shows it when it is complete."""
        target = f"{self._root}/{name}"
        if not self._system.async_impl:  # an object store has no folders
            self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
        self._system.put_file(str(path), target)

    def sizes(self) -> dict[str, int]:
        files: dict[str, dict[str, Any]] = self._system.find(self._root, detail=True)
        prefix = f"{self._root}/".lstrip("/")
        return {
            name.lstrip("/").removeprefix(prefix): int(about["size"])
            for name, about in files.items()
        }

    def delete(self, name: str) -> None:
        self._system.rm_file(f"{self._root}/{name}")


Target = FolderTarget | UrlTarget


def open_target(address: str) -> Target:
    """Return the backup at *address*, a folder or a URL. Raises BackupError if no library is
    installed for the URL.
    """
    return UrlTarget(address) if "://" in address else FolderTarget(Path(address))


def encrypt(path: Path, target: Path, recipients: Sequence[str]) -> None:
    """Encrypt a file for the owners of the keys *recipients* (``age1...``,
    https://age-encryption.org/v1).
    """
    age = import_optional("pyrage", "age")
    try:
        keys = [age.x25519.Recipient.from_str(key) for key in recipients]
    except age.RecipientError as error:
        raise BackupError(
            f"--encrypt-for: not a public key of age: {error}; it begins with age1, and age-keygen prints it"
        ) from error
    try:
        age.encrypt_file(str(path), str(target), keys)
    except (age.EncryptError, OSError) as error:
        raise BackupError(f"{path} cannot be encrypted: {error}") from error


def decrypt(path: Path, target: Path, identity: Path) -> None:
    """Decrypt a file with the private keys in the file *identity*, as age-keygen writes it."""
    age = import_optional("pyrage", "age")
    try:
        lines = [line.strip() for line in identity.read_text().splitlines()]
        keys = [
            age.x25519.Identity.from_str(line)
            for line in lines
            if line and not line.startswith("#")
        ]
    except (age.IdentityError, OSError, UnicodeDecodeError) as error:
        raise BackupError(
            f"--identity {identity}: not a private key of age: {error}; age-keygen -o {identity} makes one"
        ) from error
    try:
        age.decrypt_file(str(path), str(target), keys)
    except (age.DecryptError, OSError) as error:
        raise BackupError(
            f"{path.name} cannot be decrypted with {identity}: {error}; use the key that it was encrypted for"
        ) from error
