"""Values of expressions as SQL: constants, and what a variable or a function yields. NULL is
SPARQL's error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyoxigraph import Literal, NamedNode
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Literal as ParsedLiteral
from rdflib.term import URIRef, Variable

from publisher.store.columns.relations import ColumnType, NotCompiled, fallback
from publisher.store.columns.terms import TermKind, TermRow, stored_rows, term_row
from vocab.terms import RDF, XSD

EXISTS = ("Builtin_EXISTS", "Builtin_NOTEXISTS")

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_DOTS = re.compile(r"/\.\.?(?:/|$)")
_DECIMAL = URIRef(f"{XSD}decimal")
_DATE_TIME = URIRef(f"{XSD}dateTime")
_FRACTION_DIGITS = 18
STRINGS = f"({TermKind.STRING:d}, {TermKind.LANGUAGE_STRING:d})"  # the kinds, for IN
NUMBERS = f"({TermKind.INTEGER:d}, {TermKind.DECIMAL:d})"
SCALE = 10**_FRACTION_DIGITS  # decimals are whole numbers of this part of one


# of kinds of literals that have one datatype
DATATYPES = {
    TermKind.STRING: f"{XSD}string",
    TermKind.LANGUAGE_STRING: f"{RDF}langString",
    TermKind.INTEGER: f"{XSD}integer",
    TermKind.INSTANT: f"{XSD}dateTime",
    TermKind.DATE: f"{XSD}date",
    TermKind.BOOLEAN: f"{XSD}boolean",
    TermKind.DECIMAL: f"{XSD}decimal",
}
NO_DATATYPE = "NULL"  # the datatype is that of the kind


@dataclass(frozen=True, slots=True)
class Operand:
    """A value as SQL. *kind* is SQL, NULL for an error; *static* is the kind where it is always the
    same.

    *id* is None where the value is not known to be a stored term. *whole* is the value of an
    integer; of a decimal only where that is the *static* kind, as the whole number of its 10^-18th
    parts.
    """

    kind: str
    lexical: str
    static: TermKind | None = None
    id: str | None = None
    language: str = "''"
    datatype: str = NO_DATATYPE
    whole: str = "NULL::BIGINT"


@dataclass(frozen=True, slots=True)
class Condition:
    """A boolean as SQL."""

    sql: str


Value = Operand | Condition
_TEXT = "NULL::VARCHAR"
# a variable that is not in scope
UNBOUND = Operand("NULL::UTINYINT", _TEXT, None, "NULL::UBIGINT", _TEXT, _TEXT)


def quote(text: str) -> str:
    """Write *text* as a string of SQL. Raises NotCompiled if it contains a NUL character."""
    if "\0" in text:
        raise NotCompiled("a NUL character")
    return "'" + text.replace("'", "''") + "'"


def constant(term: object) -> TermRow:
    """Return the row of a constant as rdflib parsed it. Raises NotCompiled if the store may read it
    otherwise.
    """
    if isinstance(term, URIRef):
        text = str(term)
        if not _ABSOLUTE.match(text) or _DOTS.search(text):
            raise NotCompiled(f"the relative IRI {text}")
        try:
            return term_row(NamedNode(text))
        except ValueError as error:
            raise NotCompiled(str(error)) from error
    if not isinstance(term, ParsedLiteral):
        raise NotCompiled(f"the term {term!r}")
    text = str(term)
    if term.language:
        return term_row(Literal(text, language=term.language.lower()))
    if term.datatype == _DATE_TIME:
        text = re.sub(r"\+00:00$", "Z", text)  # the parser has rewritten it
    literal = (
        Literal(text, datatype=NamedNode(str(term.datatype))) if term.datatype else Literal(text)
    )
    if term.datatype == _DECIMAL:
        (row,) = stored_rows([str(literal).encode()])
    else:
        row = term_row(literal)
    if row.kind is TermKind.OTHER:
        raise NotCompiled(f"the literal {row.text}")
    return row


def constant_operand(row: TermRow) -> Operand:
    """Return a constant term as an operand."""
    whole = "NULL::BIGINT" if row.whole is None else f"{row.whole}::BIGINT"
    if row.kind is TermKind.DECIMAL:
        whole = decimal_parts(quote(row.lexical))
    language, datatype = quote(row.language), quote(row.datatype)
    return Operand(
        f"{row.kind:d}",
        quote(row.lexical),
        row.kind,
        f"{row.id}::UBIGINT",
        language,
        datatype,
        whole,
    )


def string(sql: str) -> Operand:
    """Return an xsd:string whose text is *sql*, NULL for an error."""
    return Operand(
        f"CASE WHEN {sql} IS NOT NULL THEN {TermKind.STRING:d} END", sql, TermKind.STRING
    )


def integer(sql: str) -> Operand:
    """Return an xsd:integer whose value is *sql*, NULL for an error."""
    kind = f"CASE WHEN {sql} IS NOT NULL THEN {TermKind.INTEGER:d} END"
    return Operand(kind, f"({sql})::VARCHAR", TermKind.INTEGER, whole=sql)


def decimal(sql: str) -> Operand:
    """Return an xsd:decimal that is *sql* times 10^-18, NULL for an error."""
    kind = f"CASE WHEN {sql} IS NOT NULL THEN {TermKind.DECIMAL:d} END"
    return Operand(kind, decimal_text(sql), TermKind.DECIMAL, whole=sql)


def boolean(condition: Condition) -> Operand:
    """Return *condition* as an xsd:boolean."""
    kind = f"CASE WHEN {condition.sql} IS NOT NULL THEN {TermKind.BOOLEAN:d} END"
    return Operand(kind, f"({condition.sql})::VARCHAR", TermKind.BOOLEAN)


def chosen(choices: Sequence[tuple[str, Operand]]) -> Operand:
    """Return the first operand of *choices* whose condition is true; an error if none is."""

    def choose(values: Sequence[str]) -> str:
        cases = zip(choices, values, strict=True)
        return f"(CASE {' '.join(f'WHEN {case} THEN {value}' for (case, _), value in cases)} END)"

    operands = [operand for _, operand in choices]
    return Operand(
        choose([operand.kind for operand in operands]),
        choose([operand.lexical for operand in operands]),
        language=choose([operand.language for operand in operands]),
        datatype=choose([datatype_of(operand) for operand in operands]),
        whole=choose([_whole(operand) for operand in operands]),
    )


def datatype_of(value: Operand) -> str:
    """Return the IRI of the datatype of *value* as SQL."""
    if value.datatype != NO_DATATYPE:
        return value.datatype
    cases = " ".join(f"WHEN {kind:d} THEN {quote(iri)}" for kind, iri in DATATYPES.items())
    return f"(CASE {value.kind} {cases} END)"


def _whole(value: Operand) -> str:
    """Return the value of an integer; that of a decimal is in other units."""
    return "NULL::BIGINT" if value.static is TermKind.DECIMAL else value.whole


def computed_term(value: Operand) -> str:
    """Return *value* for a column of computed terms; a literal of another kind ends the query."""
    other = f"{value.kind} = {TermKind.OTHER:d}"
    fields = f"kind := {value.kind}, lexical := {value.lexical}, language := {value.language}, whole := {_whole(value)}"
    term = f"struct_pack({fields})::{ColumnType.COMPUTED.value}"
    return f"CASE WHEN {value.kind} IS NOT NULL THEN {fallback(other, term)} END"


def computed_operand(column: str) -> Operand:
    """Return the term in a column of computed terms."""
    return Operand(
        f"{column}.kind",
        f"{column}.lexical",
        language=f"{column}.language",
        whole=f"{column}.whole",
    )


def decimal_text(sql: str) -> str:
    """Return the lexical form, as the RDF store writes it, of the decimal that is *sql* times
    10^-18.
    """
    sign = f"CASE WHEN {sql} < 0 THEN '-' ELSE '' END"
    fraction = f"lpad((abs({sql}) % {SCALE})::VARCHAR, {_FRACTION_DIGITS}, '0')"
    return (
        f"({sign} || rtrim(rtrim((abs({sql}) // {SCALE})::VARCHAR || '.' || {fraction}, '0'), '.'))"
    )


def decimal_parts(lexical: str) -> str:
    """Return the decimal with the *lexical* form of the RDF store as a whole number of 10^-18th
    parts.
    """
    fraction = f"rpad(split_part({lexical}, '.', 2), {_FRACTION_DIGITS}, '0')"
    return f"(split_part({lexical}, '.', 1) || {fraction})::HUGEINT"


def decimal_value(kind: str, lexical: str) -> str:
    """Return a decimal as ``decimal_parts`` does, and NULL for a term of another kind."""
    return f"CASE WHEN {kind} = {TermKind.DECIMAL:d} THEN {decimal_parts(lexical)} END"


def variables_of(expression: object) -> Iterator[str]:
    """Yield the variables in *expression*, but not those of EXISTS."""
    if isinstance(expression, Variable):
        yield str(expression)
    elif isinstance(expression, CompValue):
        if expression.name not in EXISTS:
            for key, value in expression.items():
                if key != "_vars":
                    yield from variables_of(value)
    elif isinstance(expression, list | tuple):
        for part in expression:
            yield from variables_of(part)
