"""Visible: texts that others wrote, shown so that nothing in them hides or turns what stands beside them."""

from __future__ import annotations

import unicodedata
from typing import Any

_KEPT = frozenset("\n\t\u200c\u200d")  # line ends, and the joiners that some scripts and emoji need
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))  # controls of direction are Cf, of terminals Cc


def visible(text: str) -> str:
    """Write characters that cannot be seen, among them those that turn the direction of a text, as their numbers.

    Source: https://www.unicode.org/reports/tr36/ (bidirectional text spoofing), https://trojansource.codes/

    >>> visible("safe\u202egnp.exe"), visible("a\\nb")
    ('safe[U+202E]gnp.exe', 'a\\nb')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"[U+{ord(char):04X}]" if unicodedata.category(char) in _HIDDEN and char not in _KEPT else char for char in text)


def shown(value: Any) -> Any:
    """Make what a template puts out visible; what is markup already has been through here."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
