"""The interface of validation engines, and their error."""

from __future__ import annotations

from collections.abc import Callable

from shapes.result import Result

# A function that returns the results of a graph, an N-Triples text, or raises EngineError.
Engine = Callable[[str], list[Result]]


class EngineError(Exception):
    """A graph that the engine cannot parse or validate; the message says why."""
