"""Escape characters of texts written by others that hide text or change the order of the text
around it.

Sources: https://www.unicode.org/reports/tr36/ (bidirectional text spoofing),
https://www.unicode.org/reports/tr9/ (2.1 to 2.4), https://trojansource.codes/
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any
from urllib.parse import urlsplit

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
