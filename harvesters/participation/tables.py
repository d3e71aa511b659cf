"""Read submissions from a table, as CSV or a workbook, and write its template. A row is a
submission, a column one of its members.

A column has the name of the member: ``goal``, ``publisher.name``, ``title@fr`` for a text in a
language, ``why.4@en`` for a reason. A cell separates several values by line breaks or semicolons.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

import orjson
import structlog
import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from harvesters.errors import ParseError
from harvesters.ledger import submissions
from harvesters.ledger.participation import Content, SubmissionState, Submitter
from harvesters.ledger.submissions import new_id
from harvesters.options import suggestion
from harvesters.participation.actions import MAX_OPEN, received
from harvesters.participation.check import Check, Duplicate, MemberFinding, check_many, violation
from harvesters.participation.model import (
    ADDRESSES,
    FIELDS,
    MEMBERS,
    REASONS,
    TYPES,
    Choice,
    Field,
    InvalidMembersError,
    Member,
    choices,
    normalize,
    title_of,
)
from harvesters.participation.submitters import SubmissionContext, count_change
from harvesters.pipeline.processes import UPLOAD_LIMITS, BoundedCallError, call_bounded
from harvesters.problems import InvalidValue, TooLarge, UnsupportedMedia
from harvesters.protocols.csv_file import SAMPLE, detect_dialect
from harvesters.protocols.spreadsheet import read_sheet
from harvesters.protocols.table_rows import name_columns
from languages.translations import gettext, kind_name

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_ROWS = 500  # rows of a table, without the header
MAX_FILE = 4 * 1024 * 1024  # bytes
_MAX_CHARACTERS = 8 * 1024 * 1024  # characters of all cells: a workbook may repeat one text in each
_SUBJECT = "The file"
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*\Z", re.ASCII)
_COLUMNS = {path.lower(): field for path, field in FIELDS.items()}
# Sheet names are parts of references between cells, so they are not translated.
_SHEETS = ("Submissions", "Columns", "Values")
_MAX_SHOWN = 255  # characters of a hint in a workbook
_WIDTH = 24  # characters

# A line of a file: its number, its cells, and its fault ("" if none).
Line: TypeAlias = tuple[int, list[str], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its *name* in the header, its field, and the language of its texts."""

    name: str
    field: Field
    language: str = ""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table: its *number* in the file, its *members* before they are normalized, and its
    *faults* by member.
    """

    number: int
    members: Mapping[str, Any]
    faults: Mapping[str, str]


def read_table(body: bytes, media_type: str) -> list[TableRow]:
    """Return the rows of a table that are not empty.

    A child process parses the file. Raises UnsupportedMedia, TooLarge for too many rows, and
    InvalidValue for a file that cannot be read or has an unknown column.
    """
    if media_type not in (CSV, XLSX):
        raise UnsupportedMedia("Send %(types)s.", types=", ".join((CSV, XLSX)))
    try:
        return list(_rows(iter(call_bounded(read_lines, body, media_type, limits=UPLOAD_LIMITS))))
    except BoundedCallError as error:
        why = f"{_SUBJECT}: reading it {error}"
        raise InvalidValue("The file cannot be read: %(why)s", why=why) from error
    except ParseError as error:
        raise InvalidValue("The file cannot be read: %(why)s", why=str(error)) from error


def read_lines(body: bytes, media_type: str) -> list[Line]:
    """Return the lines of a file that are not empty: the header, and at most MAX_ROWS + 1 rows."""
    lines = (
        _csv_lines(body)
        if media_type == CSV
        else ((number, cells, "") for number, cells in enumerate(read_sheet(body, _SUBJECT), 1))
    )
    read: list[Line] = []
    count = 0
    for number, cells, fault in lines:
        trimmed = _trimmed(cells)
        if not (trimmed or fault):
            continue
        read.append((number, trimmed, fault))
        count += sum(len(cell) + 1 for cell in trimmed)
        if count > _MAX_CHARACTERS:
            raise ParseError(f"{_SUBJECT}: its cells have more than {_MAX_CHARACTERS:,} characters")
        if len(read) > MAX_ROWS + 1:
            break
    return read


def parse_column(name: str) -> Column | None:
    """Return the column with this name; None if no member has it.

    >>> parse_column("title@fr").language, parse_column("Publisher.Name").field.part, parse_column("colour")
    ('fr', 'name', None)
    """
    path, mark, language = name.strip().partition("@")
    field = _COLUMNS.get(path.lower())
    if field is None or (mark and not (field.is_text and _LANGUAGE.match(language))):
        return None
    return Column(name, field, language)


def _rows(lines: Iterator[Line]) -> Iterator[TableRow]:
    header = next((cells for _, cells, fault in lines if not fault), None)
    if header is None:
        raise InvalidValue(
            "The file has no line with the names of the columns. Download the template."
        )
    columns = [_column(name) for name in name_columns(header)]
    for count, (number, cells, fault) in enumerate(lines, 1):
        if count > MAX_ROWS:
            raise TooLarge(
                "The file has more than %(count)s rows. Divide it into several files.",
                count=MAX_ROWS,
            )
        yield _row(number, cells, fault, columns)


def _trimmed(cells: list[str]) -> list[str]:
    last = max((number for number, cell in enumerate(cells, 1) if cell.strip()), default=0)
    return cells[:last]


def _column(name: str) -> Column:
    column = parse_column(name)
    if column is None:
        raise InvalidValue(
            "The column “%(name)s” is unknown (%(near)s). Download the template for the columns.",
            name=name[:100],
            near=suggestion(name[:100], [*FIELDS]),
        )
    return column


def _row(number: int, cells: list[str], fault: str, columns: list[Column]) -> TableRow:
    if fault:
        return TableRow(number, {}, {"record": fault})
    members: dict[str, Any] = {}
    faults: dict[str, str] = {}
    if len(cells) > len(columns):
        faults["record"] = gettext("The row has more cells than the header.")
    for column, cell in zip(columns, cells, strict=False):
        text = cell.strip()
        if text.startswith("="):
            faults[column.name] = gettext("Write the value itself here; this is a formula.")
        elif text:
            _add(members, column, text)
    return TableRow(number, members, faults)


def _add(members: dict[str, Any], column: Column, text: str) -> None:
    """Add the value of a cell to its member, the part of a member, or a language of it."""
    field = column.field
    names = [field.member, field.part, (column.language or "@none") if field.is_text else ""]
    *above, last = filter(None, names)
    for name in above:
        members = members.setdefault(name, {})
    members[last] = text
    kind = MEMBERS[field.member].kind if field.member in MEMBERS else None
    if kind and kind.is_list:
        words = re.split(r";\s+|\s+", text) if kind is ADDRESSES else re.split(r"[;\n]", text)
        members[last] = [word.strip() for word in words if word.strip()]


def _csv_lines(body: bytes) -> Iterator[Line]:
    text = _decoded(body)
    delimiter, quote = detect_dialect(text[:SAMPLE], "", "", _known_columns)
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote,
        strict=True,
    )
    while True:
        number = lines.line_num + 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise InvalidValue(
                    "A quotation mark is not closed, in the row that begins at line %(line)s.",
                    line=number,
                ) from error
            yield number, [], str(error)
        else:
            yield number, cells, ""


def _decoded(body: bytes) -> str:
    wide = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return body.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValue("The text of the file is not UTF-8. Save it as “CSV UTF-8”.") from error


def _known_columns(lines: list[list[str]]) -> int:
    """Return how many columns of the header are known; the right delimiter yields the most."""
    header = next((line for line in lines if any(cell.strip() for cell in line)), [])
    return sum(parse_column(cell) is not None for cell in header)


# ---- the template


@dataclass(frozen=True, slots=True)
class TemplateColumn:
    """A column of the template: its *name* in the header, its *label*, how it is filled in, and the
    values that it may have.
    """

    name: str
    label: str
    hint: str
    values: tuple[Choice, ...]
    is_list: bool


def template_columns(base: str, language: str) -> list[TemplateColumn]:
    """Return the columns of the template, whose texts are in *language*."""
    types = TemplateColumn(
        "type", gettext("Type"), gettext("One of the list."), choices("type", base), is_list=False
    )
    columns = [types]
    for path, field in FIELDS.items():
        member = MEMBERS.get(field.member)
        if member is None or member.kind is REASONS:
            continue
        listed = choices(field.choices, base) if field.choices not in ("", "target") else ()
        if field.choices == "country":  # names of countries are read in all languages
            listed = tuple((label, iri) for iri, label in listed)
        columns.append(
            TemplateColumn(
                f"{path}@{language}" if field.is_text else path,
                member.title + (f" ({field.part})" if field.part else ""),
                _hint(field.member, member),
                listed,
                member.kind.is_list,
            )
        )
    return columns


def _hint(name: str, member: Member) -> str:
    several = gettext("Several values: one on each line, or with semicolons between them.")
    texts = [several] if member.kind.is_list else []
    texts += [gettext(member.kind.hint)] if member.kind.hint else []
    types = [kind_name(kind.lower()) for kind, members in TYPES.items() if name in members]
    if len(types) < len(TYPES):
        texts.append(gettext("For: %(types)s.") % {"types": ", ".join(types)})
    return " ".join(texts)


def template_csv(base: str, language: str) -> str:
    """Return the header of a table, after a byte order mark: spreadsheets recognize UTF-8 by it."""
    output = io.StringIO()
    csv.writer(output).writerow([column.name for column in template_columns(base, language)])
    return "\ufeff" + output.getvalue()


def template_xlsx(base: str, language: str) -> bytes:
    """Return a workbook with an empty table, whose cells offer the values of their column, and
    sheets that explain it.
    """
    columns, output = template_columns(base, language), io.BytesIO()
    settings = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(output, settings) as book:
        table, about, lists = (book.add_worksheet(name) for name in _SHEETS)
        bold = book.add_format({"bold": True})
        text = book.add_format({"num_format": "@"})
        wrapped = book.add_format({"text_wrap": True})
        table.freeze_panes(1, 0)
        # Cells are text, so that a spreadsheet does not turn a code into a date or a number.
        table.set_column(0, len(columns) - 1, _WIDTH, text)
        about.write_row(
            0, 0, [gettext("Column"), gettext("Field"), gettext("How to fill it in")], bold
        )
        about.set_column(0, 1, _WIDTH)
        about.set_column(2, 2, 3 * _WIDTH, wrapped)
        lists.set_column(0, 2 * sum(bool(column.values) for column in columns), _WIDTH)
        listed = 0
        for number, column in enumerate(columns):
            table.write_string(0, number, column.name, bold)
            about.write_row(number + 1, 0, [column.name, column.label, column.hint])
            if column.values:
                lists.write_string(0, listed, column.name, bold)
                lists.write_column(1, listed, [value for value, _ in column.values], text)
                lists.write_column(1, listed + 1, [label for _, label in column.values])
                table.data_validation(1, number, MAX_ROWS, number, _validation(column, listed))
                listed += 2
    return output.getvalue()


def _validation(column: TemplateColumn, position: int) -> dict[str, object]:
    """Return the rule that offers the values of a column; a list may have other texts too."""
    letter = xl_col_to_name(position)
    source = f"={_SHEETS[2]}!${letter}$2:${letter}${len(column.values) + 1}"
    prompt = (
        {"input_title": column.label[:32], "input_message": column.hint[:_MAX_SHOWN]}
        if column.hint
        else {}
    )
    return {
        "validate": "list",
        "source": source,
        "show_error": not column.is_list,
        "ignore_blank": True,
        **prompt,
    }


_CLOSED = (SubmissionState.DRAFT, SubmissionState.WITHDRAWN, SubmissionState.SPAM)
log = structlog.get_logger(component="submissions")


class RowOutcome(StrEnum):
    ACCEPTED = "accepted"  # it waits for the moderators, or would
    KNOWN = "known"  # the submitter has sent the same before, or an earlier row is the same
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RowResult:
    """The outcome of the row *number* of a file; *id* is that of its submission, None if none was
    stored.
    """

    number: int
    outcome: RowOutcome
    title: str
    id: str | None = None
    findings: tuple[MemberFinding, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()


def submit_rows(
    context: SubmissionContext,
    submitter: Submitter,
    rows: Iterable[TableRow],
    language: str,
    *,
    dry_run: bool = False,
) -> list[RowResult]:
    """Check the rows and store the valid ones in one transaction; with *dry_run*, store nothing.

    Texts without a language are in *language*. Raises Closed, RateLimited.
    """
    source, ledger = context.source(), context.site.ledger
    if not dry_run:
        count_change(context, submitter)
    own = submissions.of_submitter(ledger, submitter.id)
    known = {_digest(item.content) for item in own if item.state not in _CLOSED}
    free = MAX_OPEN - sum(item.state is not SubmissionState.WITHDRAWN for item in own)
    read = [_normalized(row, context.site.base, language) for row in rows]
    contents = {item.id: item.content for item in read if item.content is not None}
    checks = check_many(ledger, contents, source, context.site.base, context.duplicates)
    results = list(_results(read, checks, known, free))
    if dry_run:
        return [replace(result, id=None) for result in results]
    accepted = {result.id: contents[result.id] for result in results if result.id}
    _store(context, submitter, accepted, language)
    log.info("table received", rows=len(results), submissions=len(accepted))
    return results


def count_outcomes(results: Iterable[RowResult]) -> dict[str, int]:
    counts = Counter(result.outcome for result in results)
    return {outcome.value: counts[outcome] for outcome in RowOutcome}


@dataclass(frozen=True, slots=True)
class _Item:
    """A row with its normalized content, None if it has faults."""

    row: TableRow
    id: str
    content: Content | None
    faults: Mapping[str, str]


def _normalized(row: TableRow, base: str, language: str) -> _Item:
    content, faults = None, dict(row.faults)
    try:
        content = normalize(row.members, base, language)
    except InvalidMembersError as error:
        faults = {**error.faults, **faults}
    return _Item(row, new_id(), None if faults else content, faults)


def _results(
    items: Iterable[_Item], checks: Mapping[str, Check], known: set[str], free: int
) -> Iterator[RowResult]:
    for item in items:
        faults = tuple(violation(*fault) for fault in item.faults.items())
        checked, digest = checks.get(item.id) or Check(faults, ()), _digest(item.content)
        outcome = RowOutcome.ACCEPTED
        if not checked.is_valid:
            outcome = RowOutcome.REFUSED
        elif digest in known:
            outcome = RowOutcome.KNOWN
        elif free <= 0:
            text = gettext(
                "You have %(count)s submissions; more are not possible. Withdraw some, or ask the operators for a source."
            )
            outcome = RowOutcome.REFUSED
            checked = Check((violation("record", text % {"count": MAX_OPEN}),), ())
        else:
            known.add(digest)
            free -= 1
        yield RowResult(
            item.row.number,
            outcome,
            title_of(item.row.members if item.content is None else item.content),
            item.id if outcome is RowOutcome.ACCEPTED else None,
            checked.findings,
            checked.duplicates,
        )


def _store(
    context: SubmissionContext, submitter: Submitter, contents: Mapping[str, Content], language: str
) -> None:
    now = context.site.now()
    rows = [(id, received(submitter, content, language, now)) for id, content in contents.items()]
    submissions.add_all(
        context.site.ledger, [(replace(item, id=id), event) for id, (item, event) in rows]
    )


def _digest(content: Content | None) -> str:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
