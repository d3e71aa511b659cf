"""ResourceSync packages: ZIP files of resources with a manifest.

Source: https://www.openarchives.org/rs/1.1/resourcesync sections 11 and 12 (ANSI/NISO Z39.99-2017)
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace

import httpx

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.parsing import parser_errors
from harvesters.protocols.resourcesync.resource_list import ResourceEntry, parse_manifest
from harvesters.reasons import Reason
from harvesters.source import Source

_MANIFEST_NAME = "manifest.xml"
_MAX_MANIFEST_BYTES = 256 << 20  # bytes: about a manifest of a million resources


def read_package(
    source: Source, fetch: Fetch, address: str
) -> Iterator[tuple[ResourceEntry, Reply]]:
    """Yield the resources of the package at *address*, sorted by address, each with a reply as if
    it had been requested.

    Raises ParseError if it is not a package. The reply is empty for a resource that is missing or
    too large.
    """
    subject = Reason("not_zip", {"source": source.name, "url": address})
    with (
        fetch.download(address, accept="application/zip, application/octet-stream;q=0.9") as reply,
        ExitStack() as stack,
    ):
        with parser_errors(subject):
            package = stack.enter_context(zipfile.ZipFile(reply.path or io.BytesIO(reply.content)))
            content = _read_member(package, _MANIFEST_NAME, _MAX_MANIFEST_BYTES)
        if content is None:
            raise ParseError(
                Reason(
                    "no_manifest",
                    {"source": source.name, "url": address, "name": _MANIFEST_NAME},
                )
            )
        for entry, path, media in parse_manifest(
            source, replace(reply, content=content, path=None)
        ):
            member: bytes | None = None
            # a resource that cannot be decompressed does not stop the others
            with suppress(ParseError), parser_errors(subject):
                member = (
                    _read_member(package, path, fetch.network.retry_policy.max_bytes)
                    if path
                    else None
                )
            yield (
                entry,
                Reply(
                    entry.address,
                    200,
                    httpx.Headers({"content-type": media}),
                    member or b"",
                    reply.at,
                ),
            )


def _read_member(package: zipfile.ZipFile, path: str, most: int) -> bytes | None:
    """Return a file's content, or None if it is missing, encrypted or larger than *most* bytes."""
    try:
        with package.open(path.lstrip("/")) as file:
            content = file.read(most + 1)
    except (KeyError, RuntimeError, NotImplementedError):
        return None
    return content if len(content) <= most else None
