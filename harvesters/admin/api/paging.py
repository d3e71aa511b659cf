"""Link to the next page of a list, in the body and as a Link header (RFC 8288)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Response

from harvesters.admin.pagination import MAX_ROWS

Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="Rows of a page.")]


def add_next_link(
    response: Response, next: str | int | None, **parameters: str | int | None
) -> None:
    """Add a Link to the next page, if there is one, with the same *parameters*."""
    if next is not None:
        query = {name: value for name, value in parameters.items() if value is not None}
        response.headers["Link"] = f'<?{urlencode({**query, "after": next})}>; rel="next"'
