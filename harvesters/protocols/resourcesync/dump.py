"""ResourceSync packages: ZIP files that hold resources, and the manifest that tells what each of them is.

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
from harvesters.network.fetch import Fetch, Reply
from harvesters.parsing import parser_errors
from harvesters.protocols.resourcesync.resource_list import Entry, read_manifest
from harvesters.source import Source

_NAME = "manifest.xml"
_MANIFEST = 256 << 20  # bytes of a manifest: one of a million resources has about that


def packed(source: Source, fetch: Fetch, address: str) -> Iterator[tuple[Entry, Reply]]:
    """Give the resources of the package at *address* in the order of their addresses, each as if it had been asked for.

    Raises ParseError where it is no package; of a resource that it does not hold, or that is too large, the reply is empty.
    """
    subject = f"{source.name}: {address} is no ZIP file that can be read"
    with fetch.download(address, accept="application/zip, application/octet-stream;q=0.9") as reply, ExitStack() as stack:
        with parser_errors(subject):
            package = stack.enter_context(zipfile.ZipFile(reply.path or io.BytesIO(reply.content)))
            content = _unpacked(package, _NAME, _MANIFEST)
        if content is None:
            raise ParseError(f"{source.name}: {address} is a ZIP file without a {_NAME}, so nothing tells what it holds")
        for entry, path, media in read_manifest(source, replace(reply, content=content, path=None)):
            held: bytes | None = None
            with suppress(ParseError), parser_errors(subject):  # one resource that cannot be unpacked stops no other
                held = _unpacked(package, path, fetch.retry_policy.max_bytes) if path else None
            yield entry, Reply(entry.address, 200, httpx.Headers({"content-type": media}), held or b"", reply.at)


def _unpacked(package: zipfile.ZipFile, path: str, most: int) -> bytes | None:
    """Unpack a file; None where there is none, where it is encrypted, or where it has more than *most* bytes."""
    try:
        with package.open(path.lstrip("/")) as file:
            content = file.read(most + 1)
    except (KeyError, RuntimeError, NotImplementedError):
        return None
    return content if len(content) <= most else None
