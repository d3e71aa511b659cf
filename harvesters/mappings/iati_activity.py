"""IATI activities, versions 1.0x and 2.0x.

Source: https://iatistandard.org/en/iati-standard/203/activity-standard/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.mappings.mapping import RecordMapping
from harvesters.option_schema import Option
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.value_parsing import (
    normalize_block,
    normalize_inline,
    parse_amount,
    parse_date,
    parse_language,
    parse_name,
    parse_number,
    parse_titles,
    unique_non_contact,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import (
    Amount,
    Basis,
    Claim,
    Coded,
    Initiative,
    Outcome,
    Party,
    Place,
    Resource,
    Role,
    Text,
)
from vocab.iris import Iris
from vocab.schemes import concepts

OPTIONS: Mapping[str, Option] = {}

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_PROJECT = "C01"  # the aid type of projects, unlike budget support, experts and others
_WEB_PAGE = "A12"  # the document category "activity web page"
_PARENT, _CHILD = "1", "2"  # types of related activities
# https://iatistandard.org/en/iati-standard/203/codelists/budgettype/ and .../resulttype/
_BUDGETS = {
    "1": "original budget",
    "2": "revised budget",
    "original": "original budget",
    "revised": "revised budget",
}
_RESULTS = {"1": "output", "2": "outcome", "3": "impact", "9": "other"}
# Roles and dates by their codes in 2.0x and their words in 1.0x.
_ROLES = {"1": "funding", "2": "accountable", "3": "extending", "4": "implementing"}
_DATES = {"1": "start-planned", "2": "start-actual", "3": "end-planned", "4": "end-actual"}
# Vocabularies that name goals and targets themselves, by element; 9 names indicators.
_GOALS = {"sector": "7", "tag": "2"}
_TARGETS = {"sector": "8", "tag": "3"}
_INDICATORS = {"sector": "9"}
# a sector without a vocabulary is a purpose code
_PURPOSES = frozenset(("", "1", "2", "DAC", "DAC-3", "DAC-5"))
_MARKERS = frozenset(("", "1", "DAC"))  # a policy marker without a vocabulary is one of the OECD
_SDG = "http://metadata.un.org/sdg/"


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[_Element]], Resource]:
    """Return the function that maps an activity. It raises ParseError for any other element."""
    lexicon = CrosswalkLookup(crosswalks)
    return partial(_map_record, source, crosswalks, lexicon)


def _map_record(
    source: Source, crosswalks: Crosswalks, lexicon: CrosswalkLookup, record: Record[_Element]
) -> Resource:
    activity = record.payload
    if activity.tag != "iati-activity":
        raise ParseError(f"{record.key}: not an IATI activity but <{activity.tag}>")
    tag = _tag(activity.get(_LANG)) or source.language
    claims, left = _classify(activity, lexicon, crosswalks, tag)
    dates = _dates(activity)
    scopes, statuses = crosswalks.iati_activity_scope, crosswalks.iati_activity_status
    of_goals = [item for item in claims if item.concept.startswith(_SDG)]
    return Initiative(
        key=record.key,
        titles=parse_titles(_first_by_language(_texts(activity, "title", tag))),
        descriptions=parse_titles(_descriptions(activity, tag)),
        identifiers=unique_non_contact(_identifiers(activity)),
        pages=unique_non_contact(_pages(activity)),
        modified=parse_date(activity.get("last-updated-datetime") or "") or record.modified,
        countries=tuple(_countries(activity, lexicon, crosswalks)),
        parties=tuple(_parties(activity, crosswalks, lexicon, tag)),
        action_lines=tuple(item for item in claims if item not in of_goals),
        goals=tuple(item for item in of_goals if not _is_target(item)),
        targets=tuple(item for item in of_goals if _is_target(item)),
        subjects=tuple(left),
        related=tuple(_related(activity, _CHILD, source, crosswalks.iris)),
        part_of=tuple(_related(activity, _PARENT, source, crosswalks.iris)),
        start=dates.get("start-actual"),
        end=dates.get("end-actual"),
        planned_start=dates.get("start-planned"),
        planned_end=dates.get("end-planned"),
        coverage=_concept(
            activity.find("activity-scope"), "iati-activity-scope", scopes, crosswalks
        ),
        status=_concept(
            activity.find("activity-status"), "iati-activity-status", statuses, crosswalks
        ),
        activity_types=(lexicon.activity_type("project"),) if _is_project(activity) else (),
        places=tuple(_places(activity, tag)),
        amounts=tuple(_amounts(activity)),
        outcomes=tuple(_outcomes(activity, tag)),
    )


def _is_target(claim: Claim) -> bool:
    return "." in claim.concept.removeprefix(_SDG)


def _identifiers(activity: _Element) -> Iterator[str]:
    for item in activity.iterfind("other-identifier"):
        yield normalize_inline(item.get("ref") or item.text)


def _related(activity: _Element, kind: str, source: Source, iris: Iris) -> Iterator[str]:
    """Yield the IRIs of the related activities of one type."""
    for item in activity.iterfind("related-activity"):
        if item.get("type") == kind and (key := normalize_inline(item.get("ref") or "")):
            yield iris.thing("initiative", source.name, key)


def _tag(word: str | None) -> str | None:
    return (parse_language(word) or word) if word else None


def _narratives(node: _Element, tag: str | None) -> Iterator[tuple[str, str | None]]:
    """Yield an element's texts with their languages: its narratives in 2.0x, its own text in 1.0x."""
    own = _tag(node.get(_LANG)) or tag
    narratives = node.findall("narrative")
    for narrative in narratives or [node]:
        if text := normalize_block(narrative.text):
            yield text, _tag(narrative.get(_LANG)) or own


def _texts(activity: _Element, name: str, tag: str | None) -> Iterator[tuple[str, str | None]]:
    return (text for node in activity.iterfind(name) for text in _narratives(node, tag))


def _first_by_language(texts: Iterable[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Return the first text in each language, on one line."""
    by_language: dict[str | None, str] = {}
    for text, tag in texts:
        by_language.setdefault(tag, normalize_inline(text))
    return [(text, tag) for tag, text in by_language.items()]


def _descriptions(activity: _Element, tag: str | None) -> list[tuple[str, str | None]]:
    """Return one description per language: general text, objectives and target groups are its
    paragraphs.
    """
    by_language: dict[str | None, dict[str, None]] = {}
    for text, language_tag in _texts(activity, "description", tag):
        by_language.setdefault(language_tag, {})[text] = None
    return [("\n\n".join(texts), language_tag) for language_tag, texts in by_language.items()]


def _dates(activity: _Element) -> dict[str, str]:
    dates: dict[str, str] = {}
    for node in activity.iterfind("activity-date"):
        kind = (node.get("type") or "").lower()
        if text := parse_date(normalize_inline(node.get("iso-date") or node.text or "")):
            dates.setdefault(_DATES.get(kind, kind), text)
    return dates


def _translated(
    code: str, crosswalk: str, look: Callable[[str], str | None], crosswalks: Crosswalks
) -> Coded:
    """Return the concept that a crosswalk has for a code, else the code itself, which the shapes
    then report.
    """
    concept = look(code)
    return (
        Claim(concept, Basis.CROSSWALKED, code, crosswalk=crosswalks.iris.scheme(crosswalk))
        if concept
        else code
    )


def _concept(
    node: _Element | None, crosswalk: str, look: Callable[[str], str | None], crosswalks: Crosswalks
) -> Coded | None:
    code = normalize_inline(node.get("code") or node.text) if node is not None else ""
    return _translated(code, crosswalk, look, crosswalks) if code else None


def _is_project(activity: _Element) -> bool:
    return any(
        aid_type.get("code") == _PROJECT for aid_type in activity.iterfind("default-aid-type")
    )


def _countries(
    activity: _Element, lexicon: CrosswalkLookup, crosswalks: Crosswalks
) -> Iterator[Coded]:
    """Yield recipient countries, and regions as M49 areas, with their percentages; what is unknown
    stays a text.
    """
    areas: dict[str, list[_Element]] = {}
    for node in activity.iterfind("recipient-country"):
        if code := normalize_inline(node.get("code")).upper():
            areas.setdefault(lexicon.country(code), []).append(node)
    for node in activity.iterfind("recipient-region"):
        if area := _region(node, crosswalks):
            areas.setdefault(area, []).append(node)
    for area, nodes in areas.items():
        share = _percentage(nodes)
        yield area if share is None else Claim(area, percentage=share)


def _region(node: _Element, crosswalks: Crosswalks) -> str:
    """Return a region's M49 area; else its name, which the shapes then report."""
    code, vocabulary = (normalize_inline(node.get(name)) for name in ("code", "vocabulary"))
    name = normalize_inline(node.findtext("narrative") or node.text)
    if vocabulary not in {"", "1"}:
        return name or code
    listed = concepts("iati-region", crosswalks.iris.base).values()
    names = (item.labels[0].value for item in listed if code in item.notations)
    return crosswalks.iati_region(code) or name or next(names, code)


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


def _amounts(activity: _Element) -> Iterator[Amount]:
    """Yield the budgets of an activity, each in its own currency, else in the activity's.

    Source:
    https://iatistandard.org/en/iati-standard/203/activity-standard/iati-activities/iati-activity/budget/
    """
    for node in activity.iterfind("budget"):
        value = node.find("value")
        amount = parse_amount(value.text) if value is not None else None
        if value is None or amount is None:
            continue
        currency = normalize_inline(value.get("currency") or activity.get("default-currency"))
        name = _BUDGETS.get((node.get("type") or "1").lower(), "budget")
        start, end = (_iso_date(node.find(period)) for period in ("period-start", "period-end"))
        yield Amount(amount, currency or None, Text(name, "en"), start, end)


def _iso_date(node: _Element | None) -> str | None:
    return (
        parse_date(normalize_inline(node.get("iso-date") or node.text))
        if node is not None
        else None
    )


def _outcomes(activity: _Element, tag: str | None) -> Iterator[Outcome]:
    """Yield the results of an activity that have a title; their indicators stay at the source."""
    for node in activity.iterfind("result"):
        titles = parse_titles(_first_by_language(_texts(node, "title", tag)))
        if titles:
            kind = _RESULTS.get(node.get("type") or "")
            yield Outcome(titles, parse_titles(_descriptions(node, tag)), kind)


def _parties(
    activity: _Element, crosswalks: Crosswalks, lexicon: CrosswalkLookup, tag: str | None
) -> Iterator[Party]:
    """Yield the first accountable organization as lead, else the reporting one; extending and
    implementing ones are partners.
    """
    seen: set[tuple[Role, str]] = set()
    orgs = [
        (
            _ROLES.get(organization.get("role") or "", (organization.get("role") or "").lower()),
            organization,
        )
        for organization in activity.iterfind("participating-org")
    ]
    lead = next(
        (organization for role, organization in orgs if role == "accountable"),
        activity.find("reporting-org"),
    )
    candidates = [(Role.LEAD, lead)] if lead is not None else []
    candidates += [
        (Role.FUNDER if role == "funding" else Role.PARTNER, organization)
        for role, organization in orgs
        if organization is not lead
    ]
    for role, node in candidates:
        names = list(_narratives(node, tag))
        ref = normalize_inline(node.get("ref"))
        if not names and not ref:
            continue
        name = parse_name(normalize_inline(names[0][0]), names[0][1]) if names else parse_name(ref)
        kind = normalize_inline(node.get("type"))
        own_kind = (
            _translated(
                kind, "iati-organisation-type", crosswalks.iati_organisation_type, crosswalks
            )
            if kind
            else None
        )
        party = Party(role, name, ref or None, own_kind, identifiers=(ref,) if ref else ())
        organization = party.key or name.value
        if (role, organization) not in seen and not (
            role is Role.PARTNER and (Role.LEAD, organization) in seen
        ):
            seen.add((role, organization))
            yield party


def _places(activity: _Element, tag: str | None) -> Iterator[Place]:
    for node in activity.iterfind("location"):
        point = node.find("point/pos")
        coordinates = node.find("coordinates")
        if point is not None:
            pair = normalize_inline(point.text).replace(",", " ").split()
        else:
            pair = (
                [coordinates.get("latitude") or "", coordinates.get("longitude") or ""]
                if coordinates is not None
                else []
            )
        latitude, longitude = (
            (parse_number(pair[0]), parse_number(pair[1])) if len(pair) == 2 else (None, None)
        )
        if latitude is not None and longitude is not None:
            names = list(_texts(node, "name", tag))
            yield Place(
                parse_name(normalize_inline(names[0][0]), names[0][1]) if names else None,
                latitude,
                longitude,
            )


def _pages(activity: _Element) -> Iterator[str]:
    yield from (normalize_inline(element.text) for element in activity.iterfind("activity-website"))
    for node in activity.iterfind("document-link"):
        if any(element.get("code") == _WEB_PAGE for element in node.iterfind("category")):
            yield normalize_inline(node.get("url"))


def _classify(
    activity: _Element, lexicon: CrosswalkLookup, crosswalks: Crosswalks, tag: str | None
) -> tuple[list[Claim], list[Text]]:
    """Return the goals, targets and action lines in sectors and tags, and the words that name none
    of them.

    The percentages of sectors that lead to one concept on one basis are added, if they are of one
    vocabulary.
    """
    claims: dict[str, Claim] = {}
    sectors: dict[tuple[str, Basis], list[_Element]] = {}
    left: dict[Text, None] = {}
    for node in activity.iterchildren("sector", "tag", "policy-marker"):
        is_marker = node.tag == "policy-marker"
        node_claims = list(
            _marker_claims(node, crosswalks) if is_marker else _claims(node, lexicon, crosswalks)
        )
        for claim in node_claims:
            known = claims.get(claim.concept)
            if known is None or (
                known.basis is not Basis.DECLARED and claim.basis is Basis.DECLARED
            ):
                claims[claim.concept] = claim
            if node.tag == "sector":
                sectors.setdefault((claim.concept, claim.basis), []).append(node)
        if not node_claims and not is_marker:
            words = [
                parse_name(normalize_inline(text), language_tag)
                for text, language_tag in _narratives(node, tag)
            ]
            left |= dict.fromkeys(words or _purpose_words(node))
    with_shares = (
        claim._replace(percentage=_sector_percentage(sectors.get((claim.concept, claim.basis), [])))
        for claim in claims.values()
    )
    return list(with_shares), list(left)


def _purpose_words(node: _Element) -> Iterator[Text]:
    """Yield the purpose code of a sector without a text, as claims name it, so that it is seen as a
    word that no crosswalk translates.
    """
    code = normalize_inline(node.get("code"))
    if node.tag == "sector" and code and normalize_inline(node.get("vocabulary")) in _PURPOSES:
        yield parse_name(f"DAC {code}")


def _sector_percentage(nodes: list[_Element]) -> float | None:
    """Return the sum of the percentages of sectors; None for those of several vocabularies, which
    each add up to 100.
    """
    vocabularies = {node.get("vocabulary") for node in nodes}
    return _percentage(nodes) if len(vocabularies) == 1 else None


def _marker_claims(node: _Element, crosswalks: Crosswalks) -> Iterator[Claim]:
    """Yield the goals and targets of a policy marker of the OECD that the activity has as an
    objective.

    Source: https://iatistandard.org/en/iati-standard/203/codelists/policysignificance/ (0: not
    targeted)
    """
    code = normalize_inline(node.get("code"))
    significance = normalize_inline(node.get("significance"))
    if normalize_inline(node.get("vocabulary")) in _MARKERS and significance not in {"", "0"}:
        crosswalk = crosswalks.iris.scheme("iati-policy-marker")
        for concept in crosswalks.iati_policy_marker(code):
            yield Claim(concept, Basis.CROSSWALKED, f"policy marker {code}", crosswalk=crosswalk)


def _claims(node: _Element, lexicon: CrosswalkLookup, crosswalks: Crosswalks) -> Iterator[Claim]:
    """Yield the claims of a sector or tag: a goal's or target's own code declares it, a purpose
    code or indicator is translated.
    """
    kind = str(node.tag)
    code = normalize_inline(node.get("code"))
    vocabulary = normalize_inline(node.get("vocabulary"))
    if vocabulary == _GOALS[kind]:
        concept, basis = lexicon.goal(code), Basis.DECLARED
    elif vocabulary == _TARGETS[kind]:
        concept, basis = lexicon.target(code), Basis.DECLARED
    elif vocabulary == _INDICATORS.get(kind):
        concept, basis = lexicon.target(code.rpartition(".")[0]), Basis.CROSSWALKED
    elif kind == "sector" and vocabulary in _PURPOSES:
        purposes = crosswalks.iris.scheme("dac-purpose")
        yield from (
            Claim(concept, Basis.CROSSWALKED, f"DAC {code}", crosswalk=purposes)
            for concept in crosswalks.dac_purpose(code)
        )
        return
    else:
        subjects = lexicon.parse_subjects(
            normalize_inline(narrative.text) for narrative in node.iterfind("narrative")
        )
        yield from (*subjects.lines, *subjects.goals, *subjects.targets)
        return
    if concept:
        yield Claim(
            concept,
            basis,
            code,
            crosswalk=None if basis is Basis.DECLARED else crosswalks.iris.scheme("sdg"),
        )


MAPPING = RecordMapping(build_mapper, frozenset({Payload.XML}), options=OPTIONS)
