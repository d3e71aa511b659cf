"""Dialects: in which charset a table's text is, and what parts and quotes its cells."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import charset_normalizer
import structlog

from harvesters.errors import CharsetError
from harvesters.network.charset import is_charset
from harvesters.network.fetch import Reply
from harvesters.parsing import parser_errors

DELIMITERS = (",", ";", "\t", "|", "^", ":")
QUOTES = ('"', "'")
SAMPLE = 64 * 1024  # characters in which a table shows its dialect

_PIECE = 1 << 20
_EVIDENCE = 256 * 1024  # bytes around what is not ASCII, from which a charset is told
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:\-]+)", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_QUOTED = re.compile(r"'[^'\"]*'\Z")

log = structlog.get_logger()


class Dialect(NamedTuple):
    """What parts cells, and what stands around those that hold it."""

    delimiter: str
    quote: str


def charset(reply: Reply, named: str | None) -> str:
    """Tell the charset of a file: by its byte order mark, else *named*, else UTF-8, what the reply declares, or by its look.

    The look counts only where the words of a language show in it; that it was used is a warning in the log. Raises ParseError
    where the bytes are in none of these.
    """
    assert reply.path is not None
    marked = next((name for mark, name in _BOMS if reply.content.startswith(mark)), None)
    declared = _CHARSET.search(reply.headers.get("content-type", ""))
    names = [marked] if marked else [named] if named else ["utf-8", *([declared.group(1).lower()] if declared else [])]
    faults: list[str] = []
    for name in dict.fromkeys(names):
        if (fault := _fault(reply.path, name)) is None:
            return name
        faults.append(fault)
    looks = None if marked or named else _look(reply.path)
    if looks is None:
        raise CharsetError(f"{reply.url}: its text is {' and '.join(faults)}; name its charset in the options of the source definition")
    log.warning("charset guessed from the content", url=reply.url, charset=looks, cure="set the option charset")
    return looks


def _fault(path: Path, name: str) -> str | None:
    """Say where a file is not in a charset; None where it is."""
    if not is_charset(name):
        return f"in {name!r}, which is no charset"
    decoder = codecs.getincrementaldecoder(name)()
    passed = 0
    with path.open("rb") as file:
        while True:
            part = file.read(_PIECE)
            try:
                decoder.decode(part, final=not part)
            except UnicodeDecodeError as error:
                place = passed + len(part) - len(error.object) + error.start  # it may begin in what the part before left over
                return f"not {name} at byte {place} ({error.object[error.start : error.start + 1].hex()})"
            except UnicodeError as error:
                return f"not {name} behind byte {passed} ({error})"
            if not part:
                return None
            passed += len(part)


def _look(path: Path) -> str | None:
    """Tell a charset from the lines that are not ASCII; None where they do not show a language."""
    lines: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(_PIECE), b""):
            if not line.isascii():
                lines.append(line)
                size += len(line)
                if size > _EVIDENCE:
                    break
    with parser_errors(f"{path.name}: no charset is found by its look"):
        best = charset_normalizer.from_bytes(b"".join(lines)).best()
    return best.encoding if best is not None and best.coherence > 0 and best.encoding != "ascii" else None


def dialect(sample: str, delimiter: str | None, quote: str | None, fits: Callable[[list[list[str]]], int]) -> Dialect:
    """Tell a table's dialect: the one in which its header is found with the most columns (*fits* counts them).

    Where it is found in none, the delimiter is the one that the first line has most of.
    """
    tried = [Dialect(mark, sign) for sign in (quote or _quote(sample),) for mark in (delimiter or DELIMITERS)]
    best = max(tried, key=lambda it: fits(list(_cells(sample, it))))
    if fits(list(_cells(sample, best))):
        return best
    first = next((line for line in sample.splitlines() if line.strip()), "")
    return max(tried, key=lambda it: first.count(it.delimiter))


def _quote(sample: str) -> str:
    """Give the apostrophe where it stands around all cells of a line that is parted by any delimiter, else the quotation mark."""
    first = next((line.strip() for line in sample.splitlines() if line.strip()), "")
    parted = any(mark in first and all(_QUOTED.match(cell.strip()) for cell in first.split(mark)) for mark in DELIMITERS)
    return QUOTES[1] if parted else QUOTES[0]


def _cells(sample: str, its: Dialect) -> Iterator[list[str]]:
    """Give the lines of a sample, as far as they can be read."""
    lines = csv.reader(io.StringIO(sample, newline=""), delimiter=its.delimiter, quotechar=its.quote)
    try:
        yield from lines
    except csv.Error:
        return
