"""Check the Host header of requests, and keep it out of responses; check which site sends a form.

Sources: https://www.rfc-editor.org/rfc/rfc9112 section 3.2 (Host),
https://www.rfc-editor.org/rfc/rfc3986 section 3.2.2 (its form).
"""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.requests import Request

from web.problems import HTTPProblem

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\Z")
# who may send a form; browsers state it (https://www.w3.org/TR/fetch-metadata/)
_OURS = ("same-origin", "none")


def check_origin(request: Request) -> None:
    """Raise HTTPProblem if a page of another site sends the request: older browsers name the site
    in Origin alone (https://www.rfc-editor.org/rfc/rfc6454#section-7).
    """
    host = request.headers.get("host", "")
    origin = request.headers.get("origin", f"//{host}")
    site = request.headers.get("sec-fetch-site", "none")
    if site not in _OURS or origin.rpartition("//")[2] != host:
        raise HTTPProblem(HTTPStatus.FORBIDDEN, "The form is sent from our own page only")
