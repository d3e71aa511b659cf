from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOUND = {"name": "anyio", "version": "4.0.0", "vulns": []}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}
FAULT = {"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": ["CVE-2026-1"], "description": "x"}


@pytest.mark.parametrize(
    ("report", "code", "text"),
    [(json.dumps({"dependencies": [SOUND, SOUND]}), 0, "2 packages checked, 0 not known, 0 vulnerabilities found"),
     (json.dumps({"dependencies": [SOUND, UNKNOWN]}), 0, "Warning: ours was not checked: Dependency not found on PyPI"),
     (json.dumps({"dependencies": [UNKNOWN, SOUND | {"vulns": [FAULT]}]}), 1, "anyio 4.0.0: PYSEC-1 (CVE-2026-1); fixed in 2.0"),
     (json.dumps({"dependencies": [UNKNOWN, UNKNOWN]}), 2, "knows none of 2 packages, so nothing was checked"),
     ("", 2, "The vulnerability database could not be asked: no route")],
)  # fmt: skip
def test_an_audit_has_one_exit_code_for_each_result(
    tmp_path: Path, report: str, code: int, text: str
) -> None:
    (tmp_path / "pip_audit.py").write_text(
        f"import sys\nprint({report!r})\nprint('no route', file=sys.stderr)\nsys.exit(1)\n"
    )

    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    completed = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "audit")], env=environment, capture_output=True, text=True,
    )  # fmt: skip

    assert completed.returncode == code, completed.stderr
    assert text in completed.stdout + completed.stderr
