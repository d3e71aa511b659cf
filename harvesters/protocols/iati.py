"""Activity files of IATI: those of each publisher in the registry or the bulk data service, or one.

Source: https://iatistandard.org/en/guidance/publishing-data/registering-and-registry/ (the registry
is a CKAN portal), https://github.com/IATI/bulk-data-service (the index of copies of all files) and
https://iatistandard.org/en/iati-standard/203/activity-standard/ (and 1.0x, whose activities are
found in the same way).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from functools import partial
from mmap import ACCESS_READ, mmap
from typing import Any
from urllib.parse import urlsplit

import structlog
from lxml import etree
from lxml.etree import _Element
from pydantic import Field

from harvesters.errors import HarvestError, ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, load_json, refuse_doctype, refuse_html
from harvesters.options import Options, Texts, located
from harvesters.page_model import InvalidRecord, Item, Pages, Payload, Record
from harvesters.payloads.paths import compile_jmespath
from harvesters.protocols.document import DocumentReader, ListedDocument, read_document
from harvesters.protocols.protocol import PROTOCOLS, Protocol
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web

_INDEXES = ("datasets-minimal", "datasets-full")  # The last part of the service's addresses.
_ORGANISATIONS = "iati-organisations"  # The root element of files without activities.
_ROWS = 500  # Packages per page of the list.
_XML = "application/xml, text/xml;q=0.9, */*;q=0.5"
# Comments and CDATA may contain the other marks: each mark is found alone, so that the time does
# not grow with the square of marks that are never closed.
_PART = re.compile(
    rb"<(?:(?P<comment>!--)|(?P<text>!\[CDATA\[)|(?P<start>iati-activity(?=[\s>]))"
    rb"|(?P<end>/iati-activity\s*+>)|(?P<root>/iati-activities\s*+>))"
)
_DECLARATION = re.compile(rb"<\?xml[^<>?]*+\?>")
_IDENTIFIER = re.compile(rb"<iati-identifier[^<>]*+>([^<&]{1,500})</iati-identifier")
_BARE = etree.XMLParser(
    resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
)

# Each dataset of the bulk data service, with the address of its last good copy.
_find_copies = compile_jmespath(
    "datasets[].{name: short_name, publisher: reporting_org_short_name, url: "
    "last_known_good_dataset.cached_dataset_xml_url || last_known_good_dataset.cached_dataset_url_xml}"
)

log = structlog.get_logger()


class IatiOptions(Options):
    """The options of a registry, an index or a file."""

    publishers: Texts = Field(
        (),
        description="The publishers to read, by their names in the registry; without it all publishers.",
    )
    hierarchy: int = Field(
        0, description="The hierarchy level to read, e.g. `1` for parents only; 0 for all."
    )
    file: bool = Field(
        False, description="The url is one activity file, even if it does not end in `.xml`."
    )


def _is_single_file(source: Source) -> bool:
    return IatiOptions.of(source).file or urlsplit(source.url).path.endswith(".xml")


def _is_index(source: Source) -> bool:
    return urlsplit(source.url).path.rpartition("/")[2] in _INDEXES


def is_incremental(source: Source) -> bool:
    """Return whether the registry can be asked which files have changed; a single file and an index
    cannot.
    """
    return not _is_single_file(source) and not _is_index(source)


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[_Element]:
    """Yield the activities of all files, or of those that changed since *since*, in the order of
    their addresses.

    Each file is downloaded to disk and read activity by activity. A file that is missing or broken
    is reported with its address and marks the full harvest incomplete; all others are read. Raises
    ParseError if the registry's list cannot be read.
    """
    if _is_single_file(source):
        parse = partial(parse_activities, source)
        yield from read_document(source, fetch, cursor, _XML, parse, on_disk=True)
        return
    addresses = _list_copies(source, fetch) if _is_index(source) else _list_files(source, fetch, since)  # fmt: skip
    files = [ListedDocument(address, None, has_own_keys=True) for address in sorted(addresses)]
    reader = DocumentReader(
        source, fetch, _XML, "", lambda _, reply: parse_activities(source, reply),
        is_missing_gone=False, on_disk=True,
    )  # fmt: skip
    yield from reader.read_lists(cursor, lambda _: [("", files)])


def parse_activities(source: Source, reply: Reply) -> Iterator[Item[_Element]]:
    """Yield the activities of a file that the source definition selects, each parsed alone, so that
    memory use is that of the largest one.

    One that is not well-formed is unreadable; the others are read. Raises ParseError for a DOCTYPE,
    for another root element, and, after all activities, for a file whose end is missing or that has
    a broken activity without a key.
    """
    refuse_html(reply, "an IATI file")
    refuse_doctype(reply)
    assert reply.path is not None
    options, lost = IatiOptions.of(source), list[ParseError]()
    with reply.path.open("rb") as file:
        with parser_errors(Reason("%(url)s: not well-formed XML", url=reply.url)):
            _, root = next(
                etree.iterparse(file, ("start",), resolve_entities=False, no_network=True)
            )
            text = mmap(file.fileno(), 0, access=ACCESS_READ)
        refuse_doctype(reply, root)
        # An index lists the files of organisations too.
        if root.tag == _ORGANISATIONS and not _is_single_file(source):
            return
        if root.tag != "iati-activities":
            raise ParseError(
                "%(url)s: not an IATI activity file: it begins with <%(element)s>, not with "
                "<%(expected)s>",
                element=root.tag,
                expected="iati-activities",
                url=reply.url,
            )
        declaration = _DECLARATION.match(text)
        empty = etree.tostring(etree.Element(root.tag, dict(root.attrib), root.nsmap))
        head = (declaration[0] if declaration else b"") + empty.removesuffix(b"/>") + b">"
        with parser_errors(Reason("%(url)s: not well-formed XML", url=reply.url)):
            for part in _find_parts(text):
                stated = _IDENTIFIER.search(part)
                key = " ".join(stated[1].decode("utf-8", "replace").split()) if stated else ""
                fault = "%(url)s: the activity %(key)s cannot be read"
                try:
                    with parser_errors(Reason(fault, url=reply.url, key=repr(key))):
                        root = etree.fromstring(head + part + b"</iati-activities>", _BARE)
                        node = deepcopy(root[0])  # In a document of its own.
                except ParseError as error:
                    lost += [] if key else [error]
                    yield InvalidRecord(key or None, error.reason)
                    continue
                if _is_wanted(options, node):
                    yield _parse_activity(reply, node)
            if lost:
                raise ValueError(str(lost[0].reason))


def _find_parts(text: mmap) -> Iterator[bytes]:
    """Yield each activity from its start to its end, or to the start of the next. Raise ValueError
    if the root does not end.
    """
    start: int | None = None
    passed = 0  # Marks before this position are inside a comment or a text.
    for match in _PART.finditer(text):
        mark = match.lastgroup
        if match.start() < passed:
            continue
        if mark in {"comment", "text"}:
            end = text.find(b"-->" if mark == "comment" else b"]]>", match.end())
            passed = end if end >= 0 else len(text)
            continue
        if start is not None:
            yield text[start : match.end() if mark == "end" else match.start()]
        start = match.start() if mark == "start" else None
        if mark == "root":
            return
    raise ValueError("it has no </iati-activities> at its end")


def _is_wanted(options: IatiOptions, activity: _Element) -> bool:
    """Return whether the source definition selects an activity: by its level, and by whether a
    secondary publisher reports it.
    """
    reporter = activity.find("reporting-org")
    stated = "" if reporter is None else reporter.get("secondary-reporter", "")
    level = (activity.get("hierarchy") or "1").strip()
    is_level = not options.hierarchy or level == str(options.hierarchy)
    return is_level and stated.lower() not in {"1", "true"}


def _parse_activity(reply: Reply, node: _Element) -> Item[_Element]:
    raw = etree.tostring(node, encoding="utf-8", with_tail=False)
    if key := " ".join((node.findtext("iati-identifier") or "").split()):
        return Record(key, node, raw, node.get("last-updated-datetime") or None)
    title = " ".join(str(node.xpath("string(title)")).split())
    text = "an activity without an iati-identifier, titled %(title)s"
    return InvalidRecord(None, located(reply.url, Reason(text, title=repr(title[:80]))))


def _list_files(source: Source, fetch: Fetch, since: datetime | None) -> set[str]:
    """Return the addresses of the files. Raise an error if the list of packages is not whole."""
    query, publishers = "extras_filetype:activity", IatiOptions.of(source).publishers
    if publishers:
        query = f"({query}) AND (organization:({' OR '.join(publishers)}))"
    portal = replace(source, options={"rows": _ROWS, "fq": query})
    addresses = set[str]()
    for page in PROTOCOLS["ckan"].collect(portal, fetch, since):
        for item in page.items:
            if isinstance(item, InvalidRecord):
                raise ParseError(item.cause)
            if isinstance(item, Record):
                addresses.update(_file_urls(source, item.payload))
        if why := page.incomplete_reason:
            text = "%(source)s: %(url)s: %(error)s; run again"
            raise HarvestError(text, source=source.name, url=source.url, error=why)
    return addresses


def _file_urls(source: Source, package: Any) -> list[str]:
    """Return the addresses of a package's files; none of a secondary publisher's."""
    extras = [extra for extra in package.get("extras") or () if isinstance(extra, dict)]
    properties = {
        **{extra.get("key"): extra.get("value") for extra in extras},
        **(package.get("organization") or {}),
        **package,
    }
    is_secondary = properties.get("publisher_source_type") == "secondary_source" or properties.get(
        "secondary_publisher"
    )
    if is_secondary:
        log.info(
            "file of a secondary publisher excluded",
            source=source.name,
            package=package.get("name"),
        )
        return []
    resources = (item for item in package.get("resources") or () if isinstance(item, dict))
    urls = (str(resource.get("url")).strip() for resource in resources)
    return [url for url in urls if is_web(url)]


def _list_copies(source: Source, fetch: Fetch) -> set[str]:
    """Return the addresses of the last good copies of all datasets, or of those of the chosen
    publishers.
    """
    reply = fetch.get(source.url, accept="application/json")
    copies, chosen = _find_copies(load_json(reply)), IatiOptions.of(source).publishers
    if copies is None:
        raise ParseError(
            "%(source)s: %(url)s is not an index of the bulk data service: datasets is missing",
            source=source.name,
            url=reply.url,
        )
    wanted = [copy for copy in copies if not chosen or copy["publisher"] in chosen]
    for copy in wanted:
        if not is_web(str(copy["url"])):
            log.info("dataset without a copy", source=source.name, dataset=copy["name"])
    return {copy["url"] for copy in wanted if is_web(str(copy["url"]))}


PROTOCOL = Protocol(
    collect, Payload.XML, IatiOptions, incremental=True, is_incremental=is_incremental
)
