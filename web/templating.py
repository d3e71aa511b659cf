"""Render pages: the Jinja environment that all share, which escapes characters of texts written by
others that hide text or change the order of the text around it; the pages of people who sign in; and
style sheets and scripts under names that contain a digest of their content, compressed, to be cached
for a year.

A page names ``/static/style.0123456789ab.css``. The plain name is answered too, and so is a name
with the digest of another version, since the page that asks may be older or newer than the server;
both must be asked for again each time.

Sources: https://www.unicode.org/reports/tr36/ (bidirectional text spoofing),
https://www.unicode.org/reports/tr9/ (2.1 to 2.4), https://trojansource.codes/
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from types import CodeType
from typing import Any
from urllib.parse import quote, urlsplit

from isal import igzip
from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from languages.translations import (
    LANGUAGES,
    TEMPLATES,
    current_locale,
    format_datetime,
    format_number,
    format_share,
    gettext,
    kind_name,
    ngettext,
    term_label,
    term_title,
)
from vocab.iris import is_web
from web.respond import IMMUTABLE, accepts_gzip

# Controls except tab and line ends, overrides, embeddings and isolates with their ends, line
# separators, and unused characters without width.
_SUSPECT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2061-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_OPENERS = {
    "\u202a": "\u202c",
    "\u202b": "\u202c",
    "\u2066": "\u2069",
    "\u2067": "\u2069",
    "\u2068": "\u2069",
}
_CLOSERS = frozenset(_OPENERS.values())
# Texts need line ends, and some scripts and emoji need the joiners.
_VISIBLE = frozenset("\n\t\u200c\u200d")
_INVISIBLE_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def escape_unsafe_text(text: str) -> str:
    """Replace control characters of *text* by their code points, but keep embeddings and isolates
    that are closed again.

    >>> escape_unsafe_text("photo\\u202egpj.exe")
    'photo⟨U+202E⟩gpj.exe'
    >>> escape_unsafe_text("a \\u2067b\\u2069") == "a \\u2067b\\u2069"
    True
    """
    if not _SUSPECT.search(text):
        return text
    closed = _closed_isolates(text)
    escaped = _SUSPECT.sub(
        lambda match: match[0] if match.start() in closed else _code_point(match[0]), text
    )
    return type(text)(escaped)  # markup stays markup


def escape_invisible_text(text: str) -> str:
    """Replace every invisible or direction-changing character of *text* by its code point, for
    operators, who decide by what they read.

    >>> escape_invisible_text("safe\\u202egnp.exe"), escape_invisible_text("a\\nb\\u200b")
    ('safe⟨U+202E⟩gnp.exe', 'a\\nb⟨U+200B⟩')
    """
    if text.isascii() and text.isprintable():
        return text
    escaped = "".join(
        _code_point(char)
        if unicodedata.category(char) in _INVISIBLE_CATEGORIES and char not in _VISIBLE
        else char
        for char in text
    )
    return type(text)(escaped)  # markup stays markup


def _code_point(char: str) -> str:
    return f"⟨U+{ord(char):04X}⟩"


def _closed_isolates(text: str) -> set[int]:
    """Return the places of the openers that are closed, in order, and of their closers."""
    closed: set[int] = set()
    open_: list[int] = []
    for match in _SUSPECT.finditer(text):
        if match[0] in _OPENERS:
            open_.append(match.start())
        elif match[0] in _CLOSERS and open_ and _OPENERS[text[open_[-1]]] == match[0]:
            closed |= {open_.pop(), match.start()}
    return closed


def finalize(value: object) -> object:
    """Escape a value that a template writes; for Jinja's *finalize*."""
    return (
        escape_unsafe_text(value)
        if isinstance(value, str)
        else escape_unsafe_text(str(value))
        if _is_text_like(value)
        else value
    )


def _is_text_like(value: object) -> bool:
    return (
        value is not None
        and not isinstance(value, bool | int | float)
        and not hasattr(value, "__html__")
    )


def finalize_invisible(value: Any) -> Any:
    """Escape a text that a template for operators writes; for Jinja's *finalize*."""
    return escape_invisible_text(value) if isinstance(value, str) else value


def ascii_host(address: str) -> str:
    """Return the host of a web address in ASCII if it has letters of other scripts, which may look
    alike; else "".

    >>> ascii_host("https://аррӏе.example/"), ascii_host("https://example.org/é")
    ('xn--80ak6aa92e.example', '')
    """
    host = urlsplit(address).netloc.rpartition("@")[2].partition(":")[0]
    labels = [
        label if label.isascii() else f"xn--{label.lower().encode('punycode').decode()}"
        for label in host.split(".")
    ]
    return "" if host.isascii() else ".".join(labels)


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


# No scripts, no resources of other hosts, no framing, no forms sent elsewhere.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


class CompiledTemplates(BytecodeCache):
    """The templates that this process has compiled, shared by the environments of its apps: compiling
    a page takes longer than rendering it.
    """

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


@cache
def _compiled(finalize: Callable[[object], object]) -> CompiledTemplates:
    """Return the templates compiled for *finalize*, which constants pass when they are compiled."""
    return CompiledTemplates()


def create_environment(
    folders: Iterable[Path], finalize: Callable[[object], object]
) -> Environment:
    """Return an environment that reads templates from *folders*, then the shared ones. Values pass
    *finalize* and are escaped; texts are in the language of the request.
    """
    environment = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
        extensions=["jinja2.ext.i18n"],
        bytecode_cache=_compiled(finalize),
    )
    environment.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]  # of the extension
    environment.globals.update(
        is_web=is_web,
        languages=LANGUAGES,
        locale=current_locale,
        format_number=format_number,
        format_datetime=format_datetime,
        kind_name=kind_name,
        term_label=term_label,
        term_title=term_title,
    )
    environment.filters.update(percent=format_share)
    return environment


class Pages:
    """Render the templates of *folders*, or of the first that has one, for people who sign in: all
    is escaped, and browsers store nothing.

    *root* begins the addresses of the pages; *values* and *filters* are added to all templates.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        root: str,
        filters: Mapping[str, Callable[..., object]] | None = None,
        **values: object,
    ) -> None:
        self.root = root
        self._templates = create_environment(folders, finalize_invisible)
        self._templates.globals.update(root=root, language_link=partial(_language_link, root))
        self._templates.globals.update(values)
        self._templates.filters.update(
            path=_site_path, segment=partial(quote, safe=""), **(filters or {})
        )

    def render(
        self, template: str, values: Mapping[str, object], status: HTTPStatus | None = None
    ) -> HTMLResponse:
        """Return a page; a form with an *error* among its values was refused."""
        refused = HTTPStatus.UNPROCESSABLE_ENTITY if values.get("error") else HTTPStatus.OK
        status = status or refused
        return HTMLResponse(self._templates.get_template(template).render(values), status)


@dataclass(frozen=True, slots=True)
class PageRenderer:
    """Render the pages that answer *request*, with *values* that each of them has; the others of a
    template are keywords.
    """

    request: Request
    values: Mapping[str, object]

    def __call__(
        self, template: str, status: HTTPStatus | None = None, /, **values: object
    ) -> Response:
        pages: Pages = self.request.app.state.pages
        return pages.render(template, {**self.values, **values}, status)


def _language_link(root: str, language: str) -> str:
    """Return the address of this page in *language*; that of the overview where this page answers a
    form.
    """
    locale = current_locale()
    return locale.url_with(lang=language) if locale.method == "GET" else f"{root}/?lang={language}"


def _site_path(address: str) -> str:
    """Return the path of one of our IRIs on this site, "" for any other address.

    >>> _site_path("https://w3id.org/wsis-stocktaking/record/kenya/p1"), _site_path("javascript:x")
    ('/record/kenya/p1', '')
    """
    match = re.search(r"/(?:record|id)/[^?#]+\Z", address)
    return match[0] if match and is_web(address) else ""
