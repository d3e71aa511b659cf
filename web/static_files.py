"""Serve style sheets and scripts under names that contain a digest of their content, compressed, to
be cached for a year.

A page names ``/static/style.0123456789ab.css``. The plain name is answered too, and so is a name
with the digest of another version, since the page that asks may be older or newer than the server;
both must be asked for again each time.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from isal import igzip
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from web.formats import accepts_gzip
from web.respond import IMMUTABLE

STATIC_FOLDER = Path(__file__).parents[1] / "publisher" / "static"
_COMPRESSED = (".css", ".js", ".svg", ".json")  # endings of the names of text files
_HASHED = re.compile(r"(?P<stem>.+)\.(?P<digest>[0-9a-f]{12})(?P<ending>\.[a-z][a-z0-9]*)")


def static_url(name: str) -> str:
    """Return the address of a file of the folder ``static``, with the digest of its content; its
    plain address if there is no such file.

    >>> static_url("icon.svg").startswith("/static/icon."), static_url("not-built.js")
    (True, '/static/not-built.js')
    """
    file = STATIC_FOLDER / name
    if not file.is_file():
        return f"/static/{name}"
    stem, ending = os.path.splitext(name)
    return f"/static/{stem}.{_digest(file, file.stat().st_mtime_ns)}{ending}"


def font_sheets(language: str) -> list[str]:
    """Return the addresses of the style sheets with the fonts of pages in *language*; none where
    hatch_build.py could not fetch them.
    """
    names = ["query/fonts.css"] + (["query/fonts-zh.css"] if language == "zh" else [])
    return [static_url(name) for name in names if (STATIC_FOLDER / name).is_file()]


class HashedStaticFiles(StaticFiles):
    """The files of a folder, by their plain names and by names with a digest."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        self._folder = folder

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file; texts are compressed where the client accepts that. Raises HTTPException
        if there is none.
        """
        match = _HASHED.fullmatch(path)
        name = (
            match["stem"] + match["ending"]
            if match and not (self._folder / path).is_file()
            else path
        )
        response = await super().get_response(name, scope)
        if not isinstance(response, FileResponse):
            return response
        file, changed = Path(response.path), os.stat(response.path).st_mtime_ns
        is_current = (
            match is not None and name != path and match["digest"] == _digest(file, changed)
        )
        response.headers["Cache-Control"] = IMMUTABLE if is_current else "no-cache"
        if file.suffix in _COMPRESSED:
            response.headers["Vary"] = "Accept-Encoding"
            request_headers = Headers(scope=scope)
            if (
                accepts_gzip(request_headers.get("accept-encoding"))
                and "range" not in request_headers
            ):
                return _compressed_response(response, file, changed)
        return response


def _compressed_response(response: FileResponse, file: Path, changed: int) -> Response:
    """Return the response with its body compressed. Its ETag is weak: the bytes differ from those
    of the uncompressed file.
    """
    names = ("content-type", "cache-control", "last-modified", "vary")
    headers = {name: response.headers[name] for name in names if name in response.headers}
    return Response(
        _compress(file, changed),
        response.status_code,
        {**headers, "ETag": f"W/{response.headers['etag']}", "Content-Encoding": "gzip"},
    )


@lru_cache(maxsize=64)
def _digest(file: Path, changed: int) -> str:
    """Return the start of the digest of a file's content; *changed*, its time of modification,
    keeps the cache current.
    """
    return sha256(file.read_bytes()).hexdigest()[:12]


@lru_cache(maxsize=32)
def _compress(file: Path, changed: int) -> bytes:
    return bytes(igzip.compress(file.read_bytes(), 3, mtime=0))
