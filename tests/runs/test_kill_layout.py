from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
import syscall_tracer

from harvesters.ledger import tables
from harvesters.ledger.ledger import Ledger

# calls between two points
EVERY = [48, pytest.param(16, marks=pytest.mark.nightly)]


def opening(file: Path) -> Callable[[], None]:
    return lambda: Ledger(f"sqlite:///{file}").close()


def layout(file: Path) -> set[str]:
    return set(sa.inspect(sa.create_engine(f"sqlite:///{file}")).get_table_names())


@pytest.mark.parametrize("every", EVERY)
def test_a_ledger_whose_creation_was_killed_opens_again(tmp_path: Path, every: int) -> None:
    if why := syscall_tracer.refusal():
        pytest.skip(why)
    calls = syscall_tracer.trace(opening(tmp_path / "whole"), None, tmp_path / "errors").calls

    ends = []
    for at in range(1, len(calls) + 1, every):
        killed = syscall_tracer.trace(opening(tmp_path / f"{at}"), at, tmp_path / "errors").killed
        again = syscall_tracer.trace(opening(tmp_path / f"{at}"), None, tmp_path / "errors").code
        ends.append((killed, again, layout(tmp_path / f"{at}") == layout(tmp_path / "whole")))

    assert len(ends) > 5
    assert ends == [(True, 0, True)] * len(ends)
    assert layout(tmp_path / "whole") > set(tables.metadata.tables)
