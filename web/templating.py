"""Create the Jinja environment that all pages share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import CodeType

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket

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
from vocab.iris import is_web


class CompiledTemplates(BytecodeCache):
    """Templates that this process has compiled: each of its apps has an environment of its own, and
    to compile a page takes longer than to render it.
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
