"""Convert exceptions of libraries to ours: of those that parse, and of those that only an extra installs.

Every call of a library that reads bytes from a registry is inside ``parser_errors``, as
`tests/harvesters/test_parser_errors.py` checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any
from urllib.parse import urljoin, urlsplit

from harvesters.errors import HarvestError, ParseError
from harvesters.reasons import Reason

# The module of PanicException, which libraries in Rust raise and which is no Exception.
_PANIC = "pyo3_runtime"
_LENGTH = 200  # characters of a library's message that ours repeats


@contextmanager
def parser_errors(subject: str | Reason) -> Iterator[None]:
    """Raise ParseError, whose message begins with *subject*, for any exception of a parsing library
    inside the block.

    A HarvestError passes unchanged, and so do KeyboardInterrupt, SystemExit and GeneratorExit.

    >>> with parser_errors("a.json: not JSON"):
    ...     int("x")
    Traceback (most recent call last):
    harvesters.errors.ParseError: a.json: not JSON: invalid literal for int() with base 10: 'x'
    """
    try:
        yield
    except HarvestError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__module__ != _PANIC:
            raise
        raise ParseError(
            Reason("%(subject)s: %(error)s", subject=subject, error=message(error))
        ) from error


def with_parser_errors(search: Callable[[Any], Any], subject: str) -> Callable[[Any], Any]:
    """Return *search* wrapped in ``parser_errors``."""

    def find(node: Any) -> Any:
        try:
            return search(node)
        except Exception:
            # Entering the context earlier would take longer than most searches.
            with parser_errors(subject):
                raise

    return find


def message(error: BaseException) -> str:
    """Return the message of *error* on one line, with the name of its class if the message alone is
    not clear.

    >>> message(KeyError("a")), message(MemoryError())
    ("KeyError: 'a'", 'MemoryError')
    """
    text = " ".join(str(getattr(error, "msg", None) or error).split())[:_LENGTH]
    named = isinstance(error, SyntaxError | ValueError) or not isinstance(error, Exception)
    return (
        text
        if text and named
        else f"{type(error).__name__}: {text}"
        if text
        else type(error).__name__
    )


def natural(text: str | None) -> int | None:
    """Return the natural number that *text* is in ASCII digits; None for any other text, and for a
    number of 16 digits or more.

    >>> natural("12"), natural("-1"), natural("²"), natural("9" * 16)
    (12, None, None, None)
    """
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


def join_url(base: str, address: str) -> str:
    """Return *address* resolved against *base*; unchanged if it cannot be resolved, such as
    ``http://[a``.

    >>> join_url("https://a.example/b", "c"), join_url("https://a.example/b", "http://[c")
    ('https://a.example/c', 'http://[c')
    """
    try:
        return urljoin(base, address)
    except ValueError:
        return address


def url_path(address: str) -> str:
    """Return the path of *address*; empty if it is not a URL.

    >>> url_path("https://a.example/b/c.json?d"), url_path("http://[a")
    ('/b/c.json', '')
    """
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def import_optional(module: str, extra: str) -> ModuleType:
    """Return the imported *module*, whose dependencies are those of *extra*. Raise HarvestError if
    they are not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise HarvestError(
            f"{error.name} is not installed; pip install 'stocktake[{extra}]'"
        ) from error
