"""Write an answer as a text for readers: status, headers that matter, and the content by its
media type.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any
from urllib.parse import quote, unquote

import httpx
from lxml import html
from lxml.html import HtmlElement
from PIL import Image

HEADERS = (
    *("content-type", "content-language", "location", "vary", "cache-control", "link"),
    *("content-disposition", "allow", "www-authenticate", "memento-datetime", "accept-post"),
    *("x-robots-tag", "access-control-allow-origin", "content-location", "deprecation"),
)
# The fields that differ from run to run, and why. The text around the group is written, the group
# is not.
MASKED = [
    (why, re.compile(field, re.DOTALL))
    for why, field in (
        ("the answer's own time", r"<responseDate>([^<]+)<"),
        (
            "the time at which the history read an entry",
            r"<(?:datestamp|earliestDatestamp)>([^<]+)<",
        ),
        ("half a year from today", r"(?m)^Expires: (\S+)$"),
        ("the answer's own time", r'"at": ?"([^"]+)"'),
        ("the answer's own time", r"Status of all registries at <time[^>]*><bdi>([^<]+)<"),
        (
            "times of the export",
            r"<dt>(?:Requested|Started|Ended|Expires)</dt><dd><time[^>]*><bdi>([^<]+)<",
        ),
        ("times of the export", r'"(?:requested|started|ended|expires)": ?"([^"]+)"'),
        ("a part of the export's random id", r'filename="export-([^".]+)'),
        ("random in each session", r'name="csrf" value="([^"]+)"'),
        ("random in each key", r"stk_[$\w]+?_([\w-]{30,})"),
        ("times and random ids in the archive of a run", r"(\d+) bytes[^\d\n]{1,30}\d+ bytes"),
        ("how long the registry took", r'data-label="Response time \(slowest\)"><bdi>([^<]+)<'),
        ("files are packed by the libraries of the machine", r"(?m)^([0-9a-f]{64})  \S"),
        ("the number of times that the store was opened", r'"snapshot": ?(\d+)'),
    )
]
BLANK_NODE = re.compile(r"_:[0-9a-f]{24,}")  # random in each process, so they are numbered
# A text of at most LINES lines is written in full, of a longer one the FIRST lines. A line has at
# most WIDTH characters.
LINES, FIRST, WIDTH = 120, 30, 400
MEMBERS, MEMBERS_FIRST = 24, 4  # the same for members of a list or an object of JSON
SECTION, SECTION_FIRST = 30, 10  # the same for lines below a heading of a page, or of its table
PAGE = 200  # lines of a page; of the sections after these, only the first line is written
BLOCKS = re.compile(
    "address|article|aside|blockquote|body|br|caption|datalist|dd|details|dialog|div|dl|dt|fieldset|"
    "figcaption|figure|footer|form|h[1-6]|header|hr|legend|li|main|nav|ol|option|p|pre|section|"
    "select|summary|svg|table|tbody|tfoot|thead|title|tr|ul"
)


def render(
    answer: httpx.Response, heading: str, frames: dict[str, str], names: Mapping[str, str]
) -> list[str]:
    """Return the lines of *answer*. *frames* has the texts that pages of one file have around their
    content, each with the heading of its first page; *heading* is that of this answer. *names* are
    written in place of random values.
    """
    lines = [str(answer.status_code)]
    for name in HEADERS:
        for value in answer.headers.get_list(name):
            lines += _header(name, value)
    lines = masked("\n".join(lines), names).split("\n")
    for value in answer.headers.get_list("set-cookie"):
        name, _, attributes = re.sub(r"(?i)expires=[^;]+", "expires=MASKED", value).partition(";")
        lines.append(f"set-cookie: {name.partition('=')[0]}=MASKED;{attributes}")
    if "etag" in answer.headers:
        lines.append("etag: present")
    kind = answer.headers.get("content-type", "")
    if "html" in kind and answer.content:
        page = RenderedPage(
            masked(answer.text, names), answer.request.url.raw_path.decode(), heading, frames
        )
        return [*lines, "", *page.lines()]
    return [*lines, "", *content(kind, answer.content, names)]


def _header(name: str, value: str) -> Iterator[str]:
    if name == "link":
        yield from (f"link: {part}" for part in re.split(r",\s*(?=<)", value))
    else:
        yield f"{name}: {value}"


def masked(text: str, names: Mapping[str, str]) -> str:
    """Return *text* without fields that differ from run to run, with *names* for random values."""
    for value, name in names.items():
        text = text.replace(value, name)
    for _, pattern in MASKED:
        text = pattern.sub(lambda match: match[0].replace(match[1], _mask(match[1])), text)
    numbers: dict[str, str] = {}
    return BLANK_NODE.sub(
        lambda match: numbers.setdefault(match[0], f"_:b{len(numbers) + 1}"), text
    )


def _mask(value: str) -> str:
    return "0" if value.isdigit() else "MASKED"


def content(kind: str, data: bytes, names: Mapping[str, str]) -> list[str]:
    """Return the lines of *data* of the media type *kind*."""
    if not data:
        return []
    if data.startswith(b"\x1f\x8b"):
        return ["gzip:", *content("text/plain", gzip.decompress(data), names)]
    if data.startswith(b"PK\x03\x04"):
        return list(_archive(data))
    if data.startswith(b"%PDF"):
        return list(_pdf(data))
    if kind.startswith("image/") and "svg" not in kind:
        picture = Image.open(io.BytesIO(data))
        return [f"{picture.format} {picture.width} x {picture.height}"]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return [f"{len(data)} bytes, SHA-256 {sha256(data).hexdigest()}"]
    text = masked(text, names)
    if "version=1.0.0" in kind:
        return list(_metrics(text))
    if "json" in kind and "seq" not in kind:
        return shortened(_json_lines(text))
    elif "xml" in kind or "svg" in kind:
        text = _indented(text)
    return shortened(text.splitlines())


def _json_lines(text: str) -> list[str]:
    """Return the lines of JSON, one for each member, with long lists and objects shortened."""
    return json.dumps(_trimmed(json.loads(text)), ensure_ascii=False, indent=1).splitlines()


def _trimmed(value: Any) -> Any:
    """Return *value*; for a list or an object with many members, the first of them, and the number
    and a digest of all.
    """
    if not isinstance(value, list | dict):
        return value
    if len(value) <= MEMBERS:
        if isinstance(value, dict):
            return {name: _trimmed(item) for name, item in value.items()}
        return [_trimmed(item) for item in value]
    rest = f"{len(value)} members, SHA-256 {_digest(json.dumps(value))}"
    if isinstance(value, dict):
        first = islice(value.items(), MEMBERS_FIRST)
        return {name: _trimmed(item) for name, item in first} | {"...": rest}
    return [*map(_trimmed, value[:MEMBERS_FIRST]), f"... {rest}"]


def _metrics(text: str) -> Iterator[str]:
    """Yield the metrics with their types and labels; their values are those of this process."""
    label = re.compile(r"(\w+)=")
    samples = {
        " ".join([match[1], *label.findall(match[2] or "")])
        for match in re.finditer(r"(?m)^(\w+)(?:\{(.*)\})? ", text)
    }
    yield from sorted(re.findall(r"(?m)^# TYPE .*", text))
    yield from sorted(samples)


def _indented(text: str) -> str:
    """Return an XML document with each element on a line."""
    return re.sub(r"(?<=>)(?=<[^/])", "\n", text)


def shortened(lines: list[str], most: int = LINES, first: int = FIRST) -> list[str]:
    """Return *lines*, or of more than *most* the *first*, with the number and digest of all."""
    whole = "\n".join(lines)
    if len(lines) > most:
        lines = [*lines[:first], f"... {len(lines)} lines, SHA-256 {_digest(whole)}"]
    return [
        line
        if len(line) <= WIDTH
        else f"{line[: WIDTH // 2]} ... {len(line)} characters, SHA-256 {_digest(line)}"
        for line in lines
    ]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _archive(data: bytes) -> Iterator[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        for name in sorted(file.namelist()):
            yield f"file {name}: {len(file.read(name))} bytes"


def _pdf(data: bytes) -> Iterator[str]:
    yield f"PDF of {len(re.findall(rb'/Type */Page[^s]', data))} pages"


@dataclass
class RenderedPage:
    """A page at *address*: its title, the links of its head, and its content in order: headings,
    texts, links, fields of forms and cells of tables.
    """

    text: str
    address: str
    heading: str
    frames: dict[str, str]

    def lines(self) -> Iterator[str]:
        root = html.document_fromstring(self.text.encode(), html.HTMLParser(encoding="utf-8"))
        yield f"lang={root.get('lang')} dir={root.get('dir')}"
        head = [line for item in root.iterfind("head//*") for line in _head_line(item)]
        framed = [line for line in head if HEAD_FRAME.match(line)]
        yield from (line for line in head if line not in framed)
        yield from self._frame("head", self._generic(framed))
        yield ""
        yield from self._sections(root.find("body"))

    def _sections(self, body: HtmlElement) -> Iterator[str]:
        """Yield the content of a page with its sections shortened."""
        sections: list[list[str]] = [[]]
        for element in body:
            lines = Flow().lines(element)
            if element.tag in ("header", "footer"):
                lines = [*self._frame(element.tag, self._generic(lines))]
            for line in lines:
                if SECTION_START.match(line):
                    sections.append([])
                sections[-1].append(line)
        written = 0
        for section in sections:
            most = (SECTION, SECTION_FIRST) if written < PAGE else (1, 1)
            lines = shortened(section, *most)
            written += len(lines)
            yield from lines

    def _frame(self, name: str, lines: list[str]) -> Iterator[str]:
        """Yield *lines*, or the heading of the page in the file that has them already."""
        key = "\n".join([name, *lines])
        if key in self.frames:
            yield f"<{name}> as at {self.frames[key]}"
            return
        self.frames[key] = self.heading
        yield from lines

    def _generic(self, lines: list[str]) -> list[str]:
        """Return *lines* without the address of the page, so that pages can share them."""
        path = self.address.partition("?")[0]
        text = re.sub(
            r"/[^ )\n]*[?&]lang=(\w\w)\b",
            lambda match: f"PATH?lang={match[1]}" if match[0].startswith(path) else match[0],
            "\n".join(lines),
        )
        for name in (path, unquote(path)):
            text = text.replace(f"record={quote(name, safe='')}", "record=PATH")
        return text.split("\n") if lines else []


HEAD_FRAME = re.compile(
    r"meta (viewport|color-scheme)|link (icon|alternate \w\w:|.*/feeds/all\.atom)"
)


def _head_line(item: HtmlElement) -> Iterator[str]:
    if item.tag == "title":
        yield f"title: {item.text}"
    elif item.tag == "meta" and item.get("content"):
        yield f"meta {item.get('name') or item.get('property')}: {item.get('content')}"
    elif item.tag == "link" and item.get("rel") not in ("stylesheet", "preload"):
        href = re.sub(r"(/static/.*?)\.[0-9a-f]{8,}\.", r"\1.", item.get("href") or "")
        yield f"link {item.get('rel')} {item.get('type') or item.get('hreflang') or ''}: {href}"
    elif item.tag == "script" and "json" in (item.get("type") or ""):
        yield from shortened(_json_lines(item.text or ""))


class Flow:
    """The text of a page as a person reads it, with each block on a line."""

    def __init__(self) -> None:
        self._line: list[str] = []
        self._lines: list[str] = []

    def lines(self, element: HtmlElement) -> list[str]:
        self._visit(element)
        self._end()
        return self._lines

    def _end(self) -> None:
        if text := " ".join("".join(self._line).split()):
            self._lines.append(text)
        self._line = []

    def _visit(self, element: HtmlElement) -> None:
        tag = element.tag
        if not isinstance(tag, str) or tag in ("script", "style", "template"):
            self._line.append(element.tail or "")
            return
        is_block = BLOCKS.fullmatch(tag) is not None
        if is_block:
            self._end()
        self._line += self._before(element, tag)
        self._line.append(element.text or "")
        for child in element:
            self._visit(child)
        self._line += self._after(element, tag)
        if is_block:
            self._end()
        self._line.append(element.tail or "")

    def _before(self, element: HtmlElement, tag: str) -> list[str]:
        if re.fullmatch(r"h[1-6]", tag):
            return ["#" * int(tag[1]), " "]
        if tag == "a" and element.get("href"):
            return ["["]
        if tag in ("td", "th"):
            return ["| "]
        if tag == "li":
            return ["- "]
        if tag in ("main", "nav", "header", "footer", "table", "svg"):
            self._lines.append(f"<{tag}>")
            return []
        if tag in ("form", "input", "select", "textarea", "button", "option", "iframe", "img"):
            return [_field(element)]
        return []

    def _after(self, element: HtmlElement, tag: str) -> list[str]:
        if tag == "a" and element.get("href"):
            return [f"]({element.get('href')})"]
        return [" "] if tag in ("td", "th", "button", "label") else []


SECTION_START = re.compile(r"#+ |<(?:main|header|footer|table|svg|nav)>")
FIELDS = (
    "type", "name", "value", "action", "method", "src", "alt", "maxlength", "pattern", "min", "max",
)  # fmt: skip
FLAGS = ("required", "checked", "selected", "disabled", "multiple", "readonly")


def _field(element: HtmlElement) -> str:
    known = [f"{name}={value!r}" for name in FIELDS if (value := element.get(name)) is not None]
    flags = [name for name in FLAGS if element.get(name) is not None]
    return f"<{' '.join([str(element.tag), *known, *flags])}>"
