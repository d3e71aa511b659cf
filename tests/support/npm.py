"""Packages from npm that tests use, installed once for each lock into a permanent folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

import pytest


def install(folder: Path) -> Path:
    """Install the packages that the ``package-lock.json`` of *folder* names, unless they are
    installed, and return their folder. Skip the test without npm.

    The packages are installed beside their place and then moved there, so that an install that is
    interrupted, or runs twice at a time, leaves no incomplete folder.
    """
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm")
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stocktake-test-packages"
    )
    home = cache / sha256((folder / "package-lock.json").read_bytes()).hexdigest()[:16]
    if home.exists():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(dir=cache, prefix="part-"))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, part)
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        process = subprocess.run(command, cwd=part, capture_output=True, text=True, timeout=240)
        if process.returncode:
            pytest.skip(
                f"npm cannot install the packages of {folder.name}: {process.stderr.strip()[-300:]}"
            )
        try:
            part.rename(home)
        except OSError:  # another process was first
            if not home.exists():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return home
