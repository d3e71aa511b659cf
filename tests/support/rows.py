"""One test for many rows: a loop in which a failure names its row."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

FAILED = (Exception, pytest.fail.Exception)
Test = Callable[..., Any]


def each(names: str, rows: Iterable[Any]) -> Callable[[Test], Test]:
    """Call a test with the values of each row for its parameters *names*, as
    ``pytest.mark.parametrize`` does, but within one test. All rows are tried, and those that fail
    are named.

    Fixtures are made once for all rows, so no row may change them.
    """
    parameters = [name.strip() for name in names.split(",")]
    all_rows = [row if len(parameters) > 1 else (row,) for row in rows]
    wrong = [row for row in all_rows if len(row) != len(parameters)]
    assert not wrong, f"rows of {names!r} have other lengths: {wrong[0]!r}"

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        rest = [item for name, item in signature.parameters.items() if name not in parameters]

        def finish(failures: list[BaseException]) -> None:
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(all_rows)} rows", failures)

        def named(error: BaseException, row: Iterable[Any]) -> BaseException:
            error.add_note(f"Row: {', '.join(map(repr, row))}"[:1000])
            return error

        @functools.wraps(test)
        def loop(**fixtures: Any) -> None:
            failures = list[BaseException]()
            for row in all_rows:
                try:
                    test(**fixtures, **dict(zip(parameters, row, strict=True)))
                except FAILED as error:
                    failures.append(named(error, row))
            finish(failures)

        @functools.wraps(test)
        async def loop_async(**fixtures: Any) -> None:
            failures = list[BaseException]()
            for row in all_rows:
                try:
                    await test(**fixtures, **dict(zip(parameters, row, strict=True)))
                except FAILED as error:
                    failures.append(named(error, row))
            finish(failures)

        result: Test = loop_async if inspect.iscoroutinefunction(test) else loop
        vars(result)["__signature__"] = signature.replace(parameters=rest)
        return result

    return decorate
