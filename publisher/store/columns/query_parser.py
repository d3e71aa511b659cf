"""Parse queries of SPARQL 1.1 to their algebra, with rdflib's parser."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from pyparsing import ParseException, ParserElement
from rdflib.plugins.sparql.algebra import translateQuery
from rdflib.plugins.sparql.parserutils import CompValue

from publisher.store.columns.operands import constant
from publisher.store.columns.patterns import QueryGraphs
from publisher.store.columns.relations import NotCompiled

# an IRI or a string, either of which may contain #, or a comment, the only group
_COMMENT = re.compile(
    r"""<[^<>"{}|^`\x00-\x20]*> | \"\"\".*?\"\"\" | '''.*?''' | "[^"\n\r]*" | '[^'\n\r]*' | (\#[^\n\r]*)""",
    re.DOTALL | re.VERBOSE,
)


def _load_grammar() -> ParserElement:
    """Return rdflib's grammar of a query without comments; tabs in strings stay tabs. Looking for a
    comment before each token takes four tenths of the time of parsing.

    The module is loaded a second time, so that rdflib's own queries may have comments.
    """
    spec = importlib.util.find_spec("rdflib.plugins.sparql.parser")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    query: ParserElement = module.Query
    for element in query.visit_all():  # type: ignore[no-untyped-call]
        element.ignoreExprs.clear()
    return query.parse_with_tabs()


# loaded before query workers are forked, so that they share it
_GRAMMAR = _load_grammar()


class Form(Enum):
    """The form of a query: its result is solutions, a boolean or triples."""

    SELECT = "SelectQuery"
    ASK = "AskQuery"
    CONSTRUCT = "ConstructQuery"
    DESCRIBE = "DescribeQuery"


class ParsedQuery(NamedTuple):
    """The algebra of a query, as rdflib parses it; *graphs* are those of FROM and FROM NAMED, None
    if it has neither; *variables* are those of the result of a SELECT.
    """

    algebra: CompValue
    form: Form
    graphs: QueryGraphs | None
    variables: tuple[str, ...]


def parse(text: str, base: str | None = None) -> ParsedQuery:
    """Parse *text*, whose relative IRIs are resolved by *base*. Raises NotCompiled."""
    if "\\" in text:
        raise NotCompiled("an escape, which the two parsers may read differently")
    try:
        parsed = _GRAMMAR.parse_string(_without_comments(text), parse_all=True)
        query = translateQuery(parsed, base=base)
    except ParseException as error:
        raise NotCompiled(f"not a query for the parser: {error}") from error
    except Exception as error:  # the parser raises many kinds of exceptions, even Exception itself
        if isinstance(error, MemoryError):
            raise
        raise NotCompiled(f"the parser rejects it: {error}") from error
    algebra = query.algebra
    if algebra.name not in {form.value for form in Form}:
        raise NotCompiled(f"the form {algebra.name}")
    variables = tuple(map(str, algebra.PV or ()))
    return ParsedQuery(algebra, Form(algebra.name), _graphs(algebra.datasetClause), variables)


def _without_comments(text: str) -> str:
    """Replace the comments of a query, which has no escapes, by spaces.

    Source: https://www.w3.org/TR/sparql11-query/#grammarComments
    """
    return _COMMENT.sub(lambda match: " " * len(match[0]) if match[1] else match[0], text)


def _graphs(clauses: Sequence[CompValue] | None) -> QueryGraphs | None:
    """Return the graphs of the clauses of a dataset, None if there are none."""
    if not clauses:
        return None
    default = [constant(clause.default).id for clause in clauses if clause.default is not None]
    named = [constant(clause.named).id for clause in clauses if clause.named is not None]
    return QueryGraphs(tuple(dict.fromkeys(default)), tuple(dict.fromkeys(named)))
