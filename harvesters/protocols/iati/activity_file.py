"""IATI files: one activity after the other, so that a file of any size takes the memory of its largest activity.

Source: https://iatistandard.org/en/iati-standard/203/activity-standard/ (and 1.0x, whose activities are found in the same way).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.network.fetch import Reply
from harvesters.network.response_parsing import refuse_doctype, refuse_html
from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.parsing import parser_errors

Item = Record[_Element] | DeletedRecord | InvalidRecord
Wanted = Callable[[_Element], bool]

_ROOT, _ACTIVITY = "iati-activities", "iati-activity"
_BARE = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)


def activities(reply: Reply, wanted: Wanted) -> Iterator[Item]:
    """Give the activities of a file that are *wanted*, each cut out of it as a document of its own.

    Raises ParseError at a DOCTYPE, at what is no file of activities, and where it is not well-formed any more; what came before
    that place has been given.
    """
    refuse_html(reply, "an IATI file")
    refuse_doctype(reply)
    assert reply.path is not None
    with reply.path.open("rb") as body, parser_errors(f"{reply.url}: not well-formed XML"):
        events = etree.iterparse(
            body, events=("start", "end"), resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
        )
        yield from _walked(reply, events, wanted)


def _walked(reply: Reply, events: Iterable[tuple[str, _Element]], wanted: Wanted) -> Iterator[Item]:
    depth = 0
    for event, node in events:
        if event == "start":
            if not depth:
                _check(reply, node)
            depth += 1
            continue
        depth -= 1
        if depth == 1:
            if node.tag == _ACTIVITY and wanted(node):
                yield _item(node)
            _free(node)


def _check(reply: Reply, root: _Element) -> None:
    if root.getroottree().docinfo.internalDTD is not None:
        raise ParseError(f"{reply.url}: its XML has a DOCTYPE, which is refused: it can hide entities")
    if root.tag != _ROOT:
        raise ParseError(f"{reply.url}: no file of IATI activities: it begins with <{root.tag}>, not with <{_ROOT}>")


def _item(node: _Element) -> Item:
    raw = etree.tostring(node, encoding="utf-8", with_tail=False)
    key = " ".join((node.findtext("iati-identifier") or "").split())
    if not key:
        return InvalidRecord(None, f"an activity without an iati-identifier, titled {_title(node)[:80]!r}")
    with parser_errors(key):
        alone = etree.fromstring(raw, _BARE)
    return Record(key, alone, raw, node.get("last-updated-datetime") or None)


def _title(node: _Element) -> str:
    title = node.find("title")
    return "" if title is None else " ".join("".join(map(str, title.itertext())).split())


def _free(node: _Element) -> None:
    """Let go of what has been read, and of what stands before it."""
    node.clear()
    parent = node.getparent()
    while parent is not None and node.getprevious() is not None:
        del parent[0]
