"""Expressions of SPARQL as SQL: NULL is SPARQL's error, so AND, OR and NOT of three values are the same in both.

Source: https://www.w3.org/TR/sparql11-query/#expressions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pyoxigraph import Literal, NamedNode
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Literal as ParsedLiteral
from rdflib.term import URIRef, Variable

from publisher.store.columns.relations import ColumnType, Names, NotCompiled, VariableColumn, fallback
from publisher.store.columns.terms import TermKind, TermRow, term_row
from vocab.terms import XSD

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_DOTS = re.compile(r"/\.\.?(?:/|$)")
_PLAIN_PATTERN = re.compile(r"[A-Za-z0-9 ]+")
_CLASS = r"\[(?:[A-Za-z0-9](?:-[A-Za-z0-9])?|[./:_ ])+\]"
# Means the same in each dialect of regular expressions, for whether a text contains a match.
_SIMPLE_PATTERN = re.compile(rf"\^?(?:(?:[A-Za-z0-9 /:_]|{_CLASS}|\((?:[A-Za-z0-9 /:_|]|{_CLASS})+\))(?:[?*+]|\{{[1-9][0-9]?\}})?)+\$?")
_DATE_TIME = URIRef(f"{XSD}dateTime")
_RANGE = re.compile(r"[A-Za-z0-9-]+")
_LOWERED = r"[\x00-\x{12F}\x{131}-\x{17F}\x{400}-\x{45F}\x{600}-\x{6FF}\x{2010}-\x{2027}\x{3000}-\x{9FFF}\x{FF00}-\x{FFEF}]*"
_FRACTION_DIGITS = 18
SCALE = 10**_FRACTION_DIGITS  # decimals are whole numbers of this part of one
_STRINGS = f"({TermKind.STRING:d}, {TermKind.LANGUAGE_STRING:d})"


@dataclass(frozen=True, slots=True)
class Operand:
    """A value as SQL. *kind* is SQL, NULL for an error; *static* is the kind where it is always the same.

    *id* is None where the value is not known to be a stored term. *whole* is the value of an integer.
    """

    kind: str
    lexical: str
    static: TermKind | None = None
    id: str | None = None
    language: str = "''"
    datatype: str = "NULL"
    whole: str = "NULL::BIGINT"


@dataclass(frozen=True, slots=True)
class Condition:
    """A boolean as SQL."""

    sql: str


Value = Operand | Condition
_TEXT = "NULL::VARCHAR"
_UNBOUND = Operand("NULL::UTINYINT", _TEXT, None, "NULL::UBIGINT", _TEXT, _TEXT)  # a variable that is not in scope


def quote(text: str) -> str:
    """Write *text* as a string of SQL. Raises NotCompiled if it contains a NUL character."""
    if "\0" in text:
        raise NotCompiled("a NUL character")
    return "'" + text.replace("'", "''") + "'"


def constant(term: object) -> TermRow:
    """Return the row of a constant as rdflib parsed it. Raises NotCompiled if the store may read it otherwise."""
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
    row = term_row(Literal(text, datatype=NamedNode(str(term.datatype))) if term.datatype else Literal(text))
    if row.kind is TermKind.OTHER:
        raise NotCompiled(f"the literal {row.text}")
    return row


def constant_operand(row: TermRow) -> Operand:
    """Return a constant term as an operand."""
    whole = "NULL::BIGINT" if row.whole is None else f"{row.whole}::BIGINT"
    language, datatype = quote(row.language), quote(row.datatype)
    return Operand(f"{row.kind:d}", quote(row.lexical), row.kind, f"{row.id}::UBIGINT", language, datatype, whole)


def string(sql: str) -> Operand:
    """Return an xsd:string whose text is *sql*, NULL for an error."""
    return Operand(f"CASE WHEN {sql} IS NOT NULL THEN {TermKind.STRING:d} END", sql, TermKind.STRING)


def integer(sql: str) -> Operand:
    """Return an xsd:integer whose value is *sql*, NULL for an error."""
    kind = f"CASE WHEN {sql} IS NOT NULL THEN {TermKind.INTEGER:d} END"
    return Operand(kind, f"({sql})::VARCHAR", TermKind.INTEGER, whole=sql)


def decimal(sql: str) -> Operand:
    """Return an xsd:decimal that is *sql* times 10^-18, NULL for an error."""
    kind = f"CASE WHEN {sql} IS NOT NULL THEN {TermKind.DECIMAL:d} END"
    return Operand(kind, decimal_text(sql), TermKind.DECIMAL, whole=sql)


def decimal_text(sql: str) -> str:
    """Return the lexical form, as the RDF store writes it, of the decimal that is *sql* times 10^-18."""
    sign = f"CASE WHEN {sql} < 0 THEN '-' ELSE '' END"
    fraction = f"lpad((abs({sql}) % {SCALE})::VARCHAR, {_FRACTION_DIGITS}, '0')"
    return f"({sign} || rtrim(rtrim((abs({sql}) // {SCALE})::VARCHAR || '.' || {fraction}, '0'), '.'))"


def variables_of(expression: object) -> Iterator[str]:
    """Yield the variables in *expression*, but not those of EXISTS."""
    if isinstance(expression, Variable):
        yield str(expression)
    elif isinstance(expression, CompValue):
        if expression.name not in ("Builtin_EXISTS", "Builtin_NOTEXISTS"):
            for key, value in expression.items():
                if key != "_vars":
                    yield from variables_of(value)
    elif isinstance(expression, list | tuple):
        for part in expression:
            yield from variables_of(part)


class Expressions:
    """Compiles expressions over the *columns* of a relation whose terms have their properties.

    *sides* are the tables of the columns, by variable, where there is more than one table.
    """

    def __init__(self, names: Names, columns: Mapping[str, VariableColumn], sides: Mapping[str, str] | None = None) -> None:
        self._names, self._columns, self._sides = names, columns, sides or {}

    def condition(self, expression: object) -> str:
        """Return the effective boolean value of *expression* as SQL."""
        value = self.value(expression)
        if isinstance(value, Operand):
            raise NotCompiled("the effective boolean value of a term")
        return value.sql

    def operand(self, expression: object) -> Operand:
        """Return *expression* as a term or a value other than a boolean."""
        value = self.value(expression)
        if isinstance(value, Condition):
            raise NotCompiled("a boolean as an operand")
        return value

    def value(self, expression: object) -> Value:
        """Return *expression* as SQL. Raises NotCompiled."""
        if isinstance(expression, Variable):
            return self._variable(str(expression))
        if isinstance(expression, URIRef | ParsedLiteral):
            row = constant(expression)
            return Condition(row.lexical) if row.kind is TermKind.BOOLEAN else constant_operand(row)
        if not isinstance(expression, CompValue):
            raise NotCompiled(f"the expression {expression!r}")
        return self._compound(expression)

    def _variable(self, variable: str) -> Value:
        column = self._columns.get(variable)
        if column is None:
            return _UNBOUND
        name = self._sides.get(variable, "") + self._names[variable]
        if column.type is ColumnType.BOOLEAN:
            return Condition(name)
        if column.type is ColumnType.STRING:
            return string(name)
        if column.type is ColumnType.INTEGER:
            return integer(name)
        return Operand(
            f"{name}_kind", f"{name}_lexical", None, name, f"{name}_language", f"{name}_datatype", f"{name}_whole"
        )

    def _compound(self, expression: CompValue) -> Value:
        if expression.name == "ConditionalAndExpression":
            return Condition("(" + " AND ".join(self.condition(part) for part in (expression.expr, *expression.other)) + ")")
        if expression.name == "ConditionalOrExpression":
            return Condition("(" + " OR ".join(self.condition(part) for part in (expression.expr, *expression.other)) + ")")
        if expression.name == "UnaryNot":
            return Condition(f"(NOT {self.condition(expression.expr)})")
        if expression.name == "RelationalExpression":
            return self._relational(expression)
        if expression.name in ("AdditiveExpression", "MultiplicativeExpression"):
            return self._arithmetic(expression)
        function = _FUNCTIONS.get(expression.name)
        if function is None:
            raise NotCompiled(expression.name.removeprefix("Builtin_"))
        return function(self, expression)

    def _relational(self, expression: CompValue) -> Condition:
        if expression.op in ("IN", "NOT IN"):
            others = expression.other if isinstance(expression.other, list) else [expression.other]
            parts = [_equal(self.operand(expression.expr), self.operand(other)) for other in others]
            if not parts or str(expression.other) == "http://www.w3.org/1999/02/22-rdf-syntax-ns#nil":
                raise NotCompiled("an empty IN")
            return Condition(f"({'NOT ' if expression.op == 'NOT IN' else ''}({' OR '.join(parts)}))")
        one, two = self.operand(expression.expr), self.operand(expression.other)
        if expression.op == "=":
            return Condition(_equal(one, two))
        if expression.op == "!=":
            return Condition(f"(NOT {_equal(one, two)})")
        return Condition(_ordered(one, two, expression.op))

    def number(self, expression: object) -> Operand:
        """Return *expression* as an integer or a decimal; another number ends the query, another term is an error."""
        value = self.operand(expression)
        if value.static in (TermKind.INTEGER, TermKind.DECIMAL):
            return value
        if value.static is not None:
            raise NotCompiled("arithmetic with a constant that is no integer")
        uncertain = f"{value.kind} IN ({TermKind.OTHER:d}, {TermKind.INSTANT:d}, {TermKind.DATE:d})"
        return integer(f"(CASE WHEN {value.kind} = {TermKind.INTEGER:d} THEN {value.whole} ELSE {fallback(uncertain, 'NULL')} END)")

    def _arithmetic(self, expression: CompValue) -> Operand:
        result = self.number(expression.expr)
        for operator, other in zip(expression.op, expression.other, strict=True):
            result = _calculated(str(operator), result, self.number(other))
        return result

    def negative(self, expression: CompValue) -> Operand:
        """Return a number with the other sign."""
        value = self.number(expression.expr)
        return _number(value, f"(-{value.whole})")

    def absolute(self, expression: CompValue) -> Operand:
        """Return ABS."""
        value = self.number(expression.arg)
        return _number(value, f"abs({value.whole})")

    def floor(self, expression: CompValue) -> Operand:
        """Return FLOOR."""
        value = self.number(expression.arg)
        return _floor(value, value.whole)

    def ceiling(self, expression: CompValue) -> Operand:
        """Return CEIL."""
        value = self.number(expression.arg)
        return _number(value, f"(-{_floor(value, f'(-{value.whole})').whole})")

    def round(self, expression: CompValue) -> Operand:
        """Return ROUND: halves are rounded up."""
        value = self.number(expression.arg)
        return _floor(value, f"({value.whole} + {SCALE // 2})" if value.static is TermKind.DECIMAL else value.whole)

    def bound(self, expression: CompValue) -> Condition:
        """Return BOUND."""
        variable = str(expression.arg)
        if variable not in self._columns:
            return Condition("false")
        return Condition(f"({self._sides.get(variable, '')}{self._names[variable]} IS NOT NULL)")

    def str_(self, expression: CompValue) -> Operand:
        """Return STR."""
        value = self.operand(expression.arg)
        missing = f"{value.kind} = {TermKind.OTHER:d} AND {value.lexical} IS NULL"
        return string(f"(CASE WHEN {value.kind} <> {TermKind.BLANK:d} THEN {fallback(missing, value.lexical)} END)")

    def lang(self, expression: CompValue) -> Operand:
        """Return LANG."""
        value = self.operand(expression.arg)
        return string(f"(CASE WHEN {value.kind} > {TermKind.BLANK:d} THEN {value.language} END)")

    def datatype(self, expression: CompValue) -> Operand:
        """Return DATATYPE."""
        value = self.operand(expression.arg)
        if value.static is not None:
            raise NotCompiled("DATATYPE of a computed value")
        kind = f"(CASE WHEN {value.kind} > {TermKind.BLANK:d} THEN {TermKind.IRI:d} END)"
        return Operand(kind, value.datatype, TermKind.IRI)

    def lower(self, expression: CompValue) -> Operand:
        """Return LCASE of texts whose letters have one lower-case letter each in every version of Unicode."""
        value = self.operand(expression.arg)
        lexical = value.lexical
        odd = f"strlen({lexical}) <> length({lexical}) AND NOT regexp_full_match({lexical}, '{_LOWERED}', 's')"
        lowered = f"(CASE WHEN {value.kind} IN {_STRINGS} THEN {fallback(odd, f'lower({lexical})')} END)"
        kind = f"(CASE WHEN {value.kind} IN {_STRINGS} THEN {value.kind} END)"
        return Operand(kind, lowered, value.static, None, value.language)

    def _search(self, expression: CompValue, function: str) -> Condition:
        text, part = self.operand(expression.arg1), self.operand(expression.arg2)
        if part.static is not TermKind.STRING:
            raise NotCompiled(f"{function} with a text that is no xsd:string")
        return Condition(f"(CASE WHEN {text.kind} IN {_STRINGS} THEN {function}({text.lexical}, {part.lexical}) END)")

    def contains(self, expression: CompValue) -> Condition:
        """Return CONTAINS."""
        return self._search(expression, "contains")

    def starts(self, expression: CompValue) -> Condition:
        """Return STRSTARTS."""
        return self._search(expression, "starts_with")

    def ends(self, expression: CompValue) -> Condition:
        """Return STRENDS."""
        return self._search(expression, "ends_with")

    def regex(self, expression: CompValue) -> Condition:
        """Return REGEX of a pattern of plain letters."""
        text, pattern, flags = self.operand(expression.text), str(expression.pattern), str(expression.flags or "")
        allowed = {"": _SIMPLE_PATTERN, "i": _PLAIN_PATTERN}.get(flags)
        if not isinstance(expression.pattern, ParsedLiteral) or allowed is None or not allowed.fullmatch(pattern):
            raise NotCompiled("REGEX with a pattern that dialects may read differently")
        matches = f"regexp_matches({text.lexical}, '{pattern}', '{flags or 'c'}')"
        return Condition(f"(CASE WHEN {text.kind} IN {_STRINGS} THEN {matches} END)")

    def lang_matches(self, expression: CompValue) -> Condition:
        """Return LANGMATCHES with a constant range."""
        tag, wanted = self.operand(expression.arg1), str(expression.arg2)
        if not isinstance(expression.arg2, ParsedLiteral) or tag.static is not TermKind.STRING:
            raise NotCompiled("LANGMATCHES with a computed range")
        if wanted == "*":
            return Condition(f"({tag.lexical} <> '')")
        if not _RANGE.fullmatch(wanted):
            raise NotCompiled("LANGMATCHES with an odd range")
        lowered = wanted.lower()
        return Condition(f"(lower({tag.lexical}) = '{lowered}' OR starts_with(lower({tag.lexical}), '{lowered}-'))")

    def is_iri(self, expression: CompValue) -> Condition:
        """Return isIRI."""
        return Condition(f"({self.operand(expression.arg).kind} = {TermKind.IRI:d})")

    def is_blank(self, expression: CompValue) -> Condition:
        """Return isBLANK."""
        return Condition(f"({self.operand(expression.arg).kind} = {TermKind.BLANK:d})")

    def is_literal(self, expression: CompValue) -> Condition:
        """Return isLITERAL."""
        return Condition(f"({self.operand(expression.arg).kind} > {TermKind.BLANK:d})")

    def year(self, expression: CompValue) -> Operand:
        """Return YEAR of dates and instants."""
        value = self.operand(expression.arg)
        other = fallback(f"{value.kind} = {TermKind.OTHER:d}", "NULL")
        dated = f"{value.kind} IN ({TermKind.INSTANT:d}, {TermKind.DATE:d})"
        return integer(f"(CASE WHEN {dated} THEN substr({value.lexical}, 1, 4)::BIGINT ELSE {other} END)")

    def length(self, expression: CompValue) -> Operand:
        """Return STRLEN."""
        value = self.operand(expression.arg)
        return integer(f"(CASE WHEN {value.kind} IN {_STRINGS} THEN length({value.lexical}) END)")


    def substring(self, expression: CompValue) -> Operand:
        """Return SUBSTR from a constant place on, of a constant length."""
        text, bounds = self.operand(expression.arg), [expression.start, *([expression.length] if expression.length is not None else [])]
        if not all(isinstance(bound, ParsedLiteral) and re.fullmatch(r"[1-9][0-9]{0,5}", str(bound)) for bound in bounds):
            raise NotCompiled("SUBSTR with computed places")
        if any(self.operand(bound).static is not TermKind.INTEGER for bound in bounds):
            raise NotCompiled("SUBSTR with places that are no xsd:integer")
        part = f"substr({text.lexical}, {', '.join(str(bound) for bound in bounds)})"
        lexical = f"(CASE WHEN {text.kind} IN {_STRINGS} THEN {part} END)"
        kind = f"(CASE WHEN {text.kind} IN {_STRINGS} THEN {text.kind} END)"
        return Operand(kind, lexical, text.static, None, text.language)

    def if_(self, expression: CompValue) -> Operand:
        """Return IF of two strings or two integers."""
        condition = self.condition(expression.arg1)
        return _of_one_kind(
            "IF", [self.operand(expression.arg2), self.operand(expression.arg3)],
            lambda values: f"(CASE WHEN {condition} THEN {values[0]} WHEN NOT {condition} THEN {values[1]} END)",
        )  # fmt: skip

    def coalesce(self, expression: CompValue) -> Operand:
        """Return COALESCE of strings, or of integers."""
        operands = [self.operand(part) for part in expression.arg]
        return _of_one_kind("COALESCE", operands, lambda values: f"coalesce({', '.join(values)})")

    def concat(self, expression: CompValue) -> Operand:
        """Return CONCAT of strings without language."""
        operands = [self.operand(part) for part in expression.arg]
        if not operands or any(operand.static is not TermKind.STRING for operand in operands):
            raise NotCompiled("CONCAT of terms")
        return string(f"({' || '.join(operand.lexical for operand in operands)})")

    def call(self, expression: CompValue) -> Operand:
        """Return the cast to xsd:integer of integers and of strings of digits."""
        if str(expression.iri) != f"{XSD}integer" or len(expression.expr) != 1:
            raise NotCompiled(f"the function {expression.iri}")
        value = self.operand(expression.expr[0])
        digits = f"{value.kind} = {TermKind.STRING:d} AND regexp_full_match({value.lexical}, '[0-9]{{1,15}}')"
        rest = fallback(f"{value.kind} > {TermKind.BLANK:d}", "NULL::BIGINT")
        whole = f"WHEN {value.kind} = {TermKind.INTEGER:d} THEN {value.whole}"
        return integer(f"(CASE WHEN {digits} THEN ({value.lexical})::BIGINT {whole} ELSE {rest} END)")


def _of_one_kind(function: str, operands: list[Operand], combine: Callable[[list[str]], str]) -> Operand:
    """Return strings or integers that *combine* makes one of, as SQL."""
    kinds = {operand.static for operand in operands}
    if kinds == {TermKind.STRING}:
        return string(combine([operand.lexical for operand in operands]))
    if kinds == {TermKind.INTEGER}:
        return integer(combine([operand.whole for operand in operands]))
    if kinds == {TermKind.DECIMAL}:
        return decimal(combine([operand.whole for operand in operands]))
    raise NotCompiled(f"{function} of terms that may be of several kinds")


_FUNCTIONS: dict[str, Callable[[Expressions, CompValue], Value]] = {
    "Builtin_BOUND": Expressions.bound,
    "Builtin_STR": Expressions.str_,
    "Builtin_LANG": Expressions.lang,
    "Builtin_DATATYPE": Expressions.datatype,
    "Builtin_LCASE": Expressions.lower,
    "Builtin_CONTAINS": Expressions.contains,
    "Builtin_STRSTARTS": Expressions.starts,
    "Builtin_STRENDS": Expressions.ends,
    "Builtin_REGEX": Expressions.regex,
    "Builtin_LANGMATCHES": Expressions.lang_matches,
    "Builtin_isIRI": Expressions.is_iri,
    "Builtin_isURI": Expressions.is_iri,
    "Builtin_isBLANK": Expressions.is_blank,
    "Builtin_isLITERAL": Expressions.is_literal,
    "Builtin_YEAR": Expressions.year,
    "Builtin_STRLEN": Expressions.length,
    "Builtin_SUBSTR": Expressions.substring,
    "Builtin_IF": Expressions.if_,
    "Builtin_COALESCE": Expressions.coalesce,
    "Builtin_CONCAT": Expressions.concat,
    "Builtin_ABS": Expressions.absolute,
    "Builtin_CEIL": Expressions.ceiling,
    "Builtin_FLOOR": Expressions.floor,
    "Builtin_ROUND": Expressions.round,
    "UnaryMinus": Expressions.negative,
    "Function": Expressions.call,
}


def _number(like: Operand, sql: str) -> Operand:
    return decimal(sql) if like.static is TermKind.DECIMAL else integer(sql)


def _floor(value: Operand, sql: str) -> Operand:
    """Return *sql*, a number as *value* is one, without its fraction: the next whole number that is not greater."""
    return decimal(f"({sql} - ({sql} % {SCALE} + {SCALE}) % {SCALE})") if value.static is TermKind.DECIMAL else integer(sql)


def _scaled(value: Operand) -> str:
    """Return a number as a whole number of 10^-18th parts; a value that is no integer or decimal ends the query."""
    if value.static is TermKind.DECIMAL:
        return value.whole
    if value.static not in (None, TermKind.INTEGER):
        raise NotCompiled("a decimal compared with a constant that is no number")
    whole = f"{value.whole}::HUGEINT * {SCALE}"
    if value.static is TermKind.INTEGER:
        return f"({whole})"
    return f"(CASE WHEN {value.kind} = {TermKind.INTEGER:d} THEN {whole} WHEN {value.kind} IS NOT NULL THEN {fallback('true', 'NULL')} END)"


def _calculated(operator: str, one: Operand, two: Operand) -> Operand:
    """Return a sum, difference, product or quotient. An overflow ends the query; a division by zero is an error.

    Source: https://www.w3.org/TR/xpath-functions/#op.numeric (a quotient of integers is a decimal)
    """
    decimals = TermKind.DECIMAL in (one.static, two.static)
    if operator in ("+", "-"):
        return decimal(f"({_scaled(one)} {operator} {_scaled(two)})") if decimals else integer(f"({one.whole} {operator} {two.whole})")
    if two.static is TermKind.DECIMAL and (operator == "/" or one.static is TermKind.DECIMAL):
        raise NotCompiled("a product of decimals, or a quotient by one")
    if operator == "*":
        factors = [f"{item.whole}::HUGEINT" if decimals else item.whole for item in (one, two)]
        return (decimal if decimals else integer)(f"({' * '.join(factors)})")
    return decimal(f"({_scaled(one)} // nullif({two.whole}, 0)::HUGEINT)")


def _known(value: Operand) -> str:
    return f"{value.kind} IS NOT NULL"


def _equal(one: Operand, two: Operand) -> str:
    """Return ``one = two``: by value where both are of one kind; what is not certain ends the query."""
    if TermKind.DECIMAL in (one.static, two.static):
        return f"({_scaled(one)} = {_scaled(two)})"
    both = f"{_known(one)} AND {_known(two)}"
    same_id = f"{one.id} = {two.id}" if one.id and two.id else None
    if one.static is not None and one.static is two.static:
        return f"(CASE WHEN {both} THEN {_equal_values(one.static, one, two, same_id)} END)"
    nodes = " OR ".join(
        f"{item.kind} <= {TermKind.BLANK:d}" for item in (one, two) if item.static is None or item.static <= TermKind.BLANK
    )
    node_equal = same_id or (
        f"({one.kind} = {two.kind} AND {one.lexical} = {two.lexical})"
    )
    kinds = [item for item in TermKind if item > TermKind.BLANK and item is not TermKind.OTHER]
    static = one.static if one.static is not None else two.static
    kinds = [static] if static in kinds and static is not None else kinds if static is None else []
    cases = "".join(
        f" WHEN {one.kind} = {kind:d} AND {two.kind} = {kind:d} THEN {_equal_values(kind, one, two, same_id)}"
        for kind in kinds
    )
    strings = f" WHEN {one.kind} IN {_STRINGS} AND {two.kind} IN {_STRINGS} THEN false"
    first = f" WHEN {nodes} THEN {node_equal}" if nodes else ""
    rest = fallback("true", "NULL::BOOLEAN")
    return f"(CASE WHEN NOT ({both}) THEN NULL{first}{cases}{strings} ELSE {rest} END)"


def _equal_values(kind: TermKind, one: Operand, two: Operand, same_id: str | None) -> str:
    if kind is TermKind.INTEGER:
        return f"{one.whole} = {two.whole}"
    if same_id:
        return same_id
    if kind is TermKind.LANGUAGE_STRING:
        return f"({one.lexical} = {two.lexical} AND {one.language} = {two.language})"
    return f"{one.lexical} = {two.lexical}"


def _ordered(one: Operand, two: Operand, operator: str) -> str:
    """Return ``one < two`` and the like for two values of one kind; others end the query."""
    if operator not in ("<", ">", "<=", ">="):
        raise NotCompiled(f"the operator {operator}")
    if TermKind.DECIMAL in (one.static, two.static):
        return f"({_scaled(one)} {operator} {_scaled(two)})"
    cases = f"WHEN {one.kind} IS NULL OR {two.kind} IS NULL THEN NULL"
    for kinds, field in ((f"{TermKind.INTEGER:d}", "whole"), (f"{TermKind.STRING:d}, {TermKind.INSTANT:d}, {TermKind.DATE:d}", "lexical")):
        compared = f"{getattr(one, field)} {operator} {getattr(two, field)}"
        cases += f" WHEN {one.kind} = {two.kind} AND {one.kind} IN ({kinds}) THEN {compared}"
    return f"(CASE {cases} ELSE {fallback('true', 'NULL::BOOLEAN')} END)"


