"""Render XML from the templates of ``publisher/templates/feeds``."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, cast

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from publisher.history.change_reader import ChangeType
from publisher.pages import PACKAGE_FOLDER

# https://www.w3.org/TR/xml/#charsets
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def render(template: str, **values: Any) -> bytes:
    """Render a document; values are escaped, and characters that XML does not allow are replaced."""
    return clean(_environment().get_template(template).render(values)).encode()


@cache
def macro(template: str, name: str) -> Callable[..., Markup]:
    """Return a macro of a template, whose output is to be handed to another template."""
    return cast(Callable[..., Markup], getattr(_environment().get_template(template).module, name))


def clean(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)


@lru_cache(1024)  # the records of an entry have one time
def instant(seconds: int) -> str:
    """Write seconds since 1970 as a time in UTC.

    >>> instant(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["instant"] = instant
    environment.globals["DELETED"] = ChangeType.DELETED
    return environment


def _read(name: str) -> str:
    """Return a template without its line breaks, which would be content of the elements."""
    text = (PACKAGE_FOLDER / "templates" / "feeds" / name).read_text(encoding="utf-8")
    return re.sub(r"\n\s*", "", text)
