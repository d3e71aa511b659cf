from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"][
    "requires"
]
EXTRAS = PROJECT["optional-dependencies"]
RUN = ("postgresql", "dask", "s3", "age", "tracing")  # extras of the image
IMAGE_TOOLS = ("cyclonedx-bom", "furo", "myst-parser", "sphinx")  # that the build of the image runs
REQUIRED = {
    "requirements.lock": [*PROJECT["dependencies"], *EXTRAS["postgresql"], *EXTRAS["dev"], *BUILD],
    "requirements-run.lock": [*PROJECT["dependencies"], *(text for name in RUN for text in EXTRAS[name])],
    "requirements-build.lock": [*BUILD, *(name for name in EXTRAS["dev"] if name.startswith(IMAGE_TOOLS))],
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
