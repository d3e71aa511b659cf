"""Solutions as cells and lines of SPARQL's TSV, and the template that makes triples of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pyoxigraph import Literal as StoredLiteral
from pyoxigraph import NamedNode
from rdflib.term import BNode, Variable

from publisher.store.columns.operands import DATATYPES, constant, decimal_text, quote
from publisher.store.columns.relations import (
    ColumnType,
    Names,
    NotCompiled,
    SolutionTable,
    VariableColumn,
    fallback,
    term_rows,
)
from publisher.store.columns.terms import TERM_TEXT, TermKind, TermRow, text_sql
from publisher.store.workers.reader import parse_term
from vocab.terms import XSD

_ESCAPES = (  # of N-Triples, by the SQL of the character
    ("'\\'", "\\\\"),
    ("'\"'", '\\"'),
    ("chr(10)", "\\n"),
    ("chr(13)", "\\r"),
    ("chr(9)", "\\t"),
)
# Triples of terms, of variables such as ``?s`` and of labels of blank nodes.
Template = tuple[tuple[str | NamedNode | StoredLiteral, ...], ...]


class Result(NamedTuple):
    """How the table ``answers`` of solutions is read: *cells* yields the values of the variables,
    *lines* whole lines of TSV, both in the order of the solutions.

    A cell is a text in the form of N-Triples, or the number of a term, whose text is in the term
    table or among *constants*.
    """

    cells: str
    lines: str
    constants: Mapping[int, str]


NO_RESULT = Result("", "", {})


def result_of(
    names: Names,
    constants: Mapping[int, TermRow],
    relation: SolutionTable,
    variables: tuple[str, ...],
) -> Result:
    """Return how to read the values of *variables* where ``answers`` has the rows of *relation*."""
    cells, values, source = [], [], "answers q"
    terms = [
        item
        for item in variables
        if relation.columns[item].type is ColumnType.TERM and item not in relation.described
    ]
    for number, variable in enumerate(variables):
        column, name, table = relation.columns[variable], f"q.{names[variable]}", f"t{number}"
        if variable in terms:
            source = f"{source} LEFT JOIN texts {table} ON {table}.id = {name}"
            cells.append(name)
            text = _text(constants, column, name, f"{table}.text")
        else:
            text = _text(constants, column, name, text_sql(f"{name}_"))
            cells.append(text)
        values.append(f"coalesce({text}, '')")
    start = ""
    if terms:
        # texts are written after the join: the filter of the scan lets some other terms through
        rows = term_rows(names, terms, "answers", f"{TERM_TEXT} AS text")
        start = f"WITH texts AS MATERIALIZED ({rows}) "
    line = f"concat_ws('\t', {', '.join(values) or repr('')}) AS line"
    return Result(
        f"SELECT {', '.join(cells) or repr('')} FROM answers q ORDER BY q.rowid",
        f"{start}SELECT {line} FROM {source} ORDER BY q.rowid",
        {number: row.text for number, row in constants.items()},
    )


def _text(constants: Mapping[int, TermRow], column: VariableColumn, name: str, text: str) -> str:
    """Return the N-Triples form of a value as SQL."""
    if column.type is ColumnType.INTEGER:
        return f"'\"' || {name} || '\"^^<{XSD}integer>'"
    if column.type is ColumnType.DECIMAL:
        return f"'\"' || {decimal_text(name)} || '\"^^<{XSD}decimal>'"
    if column.type is ColumnType.BOOLEAN:
        return f"'\"' || {name} || '\"^^<{XSD}boolean>'"
    if column.type is ColumnType.STRING:
        return _quoted(name)
    if column.type is ColumnType.COMPUTED:
        return _computed_text(name)
    cases = "".join(
        f" WHEN {item}::UBIGINT THEN {quote(row.text)}" for item, row in constants.items()
    )
    known = f"coalesce({text}, CASE {name}{cases} END)" if cases else text
    return f"CASE WHEN {name} IS NOT NULL THEN coalesce({known}, error('term')) END"


def _quoted(text: str) -> str:
    """Return a string in the form of N-Triples as SQL; one with control characters ends the query."""
    control = f"regexp_matches({text}, '[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x7F]')"
    escaped = text
    for character, escape in _ESCAPES:
        escaped = f"replace({escaped}, {character}, '{escape}')"
    return fallback(control, f"'\"' || {escaped} || '\"'")


def _computed_text(name: str) -> str:
    """Return the N-Triples form of a computed term as SQL."""
    typed = " ".join(
        f"WHEN {kind:d} THEN '\"' || {name}.lexical || '\"^^<{datatype}>'"
        for kind, datatype in DATATYPES.items()
        if kind not in (TermKind.STRING, TermKind.LANGUAGE_STRING)
    )
    quoted = _quoted(f"{name}.lexical")
    return (
        f"CASE {name}.kind WHEN {TermKind.IRI:d} THEN '<' || {name}.lexical || '>' "
        f"WHEN {TermKind.BLANK:d} THEN '_:' || {name}.lexical "
        f"WHEN {TermKind.STRING:d} THEN {quoted} "
        f"WHEN {TermKind.LANGUAGE_STRING:d} THEN ({quoted}) || '@' || {name}.language {typed} END"
    )


def template_of(triples: Sequence[Sequence[object]] | None) -> Template:
    """Return the triples of a CONSTRUCT as rdflib parsed them. Raises NotCompiled."""
    if not triples:
        raise NotCompiled("CONSTRUCT without a template")
    return tuple(tuple(_part(term) for term in triple) for triple in triples)


def _part(term: object) -> str | NamedNode | StoredLiteral:
    if isinstance(term, Variable):
        return f"?{term}"
    if isinstance(term, BNode):
        return f"_:{term}"
    row = constant(term)
    if row.kind is TermKind.DECIMAL:
        raise NotCompiled("a template with a decimal, which the RDF store does not normalize")
    return parse_term(row.text)
