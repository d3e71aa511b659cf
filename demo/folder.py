"""Mark the demo's data folder, and find free ports."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journal.file_lock import AlreadyLockedError, FileLock

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
    content = json.dumps({"url": url, "pid": os.getpid()})
    try:
        lock = FileLock(data / MARK, wait=False, content=content)
    except AlreadyLockedError as error:
        raise FolderInUseError(
            f"{data}: another demo uses it, at {_url_of(error.content)}; end that one, or use another directory (--data)"
        ) from error
    with lock:
        yield


def _url_of(content: str) -> str:
    try:
        return str(json.loads(content)["url"])
    except (ValueError, KeyError, TypeError):
        return "an unknown URL"


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
