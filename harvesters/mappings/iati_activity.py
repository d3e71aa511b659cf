"""IATI activities, versions 1.0x and 2.0x.

Source: https://iatistandard.org/en/iati-standard/203/activity-standard/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.mappings.schema import (
    Entry,
    FieldTable,
    Part,
    Schema,
    stated_language,
)
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import crosswalked, sort_claims
from harvesters.payloads.paths import find_elements
from harvesters.payloads.value_parsing import (
    normalize_block,
    normalize_inline,
    parse_language,
    parse_name,
    parse_number,
)
from vocab.crosswalks import Crosswalks
from vocab.initiative import Basis, Claim, Resource, Role, Text
from vocab.schemes import concepts

# https://iatistandard.org/en/iati-standard/203/codelists/budgettype/ and .../resulttype/
_BUDGETS = {
    "1": "original budget",
    "2": "revised budget",
    "original": "original budget",
    "revised": "revised budget",
}
_RESULTS = {"1": "output", "2": "outcome", "3": "impact", "9": "other"}
# These vocabularies of an element have the codes of goals, of targets and of indicators.
_GOALS = {"sector": "7", "tag": "2"}
_TARGETS = {"sector": "8", "tag": "3"}
_INDICATORS = {"sector": "9"}
# The code of a sector without a vocabulary is a purpose code.
_PURPOSES = frozenset(("", "1", "2", "DAC", "DAC-3", "DAC-5"))
_MARKERS = frozenset(("", "1", "DAC"))  # A policy marker without a vocabulary is one of the OECD.
_ACCOUNTABLE = "participating-org[@role='2' or @role='accountable' or @role='Accountable']"


def _activity(_: FieldTable, record: Record[_Element]) -> _Element:
    if record.payload.tag != "iati-activity":
        raise ParseError(f"{record.key}: not an IATI activity but <{record.payload.tag}>")
    return record.payload


def _narratives(name: str) -> str:
    """Return the path of an element's texts: its narratives in 2.0x, its own text in 1.0x."""
    return f"{name}/narrative | {name}[not(narrative)]"


def _by_language(name: str, mark: str = "") -> Callable[[_Element], list[Text]]:
    """Return the function that reads one text per language: all joined by *mark*, else the first."""

    def read(node: _Element) -> list[Text]:
        texts: dict[str | None, dict[str, None]] = {}
        for each in find_elements(node, _narratives(name)):
            if text := normalize_block(each.text):
                texts.setdefault(stated_language(each), {})[text] = None
        return [
            Text(mark.join(parts) if mark else next(iter(parts)), tag)
            for tag, parts in texts.items()
        ]

    return read


def _date(code: str, word: str) -> Callable[[_Element], list[Any]]:
    """Return the function that reads a date, by its code in 2.0x or its word in 1.0x."""
    return lambda activity: [
        node.get("iso-date") or node
        for node in activity.iterchildren("activity-date")
        if node.get("type") in {code, word}
    ]


def _types(activity: _Element) -> list[str]:
    is_project = find_elements(activity, "default-aid-type[@code='C01']")
    return ["project"] if is_project else []  # Budget support, experts and others are not.


def _budget(budget: _Element) -> list[Text]:
    return [Text(_BUDGETS.get((budget.get("type") or "1").lower(), "budget"), "en")]


def _edit(table: FieldTable, activity: _Element, _: type[Resource], values: dict[str, Any]) -> None:
    claims, left = _classify(activity, table)
    values |= sort_claims(claims)
    values |= {"subjects": tuple(left), "countries": tuple(_countries(activity, table))}


def _countries(activity: _Element, table: FieldTable) -> Iterator[str | Claim]:
    """Yield recipient countries, and regions as M49 areas, with their percentages; what is unknown
    stays a text.
    """
    areas: dict[str, list[_Element]] = {}
    for node in activity.iterchildren("recipient-country", "recipient-region"):
        code = normalize_inline(node.get("code"))
        if node.tag == "recipient-region":
            area = _region(node, code, table.crosswalks)
        else:
            area = table.lexicon.country(code.upper()) if code else ""
        if area:
            areas.setdefault(area, []).append(node)
    for area, nodes in areas.items():
        share = _percentage(nodes)
        yield area if share is None else Claim(area, percentage=share)


def _region(node: _Element, code: str, crosswalks: Crosswalks) -> str:
    """Return a region's M49 area; else its name, which the shapes then report."""
    name = normalize_inline(node.findtext("narrative") or node.text)
    if normalize_inline(node.get("vocabulary")) not in {"", "1"}:
        return name or code
    listed = concepts("iati-region", crosswalks.iris.base).values()
    names = (item.labels[0].value for item in listed if code in item.notations)
    return crosswalks.find_match("iati-region", code) or name or next(names, code)


def _percentage(nodes: Iterable[_Element]) -> float | None:
    """Return the sum of the percentages of elements, which IATI writes without a sign; None if one
    has none.
    """
    shares = [
        parse_number(normalize_inline(node.get("percentage")).removesuffix("%")) for node in nodes
    ]
    known = [share for share in shares if share is not None]
    total = round(sum(known), 7)
    return total if known and len(known) == len(shares) and 0 <= total <= 100 else None


def _classify(activity: _Element, table: FieldTable) -> tuple[list[Claim], list[Text]]:
    """Return the goals, targets and action lines in sectors and tags, and the words that name none
    of them.

    The percentages of sectors that lead to one concept on one basis are added, if they are of one
    vocabulary, whose percentages add up to 100.
    """
    nodes = [*activity.iterchildren("sector", "tag", "policy-marker")]
    stated = [
        (node, {(claim.concept, claim.basis): claim for claim in _claims(node, table)})
        for node in nodes
    ]
    claims: dict[str, Claim] = {}
    every = [claim for _, of_node in stated for claim in of_node.values()]
    for claim in sorted(every, key=lambda claim: claim.basis is not Basis.DECLARED):
        claims.setdefault(claim.concept, claim)
    for concept, claim in claims.items():
        same = (concept, claim.basis)
        sectors = [node for node, of_node in stated if node.tag == "sector" and same in of_node]
        if len({node.get("vocabulary") for node in sectors}) == 1:
            claims[concept] = claim._replace(percentage=_percentage(sectors))
    left = dict.fromkeys(
        word
        for node, of_node in stated
        if not of_node and node.tag != "policy-marker"
        for word in _words(node, table.language)
    )
    return list(claims.values()), list(left)


def _words(node: _Element, default: str | None) -> list[Text]:
    """Return the texts of a sector or tag; without any a sector's purpose code, as claims name it,
    so that it is seen as a word that no crosswalk translates.
    """
    texts = [
        parse_name(normalize_inline(text), (tag and (parse_language(tag) or tag)) or default)
        for each in find_elements(node, _narratives("self::*"))
        if (text := normalize_block(each.text))
        for tag in [stated_language(each)]
    ]
    code = normalize_inline(node.get("code"))
    is_purpose = normalize_inline(node.get("vocabulary")) in _PURPOSES and node.tag == "sector"
    return texts or ([parse_name(f"DAC {code}")] if code and is_purpose else [])


def _claims(node: _Element, table: FieldTable) -> Iterator[Claim]:
    """Yield the claims of a sector, tag or policy marker: a goal's or target's own code declares it,
    a purpose code, indicator or marker is translated, and a text names what it names.

    Source: https://iatistandard.org/en/iati-standard/203/codelists/policysignificance/ (0: not
    targeted)
    """
    kind, crosswalks, lexicon = str(node.tag), table.crosswalks, table.lexicon
    code, vocabulary, significance = (
        normalize_inline(node.get(name)) for name in ("code", "vocabulary", "significance")
    )
    if kind == "policy-marker":
        if vocabulary in _MARKERS and significance not in {"", "0"}:
            yield from crosswalked(crosswalks, "iati-policy-marker", code, f"policy marker {code}")
    elif vocabulary == _GOALS[kind]:
        yield from (Claim(concept, word=code) for concept in [lexicon.goal(code)] if concept)
    elif vocabulary == _TARGETS[kind]:
        yield from (Claim(concept, word=code) for concept in [lexicon.target(code)] if concept)
    elif vocabulary == _INDICATORS.get(kind):
        if target := lexicon.target(code.rpartition(".")[0]):
            sdg = crosswalks.iris.scheme("sdg")
            yield Claim(target, Basis.CROSSWALKED, code, crosswalk=sdg)
    elif kind == "sector" and vocabulary in _PURPOSES:
        yield from crosswalked(crosswalks, "dac-purpose", code, f"DAC {code}")
    else:
        for each in node.iterchildren("narrative"):
            yield from lexicon.keyword(normalize_inline(each.text))


_POSITION = "translate(normalize-space(point/pos), ',', ' '), ' '"
_ORGANIZATION: dict[str, Entry] = {
    "name": _narratives("self::*"),
    "key": "@ref",
    "kind": "@type",
    "role": "@role",
    "identifiers": "@ref",
}
MAPPING = Schema(
    Payload.XML,
    {
        "title": _by_language("title"),
        "description": _by_language("description", "\n\n"),
        "identifiers": "other-identifier/@ref | other-identifier[not(@ref)]",
        "pages": ["activity-website", "document-link[category/@code='A12']/@url"],
        "modified": "@last-updated-datetime",
        "initiatives": "related-activity[@type='2']/@ref",
        "part_of": "related-activity[@type='1']/@ref",
        "start": _date("2", "start-actual"),
        "end": _date("4", "end-actual"),
        "planned_start": _date("1", "start-planned"),
        "planned_end": _date("3", "end-planned"),
        "coverage": ("activity-scope/@code", "activity-scope"),
        "status": ("activity-status/@code", "activity-status"),
        "activity_types": _types,
    },
    {
        # The first accountable organization leads, else the reporting one.
        "parties": [
            Part(
                f"{_ACCOUNTABLE}[1] | reporting-org[not(../{_ACCOUNTABLE})][1]",
                _ORGANIZATION,
                Role.LEAD,
            ),
            Part(
                "participating-org",
                _ORGANIZATION,
                roles={"1": Role.FUNDER, "funding": Role.FUNDER},
            ),
        ],
        "places": [
            Part(
                "location",
                {
                    "place": _narratives("name"),
                    "latitude": (f"substring-before({_POSITION})", "coordinates/@latitude"),
                    "longitude": (f"substring-after({_POSITION})", "coordinates/@longitude"),
                },
            )
        ],
        # https://iatistandard.org/en/iati-standard/203/activity-standard/iati-activities/iati-activity/budget/
        "amounts": [
            Part(
                "budget",
                {
                    "value": "value",
                    "currency": ("value/@currency", "../@default-currency"),
                    "name": _budget,
                    "start": ("period-start/@iso-date", "period-start"),
                    "end": ("period-end/@iso-date", "period-end"),
                },
            )
        ],
        # The indicators of results are not mapped.
        "outcomes": [
            Part(
                "result",
                {
                    "title": _by_language("title"),
                    "description": _by_language("description", "\n\n"),
                    "kind": lambda result: [_RESULTS.get(result.get("type"), "")],
                },
            )
        ],
    },
    root=_activity,
    edit=_edit,
    kind="initiative",
    translations={
        "kind": "iati-organisation-type",
        "coverage": "iati-activity-scope",
        "status": "iati-activity-status",
    },
    datestamp=True,
).mapping()
