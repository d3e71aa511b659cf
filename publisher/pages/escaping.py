"""What harvested text may not do to a page that shows it: hide, or turn the order of what stands around it.

Sources: https://www.unicode.org/reports/tr36/ (bidirectional text spoofing), https://www.unicode.org/reports/tr9/ (2.1 to 2.4).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# Controls (but tab and line ends), overrides, embeddings and isolates with their ends, line separators, and what has no width and no use.
_SUSPECT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2061-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
_OPENERS = {"\u202a": "\u202c", "\u202b": "\u202c", "\u2066": "\u2069", "\u2067": "\u2069", "\u2068": "\u2069"}
_CLOSERS = frozenset(_OPENERS.values())


def escape_unsafe_text(text: str) -> str:
    """Write control characters of *text* as their code points; embeddings and isolates that are closed again stay, overrides never do.

    >>> escape_unsafe_text("photo\\u202egpj.exe")
    'photo⟨U+202E⟩gpj.exe'
    >>> escape_unsafe_text("a \\u2067b\\u2069") == "a \\u2067b\\u2069"
    True
    """
    if not _SUSPECT.search(text):
        return text
    kept = _closed_isolates(text)
    shown = _SUSPECT.sub(lambda match: match[0] if match.start() in kept else f"⟨U+{ord(match[0]):04X}⟩", text)
    return type(text)(shown)  # what was escaped already still counts as such


def _closed_isolates(text: str) -> set[int]:
    """Return the places of the openers that are closed, in order, and of their closers."""
    kept: set[int] = set()
    open_: list[int] = []
    for match in _SUSPECT.finditer(text):
        if match[0] in _OPENERS:
            open_.append(match.start())
        elif match[0] in _CLOSERS and open_ and _OPENERS[text[open_[-1]]] == match[0]:
            kept |= {open_.pop(), match.start()}
    return kept


def finalize(value: object) -> object:
    """Make what a template writes visible; for Jinja's *finalize*."""
    return escape_unsafe_text(value) if isinstance(value, str) else escape_unsafe_text(str(value)) if _is_text_like(value) else value


def _is_text_like(value: object) -> bool:
    return value is not None and not isinstance(value, bool | int | float) and not hasattr(value, "__html__")


def ascii_host(address: str) -> str:
    """Return the host of a web address in its ASCII form where letters of other scripts stand in it, which may look alike; else "".

    >>> ascii_host("https://аррӏе.example/"), ascii_host("https://example.org/é")
    ('xn--80ak6aa92e.example', '')
    """
    host = urlsplit(address).netloc.rpartition("@")[2].partition(":")[0]
    labels = [label if label.isascii() else f"xn--{label.lower().encode('punycode').decode()}" for label in host.split(".")]
    return "" if host.isascii() else ".".join(labels)
