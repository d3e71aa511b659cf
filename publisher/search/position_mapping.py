"""Places: where in a query, as it was written, a fault lies that was found in it as it was rewritten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def original_column(line: int, column: int, inserted: Iterable[Sequence[int]]) -> int:
    """Return the column of the query as it was written for one of the query as it was rewritten.

    *inserted* are line, column and width of what was put in, in the order of the text.

    >>> original_column(1, 50, [(1, 10, 30)]), original_column(1, 5, [(1, 10, 30)]), original_column(1, 20, [(1, 10, 30)])
    (20, 5, 10)
    """
    shift = 0
    for at, start, width in inserted:
        if at == line and column >= start + shift:
            if column < start + shift + width:
                return start
            shift += width
    return column - shift
