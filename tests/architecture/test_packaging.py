from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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
