"""Submissions of stakeholders, in the members of our own JSON, which
harvesters/participation/model.py checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harvesters.errors import ParseError
from harvesters.mappings.schema import FieldTable, Schema
from harvesters.page_model import Payload, Record, Row
from harvesters.payloads.value_parsing import (
    KINDS,
    normalize_block,
    parse_language,
    strip_contacts,
)
from vocab.initiative import Claim, Picture, Resource, Text
from vocab.iris import Iris, encode

_TYPES = {name.capitalize(): kind for name, kind in KINDS.items()}


def _submission(_: FieldTable, record: Record[Row]) -> Row:
    kind = record.payload.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ParseError(f"{record.key}: its type is {kind!r}; it is one of {', '.join(_TYPES)}")
    return record.payload


def _edit(table: FieldTable, row: Row, _: type[Resource], values: dict[str, Any]) -> None:
    """Add the reason of each goal, a text by the goal's number, the picture, and the day of the last
    review.
    """
    if isinstance(reasons := row.get("why"), Mapping):
        values["goals"] = tuple(_with_reason(claim, reasons) for claim in values["goals"])
    values["picture"] = _picture(row.get("picture"), table.crosswalks.iris)
    if isinstance(day := row.get("lastReviewed"), str):
        values["last_reviewed"] = day


def _picture(about: Any, iris: Iris) -> Picture | None:
    """Return the picture, with the first text of what it shows."""
    if not isinstance(about, Mapping) or not isinstance(name := about.get("id"), str):
        return None
    texts = about.get("caption") or {}
    captions = [
        Text(strip_contacts(text), parse_language(tag) or tag) for tag, text in texts.items()
    ]
    return Picture(iris.picture(encode(name)), next(iter(captions), None))


def _with_reason(claim: Claim, reasons: Mapping[str, Any]) -> Claim:
    texts = reasons.get(claim.concept.rpartition("/")[2])
    if not isinstance(texts, Mapping) or not texts:
        return claim
    tag, text = next(iter(texts.items()))
    return claim._replace(
        evidence=Text(strip_contacts(normalize_block(text)), parse_language(tag) or tag)
    )


MAPPING = Schema(
    Payload.ROW,
    {
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
        "related": "nominated",
        "issued": "issued",
        "type": "documentType",
        "content": "content",
        "start": "start",
        "end": "end",
        "planned_start": "plannedStart",
        "planned_end": "plannedEnd",
        "venue": "venue",
        "registration": "registration",
        "place": "place.label",
        "latitude": "place.lat",
        "longitude": "place.long",
        "developed_in": "developedIn",
        "status": "status",
        "coverage": "coverage",
        "activity_types": "activityType",
        "prize_category": "prizeCategory",
        "prize_stage": "prizeStage",
        "prize_year": "prizeYear",
        "prize_date": "prizeDate",
        "prize_edition": "prizeEdition",
        "prize_name": "prizeName",
    },
    root=_submission,
    edit=_edit,
    kind=lambda _, row: _TYPES[row["type"]],
    nothing=frozenset(),
    datestamp=True,
).mapping()
