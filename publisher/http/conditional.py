"""Conditional requests: what a client holds already is not sent again.

Source: https://www.rfc-editor.org/rfc/rfc9110 sections 8.8 (validators) and 13 (conditions).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from hashlib import blake2b
from http import HTTPStatus

import pyoxigraph

from publisher.store.snapshots import Snapshot

_TAG = re.compile(r'(?:W/)?("[^"]*")')
_WRITER = pyoxigraph.__version__  # another engine may write the same answer in other bytes
SAFE_METHODS = ("GET", "HEAD")


def entity_tag(snapshot: Snapshot, asked: bytes) -> str:
    """Give the entity tag of the answer to the question *asked*, whole with format and dataset, from *snapshot*.

    It is weak: evaluated again, an answer may name its blank nodes otherwise.
    """
    seed = b"\0".join((_WRITER.encode(), snapshot.version.encode(), asked))
    return f'W/"{snapshot.position}-{blake2b(seed, digest_size=12).hexdigest()}"'


def last_modified(snapshot: Snapshot) -> str | None:
    """Give when what *snapshot* shows last changed as an HTTP date; None while that second is not over or not known."""
    return _http_date(snapshot.modified) if 0 < snapshot.modified < time.time() else None


@lru_cache(8)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def matches_etag(headers: Mapping[str, str], etag: str) -> bool:
    """Return whether the header If-None-Match names *etag*; weak and strong tags count as the same (section 13.1.2)."""
    known = headers.get("if-none-match", "")
    return known.strip() == "*" or etag.removeprefix("W/") in _TAG.findall(known)


def evaluate_conditions(method: str, headers: Mapping[str, str], etag: str, snapshot: Snapshot) -> HTTPStatus | None:
    """Tell the status that *headers* ask for where the client holds the answer already: 304, or 412 to a POST; None: answer in full.

    Section 13.2.2: If-Modified-Since counts only without If-None-Match, and only for GET and HEAD.
    """
    if (held := headers.get("if-none-match")) is not None:
        if etag.removeprefix("W/") not in _TAG.findall(held):
            return None
        return HTTPStatus.NOT_MODIFIED if method in SAFE_METHODS else HTTPStatus.PRECONDITION_FAILED
    since = _parse_http_date(headers.get("if-modified-since")) if method in SAFE_METHODS else None
    known = since is not None and last_modified(snapshot) is not None and snapshot.modified <= since
    return HTTPStatus.NOT_MODIFIED if known else None


def _parse_http_date(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, TypeError):
        return None  # section 13.1.3: a date that is none is ignored
