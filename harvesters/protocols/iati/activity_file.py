"""Parse IATI files one activity at a time, so that memory use is that of the largest activity.

Source: https://iatistandard.org/en/iati-standard/203/activity-standard/ (and 1.0x, whose activities
are found in the same way).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from mmap import ACCESS_READ, mmap

from lxml import etree
from lxml.etree import _Element

from harvesters.definition_faults import located
from harvesters.errors import ParseError
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import refuse_doctype, refuse_html
from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.parsing import parser_errors
from harvesters.reasons import Reason

Item = Record[_Element] | DeletedRecord | InvalidRecord
ActivityTest = Callable[[_Element], bool]

_ROOT, _ACTIVITY = "iati-activities", "iati-activity"
# In a file that is not well-formed. Comments and CDATA may contain the others: each mark is found
# alone, so that the time does not grow with the square of marks that are never closed.
_PART = re.compile(
    rb"(?P<comment><!--)|(?P<text><!\[CDATA\[)|(?P<start><iati-activity(?=[\s>]))"
    rb"|(?P<end></iati-activity\s*+>)|(?P<root></iati-activities\s*+>)"
)
_ROOT_TAG = re.compile(rb"<iati-activities\b[^<>]*+>")
_DECLARATION = re.compile(rb"<\?xml[^<>?]*+\?>")
_IDENTIFIER = re.compile(rb"<iati-identifier[^<>]*+>([^<&]{1,500})</iati-identifier")
_BARE = etree.XMLParser(
    resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
)


def parse_activities(reply: Reply, accepts: ActivityTest) -> Iterator[Item]:
    """Yield the activities of a file that *accepts* selects, each as a document of its own.

    An activity that is not well-formed is unreadable; the others are read. Raises ParseError for a
    DOCTYPE, for another root element, and, after all activities, for a file whose end is missing or
    whose fault lies in no activity with a key.
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
        seen = Counter[str]()
        try:
            yield from _iterate(reply, events, accepts, seen)
        except etree.XMLSyntaxError as error:
            if not (yield from _read_parts(reply, accepts, seen[_ACTIVITY])):
                raise error


def _iterate(
    reply: Reply,
    events: Iterable[tuple[str, _Element]],
    accepts: ActivityTest,
    seen: Counter[str],
) -> Iterator[Item]:
    """Yield the activities that *accepts* selects, and count all in *seen*."""
    depth = 0
    for event, node in events:
        if event == "start":
            if not depth:
                _check_root(reply, node)
            depth += 1
            continue
        depth -= 1
        if depth == 1:
            seen[str(node.tag)] += 1
            if node.tag == _ACTIVITY and accepts(node):
                yield _parse_activity(reply, node)
            _release(node)


def _check_root(reply: Reply, root: _Element) -> None:
    if root.getroottree().docinfo.internalDTD is not None:
        raise ParseError(Reason("doctype", {"url": reply.url}))
    if root.tag != _ROOT:
        raise ParseError(
            Reason("not_iati", {"url": reply.url, "element": root.tag, "expected": _ROOT})
        )


def _read_parts(reply: Reply, accepts: ActivityTest, passed: int) -> Generator[Item, None, bool]:
    """Yield the activities of a file that is not well-formed, behind the first *passed*, each
    parsed alone. Return whether these are all: the file ends, and each fault lies in an activity
    with a key.
    """
    assert reply.path is not None
    faults, lost = 0, 0
    with reply.path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
        root = _ROOT_TAG.search(text)
        if root is None:  # no text of ASCII's family
            return False
        declaration = _DECLARATION.match(text)
        head = (declaration[0] if declaration else b"") + root[0]
        for number, part in enumerate(_find_parts(text, root.end())):
            if part is None:
                return bool(faults) and not lost
            if number < passed:
                continue
            stated = _IDENTIFIER.search(part)
            key = " ".join(stated[1].decode("utf-8", "replace").split()) if stated else ""
            try:
                node = _parse(reply, key, head + part + b"</iati-activities>")[0]
            except ParseError as error:
                faults, lost = faults + 1, lost + (not key)
                yield InvalidRecord(key or None, error.reason)
                continue
            if accepts(node):
                yield _parse_activity(reply, node)
    return False


def _find_parts(text: mmap, begin: int) -> Iterator[bytes | None]:
    """Yield each activity from its start to its end, or to the start of the next; None at the end
    of the root.
    """
    start: int | None = None
    passed = begin  # what lies before it is in a comment or a text
    for match in _PART.finditer(text, begin):
        mark = match.lastgroup
        if match.start() < passed:
            continue
        if mark in {"comment", "text"}:
            end = text.find(b"-->" if mark == "comment" else b"]]>", match.end())
            passed = end if end >= 0 else len(text)
        elif mark == "start":
            if start is not None:
                yield text[start : match.start()]
            start = match.start()
        elif mark == "end" and start is not None:
            yield text[start : match.end()]
            start = None
        elif mark == "root":
            if start is not None:
                yield text[start : match.start()]
            yield None
            return


def _parse(reply: Reply, key: str, text: bytes) -> _Element:
    with parser_errors(Reason("activity_unreadable", {"url": reply.url, "key": repr(key)})):
        return etree.fromstring(text, _BARE)


def _parse_activity(reply: Reply, node: _Element) -> Item:
    raw = etree.tostring(node, encoding="utf-8", with_tail=False)
    key = " ".join((node.findtext("iati-identifier") or "").split())
    if not key:
        fault = Reason("activity_without_identifier", {"title": repr(_title(node)[:80])})
        return InvalidRecord(None, located(reply.url, fault))
    try:
        activity = _parse(reply, key, raw)
    except ParseError as error:
        return InvalidRecord(key, error.reason)
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
