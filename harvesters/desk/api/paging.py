"""Paging: a list tells where it goes on, in its body and as a Link (RFC 8288)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Response

from harvesters.desk.listing import MOST

Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows of a page.")]


def onward(response: Response, next: str | int | None, **same: str | int | None) -> None:
    """Link to the next page, if there is one, with the parameters that stay the *same*."""
    if next is not None:
        told = {name: value for name, value in same.items() if value is not None}
        response.headers["Link"] = f'<?{urlencode({**told, "after": next})}>; rel="next"'
