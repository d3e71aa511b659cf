"""Replace files atomically and write them to the disk, and lock files and directories against other
processes with flock.

A lock is released when it is closed or when its process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

_MAX_CONTENT = 4096  # bytes of a lock file that are read


def replace_file(
    path: Path, content: bytes | str, *, before: Callable[[Path], None] | None = None
) -> None:
    """Write *content* to *path*; readers see the old or the new file, also after a crash.

    The content is written to ``NAME.new`` beside *path* and synced, then *before* is called with
    that file, then it is renamed. If anything raises, *path* is unchanged. Text is written as
    UTF-8.
    """
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    if before:
        before(new)
    new.replace(path)


def sync(path: Path) -> None:
    """Write a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder, which takes the place of *path* by a rename when the block ends."""
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    shutil.rmtree(path, ignore_errors=True)
    part.rename(path)


class AlreadyLockedError(Exception):
    """Another process holds the lock; *content* is the text that it wrote to the lock file."""

    def __init__(self, path: Path, content: str) -> None:
        super().__init__(f"{path} is locked by {describe_holder(path)}")
        self.content = content


class FileLock:
    """An exclusive lock on the file at *path*, which is created if it is missing.

    With *wait*, wait for the lock, and call *on_wait* once with the content of the lock file if
    another process holds it; else raise AlreadyLockedError. The holder writes *content* to the file
    (default: its process id), so that others can name it. Raises OSError if the file cannot be
    opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        wait: bool = True,
        on_wait: Callable[[str], None] | None = None,
        content: str | None = None,
    ) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if not wait:
                    raise AlreadyLockedError(path, read_content(path)) from error
                if on_wait:
                    on_wait(read_content(path))
                fcntl.flock(self._handle, fcntl.LOCK_EX)
            with suppress(OSError):  # a full disk must not prevent locking
                os.ftruncate(self._handle, 0)
                os.write(self._handle, (str(os.getpid()) if content is None else content).encode())
        except BaseException:
            os.close(self._handle)
            raise

    def close(self) -> None:
        """Release the lock. The file stays, since another process may wait for it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SharedLock:
    """A shared lock on an existing file or directory; waits while an exclusive lock is held."""

    def __init__(self, path: str | Path) -> None:
        self._handle = os.open(path, os.O_RDONLY)
        fcntl.flock(self._handle, fcntl.LOCK_SH)

    def close(self) -> None:
        os.close(self._handle)


def is_locked(path: Path) -> bool:
    """Return whether any process holds a lock on *path*; False if it does not exist."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def read_content(path: Path) -> str:
    """Return the text of a lock file, "" if there is none."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_CONTENT).decode(errors="replace").strip()
    except OSError:
        return ""


def describe_holder(path: Path) -> str:
    """Return the process whose id is in the lock file, with its command if it runs on this machine, or
    the name that it has given itself.
    """
    number = read_content(path)
    if not number.isdecimal():
        return "an unknown process"
    try:
        arguments = Path(f"/proc/{number}/cmdline").read_bytes()
        name = Path(f"/proc/{number}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return f"process {number}"
    command = arguments.replace(b"\0", b" ").decode(errors="replace").strip()
    program = command.partition(" ")[0].rpartition("/")[2]
    return f"process {number}: {command if program.startswith(name) else name}"
