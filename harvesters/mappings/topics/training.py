"""Collect what a classifier of goals is trained on: what registries declare, with their reasons,
and the goals' own names.
"""

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

# texts or IRIs with their language, by subject and property
_Values = dict[str, dict[str, list[tuple[str, str | None]]]]


class Descriptions(Protocol):
    """A ledger, as far as training needs one."""

    def published_descriptions(self, source: str) -> Iterator[bytes]: ...  # noqa: D102


def examples(ledger: Descriptions, sources: Iterable[str], iris: Iris) -> list[Example]:
    """Return the names of goals, targets and indicators in six languages, and the texts of
    published records that declare goals.

    A text is the reason that a registry states for a goal. If no record states one, it is title and
    description of a record with one goal: they speak of much besides the goal, and beside reasons
    they made the classifier less often right. A text that occurs several times is one example with
    all its goals.
    """
    goals: dict[str, set[str]] = defaultdict(set)
    others: dict[str, set[str]] = defaultdict(set)
    first: dict[str, Example] = {}
    for example in (*_names(), *_stated(ledger, sources, iris)):
        goals[example.text] |= example.goals
        others[example.text] |= example.also
        first.setdefault(example.text, example)
    return [
        replace(example, goals=frozenset(goals[text]), also=frozenset(others[text]))
        for text, example in first.items()
    ]


def _names() -> Iterator[Example]:
    for concept in concepts("sdg").values():
        code = concept.iri.removeprefix(SDG)
        number = concept.iri.removeprefix(SDG).partition(".")[0]
        if number.isdecimal():
            for name in concept.labels:
                yield Example(
                    name.value,
                    frozenset({number}),
                    frozenset(),
                    code,
                    name.language or "",
                    is_name=True,
                )


def _stated(ledger: Descriptions, sources: Iterable[str], iris: Iris) -> list[Example]:
    reasons: list[Example] = []
    described: list[Example] = []
    for source in sources:
        for statements in ledger.published_descriptions(source):
            values = _values(decompress(statements))
            stated = list(_reasons(values, iris.ns))
            reasons += stated
            described += () if stated else _description(values, iris.ns)
    return reasons or described


def _values(statements: str) -> _Values:
    values: _Values = defaultdict(lambda: defaultdict(list))
    for quad in parse(
        "".join(f"{line} .\n" for line in statements.splitlines()), format=RdfFormat.N_TRIPLES
    ):
        if isinstance(quad.subject, NamedNode) and isinstance(quad.object, NamedNode | Literal):
            language = quad.object.language if isinstance(quad.object, Literal) else None
            values[quad.subject.value][quad.predicate.value].append((quad.object.value, language))
    return values


def _reasons(values: _Values, ns: str) -> Iterator[Example]:
    """Yield the reasons that a record states for its goals."""
    declared, things, group = _declared(values, ns)
    for part in values.values() if things else ():
        for text, language in (
            part[f"{ns}evidence"] if (f"{ns}declared", None) in part[f"{ns}basis"] else ()
        ):
            for code in {iri.removeprefix(SDG) for iri, _ in part[f"{ns}concept"]} & declared:
                yield from _example(text, code, declared, group, language)


def _description(values: _Values, ns: str) -> Iterator[Example]:
    """Yield title and description of a record with one goal."""
    declared, things, group = _declared(values, ns)
    texts = [
        text for thing in things for text in (*thing[f"{DCT}title"], *thing[f"{DCT}description"])
    ]
    if len(declared) == 1 and texts:
        yield from _example(
            "\n".join(text for text, _ in texts),
            next(iter(declared)),
            declared,
            group,
            texts[-1][1],
        )


def _declared(
    values: _Values, ns: str
) -> tuple[frozenset[str], list[dict[str, list[tuple[str, str | None]]]], str]:
    """Return the codes of the declared goals of a record, the things that have them, and their
    first title.
    """
    things = [thing for thing in values.values() if thing[f"{ns}goal"]]
    declared = frozenset(
        iri.removeprefix(SDG)
        for thing in things
        for iri, _ in thing[f"{ns}goal"]
        if iri.startswith(SDG)
    )
    return (
        declared,
        things,
        next((title for thing in things for title, _ in thing[f"{DCT}title"]), ""),
    )


def _example(
    text: str, code: str, declared: frozenset[str], group: str, language: str | None
) -> Iterator[Example]:
    if len(text) >= FEWEST and not unsuitable(text, language or "en"):
        yield Example(text, frozenset({code}), declared, group, language or "en")
