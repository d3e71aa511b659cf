"""Evaluate conditional requests, the only place that reads If-None-Match and If-Modified-Since.

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


def matches_etag(headers: Mapping[str, str], *etags: str) -> bool:
    """Return whether the header If-None-Match is ``*`` or names one of *etags*.

    Weak and strong tags count as the same (section 13.1.2).
    """
    known = headers.get("if-none-match", "")
    return known.strip() == "*" or not {etag.removeprefix("W/") for etag in etags}.isdisjoint(_TAG.findall(known))


def is_not_modified(headers: Mapping[str, str], *etags: str, modified: float | None) -> bool:
    """Return whether the client has the response with one of *etags*, last changed at *modified*, in seconds since 1970.

    A date counts only without If-None-Match (section 13.2.2), and only if it equals *modified*: the time of a run is its
    start, and its changes were published later. None: unknown.
    """
    if "if-none-match" in headers:
        return matches_etag(headers, *etags)
    return modified is not None and parse_http_date(headers.get("if-modified-since")) == modified


def evaluate_conditions(method: str, headers: Mapping[str, str], etag: str, snapshot: Snapshot) -> HTTPStatus | None:
    """Return 304, or 412 to a POST, if *headers* show that the client has the current response; None to send it in full.

    Section 13.2.2: If-Modified-Since counts only without If-None-Match, and only for GET and HEAD.
    """
    if "if-none-match" in headers:
        if not matches_etag(headers, etag):
            return None
        return HTTPStatus.NOT_MODIFIED if method in SAFE_METHODS else HTTPStatus.PRECONDITION_FAILED
    since = parse_http_date(headers.get("if-modified-since")) if method in SAFE_METHODS else None
    known = since is not None and last_modified(snapshot) is not None and snapshot.modified <= since
    return HTTPStatus.NOT_MODIFIED if known else None


def parse_http_date(date: str | None) -> float | None:
    """Return an HTTP date in seconds since 1970; None if it is absent or invalid, and then ignored (section 13.1.3)."""
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, TypeError):
        return None
