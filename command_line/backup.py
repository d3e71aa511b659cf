"""Define the commands backup and restore."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import fsspec
import typer
from fsspec.implementations.dirfs import DirFileSystem
from pydantic import TypeAdapter, ValidationError
from rich.progress import track
from sqlalchemy.engine import make_url

from command_line.console import err, fail
from command_line.settings import Context, Settings
from harvesters.errors import import_optional
from harvesters.ledger.ledger import Ledger
from harvesters.notifications.alerts import FILE as ALERTS
from journal import data_format
from journal.files import FileLock
from journal.journal import Journal

ENCRYPTED = ".age"  # appended to the name of a file that is encrypted


def open_target(address: str) -> DirFileSystem:
    """Return the storage of a backup: a folder of this machine, such as one on another disk, or a
    URL of fsspec (https://filesystem-spec.readthedocs.io/), such as ``s3://bucket/backup``.
    """
    try:
        system, root = fsspec.core.url_to_fs(
            address, use_listings_cache=False, skip_instance_cache=True
        )
    except (ImportError, ValueError) as error:
        fail(f"{address} cannot be used: {error}; for s3:// pip install 'stocktake[s3]'")
    return DirFileSystem(str(root).rstrip("/"), system, skip_instance_cache=True)


def put(target: DirFileSystem, name: str, path: Path) -> None:
    """Copy the file at *path* to a name such as ``journal/000000001.rdfp.gz``, where it appears when
    it is complete and, in a folder, on the disk.
    """
    if target.fs.async_impl:  # an object store, which has no folders
        target.put_file(str(path), name)
        return
    target.makedirs(name.rpartition("/")[0], exist_ok=True)
    target.put_file(str(path), f"{name}.part")
    if target.fs.protocol == ("file", "local"):
        with Path(target.path, f"{name}.part").open("rb") as file:
            os.fsync(file.fileno())
    target.mv(f"{name}.part", name)


def sizes(target: DirFileSystem) -> dict[str, int]:
    """Return the size in bytes of every file of a backup."""
    return {name: int(about["size"]) for name, about in target.find("", detail=True).items()}


def encrypt(path: Path, target: Path, recipients: Sequence[str]) -> None:
    """Encrypt a file for the owners of the keys *recipients* (``age1...``,
    https://age-encryption.org/v1).
    """
    age = import_optional("pyrage", "age")
    try:
        keys = [age.x25519.Recipient.from_str(key) for key in recipients]
    except age.RecipientError as error:
        fail(
            f"--encrypt-for: not a public key of age: {error}; it begins with age1, and age-keygen prints it"
        )
    age.encrypt_file(str(path), str(target), keys)


def decrypt(path: Path, target: Path, identity: Path) -> None:
    """Decrypt a file with the private keys in the file *identity*, as age-keygen writes it."""
    age = import_optional("pyrage", "age")
    try:
        lines = filter(None, map(str.strip, identity.read_text().splitlines()))
        keys = [age.x25519.Identity.from_str(line) for line in lines if not line.startswith("#")]
        age.decrypt_file(str(path), str(target), keys)
    except age.DecryptError as error:
        fail(
            f"{path.name} cannot be decrypted with {identity}: {error}; use the key that it was encrypted for"
        )
    except (age.IdentityError, OSError, UnicodeDecodeError) as error:
        fail(
            f"--identity {identity}: not a private key of age: {error}; age-keygen -o {identity} makes one"
        )


MANIFEST = "backup.json"
LEDGER, DATABASE_DUMP = "ledger.sqlite", "ledger.pgdump"
# Everything else in the data directory can be rebuilt from these parts.
_PARTS = ("journal", "archive", "signing", "releases", "reports")
# Names in a data directory: a mark while it is being restored, the folder of the copied ledger
# while it is backed up, and the folder of restored files until every file has been checked.
_UNFINISHED, _SCRATCH, _STAGING = "restore.unfinished", ".backup", ".restore"

app = typer.Typer()
Address = Annotated[
    str,
    typer.Argument(
        metavar="DIR|URL",
        help="Folder of the backup, on another disk, or a URL such as s3://bucket/backup.",
    ),
]
Identity = Annotated[
    Path | None,
    typer.Option(
        "--identity",
        metavar="FILE",
        help="File with the private key of age, if the backup is encrypted.",
    ),
]


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file of a backup; *bytes* and *sha256* are of the file as stored, encrypted or not.

    *size* and *modified* (nanoseconds since 1970) are of the original.
    """

    bytes: int
    sha256: str
    modified: int
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a backup, which has the journal up to the entry *position* and the ledger of
    that moment.

    *recipients* are the public keys that its files are encrypted for, empty if they are not.
    """

    position: int
    created: str  # UTC
    base: str
    recipients: list[str] = field(default_factory=list)
    files: dict[str, SavedFile] = field(default_factory=dict)
    format: Literal[2] = 2


@app.command()
def backup(
    context: Context,
    address: Address,
    encrypt_for: Annotated[
        list[str] | None,
        typer.Option(
            "--encrypt-for",
            metavar="KEY",
            help="Public key of age (age1...) to encrypt for; repeatable.",
        ),
    ] = None,
) -> None:
    """Back up what cannot be rebuilt. Harvests and servers may keep running; a second backup copies
    only what is new.
    """
    settings, recipients = context.obj, sorted(encrypt_for or [])
    if "://" not in address and Path(address).resolve().is_relative_to(settings.data.resolve()):
        fail(
            f"{address} is inside the data directory {settings.data}; choose a folder on another disk"
        )
    with _storage(address) as target, _scratch_folder(settings.data) as folder:
        before = _read_manifest(target, address)
        if before and before.base != settings.base:
            fail(
                f"{address} is the backup of another installation, whose IRIs begin with {before.base}; choose another folder"
            )
        if before is None:
            if sizes(target):
                fail(f"{address} is not empty and holds no backup; choose a new folder")
            # With a manifest, an interrupted backup can be continued.
            _write_manifest(target, Manifest(0, "", settings.base, recipients), folder)
        manifest, originals = _save_ledger(settings, folder)
        known = before.files if before and before.recipients == recipients else {}
        files, copied = _copy_files(target, originals, folder, known, recipients)
        _write_manifest(target, replace(manifest, recipients=recipients, files=files), folder)
        stored = {MANIFEST, *(_stored(name, recipients) for name in files)}
        for name in sizes(target).keys() - stored:
            target.rm_file(name)  # such as a file of a withdrawn release
    size = sum(file.bytes for file in files.values())
    print(
        f"backup of journal entry {manifest.position}: {len(files)} files, {size:,} bytes, {copied} copied now, in {address}"
    )


@app.command()
def restore(context: Context, address: Address, identity: Identity = None) -> None:
    """Restore a backup into an empty data directory, checking every file. Nothing is written if one
    is damaged.
    """
    with _storage(address) as target:
        manifest = _restore(context.obj, target, address, identity)
    print(
        f"restored {len(manifest.files)} files of journal entry {manifest.position} into {context.obj.data}"
    )
    if DATABASE_DUMP in manifest.files:
        print(
            f"the ledger is in PostgreSQL: pg_restore --clean --if-exists --dbname=NAME {context.obj.data / DATABASE_DUMP}"
        )
    print("next: stocktake verify, then stocktake serve, which builds the store from the journal")


@contextmanager
def _storage(address: str) -> Iterator[DirFileSystem]:
    """Open the storage of a backup; exit with 1 if it does not answer."""
    try:
        yield open_target(address)
    except OSError as error:
        fail(f"{address}: {error}; check that it answers and may be written")


@contextmanager
def _scratch_folder(data: Path) -> Iterator[Path]:
    """Create a folder for the copy of the ledger. Only one backup at a time uses it; each deletes
    what a killed one has left in it.
    """
    folder = data / _SCRATCH
    (data / "locks").mkdir(parents=True, exist_ok=True)
    with FileLock(data / "locks" / ".backup.lock"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _copy_files(
    target: DirFileSystem,
    originals: list[tuple[str, Path]],
    folder: Path,
    known: dict[str, SavedFile],
    recipients: list[str],
) -> tuple[dict[str, SavedFile], int]:
    """Copy the files that are not in *target* as *known*; return all files, and how many were
    copied.
    """
    files: dict[str, SavedFile] = {}
    copied, present = 0, sizes(target)
    for name, path in track(originals, "copying", console=err, transient=True):
        stored, saved = _stored(name, recipients), known.get(name)
        with suppress(FileNotFoundError):  # a release may be withdrawn meanwhile
            status = path.stat()
            same = saved and (saved.size, saved.modified) == (status.st_size, status.st_mtime_ns)
            if saved and same and present.get(stored) == saved.bytes and path.parent != folder:
                files[name] = saved
                continue
            # The copy does not change, so that its checksum is that of the stored file.
            copy = folder / "copy"
            if recipients:
                encrypt(path, copy, recipients)
            else:
                shutil.copy2(path, copy)
            files[name] = SavedFile(
                copy.stat().st_size, _sha256(copy), status.st_mtime_ns, status.st_size
            )
            put(target, stored, copy)
            copied += 1
    return files, copied


def _restore(
    settings: Settings, target: DirFileSystem, address: str, identity: Path | None
) -> Manifest:
    manifest, data = _read_manifest(target, address), settings.data
    if manifest is None or not manifest.created:
        fail(f"{address} holds no complete backup")
    if manifest.recipients and identity is None:
        fail(
            f"{address} is encrypted for {', '.join(manifest.recipients)}; pass the file with the private key: --identity FILE"
        )
    if (Journal(data / "journal").paths() or (data / LEDGER).exists()) and not (
        data / _UNFINISHED
    ).exists():
        fail(f"{data} already holds data; restore into an empty data directory (--data)")
    staging, key = data / _STAGING, identity if manifest.recipients else None
    shutil.rmtree(staging, ignore_errors=True)
    try:
        for name, file in track(manifest.files.items(), "checking", console=err, transient=True):
            _fetch(target, name, file, staging, key)
        (data / _UNFINISHED).touch()
        for name in manifest.files:
            is_source = name.startswith("sources/")
            path = settings.sources / name.removeprefix("sources/") if is_source else data / name
            if not (is_source and path.exists()):  # an existing definition may be newer
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(staging / name, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    (data / _UNFINISHED).unlink()
    return manifest


def _fetch(
    target: DirFileSystem, name: str, file: SavedFile, staging: Path, identity: Path | None
) -> None:
    """Copy a file of a backup below *staging*, decrypted; exit with 1 if it is damaged."""
    path = staging / name
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ENCRYPTED) if identity else path
    target.get_file(name + ENCRYPTED if identity else name, str(part))
    if _sha256(part) != file.sha256:
        fail(
            f"the backup is damaged, and nothing was restored: {name} does not match its SHA-256; use an older backup"
        )
    if identity:
        decrypt(part, path, identity)
        part.unlink()
    os.utime(path, ns=(file.modified, file.modified))


def _stored(name: str, recipients: list[str]) -> str:
    """Return the name of a file in the backup."""
    return name + ENCRYPTED if recipients else name


def _save_ledger(settings: Settings, folder: Path) -> tuple[Manifest, list[tuple[str, Path]]]:
    """Copy the ledger to *folder* while no run can commit; return the manifest of this moment, without
    its files, and the files to back up.
    """
    url = make_url(settings.ledger)
    with _commits_stopped(settings):
        head = Journal(settings.data / "journal").head
        created = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if url.get_backend_name() != "sqlite":
            _dump_database(url.render_as_string(hide_password=False), folder / DATABASE_DUMP)
        elif url.database and Path(url.database).exists():
            with (
                closing(sqlite3.connect(url.database)) as source,
                closing(sqlite3.connect(folder / LEDGER)) as copy,
            ):
                source.backup(copy)
        originals = [*_originals(settings, folder)]
    return Manifest(head.number if head else 0, created, settings.base), originals


@contextmanager
def _commits_stopped(settings: Settings) -> Iterator[None]:
    """Hold the lock that every commit takes (``harvesters.runs.context``), so that runs wait."""
    if make_url(settings.ledger).get_backend_name() == "sqlite":
        (settings.data / "locks").mkdir(parents=True, exist_ok=True)
        with FileLock(settings.data / "locks" / ".journal.lock"):
            yield
        return
    with closing(Ledger(settings.ledger)) as ledger, ledger.advisory_lock("journal", wait=True):
        yield


def _dump_database(url: str, path: Path) -> None:
    if (command := shutil.which("pg_dump")) is None:
        fail("the ledger is in PostgreSQL, and pg_dump is not installed: install its client")
    plain = url.replace("+psycopg", "", 1)
    process = subprocess.run(
        [command, "--format=custom", f"--file={path}", f"--dbname={plain}"],
        capture_output=True,
        text=True,
    )
    if process.returncode:
        fail(f"pg_dump: {process.stderr.strip()}")


def _originals(settings: Settings, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file to back up, with its name in the backup; the copy of the ledger is in
    *folder*.
    """
    data = settings.data
    yield from (
        (str(path.relative_to(data)), path)
        for part in _PARTS
        for path in sorted((data / part).rglob("*"))
        if path.is_file() and not path.name.endswith((".part", ".body", "lock"))
    )
    yield from ((f"sources/{path.name}", path) for path in sorted(settings.sources.glob("*.toml")))
    # The status of a mirror is copied too, since a mirror has no ledger to write it from.
    named = [data / ALERTS, data / data_format.FILE, data / "status.nq"]
    copied = [folder / LEDGER, folder / DATABASE_DUMP]
    yield from ((path.name, path) for path in (*named, *copied) if path.exists())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(target: DirFileSystem, manifest: Manifest, folder: Path) -> None:
    """Store the manifest of a backup; *folder* is for a temporary file."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))
    put(target, MANIFEST, folder / MANIFEST)


def _read_manifest(target: DirFileSystem, address: str) -> Manifest | None:
    """Return the manifest of a backup, None if there is none."""
    try:
        return TypeAdapter(Manifest).validate_json(target.cat_file(MANIFEST))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problem = error.errors()[0]
        fail(
            f"{address}: {MANIFEST} cannot be read: {problem['loc']}: {problem['msg']}; use the version that wrote it"
        )
