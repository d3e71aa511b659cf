"""Recognize the format of a sample, and suggest the fields of a source definition from it: JSON, CSV
or XML. Nothing is fetched or stored here.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from posixpath import commonpath
from typing import Any, NamedTuple

from lxml import etree

from vocab.iris import BASE

MAX_SAMPLE = 2 << 20  # bytes of a sample
# The records that are read, the levels of objects in them, and the values visited in a sample.
_RECORDS, _DEPTH, _NODES = 25, 4, 20_000
_HEADER_LINES = 100  # lines that a table is recognized by, and its header is searched in
_MAX_PATH = 500  # characters of a path
_HEAD = 256 << 10  # bytes by which the format is recognized
_ARCHIVE, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"  # the first bytes of XLSX and ODS, and of XLS
_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_NAMES: Mapping[str, Sequence[str]] = _TABLES["patterns"]
_ROOT = re.compile(r"<(?!\?|!)(?:[\w.-]+:)?([\w.-]+)")
_NO_PAGES = frozenset(
    ("image", "img", "logo", "icon", "photo", "picture", "thumbnail", "api", "licence", "license")
)
_SPLIT = ("countries", "goals")  # fields that may have several values in one text
_SEPARATOR = ";"
_WORD = re.compile(r"[^\W_]+")
_EXAMPLES, _EXAMPLE_LENGTH = 3, 80  # values of a path that are shown; characters of each


class SourceFormat(NamedTuple):
    """A format of registries; ``feed_samples.toml`` says what its keys mean."""

    name: str
    title: str
    example: str
    protocol: str
    mapping: str
    records: bool = False
    fields: bool = False
    options: Mapping[str, str] = {}
    hidden: bool = False


FORMATS = {row["name"]: SourceFormat(**row) for row in _TABLES["format"]}
SOURCE_FORMATS = {name: item for name, item in FORMATS.items() if not item.hidden}


def detect_format(sample: bytes, base: str = BASE) -> SourceFormat | None:
    """Return the format of *sample*, None if it is not recognized; *base* is that of our own IRIs.

    >>> [detect_format(text).name for text in (b'id,title\\n1,Clinics', b'<rss version="2.0">', b'{"items": [{"id": 1}]}')]
    ['csv', 'feed', 'json']
    """
    head = sample[:_HEAD]
    if head.startswith((_ARCHIVE, _OLE)):
        return FORMATS["spreadsheet"]
    text, name = _decode(head), ""
    root = _ROOT.search(text) if text.startswith("<") else None
    marked = f"{root[1] if root else ''}\n{text}"
    for _level in ("format", "schema"):
        rows = (row for row in _TABLES["sniff"] if row.get("of", "") == name)
        patterns = ((row["name"], row["pattern"].replace("BASE", re.escape(base))) for row in rows)
        name = next((known for known, pattern in patterns if re.search(pattern, marked)), name)
    return FORMATS.get(name or ("csv" if table_rows(text) else ""))


def _decode(sample: bytes) -> str:
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return sample.decode("utf-16", "replace").strip()
    try:
        # The sample may end within a character, so the decoder is incremental.
        return codecs.getincrementaldecoder("utf-8-sig")().decode(sample).strip()
    except UnicodeDecodeError:
        return sample.decode("cp1252", "replace").strip()


@dataclass(frozen=True, slots=True)
class FieldSuggestions:
    """The suggestions from a sample: its *kind* (json, csv or xml; empty if it cannot be read),
    where the records are, the field for each name of the form, and all *paths* that its records
    have. *examples* has the first values of each path, *split* the separator of the fields that
    have several values in one text.
    """

    kind: str = ""
    records: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    count: int = 0
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    split: Mapping[str, str] = field(default_factory=dict)


def suggest_fields(sample: bytes) -> FieldSuggestions:
    """Return the suggestions from *sample*.

    >>> suggested = suggest_fields(b'{"results": [{"id": 7, "title": "Clinics", "country": "KE"}]}')
    >>> suggested.kind, suggested.records, suggested.fields["key"], suggested.fields["name"], suggested.fields["countries"]
    ('json', 'results', 'id', 'title', 'country')
    """
    text = _decode(sample[:MAX_SAMPLE])
    kind = "json" if text.startswith(("{", "[")) else "xml" if text.startswith("<") else "csv"
    try:
        records, rows, count = _READERS[kind](text)
    except (ValueError, RecursionError, etree.XMLSyntaxError):
        return FieldSuggestions()
    columns = defaultdict[str, list[str]](list)
    for path, value in chain.from_iterable(row.items() for row in rows):
        columns[path].append(value)
    fields: dict[str, str] = {}
    for name in _NAMES if columns else ():
        scores = {path: _score(name, path, values, len(rows)) for path, values in columns.items()}
        best = max(scores, key=lambda path: scores[path])
        fields |= {name: best} if scores[best] >= 1 and best not in fields.values() else {}
    split = {
        name: _SEPARATOR
        for name in _SPLIT
        if any(_SEPARATOR in value for value in columns.get(fields.get(name, ""), ()))
    }
    examples = {path: _first_values(values) for path, values in columns.items()}
    paths = tuple(columns)
    return FieldSuggestions(kind if rows else "", records, fields, paths, count, examples, split)


Rows = list[dict[str, str]]  # the texts of each record by path


def _read_json(text: str) -> tuple[str, Rows, int]:
    path, records = _record_list(json.loads(text))
    return path, [dict(_flatten(record)) for record in records[:_RECORDS]], len(records)


def _record_list(document: Any) -> tuple[str, list[Any]]:
    """Return the path and the items of the longest list of objects, the outermost of equals; an
    object by keys counts as a list where no list is as far out.
    """
    best: tuple[str, list[Any]] = ("", [])
    level: list[tuple[str, Any]] = [("", document)]
    for _depth in range(_DEPTH + 1):
        lists = [
            (path, [item for item in node if isinstance(item, dict)])
            for path, node in level
            if isinstance(node, list)
        ]
        best = max([best, *lists], key=lambda pair: len(pair[1]))
        objects = [(path, node) for path, node in level if isinstance(node, dict)]
        for path, node in objects:
            if len(node) > len(best[1]) and _is_keyed_list(node):
                return best if best[1] else (path, list(node.values()))
        level = [pair for path, node in objects for pair in _below(path, node)][:_NODES]
    is_record = not best[1] and isinstance(document, dict) and document
    return ("", [document]) if is_record else best


def _is_keyed_list(node: Mapping[str, Any]) -> bool:
    """Return whether an object maps keys to records: each has its key as a value, or they are two
    or more that have half of the fields that most of them have.
    """
    records = [value for value in node.values() if isinstance(value, dict) and value]
    if not records or len(records) < len(node):
        return False
    if all(key in map(str, value.values()) for key, value in node.items()):
        return True
    counts = Counter(name for record in records for name in record)
    common = {name for name, count in counts.items() if count * 2 > len(records)}
    shared = [len(common & record.keys()) * 2 >= len(common) for record in records]
    usual = sorted(map(len, records))[len(records) // 2]
    return len(records) > 1 and len(common) * 2 > usual and all(shared)


def _step(key: str) -> str:
    """Return a key as a step of a JMESPath (https://jmespath.org/specification.html#identifiers)."""
    return key if re.match(r"[A-Za-z_][A-Za-z0-9_]*\Z", key) else json.dumps(key)


def _below(path: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values of an object with their paths, but for those that are too long: each is
    repeated for what is below it.
    """
    for key, value in node.items():
        below = f"{path}.{_step(key)}" if path else _step(key)
        if len(below) <= _MAX_PATH:
            yield below, value


def _flatten(node: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict) and depth < _DEPTH:
        for below, value in _below(path, node):
            yield from _flatten(value, below, depth + 1)
    elif isinstance(node, list):
        items = [item for item in node[:3] if isinstance(item, dict)]
        for item in items:
            yield from _flatten(item, f"{path}[]", depth + 1)
        if not items and node:
            # An item with a separator is preferred: it shows that texts have to be split.
            yield path, next((str(item) for item in node if _SEPARATOR in str(item)), str(node[0]))
    elif isinstance(node, str | int | float) and not isinstance(node, bool):
        yield path, str(node)


def _read_csv(text: str) -> tuple[str, Rows, int]:
    rows = table_rows(text)
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows[:_HEADER_LINES]]
    # Titles and notes may precede the header: it is the first row with half as many cells as any.
    header = next((number for number, count in enumerate(filled) if 2 * count >= max(filled)), 0)
    names = [_step(" ".join(cell.split())) for cell in rows[header]] if rows else []
    records = [
        {
            name: cell
            for name, cell in zip(names, row, strict=False)
            if cell and name != _step("") and len(name) <= _MAX_PATH
        }
        for row in rows[header + 1 :][:_RECORDS]
    ]
    return "", records, len(rows) - header - 1


def table_rows(text: str) -> list[list[str]]:
    """Return the rows of a table in text by the delimiter that most rows agree on; none if it is no
    table.
    """
    best: tuple[int, list[list[str]]] = (0, [])
    for delimiter in ",;\t|":
        try:
            read = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            rows = [row for row in read if any(cell.strip() for cell in row)]
        except csv.Error:
            continue
        widths = Counter(map(len, rows[:_HEADER_LINES]))
        width, count = max(widths.items(), key=lambda item: item[0] * item[1], default=(0, 0))
        if width > 1 and count > 1 and width * count > best[0]:
            best = (width * count, rows)
    return best[1]


def _read_xml(text: str) -> tuple[str, Rows, int]:
    """Read XML without a document type: it may define entities that expand without limit. The
    values are the texts of elements that have no others; libxml2 refuses more than 256 levels.
    """
    if "<!DOCTYPE" in text[:4096].upper() or "<!ENTITY" in text.upper():
        raise ValueError("a document type")
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    leaves: dict[str, list[str]] = {}
    for element in etree.fromstring(text.encode(), parser).iter(etree.Element):
        names = [_prefixed(item) for item in (element, *element.iterancestors())]
        path, value = "/" + "/".join(reversed(names)), (element.text or "").strip()
        if (
            value
            and len(path) <= _MAX_PATH
            and next(element.iterchildren(etree.Element), None) is None
        ):
            leaves.setdefault(path, []).append(value)
    count = max(map(len, leaves.values()), default=0)
    record = commonpath(
        [path.rpartition("/")[0] for path, values in leaves.items() if len(values) == count]
    )
    columns = {
        f".//{path.rpartition('/')[2]}": values
        for path, values in leaves.items()
        if path.startswith(record)
    }
    rows = [
        {path: values[number] for path, values in columns.items() if number < len(values)}
        for number in range(min(count, _RECORDS))
    ]
    return "", rows, count


def _prefixed(element: Any) -> str:
    name = etree.QName(element).localname
    return f"{element.prefix}:{name}" if element.prefix else name


_READERS: Mapping[str, Callable[[str], tuple[str, Rows, int]]] = {
    "json": _read_json,
    "xml": _read_xml,
    "csv": _read_csv,
}


def _first_values(values: Iterable[str]) -> tuple[str, ...]:
    lines = (" ".join(value[: 2 * _EXAMPLE_LENGTH].split()) for value in values)
    short = (
        line[: _EXAMPLE_LENGTH - 1] + "…" if len(line) > _EXAMPLE_LENGTH else line for line in lines
    )
    return tuple(dict.fromkeys(filter(None, short)))[:_EXAMPLES]


def _score(name: str, path: str, values: list[str], rows: int) -> float:
    """Return how well a path fits a field: at least 1 if it fits."""
    last = re.split(r"[./\[\]]", path.rstrip("[]"))[-1].strip('"')
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", last)
    words = [word.lower() for word in _WORD.findall(separated)]
    known = _NAMES[name]
    places = [known.index(word) for word in words if word in known]
    if not places or (name == "pages" and not _NO_PAGES.isdisjoint(words)):
        return 0.0
    score = (
        2.0
        - min(places) / len(known)
        + (0.5 if len(words) == 1 else 0.0)
        - (0.6 if name == "name" else 0.1) * path.count(".")
        - 0.1 * path.count("[")
    )
    return score + _value_score(name, values, rows)


def _value_score(name: str, values: list[str], rows: int) -> float:
    if name == "key":
        # A few records may share a key: that is a fault of the feed, which the harvest reports.
        distinct = len(set(values))
        return 0.5 if distinct == rows else -0.9 if distinct * 2 > rows else -2.0
    if pattern := _TABLES["values"].get(name):
        fits = [bool(re.match(pattern, value.strip())) for value in values]
        share = sum(fits) / (len(values) or 1)
        if name == "pages":
            return share if share * 2 > 1 else -2.0
        return share if name != "start" else 2 * share - 1
    lengths = sum(map(len, values)) / (len(values) or 1)
    return 0.3 if (name == "description") == (lengths > 80) else 0.0
