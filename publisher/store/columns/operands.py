"""Values of expressions as SQL: constants, and what a variable or a function yields. NULL is
SPARQL's error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from pyoxigraph import Literal, NamedNode
from rdflib.term import Literal as ParsedLiteral
from rdflib.term import URIRef

from publisher.store.columns.relations import NotCompiled
from publisher.store.columns.terms import TermKind, TermRow, term_row
from vocab.terms import XSD

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_DOTS = re.compile(r"/\.\.?(?:/|$)")
_DATE_TIME = URIRef(f"{XSD}dateTime")
STRINGS = f"({TermKind.STRING:d}, {TermKind.LANGUAGE_STRING:d})"  # the kinds, for IN


@dataclass(frozen=True, slots=True)
class Operand:
    """A value as SQL. *kind* is SQL, NULL for an error; *static* is the kind where it is always the
    same. *lexical* is its text, of a boolean its value.

    *id* is None where the value is not known to be a stored term. *whole* is the value of an
    integer.
    """

    kind: str
    lexical: str
    static: TermKind | None = None
    id: str | None = None
    language: str = "''"
    whole: str = "NULL::BIGINT"

    @property
    def sql(self) -> str:
        """Return the value of a computed operand, as a column has it."""
        return f"({self.whole})::BIGINT" if self.static is TermKind.INTEGER else self.lexical


COMPUTED = (
    TermKind.STRING,
    TermKind.INTEGER,
    TermKind.BOOLEAN,
)  # kinds of values that are computed
# a variable that is not in scope
UNBOUND = Operand("NULL::UTINYINT", "NULL::VARCHAR", None, "NULL::UBIGINT", "NULL::VARCHAR")


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
    row = term_row(Literal(text, datatype=NamedNode(str(term.datatype or f"{XSD}string"))))
    if row.kind is TermKind.OTHER:
        raise NotCompiled(f"the literal {row.text}")
    return row


def constant_operand(row: TermRow) -> Operand:
    """Return a constant term as an operand."""
    whole = "NULL::BIGINT" if row.whole is None else f"{row.whole}::BIGINT"
    lexical, language = quote(row.lexical), quote(row.language)
    return Operand(f"{row.kind:d}", lexical, row.kind, f"{row.id}::UBIGINT", language, whole)


def computed(static: TermKind, sql: str) -> Operand:
    """Return a value that is always of one kind: *sql* is the text of a string, else the value; NULL
    for an error.
    """
    kind = f"CASE WHEN {sql} IS NOT NULL THEN {static:d} END"
    if static is TermKind.INTEGER:
        return Operand(kind, f"({sql})::VARCHAR", static, whole=sql)
    return Operand(kind, sql, static)


string = partial(computed, TermKind.STRING)
integer = partial(computed, TermKind.INTEGER)
boolean = partial(computed, TermKind.BOOLEAN)
