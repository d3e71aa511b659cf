"""Replace characters that XML does not allow by U+FFFD (https://www.w3.org/TR/xml/#charsets)."""

from __future__ import annotations

import re

_CONTROLS = bytes(code for code in range(0x20) if code not in b"\t\n\r")
_ILLEGAL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_INSTEAD = "\ufffd".encode()


def replace_invalid_characters(text: bytes) -> bytes:
    """Replace what XML cannot hold in *text*, UTF-8.

    >>> replace_invalid_characters(b"bell\\x07").decode()
    'bell\ufffd'
    """
    if b"\xef\xbf" not in text and len(text.translate(None, _CONTROLS)) == len(text):  # thirty times faster than the expression
        return text
    return _ILLEGAL.sub(_INSTEAD, text)
