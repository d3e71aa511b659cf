"""Add suggested goals, targets and action lines to records, without those that the record has on another basis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harvesters.source import MENTIONS, Source
from harvesters.topics import mentions
from harvesters.topics.mentions import find_mentions
from vocab.goals import SDG
from vocab.initiative import Basis, Claim, Initiative, Post, Resource, Text
from vocab.iris import Iris


def add_suggestions(resource: Resource, iris: Iris) -> Resource:
    """Return a resource with a suggested claim for each goal, target and action line that its texts name by number."""
    known = {claim.concept for claim in (*resource.action_lines, *resource.goals, *resource.targets)}
    found: dict[str, Claim] = {}
    for text, language in _texts(resource):
        for concept, words, confidence in find_mentions(text, language):
            iri = concept if concept.startswith(SDG) else iris.concept("action-line", concept)
            if iri not in known and (iri not in found or (found[iri].confidence or 0) < confidence):
                found[iri] = Claim(
                    iri, Basis.SUGGESTED, words, confidence, method=mentions.METHOD, method_version=mentions.VERSION
                )
    if not found:
        return resource
    targets = tuple(claim for iri, claim in found.items() if iri.startswith(SDG) and "." in iri.removeprefix(SDG))
    goals = tuple(claim for iri, claim in found.items() if iri.startswith(SDG) and claim not in targets)
    lines = tuple(claim for iri, claim in found.items() if not iri.startswith(SDG))
    return replace(
        resource,
        action_lines=(*resource.action_lines, *lines),
        goals=(*resource.goals, *goals),
        targets=(*resource.targets, *targets),
    )


def method_versions(source: Source) -> tuple[str, ...]:
    """Return the methods, with their versions, that suggest topics for the records of *source*; a new version maps them again."""
    return (f"{mentions.METHOD} {mentions.VERSION}",) if source.suggest == MENTIONS else ()


def _texts(resource: Resource) -> Iterator[Text]:
    yield from resource.titles
    yield from resource.descriptions
    if isinstance(resource, Initiative):
        for outcome in resource.outcomes:
            yield from outcome.titles
            yield from outcome.descriptions
    if isinstance(resource, Post) and resource.content:
        yield resource.content
