"""Read the origin of each concept of a record: stated by the source, translated by a crosswalk from
the source's word, or suggested.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from vocab.iris import Iris


@dataclass(frozen=True, slots=True)
class Classification:
    """The origin of a concept: the *basis* (``declared``, ``crosswalked`` or ``suggested``), the
    source's own *word*, the IRI of the *crosswalk* that translates it, and the *confidence* of a
    suggestion; "" if there is none.
    """

    basis: str
    word: str = ""
    crosswalk: str = ""
    confidence: str = ""


def read_classifications(
    statements: Iterable[str], iris: Iris
) -> dict[tuple[str, str], Classification]:
    """Return the classifications among a record's *statements* (N-Triples without the dot), by
    subject and concept, as N-Triples terms.
    """
    nodes: defaultdict[str, dict[str, str]] = defaultdict(dict)
    terms: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for quad in parse(
        "".join(f"{line} .\n" for line in statements if line).encode(), format=RdfFormat.N_TRIPLES
    ):
        if quad.predicate.value.startswith(iris.ns):
            name = quad.predicate.value.removeprefix(iris.ns)
            nodes[str(quad.subject)][name] = str(quad.object)
            if isinstance(quad.object, NamedNode | Literal):
                terms[str(quad.subject)][name] = quad.object.value
    return {
        (node["classified"], node["concept"]): Classification(
            values["basis"].removeprefix(iris.ns),
            values.get("sourceWord", ""),
            values.get("crosswalk", ""),
            values.get("confidence", ""),
        )
        for subject, node in nodes.items()
        if {"classified", "concept", "basis"} <= set(node) and (values := terms[subject])
    }
