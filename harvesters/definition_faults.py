"""Faults that source definitions and rules of alerts share: where they are, and what to write
instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from harvesters.reasons import Reason


def located(where: str | Reason, fault: Reason) -> Reason:
    """Return a fault with the file, source or key where it is.

    >>> located("kenya", expected("pause", -1, "a number from 0 up")).text
    'kenya: pause is -1; write a number from 0 up'
    """
    return Reason("%(where)s: %(fault)s", where=where, fault=fault)


def expected(key: str | Reason, value: object, kind: str | Reason) -> Reason:
    """Return the fault of a value that must be of another *kind*, such as "text"."""
    needed = Reason(kind) if isinstance(kind, str) else kind
    return Reason("%(key)s is %(value)s; write %(kind)s", key=key, value=repr(value), kind=needed)


def not_one_of(key: str | Reason, value: object, names: Iterable[str]) -> Reason:
    """Return the fault of a value that is none of *names*."""
    return Reason(
        "%(key)s is %(value)s; use one of %(names)s",
        key=key,
        value=repr(value),
        names=", ".join(names),
    )


def option_named(name: str) -> Reason:
    """Return how a fault names an option."""
    return Reason("option %(name)s", name=repr(name))


def suggestion(name: str, known: Iterable[str]) -> Reason:
    """Return the known name that is most like *name* as a question, or all of them.

    >>> suggestion("oai", ["oai-pmh", "ckan"]).text
    "did you mean 'oai-pmh'?"
    >>> suggestion("sparkle", ["oai-pmh", "ckan"]).text
    'known are ckan, oai-pmh'
    """
    names = sorted(known)
    begins = [other for other in names if name and other.startswith(f"{name}-")]
    close = begins or get_close_matches(name, names, n=1, cutoff=0.7)
    return (
        Reason("did you mean %(name)s?", name=repr(close[0]))
        if close
        else Reason("known are %(names)s", names=", ".join(names))
    )
