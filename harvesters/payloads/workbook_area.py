"""The area of a workbook's sheets, read from the addresses of their cells before a parser allocates
it.

Source: ECMA-376 part 1 (XLSX), [MS-XLSB] 2.1.4 and 2.4, [MS-XLS] 2.1.4, [MS-CFB] 2, OpenDocument
1.3 part 3, 19.675 and 19.676
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from harvesters.errors import ParseError
from harvesters.parsing import parser_errors
from harvesters.reasons import Reason

MAX_CELLS = 20_000_000  # cells of a sheet, with those that are empty
# cells that any sheet may have, and how many of them for each that has a value
_FREE, _EMPTY = 1_000_000, 100
MAX_UNPACKED = 512 * 1024 * 1024  # bytes of all members of a packed workbook
_PIECE = 1 << 20
# bytes of a piece that are read again with the next: longer than an address with its attribute
_OVERLAP = 4096
_ADDRESS = re.compile(rb"\br\s*+=\s*+[\"']([A-Za-z]*+)([0-9]++)")
_DIGITS = 12  # of a number in an address; one that has more is as large as any
_CELL = re.compile(rb"<(?:[\w.-]{1,20}:)?c[\s>]")
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Records of a cell in [MS-XLS]: FORMULA, MULRK, LABELSST, NUMBER, LABEL, BOOLERR, RK, RSTRING; and
# of a worksheet's beginning.
_CELLS_XLS = frozenset((0x0006, 0x00BD, 0x00FD, 0x0203, 0x0204, 0x0205, 0x027E, 0x00D6))
_BEGIN_XLS = 0x0809
_END_OF_CHAIN = 0xFFFFFFFA  # and above: no sector
_STREAM, _ROOT = 2, 5  # types of an entry of the directory
# Where a header has the numbers of sectors of the directory, the FAT, the mini FAT and the DIFAT.
_COUNTS = (40, 44, 64, 72)


class TooManyRowsError(ParseError):
    """A sheet has more rows than the reader takes."""


@dataclass(slots=True)
class Area:
    """The rows and columns between the first and the last cell of a sheet, and how many cells have
    a value.
    """

    top: int = -1
    bottom: int = -1
    left: int = -1
    right: int = -1
    cells: int = 0

    def add(self, row: int | None, column: int | None) -> None:
        """Add a cell, or only its row or its column."""
        if row is not None:
            self.top, self.bottom = (
                row if self.top < 0 else min(self.top, row),
                max(self.bottom, row),
            )
        if column is not None:
            self.left, self.right = (
                column if self.left < 0 else min(self.left, column),
                max(self.right, column),
            )

    @property
    def size(self) -> int:
        """Return the number of cells, with those that are empty."""
        return (self.bottom - self.top + 1) * (self.right - self.left + 1)

    @property
    def is_too_large(self) -> bool:
        """Return whether a parser should not allocate it: too many cells, or far more than have a
        value.
        """
        return self.size > min(MAX_CELLS, _FREE + _EMPTY * self.cells)


def check_areas(
    content: bytes, subject: str, *, max_rows: int | None = None, max_unpacked: int = MAX_UNPACKED
) -> None:
    """Raise ParseError where a sheet spans more cells than may be allocated, or the workbook
    unpacks to more than *max_unpacked* bytes.

    With *max_rows*, also where a sheet ends below that row.
    """
    for name, area in _areas(content, subject, max_unpacked):
        if max_rows is not None and area.bottom - min(area.top, 1) + 1 > max_rows:
            raise TooManyRowsError(f"{subject}: {name} has more than {max_rows} rows")
        if area.is_too_large:
            raise ParseError(
                Reason(
                    "sparse_sheet",
                    {"subject": subject, "sheet": name, "size": area.size, "count": area.cells},
                )
            )


def _areas(content: bytes, subject: str, max_unpacked: int) -> Iterator[tuple[str, Area]]:
    if content.startswith(_OLE):
        with parser_errors(Reason("not_spreadsheet", {"subject": subject})):
            yield from _xls(content)
        return
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    with (
        parser_errors(Reason("not_spreadsheet", {"subject": subject})),
        zipfile.ZipFile(io.BytesIO(content)) as package,
    ):
        size = sum(member.file_size for member in package.infolist())
        if size > max_unpacked:
            raise ParseError(
                Reason(
                    "spreadsheet_bomb", {"subject": subject, "size": size, "limit": max_unpacked}
                )
            )
        for name in package.namelist():
            low = name.lower()
            if low.endswith("content.xml"):
                yield from _ods(package, name)
            elif low.endswith((".xml", ".bin")) and "sheet" in low:
                yield name, (_xlsx if low.endswith(".xml") else _xlsb)(package, name)


def _pieces(package: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    with package.open(name) as file:
        while piece := file.read(_PIECE):
            yield piece


def _xlsx(package: zipfile.ZipFile, name: str) -> Area:
    area, addressed, rest = Area(), 0, b""
    for piece in _pieces(package, name):
        whole = rest + piece
        rest = whole[-_OVERLAP:]
        area.cells += len(_CELL.findall(whole, 0, max(len(whole) - _OVERLAP, 0)))
        addressed += _add_addresses(area, whole, max(len(whole) - _OVERLAP, 0))
    area.cells += len(_CELL.findall(rest))
    addressed += _add_addresses(area, rest, len(rest))
    if addressed < area.cells:  # a cell without an address follows the one before
        area.add(0, area.cells)
    return area


def _add_addresses(area: Area, text: bytes, end: int) -> int:
    """Add the addresses that begin before *end*; return how many of them are those of cells."""
    count = 0
    rows, columns = set[bytes](), set[bytes]()
    for match in _ADDRESS.finditer(text):
        if match.start() >= end:
            break
        count += bool(match[1])
        rows.add(match[2])
        columns.add(match[1])
    for row in rows:
        area.add(int(row[:_DIGITS]), None)
    for column in columns - {b""}:
        area.add(None, _column(column[:_DIGITS]))
    return count


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _ods(package: zipfile.ZipFile, name: str) -> Iterator[tuple[str, Area]]:
    """Read the repetitions of rows and cells; what is empty counts only where something follows it."""
    area, table, rows, width, empty = Area(), "", 0, 0, 0
    with parser_errors(name), package.open(name) as file:
        for event, node in etree.iterparse(
            file, events=("start", "end"), resolve_entities=False, no_network=True
        ):
            if event == "start":
                if node.tag == f"{_TABLE}table":
                    area, table, rows = Area(), node.get(f"{_TABLE}name", ""), 0
                elif node.tag == f"{_TABLE}table-row":
                    width = empty = 0
            elif node.tag in {f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"}:
                count = _repeated(node, "number-columns-repeated")
                if len(node) or len(node.attrib) > (
                    node.get(f"{_TABLE}number-columns-repeated") is not None
                ):
                    width, empty, area.cells = width + empty + count, 0, area.cells + 1
                else:
                    empty += count
            elif node.tag == f"{_TABLE}table-row":
                count = _repeated(node, "number-rows-repeated")
                if width:
                    area.add(0, 0)
                    area.add(rows + count - 1, width - 1)
                rows += count
                node.clear()
            elif node.tag == f"{_TABLE}table":
                yield table, area


def _repeated(node: etree._Element, name: str) -> int:
    text = node.get(f"{_TABLE}{name}", "1").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 1


def _xlsb(package: zipfile.ZipFile, name: str) -> Area:
    """Read the records of a binary sheet: row headers (type 0) and cells (types 1 to 11)."""
    area, data, offset = Area(), package.read(name), 0
    while offset < len(data):
        kind, offset = _varint(data, offset, 2)
        length, offset = _varint(data, offset, 4)
        if kind <= 11 and length >= 4:
            (number,) = struct.unpack_from("<I", data, offset)
            area.add(*((number, None) if kind == 0 else (None, number)))
            area.cells += kind != 0
        offset += length
    return area


def _varint(data: bytes, offset: int, max_bytes: int) -> tuple[int, int]:
    number = 0
    for index in range(max_bytes):
        if offset >= len(data):
            break
        byte, offset = data[offset], offset + 1
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            break
    return number, offset


def _xls(content: bytes) -> Iterator[tuple[str, Area]]:
    """Read the records of the stream that holds the sheets, one area for each substream."""
    for name, data in _streams(content):
        area, offset = Area(), 0
        while offset + 4 <= len(data):
            kind, length = struct.unpack_from("<HH", data, offset)
            if kind == _BEGIN_XLS:
                yield name, area
                area = Area()
            elif kind in _CELLS_XLS and length >= 4 and offset + 8 <= len(data):
                row, column = struct.unpack_from("<HH", data, offset + 4)
                area.add(row, column)
                area.cells += 1
                # MULRK ends with its last column
                if kind == 0x00BD and offset + 4 + length <= len(data) and length >= 6:
                    (last,) = struct.unpack_from("<H", data, offset + 2 + length)
                    area.add(row, last)
                    area.cells += max(last - column, 0)
            offset += 4 + length
        yield name, area


def _streams(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Return the streams "Workbook" and "Book" of a compound file; nothing where it is broken,
    which its parser reports. Raise ValueError where the sectors of any stream lead in a circle,
    which its parser would follow until no memory is left.
    """
    if len(content) < 512:
        return
    (shift,) = struct.unpack_from("<H", content, 30)
    size = 1 << min(shift, 16)
    directory, _, _, small, _, difat, _ = struct.unpack_from("<IIIIIII", content, 48)
    for position in _COUNTS:
        _check_size(size * struct.unpack_from("<I", content, position)[0], content)
    tables = [
        sector for sector in struct.unpack_from("<109I", content, 76) if sector < _END_OF_CHAIN
    ]
    seen = set[int]()
    while difat < _END_OF_CHAIN and len(more := _sector(content, difat, size)) == size:
        _add_sector(seen, difat)
        *sectors, difat = struct.unpack(f"<{size // 4}I", more)
        tables += [sector for sector in sectors if sector < _END_OF_CHAIN]
    fat = _numbers(b"".join(_sector(content, sector, size) for sector in tables))
    entries = _chain(content, directory, fat, size)
    root = entries[:128]
    if len(root) < 128:
        return
    inner = _chain(content, struct.unpack_from("<I", root, 116)[0], fat, size)
    inner_fat = _numbers(_chain(content, small, fat, size))
    for offset in range(0, len(entries) - 127, 128):
        entry = entries[offset : offset + 128]
        name = entry[: max(struct.unpack_from("<H", entry, 64)[0] - 2, 0)].decode(
            "utf-16-le", "replace"
        )
        is_workbook = name.lower() in {"workbook", "book"}
        if not is_workbook and entry[66] not in {_STREAM, _ROOT}:
            continue
        begin, length = struct.unpack_from("<II" if size == 512 else "<IQ", entry, 116)
        _check_size(length, content)
        data = (
            _chain(content, begin, fat, size)
            if length >= 4096 or entry[66] == _ROOT
            else _chain(inner, begin, inner_fat, 64, header=0)
        )
        if is_workbook:
            yield name, data[:length]


def _check_size(size: int, content: bytes) -> None:
    """Raise ValueError for a size that the file declares and does not have: its parser would
    allocate it.
    """
    if size > len(content):
        raise ValueError(f"it declares {size:,} bytes, and has {len(content):,} in all")


def _sector(content: bytes, number: int, size: int, header: int | None = None) -> bytes:
    begin = (size if header is None else header) + number * size
    return content[begin : begin + size]


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])


def _chain(
    content: bytes, begin: int, fat: tuple[int, ...], size: int, header: int | None = None
) -> bytes:
    parts, seen = [], set[int]()
    while begin < len(fat):
        _add_sector(seen, begin)
        parts.append(_sector(content, begin, size, header))
        begin = fat[begin]
    return b"".join(parts)


def _add_sector(seen: set[int], number: int) -> None:
    """Add the next sector of a chain; raise ValueError if it is in it already."""
    if number in seen:
        raise ValueError(f"sector {number} of the file follows itself")
    seen.add(number)
