from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from codebase import Codebase, parse_file
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rows import each

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {
    "vocab", "shapes", "journal", "languages", "web", "harvesters", "publisher", "demo", "command_line", "stocktake", "benchmarks",
}  # fmt: skip
# Packages that another one installs and documents as a part of itself.
BUNDLED = {
    "pydantic_core": "pydantic", "click": "typer", "markupsafe": "jinja2", "boto3": "moto", "opentelemetry": "opentelemetry-sdk",
}  # fmt: skip
# Never imported by name: uvicorn and starlette import them.
IMPLICIT = {"uvloop", "httptools", "python-multipart"}


def _declared(texts: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in texts}


EXTRAS = [
    text
    for name, texts in PROJECT["optional-dependencies"].items()
    if name != "dev"
    for text in texts
]

_LATE_IMPORT = re.compile(r"\bimport_module\('([\w.]+)'\)")


def _imported(trees: Iterable[ast.Module]) -> set[str]:
    trees = list(trees)
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    names |= {match[1] for tree in trees for match in _LATE_IMPORT.finditer(ast.unparse(tree))}
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)


def _distributions(modules: set[str]) -> set[str]:
    known = packages_distributions()
    return {
        BUNDLED.get(module) or canonicalize_name(known.get(module, [module])[0])
        for module in modules
    }


@pytest.fixture(scope="module")
def imported(codebase: Codebase) -> set[str]:
    return _distributions(_imported(codebase.trees.values()) - OURS)


def test_what_the_program_imports_is_declared(imported: set[str]) -> None:
    assert imported - _declared([*PROJECT["dependencies"], *EXTRAS]) == set()


def test_what_is_declared_for_the_program_is_imported(imported: set[str]) -> None:
    assert _declared(PROJECT["dependencies"]) - imported - IMPLICIT == set()


def test_what_the_tests_import_is_declared() -> None:
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    beside = {file.stem for file in (*files, *(ROOT / "docs").glob("*.py"))}
    imported = _distributions(_imported(parse_file(file) for file in files) - OURS - beside)

    assert (
        imported
        - _declared([*PROJECT["dependencies"], *EXTRAS, *PROJECT["optional-dependencies"]["dev"]])
        == set()
    )


BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"][
    "requires"
]
EXTRA_PACKAGES = PROJECT["optional-dependencies"]
RUN = ("postgresql", "dask", "s3", "age", "tracing")  # extras of the image
# The build of the image runs these tools.
IMAGE_TOOLS = (
    "cyclonedx-bom",
    "furo",
    "myst-parser",
    "sphinx",
    "sphinxext-rediraffe",
)
REQUIRED = {
    "requirements.lock": [*PROJECT["dependencies"], *EXTRA_PACKAGES["postgresql"], *EXTRA_PACKAGES["dev"], *BUILD],
    "requirements-run.lock": [*PROJECT["dependencies"], *(text for name in RUN for text in EXTRA_PACKAGES[name])],
    "requirements-build.lock": [*BUILD, *(name for name in EXTRA_PACKAGES["dev"] if name.startswith(IMAGE_TOOLS))],
}  # fmt: skip
_HASHES = r"(?: --hash=sha256:[0-9a-f]{64})+"
_PIN = re.compile(
    rf"(?P<name>[a-z0-9._-]+)(?:\[[a-z,]+\])?==(?P<version>[^\s;]+)(?: ; .+?)?{_HASHES}"
)


def _rows(lock: str) -> list[str]:
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    rows = (re.sub(r"\s+", " ", row).strip() for row in text.splitlines())
    return [row for row in rows if row and not row.startswith("#")]


def _pins(lock: str) -> dict[str, str]:
    matches = (_PIN.fullmatch(row) for row in _rows(lock))
    return {canonicalize_name(match["name"]): match["version"] for match in matches if match}


@pytest.mark.parametrize("lock", REQUIRED)
def test_every_row_is_one_version_with_its_hashes(lock: str) -> None:
    assert [row[:80] for row in _rows(lock) if not _PIN.fullmatch(row)] == []


@pytest.mark.parametrize("lock", REQUIRED)
def test_the_lock_names_no_address_and_no_path(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")

    addresses = re.findall(
        r"\w+://\S+|--(?:extra-)?index-url|--find-links|--trusted-host|\bfile:|(?<![\w.])/\w+", text
    )

    assert addresses == []


@pytest.mark.parametrize("lock", REQUIRED)
def test_every_dependency_is_locked_within_its_range(lock: str) -> None:
    pins = _pins(lock)

    required = [Requirement(text) for text in REQUIRED[lock]]

    outside = [
        item.name
        for item in required
        if not item.specifier.contains(pins.get(canonicalize_name(item.name), "0"))
    ]

    assert outside == []


@pytest.mark.parametrize("lock", ["requirements-run.lock", "requirements-build.lock"])
def test_the_locks_agree(lock: str) -> None:
    all_pins, pins = _pins("requirements.lock"), _pins(lock)

    assert {name for name, version in pins.items() if all_pins.get(name) != version} == set()


PACKAGES = (
    "vocab", "shapes", "journal", "languages", "web", "harvesters", "publisher", "demo", "command_line", "stocktake.py",
)  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder),
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


def _tracked() -> set[str]:
    completed = subprocess.run(
        ["git", "ls-files", "-z", "--", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {name for name in completed.stdout.split("\0") if name and (ROOT / name).exists()}


@pytest.mark.smoke
def test_every_file_of_the_packages_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    assert (_tracked() - set(wheel.namelist())) == set()


@pytest.mark.smoke
def test_nothing_else_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    prefixes = (*(f"{package}/" for package in PACKAGES), "stocktake.py", "stocktake-")
    assert {name for name in wheel.namelist() if not name.startswith(prefixes)} == set()


@pytest.mark.smoke
def test_the_wheel_contains_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    (entries,) = (
        wheel.read(name).decode() for name in wheel.namelist() if name.endswith("entry_points.txt")
    )

    assert "stocktake = stocktake:main" in entries
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


@pytest.mark.smoke
def test_no_symbolic_link_is_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--stage", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert [line.split("\t")[1] for line in listed.split("\0") if line.startswith("120000")] == []


_LATE = {
    *("duckdb", "extruct", "feedparser", "fsspec", "jinja2", "mcp", "numpy"),
    *("py3langid", "pyshacl", "rdflib", "tantivy", "uvicorn"),
}
# The help of a command needs none of these either.
_HELP = {"apscheduler", "httpx", "lxml", "pyoxigraph", "sqlalchemy", "stamina", "structlog"}
# Reading the ledger needs none of these.
_RUNS = {
    "httpx", "harvesters.mappings.mapping", "harvesters.network.fetch", "harvesters.pipeline.record_processor",
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
    for _ in range(2):  # the first run creates the ledger
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
def test_a_worker_process_imports_no_database_library() -> None:
    code = "import sys, harvesters.pipeline.record_processor; print(*sys.modules)"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )

    assert "sqlalchemy" not in result.stdout.split()
