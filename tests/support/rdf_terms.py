"""RDF terms and query results as the tests read them."""

from __future__ import annotations

from pyoxigraph import (
    BlankNode,
    Literal,
    NamedNode,
    QueryBoolean,
    QuerySolutions,
    QueryTriples,
    Triple,
)


def value(term: NamedNode | BlankNode | Literal | Triple | None) -> str:
    """Return the text of a term. Raises AssertionError if it is a triple or missing.

    >>> value(Literal("Wells", language="en"))
    'Wells'
    """
    assert isinstance(term, NamedNode | BlankNode | Literal)
    return term.value


def solutions(results: QuerySolutions | QueryBoolean | QueryTriples) -> QuerySolutions:
    """Return the results of a SELECT query. Raises AssertionError for those of another form."""
    assert isinstance(results, QuerySolutions)
    return results
