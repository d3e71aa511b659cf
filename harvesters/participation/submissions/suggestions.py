"""Suggest goals and action lines from the texts of a draft; the person accepts them or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog

from harvesters.errors import HarvestError
from harvesters.ledger.participation.models import Content
from harvesters.mappings.registry import MAPPINGS
from harvesters.mappings.topics.suggest import add_suggestions
from harvesters.page_model import Record
from harvesters.payloads.language_detection import detect_languages
from harvesters.pipeline.record_processor import MAPPING_ERRORS, load_crosswalks
from harvesters.source import MENTIONS, MODEL, Source
from vocab.initiative import Basis, Resource
from vocab.iris import Iris

log = structlog.get_logger(component="submissions")
# by member the codes that the form offers, each with the words that suggest it
Suggestions = Mapping[str, Mapping[str, str]]


def suggest_topics(content: Content, source: Source, base: str) -> Suggestions:
    """Return what the texts of a draft speak of and it does not name yet: goals, also of the
    targets, targets, and action lines.

    What a text names by number is found always, what it is about only if the definition of *source*
    says ``suggest = "model"``.
    """
    mapper, iris = MAPPINGS[source.mapping].prepare(source, load_crosswalks(base)), Iris(base)
    try:
        resource = detect_languages(mapper(Record("draft", content, b"")))
    except MAPPING_ERRORS:  # the summary reports what is wrong
        return {}
    try:
        result = add_suggestions(
            resource, iris, source if source.suggest == MODEL else replace(source, suggest=MENTIONS)
        )
    except HarvestError as error:  # the model is missing or damaged
        log.warning("model for suggestions not used", reason=str(error))
        result = add_suggestions(resource, iris, replace(source, suggest=MENTIONS))
    return _by_member(result)


def _by_member(resource: Resource) -> Suggestions:
    suggested: dict[str, dict[str, str]] = {"goal": {}, "target": {}, "actionLine": {}}
    chosen = {
        claim.concept.rpartition("/")[2]
        for claim in resource.goals
        if claim.basis is not Basis.SUGGESTED
    }
    for claim in (*resource.goals, *resource.targets, *resource.action_lines):
        if claim.basis is Basis.SUGGESTED:
            member = "actionLine" if claim in resource.action_lines else "goal"
            code = claim.concept.rpartition("/")[2]
            if claim in resource.targets:
                suggested["target"].setdefault(code, claim.word or "")
            code = code if member == "actionLine" else code.partition(".")[0]
            if code not in chosen:
                suggested[member].setdefault(code, claim.word or "")
    return suggested
