"""Compute a number from a description without the record's key, so that a record is recognized
under another key.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from vocab.iris import encode
from vocab.terms import DCT, FOAF, literal

# Shorter keys are not removed from addresses, which also end in numbers of goals and areas.
_MIN_KEY_LENGTH = 3
_PAGE = f"<{FOAF}page> <"


def content_fingerprint(
    statements: Sequence[str], thing: str, record: str, source: str, key: str
) -> int:
    """Return the fingerprint of a sorted description, a signed number of 64 bits, without the key
    of the *thing*.

    *thing* and *record* are their IRIs. The name of the source does not count, and http is https.

    >>> one = ["<b:s/a1> <p:page> <https://x.example/a1>", "<b:s/a1> <p:title> 'A'"]
    >>> other = ["<b:s/b2345> <p:page> <http://x.example/a1>", "<b:s/b2345> <p:title> 'A'"]
    >>> content_fingerprint(one, "b:s/a1", "", "s", "a1") == content_fingerprint(other, "b:s/b2345", "", "s", "b2345")
    True
    """
    prefix = f"<{thing}> "
    # "!" sorts next after a space.
    own = statements[bisect_left(statements, prefix) : bisect_left(statements, prefix[:-1] + "!")]
    start = len(prefix)
    # Bytes are searched three times as fast as a text with letters of many scripts.
    text = ("\n" + "\n".join([statement[start:] for statement in own])).encode()
    for what, instead in _exclusions(record, source, key):
        text = text.replace(what, instead)
    return _number(text)


def _exclusions(record: str, source: str, key: str) -> Iterator[tuple[bytes, bytes]]:
    """Return the parts of a description that do not count, each with its replacement, in the order
    of application.
    """
    yield f"\n<{DCT}identifier> {literal(key)}".encode(), b""
    yield f" <{record}#".encode(), b" <#"
    if len(segment := encode(key)) > _MIN_KEY_LENGTH:
        yield f"/{segment}>".encode(), b"/>"
        yield f"={segment}>".encode(), b"=>"
    yield f"/{source}/".encode(), b"//"
    yield b"https://", b"http://"


def page_fingerprint(text: str) -> int | None:
    """Return the hash of a description's first web address, None if it has none; http and https are
    the same.
    """
    position = text.find(_PAGE)
    if position < 0:
        return None
    start = position + len(_PAGE)
    return _number(
        text[start : text.index(">", start)]
        .removeprefix("https://")
        .removeprefix("http://")
        .rstrip("/")
        .encode()
    )


def _number(text: bytes) -> int:
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)
