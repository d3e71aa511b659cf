"""Record which modules run. The process that forks query workers imports this module; then it and
the workers write their modules to the file that the environment variable TRACE names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType

PACKAGES = ("harvesters", "publisher", "shapes", "vocab", "journal", "languages", "web")
TRACE = "STOCKTAKE_TRACE"


def profile(add: Callable[[str], object]) -> Callable[[FrameType, str, object], None]:
    """Return a profile function that calls *add* with the module of each function of ours."""

    def record(frame: FrameType, event: str, _argument: object) -> None:
        name = frame.f_globals.get("__name__") or ""
        if event == "call" and name.partition(".")[0] in PACKAGES:
            add(name)

    return record


def _trace(path: str) -> None:
    trace, last = os.open(path, os.O_WRONLY | os.O_APPEND), ""

    def write(name: str) -> None:
        nonlocal last
        if name != last:
            last = name
            os.write(trace, f"{name}\n".encode())

    sys.setprofile(profile(write))


if TRACE in os.environ:
    _trace(os.environ[TRACE])
