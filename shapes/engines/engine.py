"""Define the interface of engines and their error."""

from __future__ import annotations

from collections.abc import Callable

from shapes.result import Result

# From a graph as N-Triples text to its results; raises EngineError.
Engine = Callable[[str], list[Result]]


class EngineError(Exception):
    """A graph that the engine cannot parse or validate; the message says why."""
