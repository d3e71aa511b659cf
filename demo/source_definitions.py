"""Write source definitions of the demo's registries, and mark the folders of its data."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from journal.files import AlreadyLockedError, FileLock

# The file that stays in the data folder and in the folder of source definitions. The portal of a
# folder with it shows the banner.
MARK = "demo.json"


class FolderInUseError(Exception):
    """Another demo uses the folder; the message names its address and the remedy."""


def is_demo(*folders: Path) -> bool:
    """Return whether one of *folders*, of data or of sources, is a demo's, even if another command
    uses it.
    """
    return any(os.path.exists(folder / MARK) for folder in folders)


@contextmanager
def demo_folder(data: Path, url: str) -> Iterator[None]:
    """Mark *data* as the folder of the demo at *url*, and lock it meanwhile.

    Raises FolderInUseError if another demo uses it.
    """
    data.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(data / MARK, wait=False, content=url)
    except AlreadyLockedError as error:
        raise FolderInUseError(
            f"{data}: another demo uses it, at {error.content}; end that one, or use another directory (--data)"
        ) from error
    with lock:
        yield


def is_free(host: str, port: int) -> bool:
    """Return whether a server can listen on *port* of *host*; port 0 is always free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # The server sets this option too: it can listen although a connection has just ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def next_free(host: str, port: int, attempts: int = 100) -> int:
    """Return the first free port from *port* on; *port* itself if none of *attempts* is free."""
    return next((number for number in range(port, port + attempts) if is_free(host, number)), port)


_SUBMISSIONS = "submissions.toml"


def write_sources(url: str, folder: Path, only: tuple[str, ...] = ()) -> list[Path]:
    """Write the source definitions into *folder*, which is created if necessary, and return their
    paths.

    *url* is the demo's (``Demo.url``), *only* the registries to write definitions for (keys of
    SHARES or PUBLICATIONS; empty: all).
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()  # marks the data harvested from these sources as demonstration data
    package = files("demo")
    fields = package.joinpath("fields.toml").read_text(encoding="utf-8")
    host = url.partition("://")[2].rstrip("/")
    written = []
    for definition in sorted(package.joinpath("sources").iterdir(), key=lambda entry: entry.name):
        if not definition.name.endswith(".toml") or (only and definition.name[5:-5] not in only):
            continue
        text = definition.read_text(encoding="utf-8").replace("{host}", host)
        path = folder / definition.name
        common = 'protocol  = "json"' in text and "[fields]" not in text
        path.write_text(text + ("\n" + fields if common else ""), encoding="utf-8")
        written.append(path)
        topics = package.joinpath("sources", f"{path.stem}.topics.tsv")
        table = folder / "crosswalks" / topics.name
        if topics.is_file() and not table.exists():  # an existing table has decisions of visitors
            table.parent.mkdir(exist_ok=True)
            table.write_text(topics.read_text(encoding="utf-8"), encoding="utf-8")
    return written


def open_submissions(folder: Path) -> None:
    """Write the definition of the source of submissions into *folder*, unless it is there, so that
    visitors can submit.
    """
    path = folder / _SUBMISSIONS
    if not path.exists():
        path.write_text(
            files("demo").joinpath(_SUBMISSIONS).read_text(encoding="utf-8"), encoding="utf-8"
        )
