"""Submissions of stakeholders, in the members of our own JSON, which
harvesters/participation/model.py checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from harvesters.errors import ParseError
from harvesters.mappings.mapping import MAPPINGS, RecordMapping
from harvesters.page_model import Payload, Record, Row
from harvesters.payloads.value_parsing import normalize_block, parse_language, strip_contacts
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Claim, Picture, Resource, Text
from vocab.iris import Iris, encode

_COMMON = {
    "title": "title",
    "description": "description",
    "identifiers": "identifier",
    "pages": "page",
    "licence": "license",
    "languages": "language",
    "countries": "country",
    "action_lines": "actionLine",
    "goals": "goal",
    "targets": "target",
    "subjects": "subject",
    "lead": "publisher.name",
    "lead_type": "publisher.classification",
    "lead_country": "publisher.country",
    "partners": "partner[].name",
    "funders": "funder[].name",
}
_DATES = {
    "start": "start",
    "end": "end",
    "place": "place.label",
    "latitude": "place.lat",
    "longitude": "place.long",
}
# The paths of the members, by the name of their class in our JSON.
FIELDS: Mapping[str, Mapping[str, str]] = {
    "Initiative": {
        **_COMMON, **_DATES, "planned_start": "plannedStart", "planned_end": "plannedEnd", "developed_in": "developedIn",
        "status": "status", "coverage": "coverage", "activity_types": "activityType",
        "prize_category": "prizeCategory", "prize_stage": "prizeStage", "prize_year": "prizeYear", "prize_date": "prizeDate",
        "prize_edition": "prizeEdition", "prize_name": "prizeName", "related": "nominated",
    },
    "Event": {**_COMMON, **_DATES, "venue": "venue", "registration": "registration"},
    "Document": {**_COMMON, "issued": "issued", "type": "documentType"},
    "Post": {**_COMMON, "issued": "issued", "content": "content"},
}  # fmt: skip


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Row]], Resource]:
    """Return the function that maps a submission. It raises ParseError for one whose type is
    unknown.
    """
    mappers = {
        name: MAPPINGS["fields"].prepare(
            replace(source, mapping="fields", fields={"kind": name.lower(), **paths}, options={}),
            crosswalks,
        )
        for name, paths in FIELDS.items()
    }

    iris = crosswalks.iris

    def map_record(record: Record[Row]) -> Resource:
        kind = record.payload.get("type")
        if not isinstance(kind, str) or kind not in mappers:
            raise ParseError(
                f"{record.key}: its type is {kind!r}; it is one of {', '.join(mappers)}"
            )
        resource = _with_reasons(mappers[kind](record), record.payload.get("why"))
        resource = replace(resource, picture=_picture(record.payload.get("picture"), iris))
        return (
            replace(resource, last_reviewed=day)
            if isinstance(day := record.payload.get("lastReviewed"), str)
            else resource
        )

    return map_record


def _picture(about: Any, iris: Iris) -> Picture | None:
    """Return the picture, with the first text of what it shows."""
    if not isinstance(about, Mapping) or not isinstance(name := about.get("id"), str):
        return None
    texts = about.get("caption")
    caption = (
        next(
            (Text(strip_contacts(text), parse_language(tag) or tag) for tag, text in texts.items()),
            None,
        )
        if texts
        else None
    )
    return Picture(iris.picture(encode(name)), caption)


def _with_reasons(resource: Resource, reasons: Any) -> Resource:
    """Return the resource with the reason of each goal: *reasons* has a text by the goal's number."""
    if not isinstance(reasons, Mapping) or not reasons:
        return resource
    goals = tuple(_with_reason(claim, reasons) for claim in resource.goals)
    return replace(resource, goals=goals)


def _with_reason(claim: Claim, reasons: Mapping[str, Any]) -> Claim:
    texts = reasons.get(claim.concept.rpartition("/")[2])
    if not isinstance(texts, Mapping) or not texts:
        return claim
    tag, text = next(iter(texts.items()))
    return claim._replace(
        evidence=Text(strip_contacts(normalize_block(text)), parse_language(tag) or tag)
    )


MAPPING = RecordMapping(build_mapper, frozenset({Payload.ROW}))
