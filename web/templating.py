"""Render pages: the Jinja environment that all share, and the pages of people who sign in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from types import CodeType
from urllib.parse import quote

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from starlette.requests import Request
from starlette.responses import HTMLResponse

from languages.request_locale import LANGUAGES, current_locale
from languages.translations import (
    TEMPLATES,
    format_datetime,
    format_number,
    format_share,
    gettext,
    kind_name,
    ngettext,
    term_label,
    term_title,
)
from languages.unsafe_text import finalize_invisible
from vocab.iris import is_web

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
        self, template: str, values: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK
    ) -> HTMLResponse:
        return HTMLResponse(self._templates.get_template(template).render(values), status)


def get_pages(request: Request) -> Pages:
    """Return the templates that the app was created with."""
    pages: Pages = request.app.state.pages
    return pages


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
