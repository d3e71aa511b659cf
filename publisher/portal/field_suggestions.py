"""Suggest the fields of a source definition from a sample: JSON, CSV or XML. Nothing is fetched or
stored here.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

MAX_SAMPLE = 2 << 20  # bytes of a sample
# records that are read; levels of objects in them; values visited in a sample
_RECORDS, _DEPTH, _NODES = 25, 4, 20_000
_HEADER_LINES = 100  # lines that a table is recognized by, and its header is searched in
_MAX_PATH = 500  # characters of a path
_XML_DEPTH = 60  # levels of a sample in XML

# Patterns of field names, in the languages of the portal, best first; and of their values.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "key": (
        "id",
        "identifier",
        "uuid",
        "guid",
        "code",
        "reference",
        "identifiant",
        "identificador",
        "key",
    ),
    "name": (
        "title",
        "name",
        "titre",
        "nom",
        "titulo",
        "nombre",
        "label",
        "标题",
        "名称",
        "название",
        "العنوان",
        "الاسم",
    ),
    "description": (
        *(
            "description",
            "summary",
            "abstract",
            "descripcion",
            "resume",
            "resumen",
            "overview",
            "objective",
        ),
        *("描述", "описание", "الوصف"),
    ),
    "start": (
        "start",
        "begin",
        "from",
        "startdate",
        "start_date",
        "debut",
        "inicio",
        "launch",
        "date",
        "开始",
        "начало",
        "البداية",
    ),
    "countries": (
        "country",
        "countries",
        "iso",
        "iso2",
        "iso3",
        "pays",
        "pais",
        "location",
        "国家",
        "страна",
        "البلد",
    ),
    "goals": ("sdg", "sdgs", "goal", "goals", "odd", "ods", "цур", "目标"),
    "pages": (
        "url",
        "link",
        "website",
        "webpage",
        "homepage",
        "lien",
        "enlace",
        "网址",
        "ссылка",
        "الرابط",
    ),
}
_NO_PAGES = frozenset(
    ("image", "img", "logo", "icon", "photo", "picture", "thumbnail", "api", "licence", "license")
)
_SPLIT = ("countries", "goals")  # fields whose values may stand in one text
_SEPARATOR = ";"
_DATE = re.compile(r"\d{4}-\d\d(-\d\d)?([T ].*)?\Z|\d{4}\Z|\d{1,2}[./]\d{1,2}[./]\d{4}\Z")
_COUNTRY = re.compile(r"[A-Z]{2,3}\Z")
_GOAL = re.compile(r"(?:SDG ?|Goal ?|ODS ?|ODD ?)?(?:1[0-7]|[1-9])(?:\b|\.)", re.IGNORECASE)
_PAGE = re.compile(r"https?://\S+\Z", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_EXAMPLES, _EXAMPLE_LENGTH = 3, 80  # values of a path that are shown; characters of each


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
    text = _decode(sample[:MAX_SAMPLE]).strip()
    if text.startswith(("{", "[")):
        return _from_json(text)
    return _from_xml(text) if text.startswith("<") else _from_csv(text)


def _decode(sample: bytes) -> str:
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return sample.decode("utf-16", "replace")
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(sample)  # may end in a character
    except UnicodeDecodeError:
        return sample.decode("cp1252", "replace")


def _from_json(text: str) -> FieldSuggestions:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return FieldSuggestions()
    path, records = _record_list(document)
    if not records:
        return FieldSuggestions()
    rows = [dict(_flatten(record)) for record in records[:_RECORDS]]
    return _suggestion("json", path, rows, len(records))


def _record_list(document: Any) -> tuple[str, list[Any]]:
    """Return the path and the items of the longest list of objects, the outermost of equals; an
    object by keys counts as a list where no list is as far out.
    """
    best: tuple[str, list[Any]] = ("", [])
    keyed: tuple[str, list[Any]] | None = None
    keyed_depth = _DEPTH
    queue, visited = deque([("", document, 0)]), 0
    while queue and visited < _NODES:
        path, node, depth = queue.popleft()
        visited += 1
        if depth > keyed_depth:
            break
        if isinstance(node, list):
            objects = [item for item in node if isinstance(item, dict)]
            if len(objects) > len(best[1]) and (not best[1] or not path.startswith(f"{best[0]}[")):
                best = (path, objects)
        elif isinstance(node, dict) and depth < _DEPTH:
            if keyed is None and _is_keyed_list(node) and len(node) > len(best[1]):
                keyed, keyed_depth = (path, list(node.values())), depth
            queue.extend((below, value, depth + 1) for below, value in _below(path, node))
    if best[1] or keyed:
        return best if best[1] else keyed or best
    return ("", [document]) if isinstance(document, dict) and document else best


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
    """Yield the paths and texts of the values in a record."""
    if isinstance(node, dict) and depth < _DEPTH:
        for below, value in _below(path, node):
            yield from _flatten(value, below, depth + 1)
    elif isinstance(node, list):
        items = [item for item in node[:3] if isinstance(item, dict)]
        for item in items:
            yield from _flatten(item, f"{path}[]", depth + 1)
        if not items and node:
            # the item with a separator shows that texts are split, also where the first has none
            yield path, next((str(item) for item in node if _SEPARATOR in str(item)), str(node[0]))
    elif isinstance(node, str | int | float) and not isinstance(node, bool):
        yield path, str(node)


def _from_csv(text: str) -> FieldSuggestions:
    rows = table_rows(text)
    header = _header(rows)
    names = [_step(" ".join(cell.split())) for cell in rows[header]] if rows else []
    records = [
        {
            name: cell
            for name, cell in zip(names, row, strict=False)
            if cell and name != _step("") and len(name) <= _MAX_PATH
        }
        for row in rows[header + 1 :][:_RECORDS]
    ]
    count = len(rows) - header - 1
    return _suggestion("csv", "", records, count) if records else FieldSuggestions()


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


def _header(rows: list[list[str]]) -> int:
    """Return the number of the header: the first row with half as many cells as any, since titles
    and notes stand before it.
    """
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows[:_HEADER_LINES]]
    return next((number for number, count in enumerate(filled) if 2 * count >= max(filled)), 0)


def _from_xml(text: str) -> FieldSuggestions:
    """Read XML without a document type: it may define entities that expand without limit."""
    if "<!DOCTYPE" in text[:4096].upper() or "<!ENTITY" in text.upper():
        return FieldSuggestions()
    leaves: dict[str, list[str]] = {}
    stack: list[str] = []
    chunks: list[str] = []
    parser = expat.ParserCreate()

    def start(name: str, _: object) -> None:
        if len(stack) >= _XML_DEPTH:
            raise ValueError("too deep")
        stack.append(name)
        chunks.clear()

    def end(_: str) -> None:
        value = "".join(chunks).strip()
        if value and len(leaves) < _NODES and sum(map(len, stack)) <= _MAX_PATH:
            leaves.setdefault("/".join(stack), []).append(value)
        stack.pop()
        chunks.clear()

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = chunks.append
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, ValueError):
        return FieldSuggestions()
    repeated = max((len(values) for values in leaves.values()), default=0)
    common = [path for path, values in leaves.items() if len(values) == repeated]
    record = _common_parent(common)
    columns = {
        f".//{path.rpartition('/')[2]}": values
        for path, values in leaves.items()
        if path.startswith(record)
    }
    rows = [
        {path: values[number] for path, values in columns.items() if number < len(values)}
        for number in range(min(repeated, _RECORDS))
    ]
    return _suggestion("xml", "", rows, repeated)


def _common_parent(paths: Iterable[str]) -> str:
    steps = [path.split("/")[:-1] for path in paths]
    common: list[str] = []
    for level in zip(*steps, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return "/".join(common)


def _suggestion(
    kind: str, records: str, rows: list[dict[str, str]], count: int
) -> FieldSuggestions:
    paths = tuple(dict.fromkeys(path for row in rows for path in row))
    columns = {path: [row[path] for row in rows if path in row] for path in paths}
    fields: dict[str, str] = {}
    for name in _NAMES:
        scored = [
            (_score(name, path, values, len(rows)), -position, path)
            for position, (path, values) in enumerate(columns.items())
        ]
        best = max(scored, default=(0.0, 0, ""))
        if best[0] >= 1 and best[2] not in fields.values():
            fields[name] = best[2]
    split = {
        name: _SEPARATOR
        for name in _SPLIT
        if any(_SEPARATOR in value for value in columns.get(fields.get(name, ""), ()))
    }
    examples = {path: _first_values(values) for path, values in columns.items()}
    return FieldSuggestions(kind, records, fields, paths, count, examples, split)


def _first_values(values: Iterable[str]) -> tuple[str, ...]:
    """Return the first different values, each as one short line."""
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
        # a few records of one key are a fault of the feed, which is found when they are read
        distinct = len(set(values))
        return 0.5 if distinct == rows else -0.9 if distinct * 2 > rows else -2.0
    pattern = {"start": _DATE, "countries": _COUNTRY, "goals": _GOAL, "pages": _PAGE}.get(name)
    if pattern is not None:
        share = sum(1 for value in values if pattern.match(value.strip())) / (len(values) or 1)
        if name == "pages":
            return share if share * 2 > 1 else -2.0
        return share if name != "start" else 2 * share - 1
    lengths = sum(map(len, values)) / (len(values) or 1)
    return 0.3 if (name == "description") == (lengths > 80) else 0.0
