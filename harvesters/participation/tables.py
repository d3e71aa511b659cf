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
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

import orjson
import structlog
import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from harvesters.errors import ParseError, error_reason, require
from harvesters.ledger import submissions
from harvesters.ledger.participation import (
    Submission,
    SubmissionEvent,
    SubmissionState,
    Submitter,
)
from harvesters.ledger.submissions import new_id
from harvesters.options import suggestion
from harvesters.page_model import InvalidRecord
from harvesters.participation.actions import MAX_OPEN, TOO_MANY, new_submission
from harvesters.participation.check import Check, Duplicate, MemberFinding, check_many, violation
from harvesters.participation.model import (
    ADDRESSES,
    FIELDS,
    MEMBERS,
    REASONS,
    TYPE,
    TYPES,
    Choice,
    Field,
    InvalidMembersError,
    choices,
    normalize,
    title_of,
)
from harvesters.participation.submitters import SubmissionContext, count_change
from harvesters.pipeline.processes import UPLOAD_LIMITS, BoundedCallError, call_bounded
from harvesters.protocols.csv_file import SAMPLE, detect_dialect, iterate_lines
from harvesters.protocols.spreadsheet import read_sheet
from harvesters.protocols.table_rows import name_columns
from harvesters.reasons import Reason
from harvesters.site import InvalidValue, TooLarge, UnsupportedMedia
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
        raise InvalidValue("The file cannot be read: %(why)s", why=error_reason(error)) from error


def read_lines(body: bytes, media_type: str) -> list[Line]:
    """Return the lines of a file that are not empty: the header, and at most MAX_ROWS + 1 rows."""
    lines = (
        _csv_lines(body)
        if media_type == CSV
        else ((number, cells, "") for number, cells in enumerate(read_sheet(body, _SUBJECT), 1))
    )
    trimmed = (
        (
            number,
            cells[: max((at for at, cell in enumerate(cells, 1) if cell.strip()), default=0)],
            fault,
        )
        for number, cells, fault in lines
    )
    read = list(islice((line for line in trimmed if line[1] or line[2]), MAX_ROWS + 2))
    if sum(len(cell) + 1 for _, cells, _ in read for cell in cells) > _MAX_CHARACTERS:
        raise ParseError(f"{_SUBJECT}: its cells have more than {_MAX_CHARACTERS:,} characters")
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
    header = require(
        next((cells for _, cells, fault in lines if not fault), None),
        InvalidValue("The file has no line with the names of the columns. Download the template."),
    )
    columns = [_column(name) for name in name_columns(header)]
    for count, (number, cells, fault) in enumerate(lines, 1):
        if count > MAX_ROWS:
            raise TooLarge(
                "The file has more than %(count)s rows. Divide it into several files.",
                count=MAX_ROWS,
            )
        yield _row(number, cells, fault, columns)


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
    delimiter, quote = detect_dialect(text[:SAMPLE], "", _known_columns)
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote,
        strict=True,
    )
    for line in iterate_lines(_SUBJECT, lines):
        if isinstance(line, InvalidRecord):
            assert isinstance(line.cause, Reason)
            yield int(str(line.cause.values["line"])), [], str(line.cause.values["error"])
        else:
            yield line.number, line.cells, ""


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


def _template_columns(language: str) -> list[Column]:
    """Return the columns of the template, whose texts are in *language*."""
    return [
        Column(f"{path}@{language}" if field.is_text else path, field, language)
        for path, field in FIELDS.items()
        if field is TYPE or MEMBERS[field.member].kind is not REASONS
    ]


def _describe(field: Field) -> tuple[str, str]:
    """Return the label of a column, and how it is filled in."""
    if field is TYPE:
        return field.title, gettext("One of the list.")
    member = MEMBERS[field.member]
    several = gettext("Several values: one on each line, or with semicolons between them.")
    texts = [several] if member.kind.is_list else []
    texts += [gettext(member.kind.hint)] if member.kind.hint else []
    types = [kind_name(kind.lower()) for kind, members in TYPES.items() if field.member in members]
    if len(types) < len(TYPES):
        texts.append(gettext("For: %(types)s.") % {"types": ", ".join(types)})
    return member.title + (f" ({field.part})" if field.part else ""), " ".join(texts)


def _choices(field: Field, base: str) -> tuple[Choice, ...]:
    listed = choices(field.choices, base) if field.choices not in ("", "target") else ()
    # Names of countries are read in all languages.
    return tuple((label, iri) for iri, label in listed) if field.choices == "country" else listed


def template_csv(language: str) -> str:
    """Return the header of a table, after a byte order mark: spreadsheets recognize UTF-8 by it."""
    output = io.StringIO()
    csv.writer(output).writerow([column.name for column in _template_columns(language)])
    return "\ufeff" + output.getvalue()


def template_xlsx(base: str, language: str) -> bytes:
    """Return a workbook with an empty table, whose cells offer the values of their column, and
    sheets that explain it.
    """
    columns, output = _template_columns(language), io.BytesIO()
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
        listed = 0
        for number, column in enumerate(columns):
            (label, hint), values = _describe(column.field), _choices(column.field, base)
            table.write_string(0, number, column.name, bold)
            about.write_row(number + 1, 0, [column.name, label, hint])
            if values:
                lists.write_string(0, listed, column.name, bold)
                lists.write_column(1, listed, [value for value, _ in values], text)
                lists.write_column(1, listed + 1, [label for _, label in values])
                letter = xl_col_to_name(listed)
                is_list = column.field is not TYPE and MEMBERS[column.field.member].kind.is_list
                rule = {
                    "validate": "list",
                    "source": f"={_SHEETS[2]}!${letter}$2:${letter}${len(values) + 1}",
                    "show_error": not is_list,  # a list may have other texts too
                    "ignore_blank": True,
                }
                if hint:
                    rule |= {"input_title": label[:32], "input_message": hint[:_MAX_SHOWN]}
                table.data_validation(1, number, MAX_ROWS, number, rule)
                listed += 2
        lists.set_column(0, listed, _WIDTH)
    return output.getvalue()


# ---- its submissions

_CLOSED = (SubmissionState.DRAFT, SubmissionState.WITHDRAWN, SubmissionState.SPAM)
log = structlog.get_logger(component="submissions")
_digest = partial(orjson.dumps, option=orjson.OPT_SORT_KEYS)


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
    source, ledger, base = context.submission_source(), context.ledger, context.base
    if not dry_run:
        count_change(context, submitter)
    own = submissions.of_submitter(ledger, submitter.id)
    known = {_digest(item.content) for item in own if item.state not in _CLOSED}
    free = MAX_OPEN - sum(item.state is not SubmissionState.WITHDRAWN for item in own)
    read = {new_id(): _normalized(row, base, language) for row in rows}
    contents = {id: row.members for id, row in read.items() if not row.faults}
    checks = check_many(ledger, contents, source, base, context.duplicates)
    results: list[RowResult] = []
    accepted: list[tuple[Submission, SubmissionEvent]] = []
    for id, row in read.items():
        faults = tuple(violation(*fault) for fault in row.faults.items())
        checked, outcome = checks.get(id) or Check(faults, ()), RowOutcome.ACCEPTED
        if not checked.is_valid:
            outcome = RowOutcome.REFUSED
        elif (digest := _digest(row.members)) in known:
            outcome = RowOutcome.KNOWN
        elif len(accepted) >= free:
            outcome = RowOutcome.REFUSED
            checked = Check((violation("record", gettext(TOO_MANY) % {"count": MAX_OPEN}),), ())
        else:
            known.add(digest)
            accepted.append(new_submission(id, submitter, row.members, language, context.now()))
        stored = id if outcome is RowOutcome.ACCEPTED and not dry_run else None
        title = title_of(row.members)
        results.append(
            RowResult(row.number, outcome, title, stored, checked.findings, checked.duplicates)
        )
    if not dry_run:
        submissions.add(ledger, *accepted)
        log.info("table received", rows=len(results), submissions=len(accepted))
    return results


def _normalized(row: TableRow, base: str, language: str) -> TableRow:
    """Return a row with its members in the form that is stored, or with all its faults."""
    try:
        members = normalize(row.members, base, language)
    except InvalidMembersError as error:
        return replace(row, faults={**error.faults, **row.faults})
    return row if row.faults else replace(row, members=members)


def count_outcomes(results: Iterable[RowResult]) -> dict[str, int]:
    counts = Counter(result.outcome for result in results)
    return {outcome.value: counts[outcome] for outcome in RowOutcome}
