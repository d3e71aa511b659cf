"""Add suggested goals, targets and action lines to records, without those that the record has on
another basis.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from harvesters.errors import HarvestError
from harvesters.mappings.topics import mentions
from harvesters.mappings.topics.mentions import find_mentions
from harvesters.source import MENTIONS, MODEL, NOTHING, Source
from vocab.curated_topics import CONFIRMED, SUGGESTED, TopicDecision
from vocab.curated_words import resolve_concept
from vocab.initiative import Basis, Claim, Initiative, Post, Resource, Text
from vocab.iris import Iris
from vocab.lookup import SDG

CURATOR = "curator"  # This is the method of a suggestion that a person confirmed.


def add_suggestions(resource: Resource, iris: Iris, source: Source) -> Resource:
    """Return a resource with a suggested claim for each goal, target and action line of its texts,
    as ``source.suggest`` and the table of the source say.

    What a curator refused is left out; what one confirmed stays, with the curator as its method,
    whatever the methods suggest now.
    """
    known = {
        claim.concept for claim in (*resource.action_lines, *resource.goals, *resource.targets)
    }
    results: dict[str, Claim] = {}
    decisions = [item for item in source.decisions if item.key == resource.key]
    mentioned = _mentioned(resource, iris) if source.suggest != NOTHING else ()
    classified = _classified(resource) if source.suggest == MODEL else ()
    for claim in (*mentioned, *classified, *_listed(resource, decisions, iris.base)):
        if claim.concept not in known and (
            claim.concept not in results or _confidence(results[claim.concept]) < _confidence(claim)
        ):
            results[claim.concept] = claim
    _decide(results, known, decisions, iris.base)
    if not results:
        return resource
    targets = tuple(
        claim
        for iri, claim in results.items()
        if iri.startswith(SDG) and "." in iri.removeprefix(SDG)
    )
    goals = tuple(
        claim for iri, claim in results.items() if iri.startswith(SDG) and claim not in targets
    )
    lines = tuple(claim for iri, claim in results.items() if not iri.startswith(SDG))
    return replace(
        resource,
        action_lines=(*resource.action_lines, *lines),
        goals=(*resource.goals, *goals),
        targets=(*resource.targets, *targets),
    )


def _decide(
    results: dict[str, Claim], known: Collection[str], decisions: Iterable[TopicDecision], base: str
) -> None:
    """Apply what curators decided about a record to the suggestions by their concepts; *known* are
    its topics on another basis.
    """
    for item in decisions:
        resolved = resolve_concept(item.concept, base)
        if resolved is None or resolved[1] in known or item.decision == SUGGESTED:
            continue
        suggested = results.pop(resolved[1], None)
        if item.decision == CONFIRMED:
            word = suggested.word if suggested else item.comment or None
            results[resolved[1]] = Claim(
                resolved[1],
                Basis.SUGGESTED,
                word,
                1.0,
                method=CURATOR,
                author=item.author or None,
                day=item.day or None,
            )


def method_versions(source: Source) -> tuple[str, ...]:
    """Return the methods, with their versions, that suggest topics for the records of *source*; a
    new version maps them again.
    """
    if source.suggest not in (MENTIONS, MODEL):
        return ()
    results = (f"{mentions.METHOD} {mentions.VERSION}",)
    if source.suggest == MENTIONS:
        return results
    try:
        return (*results, _classification().method_version())
    except HarvestError:  # ``model_fault`` reports it.
        return results


def model_fault(source: Source) -> str:
    """Return why the model that *source* asks for cannot be used, and what to do; "" if it can be,
    or if none is asked for.
    """
    if source.suggest != MODEL:
        return ""
    try:
        _classification().check()
    except HarvestError as error:
        return str(error)
    return ""


def _classification() -> Any:
    """Import the classifier on first use: NumPy takes a tenth of a second, which a listing should
    not wait for.
    """
    return import_module("harvesters.mappings.topics.classification")


def _confidence(claim: Claim) -> float:
    return claim.confidence or 0.0


def _mentioned(resource: Resource, iris: Iris) -> Iterator[Claim]:
    for text, language in _texts(resource):
        for concept, words, confidence in find_mentions(text, language):
            result = concept if concept.startswith(SDG) else iris.concept("action-line", concept)
            yield Claim(
                result,
                Basis.SUGGESTED,
                words,
                confidence,
                method=mentions.METHOD,
                method_version=mentions.VERSION,
            )


def _classified(resource: Resource) -> Iterator[Claim]:
    """Yield what the model finds in title and description of each language."""
    languages = dict.fromkeys(text.language for text in (*resource.descriptions, *resource.titles))
    for language in languages:
        texts = [
            text.value
            for text in (*resource.titles, *resource.descriptions)
            if text.language == language
        ]
        claims, _ = _classification().classify("\n".join(texts), language)
        yield from claims


def _listed(resource: Resource, decisions: Iterable[TopicDecision], base: str) -> Iterator[Claim]:
    """Yield the suggestions of the table, without those whose words the texts no longer have."""
    for item in decisions:
        resolved = resolve_concept(item.concept, base)
        if (
            item.decision == SUGGESTED
            and resolved is not None
            and any(item.comment in " ".join(text.value.split()) for text in _texts(resource))
        ):
            yield Claim(
                resolved[1],
                Basis.SUGGESTED,
                item.comment or None,
                float(item.confidence),
                method=item.method,
                method_version=item.version or None,
                author=item.author or None,
                day=item.day or None,
            )


def _texts(resource: Resource) -> Iterator[Text]:
    yield from resource.titles
    yield from resource.descriptions
    if isinstance(resource, Initiative):
        for outcome in resource.outcomes:
            yield from outcome.titles
            yield from outcome.descriptions
    if isinstance(resource, Post) and resource.content:
        yield resource.content
