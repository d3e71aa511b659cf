"""All resources of a source's lists, or of the packages of its dumps; later those in its change
lists.

Source: https://www.openarchives.org/rs/1.1/resourcesync (ANSI/NISO Z39.99-2017)
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, TypeAlias

import httpx
from lxml import etree
from lxml.etree import _Element
from pydantic import Field

from harvesters.errors import ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, parse_xml
from harvesters.options import Regex
from harvesters.page_model import Pages, Payload
from harvesters.payloads.value_parsing import in_utc, may_be_newer, parse_timestamp
from harvesters.protocols.document import (
    FileOptions,
    ListedDocument,
    file_reader,
    payload_type,
    sitemap_entries,
)
from harvesters.protocols.lists import LoopDetector
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web

_ACCEPT = "application/xml, text/xml;q=0.9"
_RS = "{http://www.openarchives.org/rs/terms/}"
_OVERLAP = timedelta(days=1)  # A lastmod may be a date without a time.
_MANIFEST_NAME = "manifest.xml"
_MAX_MANIFEST_BYTES = 256 << 20  # About a manifest of a million resources.
_MANIFESTS = ("resourcedump-manifest", "changedump-manifest")


# What a document says of itself or of a resource: the attributes of its metadata, and of a resource
# its *address*; the time of change is its *datetime*, as it is written.
Metadata: TypeAlias = Mapping[str, str]


class ResourceSyncOptions(FileOptions):
    """The options of a source of resources."""

    only: Regex = Field(
        "", description="A regular expression that the addresses of resources must contain."
    )


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Any]:
    """Yield all resources, or those changed since *since* by change lists, else by the dates in
    resource lists.

    A resource's key is its address; one that is reported as deleted is gone. One that cannot be
    read is unreadable and does not stop the others. Raises ParseError if the source's url leads to
    no list.
    """
    moment, only = in_utc(since) if since else None, re.compile(ResourceSyncOptions.of(source).only)

    def lists(_: object) -> Iterator[tuple[str, Iterator[ListedDocument]]]:
        for name, documents in _select_documents(source, fetch, moment):
            yield name, (document for document in documents if only.search(document.address))

    yield from file_reader(source, fetch, _ACCEPT).read_lists(cursor, lists)


def _select_documents(
    source: Source, fetch: Fetch, moment: datetime | None
) -> Iterator[tuple[str, Iterable[ListedDocument]]]:
    """Yield the resources to read, list by list or package by package, sorted by address; a
    package's with their content.
    """
    changes = _latest_changes(source, fetch, moment) if moment else None
    if changes is not None:
        yield "changes", map(_listed, changes)
        return
    since = moment - _OVERLAP if moment else None
    is_empty = True
    for url, _, entries in _walk_lists(source, fetch, "resourcelist"):
        is_empty = False
        yield url, [_listed(entry) for entry in entries if may_be_newer(entry["datetime"], since)]
    dumps = _walk_lists(source, fetch, "resourcedump") if is_empty else ()
    for address in [entry["address"] for _, _, entries in dumps for entry in entries]:
        is_empty = False
        yield address, _read_package(source, fetch, address, since)
    if is_empty:
        raise ParseError(
            "%(source)s: %(url)s leads to neither a resource list nor a resource dump",
            source=source.name,
            url=source.url,
        )


def _listed(entry: Metadata, reply: Reply | None = None) -> ListedDocument:
    address, is_deleted = entry["address"], entry.get("change") == "deleted"
    return ListedDocument(address, address, entry["datetime"] or None, is_deleted, reply)


def _latest_changes(source: Source, fetch: Fetch, moment: datetime) -> list[Metadata] | None:
    """Return the newest change of each resource since *moment*, or None if change lists do not
    reach back to it.
    """
    documents = list(_walk_lists(source, fetch, "changelist"))
    begins = [parse_timestamp(metadata.get("from", "")) for _, metadata, _ in documents]
    if all(begin and begin > moment for begin in begins):
        return None
    changes = [entry for _, _, entries in documents for entry in entries]
    changes.sort(key=lambda entry: parse_timestamp(entry["datetime"]) or moment)
    newest = {e["address"]: e for e in changes if may_be_newer(e["datetime"], moment)}
    return [newest[address] for address in sorted(newest)]


def _walk_lists(
    source: Source,
    fetch: Fetch,
    wanted: str,
    address: str = "",
    loop_detector: LoopDetector | None = None,
) -> Iterator[tuple[str, Metadata, list[Metadata]]]:
    """Yield the address, metadata and entries of all lists of a capability, such as `resourcelist`,
    to which the source's url leads, sorted by address.
    """
    address, loop_detector = address or source.url, loop_detector or LoopDetector(source.name)
    loop_detector.check_token(address, address)
    reply = fetch.get(address, accept=_ACCEPT)
    root = parse_xml(reply)
    metadata, kind = _metadata(root), etree.QName(root).localname
    capability = metadata.get("capability", "")
    if kind not in {"urlset", "sitemapindex"} or not capability:
        raise ParseError(
            "%(source)s: %(url)s is not a ResourceSync document: <%(element)s> without a "
            "capability; set url to its source description, such as /.well-known/resourcesync",
            source=source.name,
            url=reply.url,
            element=kind,
        )
    entries = _parse_entries(root, reply.url, capability)
    if capability == wanted and kind == "urlset":
        yield reply.url, metadata, entries
        return
    for entry in entries:
        if capability == wanted or entry["capability"] in {wanted, "capabilitylist"}:
            yield from _walk_lists(source, fetch, wanted, entry["address"], loop_detector)


def _metadata(node: _Element) -> Metadata:
    element = node.find(f"{_RS}md")
    attributes = () if element is None else element.attrib.items()
    return {str(name): str(text) for name, text in attributes if text}


def _parse_entries(root: _Element, base: str, capability: str) -> list[Metadata]:
    """Return the entries with a web address, sorted by it."""
    entries = [
        {"datetime": stamp, "capability": capability, **_metadata(node), "address": address}
        for node, address, stamp in sitemap_entries(root, base)
        if is_web(address)
    ]
    return sorted(entries, key=itemgetter("address"))


def _read_package(
    source: Source, fetch: Fetch, address: str, since: datetime | None
) -> Iterator[ListedDocument]:
    """Yield the resources of the ZIP file at *address*, sorted by address, each with a reply as if
    it had been requested: an empty one if it is missing, or too large.

    Raises ParseError if it is not a package (sections 11 and 12 of the specification).
    """
    text = "%(source)s: %(url)s is not a readable ZIP file"
    subject = Reason(text, source=source.name, url=address)
    most = fetch.network.retry_policy.max_bytes
    with ExitStack() as stack:
        reply = stack.enter_context(
            fetch.download(address, accept="application/zip, application/octet-stream;q=0.9")
        )
        with parser_errors(subject):
            package = stack.enter_context(zipfile.ZipFile(reply.path or io.BytesIO(reply.content)))
            content = _read_member(package, _MANIFEST_NAME, _MAX_MANIFEST_BYTES)
        if content is None:
            text = "%(source)s: %(url)s is a ZIP file without a %(name)s"
            raise ParseError(text, source=source.name, url=address, name=_MANIFEST_NAME)
        root = parse_xml(replace(reply, content=content, path=None))
        capability = _metadata(root).get("capability", "")
        if capability not in _MANIFESTS:
            raise ParseError(
                "%(source)s: the manifest of %(url)s has the capability '%(capability)s', not that "
                "of a dump manifest",
                source=source.name,
                url=reply.url,
                capability=capability,
            )
        for entry in _parse_entries(root, reply.url, capability):
            member = None
            # A resource that cannot be decompressed does not stop the others.
            with suppress(ParseError), parser_errors(subject):
                member = _read_member(package, entry.get("path", ""), most)
            headers = httpx.Headers({"content-type": entry.get("type", "")})
            if may_be_newer(entry["datetime"], since):
                yield _listed(entry, Reply(entry["address"], 200, headers, member or b"", reply.at))


def _read_member(package: zipfile.ZipFile, path: str, most: int) -> bytes | None:
    """Return a file's content, or None if it is missing, encrypted or larger than *most* bytes."""
    try:
        with package.open(path.lstrip("/")) as file:
            content = file.read(most + 1)
    except (KeyError, RuntimeError, NotImplementedError):
        return None
    return content if len(content) <= most else None


PROTOCOL = Protocol(
    collect, Payload.ROW, ResourceSyncOptions, incremental=True, payload_type_for=payload_type
)
