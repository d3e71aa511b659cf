"""Check names of charsets."""

from __future__ import annotations

import codecs
from functools import lru_cache

# Python's own notations of text, not charsets: two of them take quadratic time, none is sent by a
# server.
_NOTATIONS = frozenset(("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"))


@lru_cache(maxsize=256)
def is_charset(name: str) -> bool:
    """Return whether *name* is a charset that Python can decode; its compressions and notations are
    none.

    >>> is_charset("utf-8"), is_charset("windows-1252"), is_charset("zlib"), is_charset("punycode"), is_charset("none such")
    (True, True, False, False, False)
    """
    try:
        bytes(4).decode(name)  # four bytes: also one character of UTF-32
        return codecs.lookup(name).name.replace("_", "-") not in _NOTATIONS
    except (LookupError, ValueError):  # unknown, no text encoding, or a name with a null character
        return False
