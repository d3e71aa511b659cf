"""Tests that start a program are recognized by their code, and those that a change may break by
their imports.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import pytest_changed
import pytest_parts
from processes import Process, free_port

pytestmark = pytest.mark.smoke  # the code that they inspect starts programs
ROOT = Path(__file__).parents[2]


def starts_by_helper() -> int:
    return sum(Helper().run() for _ in range(1))


class Helper:
    """Starts a program."""

    @property
    def process(self) -> Process:
        return Process(["true"])

    def run(self) -> int:
        return self.process.stop()


def starts_itself() -> None:
    subprocess.run(["true"], check=True)


def only_uses_a_module_that_can_start_programs() -> int:
    return free_port()


@pytest.mark.parametrize("code", [starts_by_helper, starts_itself, partial(starts_itself), Helper])
def test_code_that_starts_a_program_is_found(code: Callable[..., object]) -> None:
    assert pytest_parts.starts(code)


def test_code_that_starts_no_program_is_left_alone() -> None:
    assert not pytest_parts.starts(only_uses_a_module_that_can_start_programs)


def test_what_imports_a_changed_file_is_reached() -> None:
    source, registry, test = (
        ROOT / name for name in ("vocab/a.py", "vocab/b.py", "tests/test_c.py")
    )
    imports = {source: set[Path](), registry: {source}, test: {registry}, ROOT / "stocktake.py": {test}}  # fmt: skip

    assert pytest_changed.reaching({source}, imports) == {*imports}
    assert pytest_changed.reaching({test}, imports) == {test, ROOT / "stocktake.py"}
    assert pytest_changed.reaching({ROOT / "vocab" / "data" / "a.ttl"}, imports) == {*imports}
    assert pytest_changed.reaching({ROOT / "README.md"}, imports) == set()


def test_imports_by_name_and_of_modules_beside_a_test_are_read() -> None:
    registry, test = (
        ROOT / name for name in ("harvesters/protocols/protocol.py", "tests/publisher/conftest.py")
    )
    imported_by_name = ROOT / "harvesters/protocols/pod.py"
    beside = {ROOT / "tests/support/prebuilt.py", ROOT / "tests/conftest.py"}

    imports = pytest_changed.read_imports({registry, test, imported_by_name, *beside})

    assert (imports[registry], imports[test]) == ({imported_by_name}, {test, *beside})
    assert imports.keys() <= pytest_changed.python_files()
