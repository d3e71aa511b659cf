"""Likeness: a number for what a description says, whatever the record's key, so that a record is known again under another one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from hashlib import blake2b

from vocab import properties as p
from vocab.iris import encode
from vocab.terms import literal

_SHORT = 3  # characters: numbers of goals and areas end addresses too, so shorter keys are not looked for in addresses
_PAGE = f"{p.PAGE}<"


def likeness(statements: Sequence[str], thing: str, record: str, source: str, key: str) -> int:
    """Give the likeness of a sorted description, a signed number of 64 bits: of what it says of the *thing* itself, its key left out.

    *thing* and *record* are their addresses. Sources are alike, and so are http and https.

    >>> one = ["<b:s/a1> <p:page> <https://x.example/a1>", "<b:s/a1> <p:title> 'A'"]
    >>> other = ["<b:s/b2345> <p:page> <http://x.example/a1>", "<b:s/b2345> <p:title> 'A'"]
    >>> likeness(one, "b:s/a1", "", "s", "a1") == likeness(other, "b:s/b2345", "", "s", "b2345")
    True
    """
    its = f"<{thing}> "
    own = statements[bisect_left(statements, its) : bisect_left(statements, its[:-1] + "!")]  # what sorts next behind a space
    text = ("\n" + "\n".join(own)).replace("\n" + its, "\n").replace(f"\n{p.IDENTIFIER}{literal(key)}", "").replace(f" <{record}#", " <#")
    if len(segment := encode(key)) > _SHORT:
        text = text.replace(f"/{segment}>", "/>").replace(f"={segment}>", "=>")
    return _number(text.replace(f"/{source}/", "//").replace("https://", "http://"))


def page(text: str) -> int | None:
    """Give the number of a description's first web address, None where it has none; http and https are the same."""
    found = text.find(_PAGE)
    if found < 0:
        return None
    start = found + len(_PAGE)
    return _number(text[start : text.index(">", start)].removeprefix("https://").removeprefix("http://").rstrip("/"))


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
