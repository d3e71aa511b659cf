"""Mark the demo's data folder, and find free ports."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TextIO

MARK = "demo.json"  # stays in the data folder and in the folder of source definitions: their portal shows the banner


class FolderInUseError(Exception):
    """Another demo uses the folder; the message names its address and the remedy."""


def is_demo(*folders: Path) -> bool:
    """Return whether one of *folders*, of data or of sources, is a demo's, even if another command uses it."""
    return any(os.path.exists(folder / MARK) for folder in folders)


@dataclass(slots=True)
class DemoFolder:
    """Mark *data* as the folder of the demo at *url*, and lock it; a context manager.

    Raises FolderInUseError if another demo uses it.
    """

    data: Path
    url: str
    _file: TextIO | None = field(default=None, init=False)

    def __enter__(self) -> DemoFolder:
        """Lock the folder."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._file = (self.data / MARK).open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            other = self._read()
            message = f"{self.data}: another demo uses it, at {other}; end that one, or give this one another folder (--data)"
            raise FolderInUseError(message) from error
        self._file.truncate(0)
        json.dump({"url": self.url, "pid": os.getpid()}, self._file)
        self._file.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Unlock the folder; the mark stays."""
        if self._file is not None:
            self._file.close()

    def _read(self) -> str:
        assert self._file is not None
        self._file.seek(0)
        try:
            return str(json.load(self._file)["url"])
        except (ValueError, KeyError, TypeError):
            return "an address that it has not written yet"


def is_free(host: str, port: int) -> bool:
    """Return whether a server can listen on *port* of *host*; port 0 is always free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the server does, which a connection that just ended does not keep out
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def next_free(host: str, port: int, attempts: int = 100) -> int:
    """Return the first free port from *port* on; *port* itself if none of *attempts* is free."""
    return next((it for it in range(port, port + attempts) if is_free(host, it)), port)
