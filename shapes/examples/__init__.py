"""Read, for each shape, one graph that conforms and one that does not, from TriG files whose graphs
are named ``good#ResourceTitle`` and ``bad#ResourceTitle``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from pyoxigraph import NamedNode, RdfFormat, parse

from vocab.iris import BASE


@dataclass(frozen=True, slots=True)
class Example:
    """One example: the shape's IRI, whether it conforms, and its statements."""

    shape: str
    good: bool
    statements: tuple[str, ...]


def examples(base: str = BASE) -> Iterator[Example]:
    """Yield all examples, a shape's good one before its bad one."""
    for file in sorted((files("shapes") / "examples").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".trig"):
            continue
        graphs: dict[str, list[str]] = {}
        for quad in parse(file.read_bytes(), format=RdfFormat.TRIG, base_iri=base):
            if isinstance(quad.graph_name, NamedNode):
                graphs.setdefault(quad.graph_name.value.removeprefix(base), []).append(
                    str(quad.triple)
                )
        for name, statements in graphs.items():
            kind, _, shape = name.partition("#")
            yield Example(f"{base}shapes#{shape}", kind == "good", tuple(statements))
