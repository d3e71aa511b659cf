"""Write the template of a table of submissions, as CSV or as a workbook that lists what each column
may have.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from harvesters.participation.submissions.choices import Choice, choices
from harvesters.participation.submissions.members import MEMBERS, TYPES, Kind
from harvesters.participation.submissions.tables import MAX_ROWS
from languages.translations import gettext, kind_name

# The lists of `choices` by column; those of other columns are free.
_LISTS: Mapping[str, str] = {
    "type": "type", "publisher.classification": "stakeholder-type", "publisher.country": "country", "country": "country",
    "developedIn": "country", "actionLine": "action-line", "goal": "goal", "activityType": "activity-type", "status": "status",
    "coverage": "coverage", "license": "licence",
}  # fmt: skip
_PARTS = {
    Kind.PARTY: ("name", "classification", "country"),
    Kind.PLACE: ("lat", "long", "label"),
    Kind.PICTURE: ("id", "caption"),
}
# the names of sheets are parts of references, and have no language
_SHEETS = ("Submissions", "Columns", "Values")
_MAX_SHOWN = 255  # characters of a hint in a workbook
_WIDTH = 24  # characters


@dataclass(frozen=True, slots=True)
class TemplateColumn:
    """A column of the template: its *name* in the header, its *label*, how it is filled in, and the
    values that it may have.
    """

    name: str
    label: str
    hint: str
    values: tuple[Choice, ...]
    several: bool


def template_columns(base: str, language: str) -> list[TemplateColumn]:
    """Return the columns of the template, whose texts are in *language*."""
    columns = [
        TemplateColumn(
            "type",
            gettext("Type"),
            gettext("One of the list."),
            choices("type", base),
            several=False,
        )
    ]
    for name, member in MEMBERS.items():
        if member.kind is Kind.REASONS:
            continue
        for part in _PARTS.get(member.kind, ("",)):
            path = f"{name}.{part}" if part else name
            tag = (
                f"@{language}"
                if member.kind in (Kind.TITLE, Kind.TEXT) or part in ("label", "caption")
                else ""
            )
            several = member.kind in (Kind.WORDS, Kind.ADDRESSES, Kind.PARTIES)
            label = member.title() + (f" ({part})" if part else "")
            values = _values(path, base)
            columns.append(
                TemplateColumn(
                    path + tag,
                    label,
                    _hint(name, member.kind, several=several),
                    values,
                    several=several,
                )
            )
    return columns


def _values(path: str, base: str) -> tuple[Choice, ...]:
    """Return the values of a column with their labels. Countries have their names as values, which
    are read in all languages.
    """
    listed = choices(_LISTS[path], base) if path in _LISTS else ()
    return tuple((label, iri) for iri, label in listed) if _LISTS.get(path) == "country" else listed


def _hint(name: str, kind: Kind, *, several: bool) -> str:
    texts = (
        [gettext("Several values: one on each line, or with semicolons between them.")]
        if several
        else []
    )
    if kind is Kind.DATE:
        texts.append(gettext("As year-month-day, such as 2026-05-31."))
    if kind is Kind.PICTURE:
        texts.append(
            gettext(
                "The address of a picture that was sent before, and what it shows; other addresses are refused."
            )
        )
    if kind in (Kind.TITLE, Kind.TEXT):
        texts.append(gettext("The language stands after the @; add columns for others."))
    types = [kind_name(kind_of.lower()) for kind_of, members in TYPES.items() if name in members]
    if len(types) < len(TYPES):
        texts.append(gettext("For: %(types)s.") % {"types": ", ".join(types)})
    return " ".join(texts)


def template_csv(base: str, language: str) -> str:
    """Return the header of a table; the first character is the mark by which spreadsheets know
    UTF-8.
    """
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
        # text: a spreadsheet must not make a date or a number of a code
        table.set_column(0, len(columns) - 1, _WIDTH, text)
        about.write_row(
            0, 0, [gettext("Column"), gettext("Field"), gettext("How to fill it in")], bold
        )
        about.set_column(0, 1, _WIDTH)
        about.set_column(2, 2, 3 * _WIDTH, wrapped)
        lists.set_column(0, 2 * len(_LISTS), _WIDTH)
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
    """Return the rule that offers the values of a column; a cell with several may have other texts."""
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
        "show_error": not column.several,
        "ignore_blank": True,
        **prompt,
    }
