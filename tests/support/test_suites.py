"""The conformance suites must exist if their folder does, and the report says how many of their
cases ran.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from http_server import serving
from pytest_suites import check
from suites import SUITES
from test_run_ends import run

MARKED = """
import pytest

@pytest.mark.suite("w3c-shacl")
@pytest.mark.parametrize("number", range(3))
def test_case(number):
    assert number

@pytest.mark.suite("oai-pmh-xsd")
def test_schema():
    pytest.skip("no network")
"""


def test_a_missing_suite_fails_the_run(tmp_path: Path) -> None:
    for name, (first, _) in SUITES.items():
        (tmp_path / "suites" / name).mkdir(parents=True)
        (tmp_path / "suites" / name / (first or "other")).touch()
    check(tmp_path)
    (tmp_path / "suites" / "w3c-shacl" / "manifest.ttl").unlink()

    with pytest.raises(pytest.UsageError, match=r"missing in .*/suites: w3c-shacl"):
        check(tmp_path)


def test_a_copy_of_the_project_alone_needs_no_suites(tmp_path: Path) -> None:
    check(tmp_path / "shared")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_report_counts_the_cases_of_each_suite(tmp_path: Path, workers: str) -> None:
    pytest_run = run(tmp_path, "-p", "pytest_suites", "-n", workers, marked=MARKED)
    pytest_run.wait(240)
    output = pytest_run.output()
    pytest_run.discard()

    sets = r"(\.\./shared|[a-z]+-[\d.]+|not here)"
    assert re.search(rf"^w3c-shacl \({sets}\): 3 cases ran \(2 passed, 1 failed\)$", output, re.M)
    assert re.search(rf"^oai-pmh-xsd \({sets}\): 0 cases ran \(1 skipped\)$", output, re.M)
    assert re.search(rf"^w3c-sparql11 \({sets}\): 0 cases ran$", output, re.M)
    assert re.search(r"=+ 1 failed, 2 passed, 1 skipped in [\d.]+s =+\n$", output)


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[[dict[str, bytes], str], subprocess.CompletedProcess[str]]:
    """Return a function that fetches a package from an index on loopback: the arguments are its
    members and the hash that the lock has, "" for the right one.
    """
    index, home = tmp_path / "index" / "suite", tmp_path / "home"
    index.mkdir(parents=True)
    (home / "tests").mkdir(parents=True)

    def run_fetch(members: dict[str, bytes], digest: str) -> subprocess.CompletedProcess[str]:
        with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w:gz") as package:
            for name, content in members.items():
                (info := tarfile.TarInfo(name)).size = len(content)
                package.addfile(info, io.BytesIO(content))
        (index / "suite-1.tar.gz").write_bytes(buffer.getvalue())
        digest = digest or sha256(buffer.getvalue()).hexdigest()
        (index / "index.html").write_text(f'<a href="suite-1.tar.gz#sha256={digest}">suite-1</a>')
        (home / "tests/data.lock").write_text(f"suite==1 \\\n    --hash=sha256:{digest}\n")
        handler = partial(SimpleHTTPRequestHandler, directory=str(index.parent))
        with serving(handler) as url:
            command = [sys.executable, str(Path(__file__).parents[2] / ".ci" / "data")]
            settings = {**os.environ, "UV_DEFAULT_INDEX": f"{url}/"}
            return subprocess.run(command, cwd=home, env=settings, capture_output=True, text=True)

    return run_fetch


@pytest.mark.parametrize(
    ("member", "digest", "reason"),
    [("suite-1/manifest.ttl", "", ""), ("suite-1/manifest.ttl", "0" * 64, "the file has another SHA-256 than its entry"),
     ("../manifest.ttl", "", "would be extracted to")],
)  # fmt: skip
def test_a_suite_is_unpacked_only_if_it_is_what_the_lock_says(
    member: str, digest: str, reason: str, fetch: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:  # fmt: skip
    completed = fetch({member: b"<> a <x:Manifest> ."}, digest)

    unpacked = {path.name for path in (tmp_path / "home/.venv/data").rglob("*")}
    assert (completed.returncode, unpacked) == (
        (1, set()) if reason else (0, {"suite-1", "manifest.ttl"})
    )
    assert reason in completed.stderr
