"""Read the queue of suggested topics: those of published records that no curator has decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pyoxigraph import NamedNode, RdfFormat, parse

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import decompress
from harvesters.mappings.topics.suggest import CURATOR
from harvesters.source import decision_table, read_decision_table
from vocab.curated_topics import SUGGESTED
from vocab.curated_words import short_name
from vocab.iris import Iris


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A *concept* (IRI) that *method* suggests for the record *key*, with a *confidence* from 0 to
    1, because of its *words*.
    """

    key: str
    concept: str
    confidence: float
    method: str
    words: str


def find_suggestions(ledger: Ledger, source: str, iris: Iris) -> Iterator[Suggestion]:
    """Yield the suggestions of the published records of *source* that no curator has confirmed."""
    for statements in ledger.published_descriptions(source):
        text = decompress(statements)
        if f"{iris.ns}suggested>" not in text:
            continue
        nodes: dict[str, dict[str, str]] = {}
        for quad in parse(
            "".join(f"{line} .\n" for line in text.splitlines()), format=RdfFormat.N_TRIPLES
        ):
            if (
                isinstance(quad.subject, NamedNode)
                and "#suggested-" in quad.subject.value
                and quad.predicate.value.startswith(iris.ns)
            ):
                nodes.setdefault(quad.subject.value, {})[
                    quad.predicate.value.removeprefix(iris.ns)
                ] = quad.object.value
        for node, values in nodes.items():
            if values.get("method") != CURATOR and "concept" in values:
                key = unquote(node.partition("#")[0].removeprefix(f"{iris.base}record/{source}/"))
                confidence = float(values.get("confidence", "0"))
                yield Suggestion(
                    key,
                    values["concept"],
                    confidence,
                    values.get("method", ""),
                    values.get("sourceWord", ""),
                )


def undecided(ledger: Ledger, folder: Path, source: str, iris: Iris) -> list[Suggestion]:
    """Return the suggestions that no line of the table decides, the surest first."""
    decisions, _ = read_decision_table(decision_table(folder, source))
    decided = {(item.key, item.concept) for item in decisions if item.decision != SUGGESTED}
    results = [
        item
        for item in find_suggestions(ledger, source, iris)
        if (item.key, short_name(item.concept, iris.base)) not in decided
    ]
    return sorted(results, key=lambda item: (-item.confidence, item.key, item.concept))
