"""Escape invisible characters in texts written by others, so that they cannot hide or reorder text."""

from __future__ import annotations

import unicodedata
from typing import Any

_ALLOWED = frozenset("\n\t\u200c\u200d")  # line ends, and the joiners that some scripts and emoji need
_UNSAFE_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))  # direction controls are Cf, terminal controls Cc


def escape_unsafe_text(text: str) -> str:
    """Replace invisible and direction-changing characters by their code points.


    Source: https://www.unicode.org/reports/tr36/ (bidirectional text spoofing), https://trojansource.codes/

    >>> escape_unsafe_text("safe\u202egnp.exe"), escape_unsafe_text("a\\nb")
    ('safe[U+202E]gnp.exe', 'a\\nb')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"[U+{ord(char):04X}]" if unicodedata.category(char) in _UNSAFE_CATEGORIES and char not in _ALLOWED else char for char in text
    )


def escape_value(value: Any) -> Any:
    """Escape a template value; markup stays markup."""
    return type(value)(escape_unsafe_text(value)) if isinstance(value, str) else value
