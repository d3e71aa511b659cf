"""Addresses: which thing a request's path names; percent-encoded slashes in keys survive, since the raw path is read."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import unquote

from starlette.requests import Request

from publisher.formats import FORMATS
from publisher.http.problems import HTTPProblem
from vocab.iris import KINDS, encode


def path_segments(request: Request) -> list[str]:
    """Give the parts of the raw path after the first, each percent-encoded as our IRIs are.

    A client may encode more than we do, or less; both find the same thing.
    """
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    try:
        path = raw.partition(b"?")[0].decode().removeprefix(request.scope.get("root_path", ""))
        return [encode(unquote(part, errors="strict")) for part in path.strip("/").split("/")[1:]]
    except UnicodeDecodeError as error:
        raise HTTPProblem(HTTPStatus.NOT_FOUND, "The address is not in UTF-8") from error


def parse_thing_path(parts: list[str]) -> tuple[str, str, str]:
    """Give kind, source and key of a path ``{kind}/{source}/{key}``; raise Refused where it is none."""
    if len(parts) != 3 or parts[0] not in KINDS or not all(parts):
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"An address is {{kind}}/{{source}}/{{key}}, and a kind is one of {', '.join(KINDS)}")
    return parts[0], parts[1], parts[2]


def split_suffix(key: str) -> tuple[str, str | None]:
    """Part a key from the suffix of a format.

    >>> without_suffix("a.b.ttl"), without_suffix("a.b")
    (('a.b', 'ttl'), ('a.b', None))
    """
    stem, dot, suffix = key.rpartition(".")
    return (stem, suffix) if dot and stem and suffix in FORMATS else (key, None)
