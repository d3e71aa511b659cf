"""Parse IATI files one activity at a time, so that memory use is that of the largest activity.

Source: https://iatistandard.org/en/iati-standard/203/activity-standard/ (and 1.0x, whose activities
are found in the same way).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import refuse_doctype, refuse_html
from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.parsing import parser_errors
from harvesters.reasons import Reason

Item = Record[_Element] | DeletedRecord | InvalidRecord
ActivityTest = Callable[[_Element], bool]

_ROOT, _ACTIVITY = "iati-activities", "iati-activity"
_BARE = etree.XMLParser(
    resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
)


def parse_activities(reply: Reply, accepts: ActivityTest) -> Iterator[Item]:
    """Yield the activities of a file that *accepts* selects, each as a document of its own.

    Raises ParseError for a DOCTYPE, for another root element, and where the file stops being
    well-formed, after the activities before that place.
    """
    refuse_html(reply, "an IATI file")
    refuse_doctype(reply)
    assert reply.path is not None
    with reply.path.open("rb") as body, parser_errors(Reason("not_xml", {"url": reply.url})):
        events = etree.iterparse(
            body,
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            remove_comments=True,
            remove_pis=True,
        )
        yield from _iterate(reply, events, accepts)


def _iterate(
    reply: Reply, events: Iterable[tuple[str, _Element]], accepts: ActivityTest
) -> Iterator[Item]:
    depth = 0
    for event, node in events:
        if event == "start":
            if not depth:
                _check_root(reply, node)
            depth += 1
            continue
        depth -= 1
        if depth == 1:
            if node.tag == _ACTIVITY and accepts(node):
                yield _parse_activity(node)
            _release(node)


def _check_root(reply: Reply, root: _Element) -> None:
    if root.getroottree().docinfo.internalDTD is not None:
        raise ParseError(Reason("doctype", {"url": reply.url}))
    if root.tag != _ROOT:
        raise ParseError(
            Reason("not_iati", {"url": reply.url, "element": root.tag, "expected": _ROOT})
        )


def _parse_activity(node: _Element) -> Item:
    raw = etree.tostring(node, encoding="utf-8", with_tail=False)
    key = " ".join((node.findtext("iati-identifier") or "").split())
    if not key:
        return InvalidRecord(
            None, Reason("activity_without_identifier", {"title": repr(_title(node)[:80])})
        )
    with parser_errors(key):
        activity = etree.fromstring(raw, _BARE)
    return Record(key, activity, raw, node.get("last-updated-datetime") or None)


def _title(node: _Element) -> str:
    title = node.find("title")
    return "" if title is None else " ".join("".join(map(str, title.itertext())).split())


def _release(node: _Element) -> None:
    """Free the memory of an element and of those before it."""
    node.clear()
    parent = node.getparent()
    while parent is not None and node.getprevious() is not None:
        del parent[0]
