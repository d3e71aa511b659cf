"""Expressions of SPARQL as SQL: NULL is SPARQL's error, so AND, OR and NOT of three values are the
same in both.

Source: https://www.w3.org/TR/sparql11-query/#expressions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Literal as ParsedLiteral
from rdflib.term import URIRef, Variable

from publisher.rdf import TermKind
from publisher.store.columns.algebra import (
    COMPUTED,
    STRINGS,
    UNBOUND,
    Names,
    NotCompiled,
    Operand,
    VariableColumn,
    boolean,
    computed,
    constant,
    constant_operand,
    fallback,
    integer,
    string,
)
from vocab.terms import RDF, XSD

_LONGEST = 20_000  # characters of the SQL of a value
_CLASS = r"\[\^?(?:[A-Za-z0-9](?:-[A-Za-z0-9])?|[./:_ ])+\]"
_LOWERED = r"[\x00-\x{12F}\x{131}-\x{17F}\x{400}-\x{45F}\x{600}-\x{6FF}\x{2010}-\x{2027}\x{3000}-\x{9FFF}\x{FF00}-\x{FFEF}]*"
# The only other letters of which lower case has ASCII letters: the Kelvin sign, and I with a dot.
_ASCII_FROM_OTHERS = "(contains({0}, chr(8490)) OR contains({0}, chr(304)))"
_UNCOMPARED = (TermKind.DECIMAL, TermKind.OTHER)  # kinds of terms with other rules
_BY_TEXT = (TermKind.STRING, TermKind.INSTANT, TermKind.DATE)  # kinds in the order of their texts
_NUMBERS = frozenset([TermKind.INTEGER, TermKind.DECIMAL])
_LITERAL = f"> {TermKind.BLANK:d}"

Existence = Callable[[CompValue], str]


class Expressions:
    """Compiles expressions over the *columns* of a relation whose terms have their properties.

    *sides* are the tables of the columns, by variable, where there is more than one table.
    *existence* compiles EXISTS, None where it is not compiled.
    """

    def __init__(
        self,
        names: Names,
        columns: Mapping[str, VariableColumn],
        sides: Mapping[str, str] | None = None,
        existence: Existence | None = None,
    ) -> None:
        self._names, self._columns, self._sides = names, columns, sides or {}
        self._existence = existence

    def condition(self, expression: object) -> str:
        """Return the effective boolean value of *expression* as SQL."""
        value = self.value(expression)
        if value.static is not TermKind.BOOLEAN:
            raise NotCompiled("the effective boolean value of a term")
        return value.lexical

    def operand(self, expression: object) -> Operand:
        """Return *expression* as a term or a value other than a boolean."""
        value = self.value(expression)
        if value.static is TermKind.BOOLEAN:
            raise NotCompiled("a boolean as an operand")
        return value

    def value(self, expression: object) -> Operand:
        """Return *expression* as SQL. Raises NotCompiled."""
        if isinstance(expression, Variable):
            return self._variable(str(expression))
        if isinstance(expression, URIRef | ParsedLiteral):
            row = constant(expression)
            is_boolean = row.kind is TermKind.BOOLEAN
            return boolean(row.lexical) if is_boolean else constant_operand(row)
        if not isinstance(expression, CompValue):
            raise NotCompiled(f"the expression {expression!r}")
        value = self._compound(expression)
        if value.static is not TermKind.BOOLEAN and len(value.kind + value.lexical) > _LONGEST:
            raise NotCompiled("an expression whose SQL is too long")
        return value

    def _variable(self, variable: str) -> Operand:
        column = self._columns.get(variable)
        if column is None:
            return UNBOUND
        name = self._sides.get(variable, "") + self._names[variable]
        if column.kind is TermKind.DECIMAL:
            raise NotCompiled("an expression of a decimal")
        if column.kind is not None:
            return computed(column.kind, name)
        static, kind = column.static, f"{name}_kind"
        if static is not None:
            kind = (
                f"CASE WHEN {name} IS NOT NULL THEN {static:d} END"
                if column.nullable
                else f"{static:d}"
            )
        language = f"{name}_language" if "language" in column.properties else "''"
        whole = f"{name}_whole" if "whole" in column.properties else "NULL::BIGINT"
        return Operand(kind, f"{name}_lexical", static, name, language, whole, column.terms)

    def _compound(self, expression: CompValue) -> Operand:
        name = expression.name.removeprefix("Builtin_")
        match name:
            case "ConditionalAndExpression" | "ConditionalOrExpression":
                word = " AND " if "And" in name else " OR "
                parts = map(self.condition, (expression.expr, *expression.other))
                return boolean(f"({word.join(parts)})")
            case "UnaryMinus" if isinstance(number := expression.expr, ParsedLiteral):
                return self.value(ParsedLiteral(f"-{number}", datatype=number.datatype))
            case "UnaryNot":
                return boolean(f"(NOT {self.condition(expression.expr)})")
            case "RelationalExpression":
                return boolean(self._relational(expression))
            case "EXISTS" | "NOTEXISTS" if self._existence:
                return boolean(self._existence(expression))
            case "BOUND":
                variable = str(expression.arg)
                column = self._sides.get(variable, "") + self._names[variable]
                return boolean(f"({column} IS NOT NULL)" if variable in self._columns else "false")
            case "LCASE":
                return _lowered(self.operand(expression.arg), _ODD_LETTERS)
            case "IF":
                return self._chosen(expression)
            case "COALESCE" if isinstance(expression.arg, list):
                return self._first_of([self.operand(part) for part in expression.arg])
            case "CONCAT" if isinstance(expression.arg, list):
                return _joined([self.operand(part) for part in expression.arg])
            case "Function":
                return self._cast(expression)
        return self._call(name, expression)

    def _call(self, name: str, expression: CompValue) -> Operand:
        """Return a call of one of FUNCTIONS, whose names include their optional arguments."""
        if expression.flags is not None:
            name += constant(expression.flags).text
        function = FUNCTIONS.get(name if expression.length is None else f"{name} length")
        if function is None:
            raise NotCompiled(name)
        simple = function.arguments.get("pattern")
        if isinstance(simple, re.Pattern) and not simple.fullmatch(
            constant(expression.pattern).text
        ):
            function = FUNCTIONS[f"{name} words"]
        operands = [
            self._argument(expression, *argument) for argument in function.arguments.items()
        ]
        return computed(function.result, function.sql.format(*operands))

    def _argument(self, expression: CompValue, name: str, allowed: Allowed) -> Operand:
        argument = expression[name]
        if isinstance(allowed, re.Pattern):
            row = constant(argument)
            if not allowed.fullmatch(row.text):
                raise NotCompiled(f"{expression.name} of a constant that may be read differently")
            return constant_operand(row)
        other = expression.arg2
        is_lowered = getattr(argument, "name", "") == "Builtin_LCASE"
        if is_lowered and isinstance(other, ParsedLiteral) and other.isascii():
            return _lowered(self.operand(argument.arg), _ASCII_FROM_OTHERS)
        value = self.operand(argument)
        if allowed is TermKind.STRING and value.static is not allowed:
            raise NotCompiled(f"{expression.name} of what may have a language, or be no string")
        return value

    def _relational(self, expression: CompValue) -> str:
        operator = str(expression.op)
        if operator in ("IN", "NOT IN"):
            others = expression.other if isinstance(expression.other, list) else [expression.other]
            if not others or str(expression.other) == f"{RDF}nil":
                raise NotCompiled("an empty IN")
            parts = [_equal(self.operand(expression.expr), self.operand(item)) for item in others]
            return f"({'NOT ' if operator == 'NOT IN' else ''}({' OR '.join(parts)}))"
        one, two = self.operand(expression.expr), self.operand(expression.other)
        if operator in ("=", "!="):
            if TermKind.DECIMAL in (one.static, two.static):
                raise NotCompiled("whether a decimal is equal")
            return f"({'NOT ' if operator == '!=' else ''}{_equal(one, two)})"
        return _ordered(one, two, operator)

    def _first_of(self, parts: list[Operand]) -> Operand:
        """Return COALESCE; the number of the term alone is read where all *parts* are stored terms."""
        known = [f"{part.id or part.kind} IS NOT NULL" for part in parts]

        def choose(field: str) -> str:
            cases = zip(known, (getattr(part, field) for part in parts), strict=True)
            return f"(CASE {' '.join(f'WHEN {case} THEN {value}' for case, value in cases)} END)"

        number = choose("id") if all(part.id for part in parts) else None
        texts, whole = [choose(field) for field in ("kind", "lexical", "language")], choose("whole")
        return Operand(texts[0], texts[1], None, number, texts[2], whole)

    def _chosen(self, expression: CompValue) -> Operand:
        """Return IF of two booleans, two strings or two integers."""
        condition = self.condition(expression.arg1)
        one, two = self.value(expression.arg2), self.value(expression.arg3)
        if one.static is not two.static or one.static not in COMPUTED:
            raise NotCompiled("IF of values that may be of several kinds")
        return computed(
            one.static,
            f"(CASE WHEN {condition} THEN {one.sql} WHEN NOT {condition} THEN {two.sql} END)",
        )

    def _cast(self, expression: CompValue) -> Operand:
        """Return the cast to xsd:integer of integers and of strings of digits."""
        if str(expression.iri) != f"{XSD}integer" or len(expression.expr) != 1:
            raise NotCompiled(f"the function {expression.iri}")
        value = self.operand(expression.expr[0])
        digits = f"{value.kind} = {TermKind.STRING:d} AND regexp_full_match({value.lexical}, '[0-9]{{1,15}}')"
        rest = fallback(f"{value.kind} {_LITERAL}", "NULL::BIGINT")
        whole = f"WHEN {value.kind} = {TermKind.INTEGER:d} THEN {value.whole}"
        return integer(
            f"(CASE WHEN {digits} THEN ({value.lexical})::BIGINT {whole} ELSE {rest} END)"
        )


def _joined(texts: list[Operand]) -> Operand:
    """Return CONCAT of *texts*, with their language if all have the same."""
    lexical = f"({' || '.join(text.lexical for text in texts)})"
    if all(text.static is TermKind.STRING for text in texts):
        return string(lexical)
    first, *others = (text.language for text in texts)
    is_same = " AND ".join([f"{first} <> ''", *(f"{first} = {other}" for other in others)])
    are_texts = " AND ".join(f"{text.kind} IN {STRINGS}" for text in texts)
    kind = f"CASE WHEN {is_same} THEN {TermKind.LANGUAGE_STRING:d} ELSE {TermKind.STRING:d} END"
    return Operand(
        f"(CASE WHEN {are_texts} THEN {kind} END)",
        f"(CASE WHEN {are_texts} THEN {lexical} END)",
        language=f"(CASE WHEN {is_same} THEN {first} ELSE '' END)",
    )


def _equal(one: Operand, two: Operand) -> str:
    """Return ``one = two``; what is not certain ends the query. Two terms of one kind are equal where
    their texts and languages are: the RDF store normalizes numbers.
    """
    if one.static is two.static is TermKind.STRING:
        return f"({one.lexical} = {two.lexical})"
    if one.static is two.static is TermKind.INTEGER:
        return f"({one.whole} = {two.whole})"
    uncompared = ", ".join(f"{kind:d}" for kind in _UNCOMPARED)
    same = f"({one.kind} = {two.kind} AND {one.lexical} = {two.lexical} AND {one.language} = {two.language})"
    if one.id and two.id:
        same = f"({one.id} = {two.id})"
    if one.static is two.static and one.static not in (None, *_UNCOMPARED):
        return same
    return (
        f"(CASE WHEN {one.kind} IS NULL OR {two.kind} IS NULL THEN NULL "
        f"WHEN {one.kind} <= {TermKind.BLANK:d} OR {two.kind} <= {TermKind.BLANK:d} THEN {same} "
        f"WHEN {one.kind} = {two.kind} AND {one.kind} NOT IN ({uncompared}) THEN {same} "
        f"WHEN {one.kind} IN {STRINGS} AND {two.kind} IN {STRINGS} THEN false "
        f"ELSE {fallback('true', 'NULL::BOOLEAN')} END)"
    )


def _ordered(one: Operand, two: Operand, operator: str) -> str:
    """Return ``one < two``, or another comparison, for two numbers or two values of another kind;
    others end the query.
    """
    texts = f"{one.lexical} {operator} {two.lexical}"
    if one.static is two.static is TermKind.INTEGER:
        return f"({one.whole} {operator} {two.whole})"
    if one.static is two.static and one.static in _BY_TEXT:
        return f"({texts})"
    listed = ", ".join(f"{kind:d}" for kind in _BY_TEXT if kind in one.kinds & two.kinds)
    known = f"WHEN {one.kind} = {two.kind} AND {one.kind} IN ({listed}) THEN {texts}" * bool(listed)
    if one.kinds & _NUMBERS and two.kinds & _NUMBERS:
        tests, numbers = (
            [text.format(side) for side in (one, two)]
            for text in (
                f"{{0.kind}} IN ({TermKind.INTEGER:d}, {TermKind.DECIMAL:d})",
                "TRY_CAST({0.lexical} AS DECIMAL(38, 18))",
            )
        )
        known += f" WHEN {' AND '.join(tests)} THEN {f' {operator} '.join(numbers)}"
    return (
        f"(CASE WHEN {one.kind} IS NULL OR {two.kind} IS NULL THEN NULL {known} "
        f"ELSE {fallback('true', 'NULL::BOOLEAN')} END)"
    )


def _lowered(text: Operand, is_odd: str) -> Operand:
    """Return LCASE of *text*, with its language; a text for which *is_odd* holds ends the query."""
    lowered = fallback(is_odd.format(text.lexical), f"lower({text.lexical})")
    kind, lexical = (
        f"(CASE WHEN {text.kind} IN {STRINGS} THEN {item} END)" for item in (text.kind, lowered)
    )
    return Operand(kind, lexical, text.static, None, text.language)


# The condition that a text has letters whose lower case may differ between versions of Unicode.
_ODD_LETTERS = (
    "strlen({0}) <> length({0}) AND NOT regexp_full_match({0}, '"
    + _LOWERED.replace("{", "{{").replace("}", "}}")
    + "', 's')"
)
# What an argument may be: any term, an xsd:string, or a constant whose N-Triples form matches.
Allowed = TermKind | re.Pattern[str] | None
_TEXT = re.compile(r'"(?:[^"\\]|\\.)+"')
_PLACE = re.compile(rf'"[1-9][0-9]{{0,5}}"\^\^<{XSD}integer>')
_RANGE = re.compile(r'"[A-Za-z0-9-]+"')
# These mean the same in each dialect of regular expressions, for whether a text contains a match.
_SIMPLE_PATTERN = re.compile(
    rf'"\^?(?:(?:[A-Za-z0-9 /:_]|\.(?=\*)|{_CLASS}|\((?:[A-Za-z0-9 /:_|]|{_CLASS})+\))(?:[?*+]|\{{[1-9][0-9]?\}})?)+\$?"'
)
_PLAIN_PATTERN = re.compile(r'"[A-Za-z0-9 ]+(?:\.\*[A-Za-z0-9 ]+)*"')
# These mean the same if a boundary of a word is replaced by what may stand there, since DuckDB looks
# for one between ASCII letters alone, and if the text has no letters of later versions of Unicode.
_WORD = r"[A-Za-z0-9À-ÖØ-öø-ÿ]+(?: [A-Za-z0-9À-ÖØ-öø-ÿ]+)*"
_WORDS = re.compile(rf'"(?:\\\\b)?(?:{_WORD}|\({_WORD}(?:\|{_WORD})*\))(?:\\\\b)?"')
_BOUNDARY = r"(?:^|$|[^\pL\pM\p{{Nd}}\p{{Nl}}\p{{Pc}}])"


class Function(NamedTuple):
    """A function: the kind of its *result*, what its *arguments* may be, by their names in the
    algebra, and its *sql* over these operands.
    """

    result: TermKind
    arguments: Mapping[str, Allowed]
    sql: str


def _is(condition: str) -> Function:
    return Function(TermKind.BOOLEAN, {"arg": None}, f"({{0.kind}} {condition})")


def _of_string(sql: str, **arguments: Allowed) -> Function:
    """Return a test of a string with or without a language."""
    test = f"(CASE WHEN {{0.kind}} IN {STRINGS} THEN {sql} END)"
    return Function(TermKind.BOOLEAN, arguments, test)


def _part(start: int, length: int) -> Function:
    """Return the number at a place of the texts of dates and instants."""
    other = fallback(f"{{0.kind}} = {TermKind.OTHER:d}", "NULL")
    dates = f"{{0.kind}} IN ({TermKind.INSTANT:d}, {TermKind.DATE:d})"
    number = f"substr({{0.lexical}}, {start}, {length})::BIGINT"
    part = f"(CASE WHEN {dates} THEN {number} ELSE {other} END)"
    return Function(TermKind.INTEGER, {"arg": None}, part)


def _of_text(sql: str, **arguments: Allowed) -> Function:
    return Function(TermKind.STRING, arguments, sql)


_BESIDE = "CASE WHEN contains({0.lexical}, {1.lexical}) THEN %s ELSE {0.lexical}[:0] END"
_BEFORE = "split_part({0.lexical}, {1.lexical}, 1)"
_WITHOUT_TEXT = fallback(
    f"{{0.kind}} = {TermKind.OTHER:d} AND {{0.lexical}} IS NULL", "{0.lexical}"
)
FUNCTIONS = {
    "STR": _of_text(
        f"(CASE WHEN {{0.kind}} <> {TermKind.BLANK:d} THEN {_WITHOUT_TEXT} END)", arg=None
    ),
    "LANG": _of_text(f"(CASE WHEN {{0.kind}} {_LITERAL} THEN {{0.language}} END)", arg=None),
    "SUBSTR": _of_text("substr({0.lexical}, {1.whole})", arg=TermKind.STRING, start=_PLACE),
    "SUBSTR length": _of_text(
        "substr({0.lexical}, {1.whole}, {2.whole})",
        arg=TermKind.STRING,
        start=_PLACE,
        length=_PLACE,
    ),
    "STRBEFORE": _of_text(_BESIDE % _BEFORE, arg1=TermKind.STRING, arg2=_TEXT),
    "STRAFTER": _of_text(
        _BESIDE % f"substr({{0.lexical}}, length({_BEFORE}) + length({{1.lexical}}) + 1)",
        arg1=TermKind.STRING,
        arg2=_TEXT,
    ),
    "isIRI": _is(f"= {TermKind.IRI:d}"),
    "isURI": _is(f"= {TermKind.IRI:d}"),
    "isBLANK": _is(f"= {TermKind.BLANK:d}"),
    "isLITERAL": _is(_LITERAL),
    "CONTAINS": _of_string("contains({0.lexical}, {1.lexical})", arg1=None, arg2=TermKind.STRING),
    "STRSTARTS": _of_string(
        "starts_with({0.lexical}, {1.lexical})", arg1=None, arg2=TermKind.STRING
    ),
    "STRENDS": _of_string("ends_with({0.lexical}, {1.lexical})", arg1=None, arg2=TermKind.STRING),
    "LANGMATCHES": Function(
        TermKind.BOOLEAN,
        {"arg1": TermKind.STRING, "arg2": _RANGE},
        "(lower({0.lexical}) = lower({1.lexical})"
        " OR starts_with(lower({0.lexical}), lower({1.lexical}) || '-'))",
    ),
    "REGEX": _of_string(
        "regexp_matches({0.lexical}, {1.lexical}, 'c')", text=None, pattern=_SIMPLE_PATTERN
    ),
    'REGEX""': _of_string(
        "regexp_matches({0.lexical}, {1.lexical}, 'c')", text=None, pattern=_SIMPLE_PATTERN
    ),
    'REGEX"i"': _of_string(
        "regexp_matches({0.lexical}, {1.lexical}, 'i')", text=None, pattern=_PLAIN_PATTERN
    ),
    **{
        f"REGEX{flags} words": _of_string(
            fallback(
                _ODD_LETTERS.replace("{0}", "{0.lexical}"),
                "regexp_matches({0.lexical}, "
                f"replace({{1.lexical}}, '\\b', '{_BOUNDARY}'), '{option}')",
            ),
            text=None,
            pattern=_WORDS,
        )
        for flags, option in (("", "c"), ('""', "c"), ('"i"', "i"))
    },
    "YEAR": _part(1, 4),
    "MONTH": _part(6, 2),
    "DAY": _part(9, 2),
}
