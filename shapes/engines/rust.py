"""Validate by the PyPI package ``shacl``, written in Rust (https://github.com/pwin/SHACL_Engine)."""

from __future__ import annotations

import shacl

from shapes.engines.engine import Engine, EngineError
from shapes.result import Result, Severity
from vocab.terms import SH

# The beginning of each message, with the engine's own base: N-Triples needs none.
_PREFIX = "parse error: http://example.org/data: "


def _iri(term: str | None) -> str | None:
    """Return the IRI of a term or plain path, or None."""
    if term and term.startswith("<") and term.endswith(">") and ">" not in term[1:-1]:
        return term[1:-1]
    return None


def _result(result: shacl.Result) -> Result:
    return Result(
        focus=_iri(result.focus_node) or result.focus_node,
        path=_iri(result.path),
        component=result.component_iri.removeprefix(SH),
        severity=Severity(result.severity),
        value=result.value,
        message=result.message or "",
        shape=_iri(result.root_shape) or "",
    )


def engine(turtle: str, base: str) -> Engine:
    """Compile shapes once; the engine may be called from several threads, since it releases the
    GIL.
    """
    shapes = shacl.Shapes.from_turtle(turtle, base=base)

    def validate(text: str) -> list[Result]:
        try:
            return [
                _result(result) for result in shapes.validate_text(text, format="ntriples").results
            ]
        except ValueError as error:
            raise EngineError(str(error).removeprefix(_PREFIX)) from error
        # A Rust panic is not an Exception, and its class cannot be imported.
        except BaseException as error:
            if type(error).__module__ != "pyo3_runtime":
                raise
            raise EngineError(str(error)) from error

    return validate
