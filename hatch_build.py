"""The build hook: bundle the scripts of the query page if npm is installed; without them the page
is a plain form.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB, OUT, WORK = Path("publisher/web"), Path("publisher/static/query"), Path("build/web")
STAMP = "made-from.txt"
SBOM = OUT / "sbom.cdx.json"
PATIENCE = 240  # seconds for npm, which may wait for a registry that does not answer


class QueryPage(BuildHookInterface[Any]):
    """Make publisher/static/query from publisher/web, for the wheel and for an editable install."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bundle the scripts, unless the bundle was made from the same sources. A wheel lists the
        packages in it: https://peps.python.org/pep-0770/.
        """
        root = Path(self.root)
        self._update(root)
        if self.target_name == "wheel" and (root / SBOM).is_file():
            build_data["sbom_files"].append(str(SBOM))

    def _update(self, root: Path) -> None:
        if is_current(root):
            return
        npm = shutil.which("npm")
        if npm is None:
            # A bundle that another build stage has made is used as it is.
            if not (root / OUT).exists():
                self.app.display_warning(
                    "npm is missing: the query page will be a plain form. Install Node.js with npm, then build again."
                )
            return
        if failure := bundle_failure(root, npm):
            self.app.display_warning(failure)


def digest(root: Path) -> str:
    """Return a hexadecimal digest of the sources of the bundle."""
    checksum = hashlib.sha256()
    for file in sorted((root / WEB).rglob("*")):
        if file.is_file() and "node_modules" not in file.parts:
            checksum.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return checksum.hexdigest()


def is_current(root: Path) -> bool:
    """Return whether the bundle was built from these sources."""
    stamp = root / OUT / STAMP
    return stamp.exists() and stamp.read_text() == digest(root)


def bundle(root: Path, npm: str) -> None:
    """Fetch the packages that package-lock.json pins, bundle them, and replace the bundle in one
    step.
    """
    work, out, beside = root / WORK, root / OUT, root / WORK / "out"
    work.mkdir(parents=True, exist_ok=True)
    shutil.copytree(
        root / WEB, work, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules")
    )
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    _run(work, npm, "ci", "--no-progress", "--prefer-offline")
    _run(work, npm, "run", "--silent", "build", "--", str(beside))
    (beside / STAMP).write_text(digest(root))
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    os.replace(beside, out)


def bundle_failure(root: Path, npm: str) -> str:
    """Bundle the scripts; return the reason of a failure with the end of npm's output, else ""."""
    try:
        bundle(root, npm)
    except (subprocess.SubprocessError, OSError) as error:
        output = getattr(error, "output", None) or ""
        return f"The query page could not be bundled and will be a plain form: {error}\n{output[-2000:]}"
    return ""


def _run(work: Path, *command: str) -> None:
    subprocess.run(
        command,
        cwd=work,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )


# .ci/install runs this file when the bundle is missing, since pip shows no warning of a build.
if __name__ == "__main__":
    sys.exit(bundle_failure(Path(__file__).resolve().parent, shutil.which("npm") or "npm") or None)
