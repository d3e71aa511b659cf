from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rows import each

_LATE = {
    *("duckdb", "extruct", "feedparser", "fsspec", "jinja2", "mcp", "numpy"),
    *("py3langid", "pyshacl", "rdflib", "tantivy", "uvicorn"),
}
# The help of a command needs none of these either.
_HELP = {"apscheduler", "httpx", "lxml", "pyoxigraph", "sqlalchemy", "stamina", "structlog"}
# Reading the ledger needs none of these.
_RUNS = {
    "httpx", "harvesters.mappings.mapping", "harvesters.network.fetch", "harvesters.pipeline.worker_pool",
}  # fmt: skip
_SCRIPT = """
import sys
sys.argv = ["stocktake", *sys.argv[1:]]
import stocktake
try:
    stocktake.main()
except SystemExit as end:
    assert not end.code, end.code
print(*sys.modules)
"""


@pytest.mark.parametrize(
    "arguments", [("--help",), ("runs",), ("plans", "list"), ("sources", "list")], ids=" ".join
)
def test_a_listing_imports_no_library_that_it_does_not_use(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "data").mkdir()
    run = [sys.executable, "-c", _SCRIPT, "--data", "data", "--sources", "sources", *arguments]
    for _ in range(2):  # the first makes the ledger
        result = subprocess.run(
            run, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True
        )

    late = _LATE | _RUNS if arguments == ("runs",) else _LATE
    assert late & set(result.stdout.splitlines()[-1].split()) == set()


@each("words", [("harvest",), ("remap",), ("sources",), ("runs",), ("plans",)])
def test_help_imports_no_library_that_the_work_needs(words: tuple[str, ...]) -> None:
    run = [sys.executable, "-c", _SCRIPT, *words, "--help"]

    result = subprocess.run(run, capture_output=True, text=True, timeout=300, check=True)

    assert (_LATE | _HELP) & set(result.stdout.splitlines()[-1].split()) == set()


@pytest.mark.smoke
def test_a_collector_imports_no_database_library() -> None:
    code = "import sys, harvesters.pipeline.collector; print(*sys.modules)"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )

    assert "sqlalchemy" not in result.stdout.split()
