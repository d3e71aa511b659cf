"""Expressions of SPARQL as SQL: NULL is SPARQL's error, so AND, OR and NOT of three values are the
same in both.

Source: https://www.w3.org/TR/sparql11-query/#expressions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Literal as ParsedLiteral
from rdflib.term import URIRef, Variable

from publisher.store.columns.arithmetic import calculated, floored, number_like
from publisher.store.columns.comparison import equal, ordered
from publisher.store.columns.operands import (
    NUMBERS,
    SCALE,
    STRINGS,
    UNBOUND,
    Condition,
    Operand,
    Value,
    boolean,
    chosen,
    computed_operand,
    constant,
    constant_operand,
    datatype_of,
    decimal,
    integer,
    string,
)
from publisher.store.columns.relations import (
    ColumnType,
    Names,
    NotCompiled,
    VariableColumn,
    fallback,
)
from publisher.store.columns.strings import (
    around,
    concatenated,
    iri,
    like,
    replaced,
    with_datatype,
    with_language,
)
from publisher.store.columns.terms import TermKind
from vocab.terms import XSD

_LONGEST = 20_000  # characters of the SQL of a value
_PLAIN_PATTERN = re.compile(r"[A-Za-z0-9 ]+")
_CLASS = r"\[\^?(?:[A-Za-z0-9](?:-[A-Za-z0-9])?|[./:_ ])+\]"
# Means the same in each dialect of regular expressions, for whether a text contains a match.
_SIMPLE_PATTERN = re.compile(
    rf"\^?(?:(?:[A-Za-z0-9 /:_]|{_CLASS}|\((?:[A-Za-z0-9 /:_|]|{_CLASS})+\))(?:[?*+]|\{{[1-9][0-9]?\}})?)+\$?"
)
_RANGE = re.compile(r"[A-Za-z0-9-]+")
_LOWERED = r"[\x00-\x{12F}\x{131}-\x{17F}\x{400}-\x{45F}\x{600}-\x{6FF}\x{2010}-\x{2027}\x{3000}-\x{9FFF}\x{FF00}-\x{FFEF}]*"
# letters that have one upper-case letter each in every version of Unicode: not ß
_RAISED = _LOWERED.replace(r"\x00-\x{12F}\x{131}-", r"\x00-\x{DE}\x{E0}-\x{148}\x{14A}-")
# The only other letters of which lower case has ASCII letters: the Kelvin sign, and I with a dot.
_ASCII_FROM_OTHERS = "(contains({0}, chr(8490)) OR contains({0}, chr(304)))"

_DATED = (TermKind.INSTANT, TermKind.DATE)
# where a part of a date is in its lexical form: the first place, the length, and the kinds with it
_DATE_PARTS = {
    "Builtin_YEAR": (1, 4, _DATED),
    "Builtin_MONTH": (6, 2, _DATED),
    "Builtin_DAY": (9, 2, _DATED),
    "Builtin_HOURS": (12, 2, (TermKind.INSTANT,)),
    "Builtin_MINUTES": (15, 2, (TermKind.INSTANT,)),
}


class Expressions:
    """Compiles expressions over the *columns* of a relation whose terms have their properties.

    *sides* are the tables of the columns, by variable, where there is more than one table.
    """

    def __init__(
        self,
        names: Names,
        columns: Mapping[str, VariableColumn],
        sides: Mapping[str, str] | None = None,
    ) -> None:
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
        value = self._compound(expression)
        if isinstance(value, Operand) and len(value.kind + value.lexical) > _LONGEST:
            raise NotCompiled("an expression whose SQL is too long")
        return value

    def _variable(self, variable: str) -> Value:
        column = self._columns.get(variable)
        if column is None:
            return UNBOUND
        name = self._sides.get(variable, "") + self._names[variable]
        if column.type is ColumnType.BOOLEAN:
            return Condition(name)
        if column.type is ColumnType.STRING:
            return string(name)
        if column.type is ColumnType.INTEGER:
            return integer(name)
        if column.type is ColumnType.DECIMAL:
            return decimal(name)
        if column.type is ColumnType.COMPUTED:
            return computed_operand(name)
        return Operand(
            f"{name}_kind",
            f"{name}_lexical",
            None,
            name,
            f"{name}_language",
            f"{name}_datatype",
            f"{name}_whole",
        )

    def _compound(self, expression: CompValue) -> Value:
        if expression.name == "ConditionalAndExpression":
            return Condition(
                "("
                + " AND ".join(
                    self.condition(part) for part in (expression.expr, *expression.other)
                )
                + ")"
            )
        if expression.name == "ConditionalOrExpression":
            return Condition(
                "("
                + " OR ".join(self.condition(part) for part in (expression.expr, *expression.other))
                + ")"
            )
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
            parts = [equal(self.operand(expression.expr), self.operand(other)) for other in others]
            if (
                not parts
                or str(expression.other) == "http://www.w3.org/1999/02/22-rdf-syntax-ns#nil"
            ):
                raise NotCompiled("an empty IN")
            return Condition(
                f"({'NOT ' if expression.op == 'NOT IN' else ''}({' OR '.join(parts)}))"
            )
        one, two = self.operand(expression.expr), self.operand(expression.other)
        if expression.op == "=":
            return Condition(equal(one, two))
        if expression.op == "!=":
            return Condition(f"(NOT {equal(one, two)})")
        return Condition(ordered(one, two, expression.op))

    def number(self, expression: object) -> Operand:
        """Return *expression* as an integer or a decimal; another number ends the query, another
        term is an error.
        """
        value = self.operand(expression)
        if value.static in (TermKind.INTEGER, TermKind.DECIMAL):
            return value
        if value.static is not None:
            raise NotCompiled("arithmetic with a constant that is no integer")
        others = (TermKind.OTHER, TermKind.INSTANT, TermKind.DATE, TermKind.DECIMAL)
        uncertain = f"{value.kind} IN ({', '.join(f'{kind:d}' for kind in others)})"
        return integer(
            f"(CASE WHEN {value.kind} = {TermKind.INTEGER:d} THEN {value.whole} ELSE {fallback(uncertain, 'NULL')} END)"
        )

    def _arithmetic(self, expression: CompValue) -> Operand:
        result = self.number(expression.expr)
        for operator, other in zip(expression.op, expression.other, strict=True):
            result = calculated(str(operator), result, self.number(other))
        return result

    def negative(self, expression: CompValue) -> Operand:
        """Return a number with the other sign."""
        value = self.number(expression.expr)
        return number_like(value, f"(-{value.whole})")

    def absolute(self, expression: CompValue) -> Operand:
        """Return ABS."""
        value = self.number(expression.arg)
        return number_like(value, f"abs({value.whole})")

    def floor(self, expression: CompValue) -> Operand:
        """Return FLOOR."""
        value = self.number(expression.arg)
        return floored(value, value.whole)

    def ceiling(self, expression: CompValue) -> Operand:
        """Return CEIL."""
        value = self.number(expression.arg)
        return number_like(value, f"(-{floored(value, f'(-{value.whole})').whole})")

    def round(self, expression: CompValue) -> Operand:
        """Return ROUND: halves are rounded up."""
        value = self.number(expression.arg)
        return floored(
            value,
            f"({value.whole} + {SCALE // 2})" if value.static is TermKind.DECIMAL else value.whole,
        )

    def bound(self, expression: CompValue) -> Condition:
        """Return BOUND."""
        variable = str(expression.arg)
        if variable not in self._columns:
            return Condition("false")
        return Condition(f"({self._sides.get(variable, '')}{self._names[variable]} IS NOT NULL)")

    def str_(self, expression: CompValue) -> Operand:
        """Return STR."""
        return self._text(expression.arg)

    def _text(self, expression: object) -> Operand:
        value = self.operand(expression)
        missing = f"{value.kind} = {TermKind.OTHER:d} AND {value.lexical} IS NULL"
        return string(
            f"(CASE WHEN {value.kind} <> {TermKind.BLANK:d} THEN {fallback(missing, value.lexical)} END)"
        )

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
        return Operand(kind, datatype_of(value), TermKind.IRI)

    def lower(self, expression: CompValue) -> Operand:
        """Return LCASE of texts whose letters have one lower-case letter each in every version of
        Unicode.
        """
        return self._changed_case(expression, "lower", _odd_letters(_LOWERED))

    def upper(self, expression: CompValue) -> Operand:
        """Return UCASE of texts whose letters have one upper-case letter each."""
        return self._changed_case(expression, "upper", _odd_letters(_RAISED))

    def _changed_case(self, expression: CompValue, function: str, is_odd: str) -> Operand:
        """Return LCASE or UCASE; a text for which *is_odd* holds ends the query."""
        value = self.operand(expression.arg)
        changed = fallback(is_odd.format(value.lexical), f"{function}({value.lexical})")
        return like(value, changed)

    def _search(self, expression: CompValue, function: str) -> Condition:
        part = self.operand(expression.arg2)
        if part.static is not TermKind.STRING:
            raise NotCompiled(f"{function} with a text that is no xsd:string")
        lowered = getattr(expression.arg1, "name", "") == "Builtin_LCASE"
        if lowered and isinstance(expression.arg2, ParsedLiteral) and expression.arg2.isascii():
            text = self._changed_case(expression.arg1, "lower", _ASCII_FROM_OTHERS)
        else:
            text = self.operand(expression.arg1)
        return Condition(
            f"(CASE WHEN {text.kind} IN {STRINGS} THEN {function}({text.lexical}, {part.lexical}) END)"
        )

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
        text, (pattern, flags) = self.operand(expression.text), _pattern(expression)
        matches = f"regexp_matches({text.lexical}, '{pattern}', '{flags or 'c'}')"
        return Condition(f"(CASE WHEN {text.kind} IN {STRINGS} THEN {matches} END)")

    def lang_matches(self, expression: CompValue) -> Condition:
        """Return LANGMATCHES with a constant range."""
        tag, wanted = self.operand(expression.arg1), _constant_string(expression.arg2)
        if tag.static is not TermKind.STRING:
            raise NotCompiled("LANGMATCHES of what may be no string")
        if wanted == "*":
            return Condition(f"({tag.lexical} <> '')")
        if not _RANGE.fullmatch(wanted):
            raise NotCompiled("LANGMATCHES with an odd range")
        lowered = wanted.lower()
        return Condition(
            f"(lower({tag.lexical}) = '{lowered}' OR starts_with(lower({tag.lexical}), '{lowered}-'))"
        )

    def is_iri(self, expression: CompValue) -> Condition:
        """Return isIRI."""
        return Condition(f"({self.operand(expression.arg).kind} = {TermKind.IRI:d})")

    def is_blank(self, expression: CompValue) -> Condition:
        """Return isBLANK."""
        return Condition(f"({self.operand(expression.arg).kind} = {TermKind.BLANK:d})")

    def is_literal(self, expression: CompValue) -> Condition:
        """Return isLITERAL."""
        return Condition(f"({self.operand(expression.arg).kind} > {TermKind.BLANK:d})")

    def is_numeric(self, expression: CompValue) -> Condition:
        """Return isNUMERIC; a literal without an exact form in the columns ends the query."""
        kind = self.operand(expression.arg).kind
        other = fallback(f"{kind} = {TermKind.OTHER:d}", f"{kind} IN {NUMBERS}")
        return Condition(f"({other})")

    def date_part(self, expression: CompValue) -> Operand:
        """Return YEAR, MONTH or DAY of dates and instants, HOURS or MINUTES of instants."""
        value = self.operand(expression.arg)
        start, length, kinds = _DATE_PARTS[expression.name]
        part = f"substr({value.lexical}, {start}, {length})::BIGINT"
        other = fallback(f"{value.kind} = {TermKind.OTHER:d}", "NULL")
        listed = ", ".join(f"{kind:d}" for kind in kinds)
        return integer(f"(CASE WHEN {value.kind} IN ({listed}) THEN {part} ELSE {other} END)")

    def zone(self, expression: CompValue) -> Operand:
        """Return TZ: of an instant, which is in UTC, or of a date, which has no time zone."""
        value = self.operand(expression.arg)
        other = fallback(f"{value.kind} = {TermKind.OTHER:d}", "NULL")
        return string(
            f"(CASE {value.kind} WHEN {TermKind.INSTANT:d} THEN 'Z' WHEN {TermKind.DATE:d} THEN '' ELSE {other} END)"
        )

    def length(self, expression: CompValue) -> Operand:
        """Return STRLEN."""
        value = self.operand(expression.arg)
        return integer(f"(CASE WHEN {value.kind} IN {STRINGS} THEN length({value.lexical}) END)")

    def substring(self, expression: CompValue) -> Operand:
        """Return SUBSTR from a constant place on, of a constant length."""
        text = self.operand(expression.arg)
        bounds = [expression.start, *([expression.length] if expression.length is not None else [])]
        if not all(
            isinstance(bound, ParsedLiteral) and re.fullmatch(r"[1-9][0-9]{0,5}", str(bound))
            for bound in bounds
        ):
            raise NotCompiled("SUBSTR with computed places")
        if any(self.operand(bound).static is not TermKind.INTEGER for bound in bounds):
            raise NotCompiled("SUBSTR with places that are no xsd:integer")
        part = f"substr({text.lexical}, {', '.join(str(bound) for bound in bounds)})"
        lexical = f"(CASE WHEN {text.kind} IN {STRINGS} THEN {part} END)"
        kind = f"(CASE WHEN {text.kind} IN {STRINGS} THEN {text.kind} END)"
        return Operand(kind, lexical, text.static, None, text.language)

    def encoded(self, expression: CompValue) -> Operand:
        """Return ENCODE_FOR_URI."""
        value = self.operand(expression.arg)
        return string(f"(CASE WHEN {value.kind} IN {STRINGS} THEN url_encode({value.lexical}) END)")

    def hash(self, expression: CompValue) -> Operand:
        """Return MD5, SHA1 or SHA256."""
        value = self.operand(expression.arg)
        function = expression.name.removeprefix("Builtin_").lower()
        return string(
            f"(CASE WHEN {value.kind} = {TermKind.STRING:d} THEN {function}({value.lexical}) END)"
        )

    def if_(self, expression: CompValue) -> Value:
        """Return IF."""
        condition = self.condition(expression.arg1)
        return _one_of(
            [
                (condition, self.value(expression.arg2)),
                (f"NOT {condition}", self.value(expression.arg3)),
            ]
        )

    def coalesce(self, expression: CompValue) -> Value:
        """Return COALESCE."""
        if not isinstance(expression.arg, list):
            raise NotCompiled("COALESCE of nothing")
        values = [self.value(part) for part in expression.arg]
        known = [value.sql if isinstance(value, Condition) else value.kind for value in values]
        return _one_of(
            [(f"({sql}) IS NOT NULL", value) for sql, value in zip(known, values, strict=True)]
        )

    def concat(self, expression: CompValue) -> Operand:
        """Return CONCAT."""
        if not isinstance(expression.arg, list):
            raise NotCompiled("CONCAT of nothing")
        return concatenated([self.operand(part) for part in expression.arg])

    def replace(self, expression: CompValue) -> Operand:
        """Return REPLACE of a simple pattern by a constant."""
        text, (pattern, flags) = self.operand(expression.arg), _pattern(expression)
        return replaced(text, pattern, _constant_string(expression.replacement), flags)

    def before(self, expression: CompValue) -> Operand:
        """Return STRBEFORE."""
        separator = _constant_string(expression.arg2)
        return around(self.operand(expression.arg1), separator, is_before=True)

    def after(self, expression: CompValue) -> Operand:
        """Return STRAFTER."""
        separator = _constant_string(expression.arg2)
        return around(self.operand(expression.arg1), separator, is_before=False)

    def iri(self, expression: CompValue) -> Operand:
        """Return IRI."""
        return iri(self.operand(expression.arg))

    def with_language(self, expression: CompValue) -> Operand:
        """Return STRLANG."""
        return with_language(self.operand(expression.arg1), _constant_string(expression.arg2))

    def with_datatype(self, expression: CompValue) -> Operand:
        """Return STRDT."""
        if not isinstance(expression.arg2, URIRef):
            raise NotCompiled("STRDT with what may be no IRI")
        return with_datatype(self.operand(expression.arg1), str(expression.arg2))

    def call(self, expression: CompValue) -> Operand:
        """Return the cast to xsd:string, or to xsd:integer of integers and of strings of digits."""
        if str(expression.iri) == f"{XSD}string" and len(expression.expr) == 1:
            return self._text(expression.expr[0])
        if str(expression.iri) != f"{XSD}integer" or len(expression.expr) != 1:
            raise NotCompiled(f"the function {expression.iri}")
        value = self.operand(expression.expr[0])
        digits = f"{value.kind} = {TermKind.STRING:d} AND regexp_full_match({value.lexical}, '[0-9]{{1,15}}')"
        rest = fallback(f"{value.kind} > {TermKind.BLANK:d}", "NULL::BIGINT")
        whole = f"WHEN {value.kind} = {TermKind.INTEGER:d} THEN {value.whole}"
        return integer(
            f"(CASE WHEN {digits} THEN ({value.lexical})::BIGINT {whole} ELSE {rest} END)"
        )


def _odd_letters(known: str) -> str:
    """Return the condition on a text ``{0}`` that is not ASCII and has other letters than the
    pattern *known*.
    """
    pattern = known.replace("{", "{{").replace("}", "}}")
    return f"strlen({{0}}) <> length({{0}}) AND NOT regexp_full_match({{0}}, '{pattern}', 's')"


def _pattern(expression: CompValue) -> tuple[str, str]:
    """Return the pattern and the flags of REGEX or REPLACE. Raises NotCompiled unless they are
    constants that mean the same in each dialect.
    """
    pattern = _constant_string(expression.pattern)
    flags = "" if expression.flags is None else _constant_string(expression.flags)
    allowed = {"": _SIMPLE_PATTERN, "i": _PLAIN_PATTERN}.get(flags)
    if not allowed or not allowed.fullmatch(pattern):
        raise NotCompiled("REGEX with a pattern that dialects may read differently")
    return pattern, flags


def _constant_string(term: object) -> str:
    """Return the text of a simple literal: of a variable or another term, which SPARQL may have an
    error for, it raises NotCompiled.
    """
    row = constant(term)
    if row.kind is not TermKind.STRING:
        raise NotCompiled("a string function of another constant than a string")
    return row.lexical


def _one_of(choices: list[tuple[str, Value]]) -> Value:
    """Return the first value of *choices* whose condition is true; an error if none is."""
    kinds = {item.static if isinstance(item, Operand) else None for _, item in choices}
    if all(isinstance(item, Condition) for _, item in choices):
        return Condition(_case([(case, item.sql) for case, item in choices]))  # type: ignore[union-attr]
    operands = [
        (case, item if isinstance(item, Operand) else boolean(item)) for case, item in choices
    ]
    if kinds == {TermKind.STRING}:
        return string(_case([(case, item.lexical) for case, item in operands]))
    if kinds in ({TermKind.INTEGER}, {TermKind.DECIMAL}):
        number = _case([(case, item.whole) for case, item in operands])
        return number_like(operands[0][1], number)
    return chosen(operands)


def _case(choices: list[tuple[str, str]]) -> str:
    return f"(CASE {' '.join(f'WHEN {case} THEN {value}' for case, value in choices)} END)"


_FUNCTIONS: dict[str, Callable[[Expressions, CompValue], Value]] = {
    "Builtin_BOUND": Expressions.bound,
    "Builtin_STR": Expressions.str_,
    "Builtin_LANG": Expressions.lang,
    "Builtin_DATATYPE": Expressions.datatype,
    "Builtin_LCASE": Expressions.lower,
    "Builtin_UCASE": Expressions.upper,
    "Builtin_ENCODE_FOR_URI": Expressions.encoded,
    **dict.fromkeys(("Builtin_MD5", "Builtin_SHA1", "Builtin_SHA256"), Expressions.hash),
    "Builtin_CONTAINS": Expressions.contains,
    "Builtin_STRSTARTS": Expressions.starts,
    "Builtin_STRENDS": Expressions.ends,
    "Builtin_REGEX": Expressions.regex,
    "Builtin_LANGMATCHES": Expressions.lang_matches,
    "Builtin_isIRI": Expressions.is_iri,
    "Builtin_isURI": Expressions.is_iri,
    "Builtin_isBLANK": Expressions.is_blank,
    "Builtin_isLITERAL": Expressions.is_literal,
    **dict.fromkeys(_DATE_PARTS, Expressions.date_part),
    "Builtin_TZ": Expressions.zone,
    "Builtin_isNUMERIC": Expressions.is_numeric,
    "Builtin_STRLEN": Expressions.length,
    "Builtin_SUBSTR": Expressions.substring,
    "Builtin_IF": Expressions.if_,
    "Builtin_COALESCE": Expressions.coalesce,
    "Builtin_CONCAT": Expressions.concat,
    "Builtin_REPLACE": Expressions.replace,
    "Builtin_STRBEFORE": Expressions.before,
    "Builtin_STRAFTER": Expressions.after,
    "Builtin_IRI": Expressions.iri,
    "Builtin_URI": Expressions.iri,
    "Builtin_STRLANG": Expressions.with_language,
    "Builtin_STRDT": Expressions.with_datatype,
    "Builtin_ABS": Expressions.absolute,
    "Builtin_CEIL": Expressions.ceiling,
    "Builtin_FLOOR": Expressions.floor,
    "Builtin_ROUND": Expressions.round,
    "UnaryMinus": Expressions.negative,
    "Function": Expressions.call,
}
