"""Nominations of the Digital Public Goods Alliance, in each of their three formats: nominees,
archive and screened goods.

Source: https://github.com/DPGAlliance/publicgoods-candidates (nominee-schema.json)
"""

from __future__ import annotations

from typing import Any

from harvesters.errors import ParseError
from harvesters.mappings.mapping import parse_licence
from harvesters.mappings.schema import FieldTable, Part, Schema
from harvesters.page_model import Payload, Record, Row
from harvesters.payloads.value_parsing import (
    as_list,
    normalize_block,
    normalize_inline,
    parse_titles,
    unique_urls,
)
from vocab.initiative import Basis, Resource, Role


def _nomination(_: FieldTable, record: Record[Row]) -> Row:
    nomination = record.payload
    if not normalize_inline(nomination.get("name")):
        raise ParseError(
            f"{record.key}: not a DPG nomination: `name` is missing; found only {', '.join(map(str, nomination))[:200]}"
        )
    return nomination


def _licences(nomination: Row) -> list[str]:
    """Return the SPDX address of each licence, else the page or the name that the nomination has for
    it; some nominations have a text.
    """
    licences = []
    for item in as_list(nomination.get("license")):
        licence = item if isinstance(item, dict) else {"spdx": item}
        address = parse_licence(normalize_inline(licence.get("spdx")))
        pages = unique_urls([address, normalize_inline(licence.get("licenseURL"))])
        licences.append(next(iter(pages), address))
    return licences


def _goals(nomination: Row) -> list[Any]:
    """Return the numbers or names of goals; SDGNumber may be a number, a name, or a list of either."""
    goals = (
        item.get("SDGNumber") if isinstance(item, dict) else item
        for item in as_list(nomination.get("SDGs"))
    )
    return [item for goal in goals for item in as_list(goal)]


def _edit(table: FieldTable, nomination: Row, _: type[Resource], values: dict[str, Any]) -> None:
    """Add the evidence for each goal, a text and the page that it cites; and the stage."""
    evidence: dict[str, dict[str, Any]] = {}
    for item in as_list(nomination.get("SDGs")):
        about = item if isinstance(item, dict) else {}
        texts = [(normalize_block(about.get("evidenceText")), table.language)]
        text = next(iter(parse_titles(texts)), None)
        page = next(iter(unique_urls([normalize_inline(about.get("evidenceURL"))])), None)
        for word in table.words("goals")({"SDGs": [item]}) if text or page else ():
            for claim in table.lexicon.declared["goals"](word):
                evidence.setdefault(claim.concept, {"evidence": text, "evidence_page": page})
    for name in ("goals", "targets"):
        values[name] = tuple(
            claim._replace(**evidence.get(claim.concept, {}))
            if claim.basis is Basis.DECLARED
            else claim
            for claim in values[name]
        )
    word = table.word("stage")(nomination)
    values["stage"] = table.crosswalks.find_by_name("dpga-stage", word) or word or None


MAPPING = Schema(
    Payload.ROW,
    {
        "title": "name",
        "description": "description",
        "identifiers": ["aliases", "initialism"],
        "pages": [
            "website",
            "repositories[].url",
            "repositoryURL",
        ],  # The last one was used until 2020.
        "licence": _licences,
        "countries": "locations.deploymentCountries",
        "developed_in": "locations.developmentCountries",
        "stage": "stage",
        "goals": _goals,
        "keywords": "sectors",
        "types": "type",
    },
    {
        # Maintainers, implementers and others are partners. Contact persons are left out.
        "parties": [
            Part(
                "organizations",
                {"name": "name", "role": "org_type", "page": "website"},
                roles={"owner": Role.LEAD, "funder": Role.FUNDER},
            )
        ],
    },
    root=_nomination,
    edit=_edit,
    kind="initiative",
    crosswalks=("dpga-sector",),
    untagged=frozenset({"name"}),
).mapping()
