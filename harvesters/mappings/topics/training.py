"""Collect what a classifier of goals is trained on: what registries declare, with their reasons, and the goals' own names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from harvesters.ledger.compression import decompress
from harvesters.mappings.topics.classifier import Example
from harvesters.mappings.topics.suitability import unsuitable
from vocab.goals import SDG
from vocab.iris import Iris
from vocab.schemes import concepts
from vocab.terms import DCT

FEWEST = 40  # characters of a text of a registry

_Values = dict[str, dict[str, list[tuple[str, str | None]]]]  # texts or IRIs with their language, by subject and property


class Descriptions(Protocol):
    """A ledger, as far as training needs one."""

    def published_descriptions(self, source: str) -> Iterator[bytes]: ...  # noqa: D102


def examples(ledger: Descriptions, sources: Iterable[str], iris: Iris) -> list[Example]:
    """Return the names of goals, targets and indicators in six languages, and the texts of published records that declare goals.

    A text is the reason that a registry states for a goal; for a record with one goal and no reason it is title and description.
    A text that occurs several times is one example with all its goals.
    """
    goals: dict[str, set[str]] = defaultdict(set)
    others: dict[str, set[str]] = defaultdict(set)
    first: dict[str, Example] = {}
    for example in (*_names(), *_stated(ledger, sources, iris)):
        goals[example.text] |= example.goals
        others[example.text] |= example.also
        first.setdefault(example.text, example)
    return [replace(example, goals=frozenset(goals[text]), also=frozenset(others[text])) for text, example in first.items()]


def _names() -> Iterator[Example]:
    for concept in concepts("sdg").values():
        code = concept.iri.removeprefix(SDG)
        number = concept.iri.removeprefix(SDG).partition(".")[0]
        if number.isdecimal():
            yield from (Example(name.value, frozenset({number}), frozenset(), code, name.language or "") for name in concept.labels)


def _stated(ledger: Descriptions, sources: Iterable[str], iris: Iris) -> Iterator[Example]:
    for source in sources:
        for statements in ledger.published_descriptions(source):
            yield from _of_record(_values(decompress(statements)), iris.ns)


def _values(statements: str) -> _Values:
    values: _Values = defaultdict(lambda: defaultdict(list))
    for quad in parse("".join(f"{line} .\n" for line in statements.splitlines()), format=RdfFormat.N_TRIPLES):
        if isinstance(quad.subject, NamedNode) and isinstance(quad.object, NamedNode | Literal):
            language = quad.object.language if isinstance(quad.object, Literal) else None
            values[quad.subject.value][quad.predicate.value].append((quad.object.value, language))
    return values


def _of_record(values: _Values, ns: str) -> Iterator[Example]:
    """Yield the reasons that a record states for its goals; for one goal without a reason its title and description."""
    things = [thing for thing in values.values() if thing[f"{ns}goal"]]
    declared = frozenset(iri.removeprefix(SDG) for thing in things for iri, _ in thing[f"{ns}goal"] if iri.startswith(SDG))
    group = next((title for thing in things for title, _ in thing[f"{DCT}title"]), "")
    reasons = [
        (text, language, iri.removeprefix(SDG))
        for part in values.values()
        if (f"{ns}declared", None) in part[f"{ns}basis"]
        for text, language in part[f"{ns}evidence"]
        for iri, _ in part[f"{ns}concept"]
        if iri.removeprefix(SDG) in declared
    ]
    if not reasons and len(declared) == 1:
        texts = [text for thing in things for text in (*thing[f"{DCT}title"], *thing[f"{DCT}description"])]
        reasons = [("\n".join(text for text, _ in texts), texts[-1][1] if texts else None, next(iter(declared)))]
    for text, language, code in reasons:
        if len(text) >= FEWEST and not unsuitable(text, language or "en"):
            yield Example(text, frozenset({code}), declared, group, language or "en")
