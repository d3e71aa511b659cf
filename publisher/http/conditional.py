"""Evaluate conditional requests with validators derived from a snapshot of the store.

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
_WRITER = pyoxigraph.__version__  # another engine may serialize the same result differently
SAFE_METHODS = ("GET", "HEAD")


def entity_tag(snapshot: Snapshot, request_key: bytes) -> str:
    """Return the entity tag of a response from *generation*; *request_key* identifies query, format and dataset.

    The tag is weak: another evaluation may label blank nodes differently.
    """
    seed = b"\0".join((_WRITER.encode(), snapshot.version.encode(), request_key))
    return f'W/"{snapshot.position}-{blake2b(seed, digest_size=12).hexdigest()}"'


def last_modified(snapshot: Snapshot) -> str | None:
    """Return when the data of *snapshot* last changed, as an HTTP date; None if unknown or if that second is not over."""
    return _http_date(snapshot.modified) if 0 < snapshot.modified < time.time() else None


@lru_cache(8)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def matches_etag(headers: Mapping[str, str], etag: str) -> bool:
    """Return whether the header If-None-Match names *etag*; weak and strong tags count as the same (section 13.1.2)."""
    known = headers.get("if-none-match", "")
    return known.strip() == "*" or etag.removeprefix("W/") in _TAG.findall(known)


def evaluate_conditions(method: str, headers: Mapping[str, str], etag: str, snapshot: Snapshot) -> HTTPStatus | None:
    """Return 304, or 412 to a POST, if *headers* show that the client has the current response; None to send it in full.

    Section 13.2.2: If-Modified-Since counts only without If-None-Match, and only for GET and HEAD.
    """
    if (if_none_match := headers.get("if-none-match")) is not None:
        if etag.removeprefix("W/") not in _TAG.findall(if_none_match):
            return None
        return HTTPStatus.NOT_MODIFIED if method in SAFE_METHODS else HTTPStatus.PRECONDITION_FAILED
    since = _parse_http_date(headers.get("if-modified-since")) if method in SAFE_METHODS else None
    known = since is not None and last_modified(snapshot) is not None and snapshot.modified <= since
    return HTTPStatus.NOT_MODIFIED if known else None


def _parse_http_date(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, TypeError):
        return None  # section 13.1.3: an invalid date is ignored
