"""Parse request paths. The raw path is read, so that percent-encoded slashes in keys survive."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import unquote

from starlette.requests import Request

from languages.translations import TranslatableText
from vocab.iris import KINDS, encode
from web.formats import FORMATS
from web.problems import HTTPProblem


def path_segments(request: Request) -> list[str]:
    """Return the segments of the raw path after the first, percent-encoded as our IRIs are.

    Clients may encode more or fewer characters; both find the same thing.
    """
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    try:
        path = raw.partition(b"?")[0].decode().removeprefix(request.scope.get("root_path", ""))
        return [encode(unquote(part, errors="strict")) for part in path.strip("/").split("/")[1:]]
    except UnicodeDecodeError as error:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, TranslatableText("The path is not valid UTF-8")
        ) from error


def parse_thing_path(parts: list[str]) -> tuple[str, str, str]:
    """Return kind, source and key of a path ``{kind}/{source}/{key}``; raises HTTPProblem (404) for
    any other path.
    """
    if len(parts) != 3 or parts[0] not in KINDS or not all(parts):
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "The path must be {form}; kinds: {kinds}",
                form="{kind}/{source}/{key}",
                kinds=", ".join(KINDS),
            ),
        )
    return parts[0], parts[1], parts[2]


def split_suffix(key: str) -> tuple[str, str | None]:
    """Split a key from a format suffix.

    >>> split_suffix("a.b.ttl"), split_suffix("a.b")
    (('a.b', 'ttl'), ('a.b', None))
    """
    stem, dot, suffix = key.rpartition(".")
    return (stem, suffix) if dot and stem and suffix in FORMATS else (key, None)
