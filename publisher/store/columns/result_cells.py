"""Solutions as cells of SPARQL's TSV."""

from __future__ import annotations

from publisher.store.columns.operands import decimal_text
from publisher.store.columns.relations import ColumnType, Names, SolutionTable, fallback
from publisher.store.columns.terms import text_sql
from vocab.terms import XSD

_ESCAPES = (  # of N-Triples, by the SQL of the character
    ("'\\'", "\\\\"),
    ("'\"'", '\\"'),
    ("chr(10)", "\\n"),
    ("chr(13)", "\\r"),
    ("chr(9)", "\\t"),
)
_TYPED = {
    ColumnType.INTEGER: f"{XSD}integer",
    ColumnType.DECIMAL: f"{XSD}decimal",
    ColumnType.BOOLEAN: f"{XSD}boolean",
}


def cells(names: Names, relation: SolutionTable, variables: tuple[str, ...]) -> str:
    """Return the values of *variables* as SQL: texts in the form of N-Triples, or the numbers of
    terms whose properties *relation* does not have.
    """
    columns: list[str] = []
    for variable in variables:
        type_, name = relation.columns[variable].type, f"q.{names[variable]}"
        if variable in relation.described:
            cell = f"CASE WHEN {name} IS NOT NULL THEN {text_sql(f'{name}_')} END"
        elif type_ is ColumnType.STRING:
            cell = _quoted(name)
        elif type_ is ColumnType.TERM:
            cell = name
        else:
            lexical = decimal_text(name) if type_ is ColumnType.DECIMAL else name
            cell = f"'\"' || {lexical} || '\"^^<{_TYPED[type_]}>'"
        columns.append(f"{cell} AS c{len(columns)}")
    return ", ".join(columns) or "'' AS c0"


def _quoted(text: str) -> str:
    """Return a string in the form of N-Triples as SQL; one with control characters ends the query."""
    control = f"regexp_matches({text}, '[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x7F]')"
    escaped = text
    for character, escape in _ESCAPES:
        escaped = f"replace({escaped}, {character}, '{escape}')"
    return fallback(control, f"'\"' || {escaped} || '\"'")
