"""A PostgreSQL server on loopback that tests start, stop and kill."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from processes import Process, bound_to_parent, free_port
from waiting import wait_until


def binaries() -> Path | None:
    """Return the folder with the programs of the newest installed version, None without one."""
    results = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4])
    )
    return results[-1].parent if results else None


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL cluster; *address* is that of its server, without a database."""

    folder: Path
    port: int
    user: str
    command: list[str] = field(default_factory=list)  # the server's command line
    servers: list[Process] = field(default_factory=list)  # the running one is the last

    def start(self) -> None:
        """Start the server, which may have run before, and wait until it answers."""
        self.servers.append(Process(self.command, ended_by="QUIT", cwd=self.folder))
        wait_until(lambda: _answers(self), "PostgreSQL", output=self.servers[-1].output)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT closes all connections, SIGKILL is a crash.

        A server that does not end within 30 seconds is killed: on a busy machine one has taken
        longer.
        """
        server = self.servers[-1]
        server.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(30)
        server.discard()

    def url(self, database: str, host: str = "127.0.0.1", port: int = 0) -> str:
        """Return the address of a ledger; *port* is that of a proxy before the server, if any."""
        return f"postgresql+psycopg://{self.user}@{host}:{port or self.port}/{database}"

    def admin(self) -> psycopg.Connection[Any]:
        """Connect as the user who may create databases."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=self.user, dbname="postgres", autocommit=True
        )


def missing() -> str:
    """Return the reason why no cluster can be started here, "" if one can."""
    if binaries() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    if os.geteuid() == 0 and not _known("postgres"):
        return "PostgreSQL does not run as root, and there is no user postgres"
    return ""


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Create a cluster in a folder of its own, start its server, and remove both at the end."""
    programs = binaries()
    assert programs, missing()
    root = os.geteuid() == 0
    # The folder is not below that of pytest, which only the user who runs pytest may enter.
    folder = Path(tempfile.mkdtemp(prefix="stocktake-postgresql-"))
    user, port = "postgres", free_port()
    if root:
        shutil.chown(folder, user)
    as_user = (
        ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]
        if root
        else []
    )
    created: list[str | Path] = [
        programs / "initdb", "-D", folder / "data", "-U", user, "-A", "trust", "-E", "UTF8", "--no-sync",
    ]  # fmt: skip
    subprocess.run([*as_user, *created], check=True, capture_output=True, cwd=folder)
    with (folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 10.77.0.0/16 trust\n")
    command = [
        programs / "postgres", "-D", folder / "data", "-p", str(port), "-c", "listen_addresses=*", "-c", "fsync=off",
    ]  # fmt: skip
    command += ["-c", f"unix_socket_directories={folder}", "-c", "max_connections=200"]
    # SIGQUIT shuts the server down at once and leaves nothing of it, whatever ends this process.
    # Changing the user would clear the signal, so it is set after that.
    item = Cluster(
        folder, port, user, [str(word) for word in [*as_user, *bound_to_parent("QUIT"), *command]]
    )
    try:
        item.start()
        yield item
    finally:
        item.stop()
        shutil.rmtree(folder)


def _known(user: str) -> bool:
    try:
        return bool(pwd.getpwnam(user))
    except KeyError:
        return False


def _answers(item: Cluster) -> bool:
    try:
        item.admin().close()
    except psycopg.OperationalError:
        return False
    return True
