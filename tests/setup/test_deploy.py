from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

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
