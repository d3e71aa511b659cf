"""Start a module of the publisher as a process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

# bytes that glibc may keep unused: the peak memory of a load is a tenth lower
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": "1000000"}
_ROOT = Path(__file__).resolve().parents[2]


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs *module* with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a subprocess: ours and *extra*, with our packages on PYTHONPATH."""
    path = os.environ.get("PYTHONPATH")
    return {
        **_MALLOC,
        **os.environ,
        **(extra or {}),
        "PYTHONPATH": f"{_ROOT}{os.pathsep}{path}" if path else str(_ROOT),
    }


def exit_with_parent(parent: int, grace: float = 0.0) -> None:
    """Exit this process when the process *parent* has exited for any reason.

    A thread checks once a second. With *grace* the process first receives SIGTERM and has *grace*
    seconds to exit by itself.
    """
    threading.Thread(target=_watch, args=(parent, grace), daemon=True).start()


def _watch(parent: int, grace: float) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    if grace:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
    os._exit(1)
