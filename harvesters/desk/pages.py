"""Pages: the desk's templates; everything is escaped and made visible, nothing runs, nothing is kept by the browser."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from harvesters.desk.keys import Scope
from harvesters.desk.visible import shown
from vocab.iris import encode, is_web

HERE = Path(__file__).parent
ROOT = "/desk"
# No script runs, nothing is loaded from another host, no other site may frame a page or get its forms.
POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


class Pages:
    """Render templates."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=shown,
        )
        self._templates.globals.update(is_web=is_web, when=_when, root=ROOT, Scope=Scope, visitor=None)
        self._templates.filters.update(encode=encode, segment=_segment, why=_why)

    def page(self, template: str, values: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK) -> HTMLResponse:
        """Render *template* with *values*."""
        return HTMLResponse(self._templates.get_template(template).render(values), status)

    def way(self, request: Request) -> str:
        """Give where to go after signing in: the page that was asked for, if it was only looked at."""
        return local(request.url.path + (f"?{request.url.query}" if request.url.query else "")) if request.method == "GET" else ROOT + "/"


def local(path: str) -> str:
    r"""Give *path* if it is an address of the desk, else the desk's first page: a form must not lead elsewhere.

    >>> local("/desk/page/acts"), local("https://evil.example/"), local("/desk/../x"), local("/desk/\\\\evil")
    ('/desk/page/acts', '/desk/', '/desk/', '/desk/')
    """
    try:
        parts = urlsplit(path)
    except ValueError:
        return ROOT + "/"
    safe = not parts.scheme and not parts.netloc and parts.path.startswith(ROOT + "/")
    plain = path.isascii() and path.isprintable() and ".." not in path and "\\" not in path and "//" not in path
    return path if safe and plain else ROOT + "/"


def _when(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M") if value else "–"


def _segment(text: str) -> str:
    return quote(text, safe="")


def _why(reason: str | None) -> str:
    """Give a run's reason without what to type at a terminal: the page has buttons for it."""
    return (reason or "").partition("; look at it with `stocktake")[0]
