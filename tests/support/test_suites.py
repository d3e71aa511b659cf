"""The conformance suites must be there where their folder is, and the report says how many of their
cases ran.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
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
    for name, first in SUITES.items():
        (tmp_path / "suites" / name).mkdir(parents=True)
        (tmp_path / "suites" / name / first).touch()
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

    assert "w3c-shacl: 3 cases ran (2 passed, 1 failed)" in output
    assert "oai-pmh-xsd: 0 cases ran (1 skipped)" in output
    assert "w3c-sparql11: 0 cases ran\n" in output
    assert re.search(r"=+ 1 failed, 2 passed, 1 skipped in [\d.]+s =+\n$", output)
