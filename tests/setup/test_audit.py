from __future__ import annotations

import json
import os
import re
import shutil
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


DEPLOY = Path(__file__).parents[2] / "deploy"
MAX_EXPOSURE = 2.0  # of 10, by systemd-analyze


def run(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]}")
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.smoke
def test_the_service_is_sandboxed() -> None:
    result = run(
        "systemd-analyze", "security", "--offline=true", "--no-pager", str(DEPLOY / "systemd" / "stocktake.service"),
    )  # fmt: skip

    level = re.search(r"exposure level for stocktake\.service: ([\d.]+)", result.stdout)

    assert level, result.stderr
    assert float(level[1]) < MAX_EXPOSURE


def test_the_caddyfile_is_valid() -> None:
    result = run(
        "caddy", "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "proxy" / "Caddyfile"),
    )  # fmt: skip

    assert "Valid configuration" in result.stdout + result.stderr


def test_the_nginx_configuration_is_valid(tmp_path: Path) -> None:
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]
    created = run("openssl", *request, "-keyout", str(key), "-out", str(certificate))
    site = (
        (DEPLOY / "proxy" / "nginx.conf")
        .read_text()
        .replace("/etc/letsencrypt/live/stocktaking.example", str(tmp_path))
    )
    (tmp_path / "site.conf").write_text(site)
    main = f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}\nhttp {{ access_log off; include {tmp_path}/site.conf; }}\n"
    (tmp_path / "nginx.conf").write_text(main)

    result = run("nginx", "-t", "-c", str(tmp_path / "nginx.conf"))

    assert created.returncode == 0
    assert result.returncode == 0, result.stderr
