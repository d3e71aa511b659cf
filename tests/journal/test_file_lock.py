from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from journal.files import AlreadyLockedError, FileLock, SharedLock, describe_holder, is_locked

_HOLD = "import sys; from pathlib import Path; from journal.files import FileLock; lock = FileLock(Path(sys.argv[1])); sys.stdin.read()"


def test_a_second_lock_names_the_process_that_holds_the_first(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with (
        FileLock(path),
        pytest.raises(
            AlreadyLockedError, match=rf"lock is locked by process {os.getpid()}: .*python"
        ),
    ):
        FileLock(path, wait=False)

    FileLock(path, wait=False).close()


@pytest.mark.smoke
def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE
    ) as holder:
        wait_until(
            lambda: describe_holder(path).startswith(f"process {holder.pid}: "), "its process id"
        )

        assert is_locked(path)
        holder.kill()
        holder.wait()

    assert not is_locked(path)
    FileLock(path, wait=False).close()


def test_a_waiting_lock_reports_the_content_of_the_holder(tmp_path: Path) -> None:
    path, reported = tmp_path / "lock", []
    first = FileLock(path, content="the first")

    def release(content: str) -> None:
        reported.append(content)
        first.close()

    with FileLock(path, on_wait=release):
        assert is_locked(path)

    assert reported == ["the first"]


def test_shared_locks_of_a_directory_exclude_only_an_exclusive_one(tmp_path: Path) -> None:
    one, other = SharedLock(tmp_path), SharedLock(tmp_path)

    assert is_locked(tmp_path)
    one.close()
    assert is_locked(tmp_path)
    other.close()
    assert not is_locked(tmp_path)


def test_a_missing_file_is_not_locked(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "missing")
    assert describe_holder(tmp_path / "missing") == "an unknown process"


def test_a_lock_that_cannot_write_its_process_id_still_locks(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    limited = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
    with subprocess.Popen(
        [sys.executable, "-c", limited + _HOLD, str(path)], stdin=subprocess.PIPE
    ) as holder:
        wait_until(lambda: path.exists() and is_locked(path), "the lock")

        assert describe_holder(path) == "an unknown process"
        holder.kill()
