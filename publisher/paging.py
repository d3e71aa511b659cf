"""Paging: long lists go on after the last address that was shown, so that no page is counted from the start."""

from __future__ import annotations

from starlette.requests import Request

from publisher.shelf import Shelf
from publisher.terms import Row


def after(request: Request, shelf: Shelf) -> str:
    """Give the address after which the list goes on: that of the parameter ``after``, else one before all of ours."""
    return request.query_params.get("after") or shelf.iris.base


def titled(rows: list[Row], key: str) -> list[Row]:
    """Give one row for each value of *key*, in order, with the English title where there is one."""
    ordered = sorted(rows, key=lambda row: (row[key].value, "title" not in row or row["title"].language != "en"))
    return list({row[key].value: row for row in reversed(ordered)}.values())[::-1]
