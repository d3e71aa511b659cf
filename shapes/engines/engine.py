"""Engine: what every engine is, and the one way in which it fails."""

from __future__ import annotations

from collections.abc import Callable

from shapes.result import Result

# From a graph as N-Triples text to its results; raises EngineError.
Engine = Callable[[str], list[Result]]


class EngineError(Exception):
    """A graph that the engine cannot parse or judge; the text says why."""
