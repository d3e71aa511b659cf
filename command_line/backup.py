"""The commands that back up a data directory and restore it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import track
from sqlalchemy.engine import make_url

from command_line.settings import Settings
from harvesters.ledger.ledger import Ledger
from harvesters.notifications.rules import FILE as ALERTS
from journal import data_format
from journal.atomic_file import replace_file
from journal.file_lock import FileLock
from journal.journal import Journal

FORMAT = 1
MANIFEST = "backup.json"
LEDGER, DATABASE_DUMP = "ledger.sqlite", "ledger.pgdump"
_PARTS = ("journal", "archive", "signing", "releases", "reports")  # all else of the data directory is made again
_UNFINISHED = "restore.unfinished"  # in a data directory while it is being restored

app = typer.Typer()
_err = Console(stderr=True)
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the backup, on another disk.")]


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file of a backup; *modified* is when the original was last changed, in nanoseconds since 1970."""

    bytes: int
    sha256: str
    modified: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds: all of the journal up to the entry *position*, and the ledger of that moment."""

    position: int
    created: str  # UTC
    base: str
    files: dict[str, SavedFile] = field(default_factory=dict)
    format: int = FORMAT


@app.command()
def backup(context: typer.Context, folder: Folder) -> None:
    """Back up what cannot be made again. Harvests and servers may go on; a second backup copies only what is new."""
    settings: Settings = context.obj
    if folder.resolve().is_relative_to(settings.data.resolve()):
        _fail(f"{folder} is inside the data directory {settings.data}; choose a folder on another disk")
    before = _read_manifest(folder)
    if before and before.base != settings.base:
        _fail(f"{folder} is the backup of another installation, whose IRIs begin with {before.base}; choose another folder")
    if before is None and folder.is_dir() and any(folder.iterdir()):
        _fail(f"{folder} is not empty and holds no backup; choose a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    if before is None:  # so that a backup that is interrupted can be continued
        replace_file(folder / MANIFEST, json.dumps(asdict(Manifest(0, "", settings.base))))
    position, created = _save_ledger(settings, folder)
    files: dict[str, SavedFile] = {}
    copied = 0
    for name, path in track(list(_originals(settings, folder, position)), "copying", console=_err, transient=True):
        known = before.files.get(name) if before else None
        with suppress(FileNotFoundError):  # a release that was withdrawn meanwhile
            files[name], is_new = _save(path, folder / name, known)
            copied += is_new
    replace_file(folder / MANIFEST, json.dumps(asdict(Manifest(position, created, settings.base, files)), indent=1))
    _delete_others(folder, files)
    size = sum(file.bytes for file in files.values())
    print(f"backup of journal entry {position}: {len(files)} files, {size:,} bytes, {copied} copied now, in {folder}")


@app.command()
def restore(context: typer.Context, folder: Folder) -> None:
    """Restore a backup into an empty data directory, checking every file. Nothing is written if one is damaged."""
    settings: Settings = context.obj
    manifest = _read_manifest(folder)
    if manifest is None or not manifest.created:
        _fail(f"{folder} holds no complete backup")
    if manifest.format > FORMAT:
        _fail(f"{folder} has the format {manifest.format}, which this version does not know; use the version that wrote it")
    data = settings.data
    if (Journal(data / "journal").paths() or (data / LEDGER).exists()) and not (data / _UNFINISHED).exists():
        _fail(f"{data} already holds data; restore into an empty data directory (--data)")
    if damaged := [problem for name, file in manifest.files.items() if (problem := _problem(folder / name, file))]:
        _fail(f"the backup is damaged, and nothing was restored: {'; '.join(damaged[:5])}; use an older backup")
    (data / _UNFINISHED).touch()
    for name in track(manifest.files, "restoring", console=_err, transient=True):
        is_source = name.startswith("sources/")
        target = settings.sources / name.removeprefix("sources/") if is_source else data / name
        if not (is_source and target.exists()):  # a definition that is there may be newer
            _copy(folder / name, target)
    (data / _UNFINISHED).unlink()
    print(f"restored {len(manifest.files)} files of journal entry {manifest.position} into {data}")
    if DATABASE_DUMP in manifest.files:
        print(f"the ledger is in PostgreSQL: pg_restore --clean --if-exists --dbname=NAME {data / DATABASE_DUMP}")
    print("next: stocktake verify, then stocktake serve, which builds the store from the journal")


def _save_ledger(settings: Settings, folder: Path) -> tuple[int, str]:
    """Copy the ledger while no run can commit; return the number of the journal's last entry, and the time."""
    url = make_url(settings.ledger)
    with _commits_stopped(settings):
        head = Journal(settings.data / "journal").head
        created = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if url.get_backend_name() != "sqlite":
            _dump_database(url.render_as_string(hide_password=False), folder / DATABASE_DUMP)
        elif url.database and Path(url.database).exists():
            part = folder / f"{LEDGER}.part"
            part.unlink(missing_ok=True)
            with closing(sqlite3.connect(url.database)) as source, closing(sqlite3.connect(part)) as target:
                source.backup(target)
            part.replace(folder / LEDGER)
    return (head.number if head else 0), created


@contextmanager
def _commits_stopped(settings: Settings) -> Iterator[None]:
    """Hold the lock that a commit takes (``harvesters.runs.locks``); a run that wants to commit waits."""
    if make_url(settings.ledger).get_backend_name() == "sqlite":
        (settings.data / "locks").mkdir(parents=True, exist_ok=True)
        with FileLock(settings.data / "locks" / ".journal.lock"):
            yield
        return
    with closing(Ledger(settings.ledger)) as ledger, ledger.advisory_lock("journal", wait=True):
        yield


def _dump_database(url: str, path: Path) -> None:
    if shutil.which("pg_dump") is None:
        _fail("the ledger is in PostgreSQL, and pg_dump is not installed: install the PostgreSQL client, of the server's version")
    part = path.with_suffix(".part")
    plain = url.replace("+psycopg", "", 1)
    done = subprocess.run(["pg_dump", "--format=custom", f"--file={part}", f"--dbname={plain}"], capture_output=True, text=True)
    if done.returncode:
        _fail(f"pg_dump: {done.stderr.strip()}")
    part.replace(path)


def _originals(settings: Settings, folder: Path, position: int) -> Iterator[tuple[str, Path]]:
    """Yield each file to back up, with its name in the backup. The ledger is copied already."""
    data = settings.data
    for part in _PARTS:
        for path in sorted((data / part).rglob("*")):
            name = str(path.relative_to(data))
            if path.is_file() and not path.name.endswith((".part", ".body", "lock")) and not _is_later(path, part, position):
                yield name, path
    for name in (ALERTS, data_format.FILE):
        if (data / name).exists():
            yield name, data / name
    for path in sorted(settings.sources.glob("*.toml")):
        yield f"sources/{path.name}", path
    for name in (LEDGER, DATABASE_DUMP):
        if (folder / name).exists():
            yield name, folder / name


def _is_later(path: Path, part: str, position: int) -> bool:
    number = path.name.split(".")[0]
    return part == "journal" and number.isdigit() and int(number) > position


def _save(path: Path, target: Path, known: SavedFile | None) -> tuple[SavedFile, bool]:
    """Copy a file unless the backup has it already; return it, and whether it was copied."""
    status = path.stat()
    if path == target:
        return SavedFile(status.st_size, _sha256(path), status.st_mtime_ns), True
    same = known and (known.bytes, known.modified) == (status.st_size, status.st_mtime_ns)
    if known and same and target.exists() and target.stat().st_size == known.bytes:
        return known, False
    _copy(path, target)
    return SavedFile(target.stat().st_size, _sha256(target), status.st_mtime_ns), True


def _copy(path: Path, target: Path) -> None:
    """Copy a file with its time; it appears at *target* when it is complete and on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    shutil.copy2(path, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)


def _delete_others(folder: Path, files: dict[str, SavedFile]) -> None:
    """Delete what the backup no longer holds, such as files of withdrawn releases."""
    for path in folder.rglob("*"):
        if path.is_file() and str(path.relative_to(folder)) not in files and path.name != MANIFEST:
            path.unlink()


def _problem(path: Path, file: SavedFile) -> str:
    try:
        return "" if _sha256(path) == file.sha256 else f"{path} does not match its SHA-256"
    except OSError as error:
        return f"{path}: {error.strerror}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of the backup in *folder*, None if there is none."""
    try:
        values = json.loads((folder / MANIFEST).read_text())
        return Manifest(**{**values, "files": {name: SavedFile(**file) for name, file in values["files"].items()}})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        _fail(f"{folder / MANIFEST} cannot be read: {error}")


def _fail(message: str) -> NoReturn:
    _err.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)
