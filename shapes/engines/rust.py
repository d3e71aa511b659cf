"""The fast engine: the PyPI package ``shacl``, written in Rust (https://github.com/pwin/SHACL_Engine)."""

from __future__ import annotations

import shacl

from shapes.engines.engine import Engine, EngineError
from shapes.result import Result, Severity
from vocab.terms import SH

_PREFIX = "parse error: http://example.org/data: "  # a base that N-Triples does not need, before each message


def _iri(term: str | None) -> str | None:
    """Give the IRI of a term or plain path, None for any other."""
    if term and term.startswith("<") and term.endswith(">") and ">" not in term[1:-1]:
        return term[1:-1]
    return None


def _result(found: shacl.Result) -> Result:
    return Result(
        focus=_iri(found.focus_node) or found.focus_node,
        path=_iri(found.path),
        component=found.component_iri.removeprefix(SH),
        severity=Severity(found.severity),
        value=found.value,
        message=found.message or "",
        shape=_iri(found.root_shape) or "",
    )


def engine(turtle: str, base: str) -> Engine:
    """Compile shapes once; the engine may be called from several threads, since it lets go of the GIL."""
    shapes = shacl.Shapes.from_turtle(turtle, base=base)

    def validate(text: str) -> list[Result]:
        try:
            return [_result(found) for found in shapes.validate_text(text, format="ntriples").results]
        except ValueError as error:
            raise EngineError(str(error).removeprefix(_PREFIX)) from error
        except BaseException as error:  # a panic in Rust is no Exception, and its class cannot be imported
            if type(error).__module__ != "pyo3_runtime":
                raise
            raise EngineError(str(error)) from error

    return validate
