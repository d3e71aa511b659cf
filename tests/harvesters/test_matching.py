from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest
from labelled import filled, labelled_set, many_sources, measure
from lxml import etree
from rows import each
from simulated import define_source

from harvesters.errors import IdentityError
from harvesters.mappings import datacite, mods, oai_dc
from harvesters.matching.clusters import (
    COLUMNS,
    Status,
    classify,
    read_table,
    write_table,
)
from harvesters.matching.entities import (
    Entity,
    acronyms,
    add_known_names,
    merge,
    name_words,
    normalize_page,
    open_entities,
    parse_entities,
)
from harvesters.matching.match import Decision, Judgement, Pair, StoredPair, ordered
from harvesters.matching.scoring import (
    AUTOMATIC,
    QUEUED,
    Score,
    WordWeights,
    candidate_pairs,
    score,
    score_pairs,
)
from harvesters.page_model import Record
from vocab.crosswalks import Crosswalks
from vocab.describe import describe
from vocab.initiative import Document, Initiative, Party, Role, Text
from vocab.iris import Iris

IRIS = Iris()
KENYA, UGANDA = (f"http://metadata.un.org/sdg/codes/geoArea/{code}" for code in ("404", "800"))
NOW = datetime(2026, 5, 1, tzinfo=UTC)
A, B, C = (IRIS.thing("organization", source, "x") for source in ("a", "b", "c"))


def organization(source: str, name: str, key: str = "x", **fields: Any) -> Entity:
    iri = IRIS.thing("organization", source, key)
    return Entity(iri, "organization", source, names={name: None}, **fields)


def background(count: int = 200) -> list[Entity]:
    name = "Ministry of Subject{0} and Topic{0}".format
    return [organization("others", name(number), f"o{number}") for number in range(count)]


def scored(*entities: Entity) -> Score:
    return score(entities[0], entities[1], WordWeights.from_entities([*entities, *background()]))


def score_all(entities: Iterable[Entity]) -> list[tuple[Pair, Score]]:
    with filled(entities) as store:
        return list(score_pairs(store))


def candidates(entities: Iterable[Entity], changed: Iterable[str]) -> list[Pair]:
    kind = "organization"
    with open_entities() as store:
        store.add(entities)
        store.mark_changed(changed)
        store.merge()
        numbers = list(candidate_pairs(store, {kind: WordWeights.of_kind(store, kind)}))
        return [(store.numbered(one).iri, store.numbered(other).iri) for one, other in numbers]


def described(*resources: tuple[str, Any]) -> dict[str, Entity]:
    entities: dict[str, list[Entity]] = {}
    for source, resource in resources:
        statements = describe(resource, IRIS, source)
        for entity in parse_entities(IRIS.record(source, resource.key), statements, IRIS):
            entities.setdefault(entity.iri, []).append(entity)
    return {iri: merge(pieces) for iri, pieces in entities.items()}


def table(*lines: tuple[str, ...]) -> str:
    return "".join("\t".join(line) + "\n" for line in (COLUMNS, *lines))


@each(
    "one, other",
    [("Kenya ICT Action Network", "KENYA ICT ACTION NETWORK, Ltd."),
     ("Société Générale de Télécommunication S.A.", "Societe Generale de Telecommunication"),
     ("Министерство связи", "Ministerstvo svyazi"), ("The Network for Clinics", "Network of Clinics")],
)  # fmt: skip
def test_spellings_of_one_name_have_the_same_words(one: str, other: str) -> None:
    assert name_words(one) == name_words(other)


@each(
    "name",
    ["", " ", "\x00\x1b\u202e", "x", "Ж", "a" * 1_000_000, "水" * 100_000, "of the and", "Ltd.", "Ω क ม 한 ع"],
)  # fmt: skip
def test_a_hostile_name_is_compared_without_an_error(name: str) -> None:
    result = scored(organization("a", name), organization("b", "Kenya ICT Action Network"))

    assert result.bits < AUTOMATIC
    assert len(acronyms(name)) <= 4


def test_features_say_which_gave_how_much_and_add_up() -> None:
    fields: dict[str, Any] = {"countries": {KENYA}, "pages": {"kictanet.example"}}

    result = scored(
        organization("a", "Kenya ICT Action Network", **fields),
        organization("b", "KENYA ICT Action Network Ltd.", **fields),
    )

    assert {feature.name for feature in result.features} == {"name", "country", "page"}
    assert result.bits == round(sum(feature.bits for feature in result.features), 2) >= AUTOMATIC


@each(
    "fields, others",
    [({"countries": {KENYA}}, {"countries": {UGANDA}}),
     ({"identifiers": {("ROR", "03yrm5c26")}}, {"identifiers": {("ROR", "01ggx4157")}}),
     # These have nothing but their name.
     ({}, {})],
)  # fmt: skip
def test_namesakes_are_not_merged(fields: dict[str, Any], others: dict[str, Any]) -> None:
    name = "Kenya ICT Action Network"
    one, other = organization("a", name, **fields), organization("b", name, **others)

    assert scored(one, other).bits < AUTOMATIC
    # One identifier joins two names.
    identifiers = {("ROR", "03yrm5c26")}
    first = organization("a", "California Digital Library", identifiers=identifiers)
    assert scored(first, organization("b", "CDL", identifiers=identifiers)).bits >= AUTOMATIC


def test_an_acronym_is_a_candidate_for_the_whole_name() -> None:
    whole = "Organisation des Nations Unies pour l’éducation, la science et la culture"
    entities = [organization("a", "UNESCO"), organization("b", whole)]

    assert all(add_known_names(entity) for entity in entities)
    assert ("org-id", "XM-DAC-41304") in entities[0].identifiers & entities[1].identifiers
    assert scored(*entities).bits >= AUTOMATIC


def test_a_later_phase_is_another_initiative() -> None:
    title = "Telemedicine for clinics of Marsabit phase {}"
    more: dict[str, Any] = {"countries": (KENYA,), "parties": (Party(Role.LEAD, Text("Ministry of Health")),)}  # fmt: skip
    entities = described(
        *((source, Initiative(key="1", titles=(Text(title.format(phase), "en"),), **more)) for source, phase in ("a1", "b2"))
    )  # fmt: skip

    assert score_all(item for item in entities.values() if item.kind == "initiative") == []


def test_a_copy_of_an_aggregator_is_known_by_its_origin() -> None:
    original = Initiative(key="1", titles=(Text("Ein Netz", "de"),))
    copy = Initiative(key="9", titles=(Text("A network", "en"),), lineage=(IRIS.record("a", "1"),))

    [(pair, result)] = score_all(described(("a", original), ("b", copy)).values())

    assert pair == (IRIS.thing("initiative", "a", "1"), IRIS.thing("initiative", "b", "9"))
    assert result.features[0].name == "origin"
    assert result.bits >= AUTOMATIC


DOI_FORMATS = {
    oai_dc: '<dc xmlns="http://purl.org/dc/elements/1.1/"><title>A study of networks</title><type>article</type>'
    "<identifier>10.1234/ABC</identifier></dc>",
    datacite: '<resource xmlns="http://datacite.org/schema/kernel-4"><identifier identifierType="DOI">10.1234/abc</identifier>'
    '<titles><title>Une étude</title></titles><resourceType resourceTypeGeneral="Text"/></resource>',
    mods: '<mods xmlns="http://www.loc.gov/mods/v3"><titleInfo><title>Estudio</title></titleInfo><genre>article</genre>'
    '<identifier type="doi">10.1234/abc</identifier></mods>',
}


def test_documents_with_one_doi_in_several_formats_are_one_document() -> None:
    resources: list[tuple[str, Any]] = []
    for name, (mapping, text) in zip("abc", DOI_FORMATS.items(), strict=True):
        record = Record("1", etree.fromstring(text), text.encode())
        mapper = mapping.MAPPING.prepare(define_source(), Crosswalks(IRIS))
        resources.append((name, mapper(record)))
    other = Document(key="1", titles=(Text("A study of networks", "en"),))

    scores = score_all(described(*resources, ("d", other)).values())

    documents = [IRIS.thing("document", name, "1") for name in "abc"]
    assert [pair for pair, _ in scores] == list(combinations(documents, 2))
    assert {result.features[0].name for _, result in scores} == {"identifier"}
    assert all(result.bits >= AUTOMATIC for _, result in scores)


def test_documents_with_one_doi_in_one_registry_await_a_decision() -> None:
    one, other = (
        Entity(IRIS.thing("document", "a", key), "document", "a", identifiers={("DOI", "10.1/a")})
        for key in "12"
    )

    assert QUEUED <= scored(one, other).bits < AUTOMATIC


def copies(*records: tuple[str, str, tuple[str, ...]]) -> list[tuple[Pair, Score]]:
    """Return the scored pairs of initiatives of these sources, keys and lineages; their titles have
    no word in common.
    """
    initiatives = [
        (source, Initiative(key=key, titles=(Text(f"Name{number}", "en"),), lineage=lineage))
        for number, (source, key, lineage) in enumerate(records)
    ]
    return score_all(described(*initiatives).values())


GET = "?verb=GetRecord&identifier={}&metadataPrefix=oai_dc"


CHAIN = (
    "http://www.a.example/oai" + GET.format("17"),
    "https://c.example/oai" + GET.format("c-17"),
)


@each(
    "one, other, matched",
    [*((("a", key, ()), ("b", "x1", (base + GET.format(key),)), True)
       for key, base in (("oai:a.example:7", "https://oai.a.example/"), ("oai:A.example:7", "http://a.example/oai"))),
     # The chains of two aggregators share an origin, and a record of our own comes back.
     (("b", "x1", CHAIN), ("d", "y1", ("https://a.example/oai/" + GET.format("17"),)), True),
     (("a", "7", ()), ("b", "x1", ("https://w3id.org/oai" + GET.format(IRIS.record("a", "7")),)), True),
     # Many repositories use these identifiers.
     *((("a", key, ()), ("c", "x1", ("https://z.example/oai" + GET.format(key),)), False)
       for key in ("oai:localhost:7", "oai:generic.eprints.org:7", "7"))],
)  # fmt: skip
def test_a_copy_by_oai_pmh_is_known_by_the_identifier_of_its_origin(
    one: tuple[str, str, tuple[str, ...]], other: tuple[str, str, tuple[str, ...]], matched: bool
) -> None:
    scores = copies(one, other, ("e", "7", ()))

    pair = tuple(IRIS.thing("initiative", source, key) for source, key, _ in (one, other))
    assert [pair for pair, _ in scores] == [pair] * matched
    names = [[item.name for item in result.features if item.bits >= AUTOMATIC] for _, result in scores]  # fmt: skip
    assert names == [["origin"]] * matched


def test_namesakes_make_few_pairs_and_only_those_of_changed_records_are_compared_again() -> None:
    entities = [organization(f"s{number}", "Ministry of Health") for number in range(1_000)]

    assert 0 < len(candidates(entities, [entity.iri for entity in entities])) <= 5_000

    entities = [organization(source, "Kenya ICT Action Network") for source in "cab"]

    assert candidates(entities, {A}) == [(A, B), (A, C)]
    assert candidates(entities, {A, B, C}) == [(A, B), (A, C), (B, C)]


def test_an_entity_has_what_all_its_records_say() -> None:
    # This many entities are more than the store keeps in memory.
    count = 9_000
    with open_entities() as store:
        for more in ({"identifiers": {("ROR", "0")}}, {"countries": {KENYA}, "start": "2024"}):
            store.add(organization("a", f"Network {n}", f"{n:05}", **more) for n in range(count))
        store.merge()
        first, last = (store[IRIS.thing("organization", "a", f"{n:05}")] for n in (0, count - 1))

        assert (len(store), store.kinds()) == (count, {"organization": count})
        fields: dict[str, Any] = {
            "identifiers": {("ROR", "0")},
            "countries": {KENYA},
            "start": "2024",
        }
        assert first == organization("a", "Network 0", "00000", **fields)
        assert last == organization("a", f"Network {count - 1}", f"{count - 1:05}", **fields)
        assert A not in store


def test_what_was_decided_to_differ_is_not_joined_by_a_third() -> None:
    sure = Score(scored(organization("a", "Q"), organization("b", "Q", identifiers={("x", "1")})).features)  # fmt: skip
    high = [_pair((A, C), _with_bits(20.0)), _pair((B, C), _with_bits(18.0))]

    pairs, clusters = classify([*high, _pair((A, B), sure)], {(A, B): Judgement.NEGATIVE})
    free, joined = classify(high, {})

    statuses = {item.pair: status for item, status in pairs}
    assert statuses == {(A, C): Status.AUTOMATIC, (B, C): Status.CONTRADICTION, (A, B): Status.DECIDED}  # fmt: skip
    assert (clusters.sets(), joined.sets()) == ([[A, C]], [[A, B, C]])
    assert [status for _, status in free] == [Status.AUTOMATIC, Status.AUTOMATIC]


def _pair(pair: Pair, score: Score) -> StoredPair:
    return StoredPair(pair, "organization", score, ("", ""), ("", ""))


def _with_bits(bits: float) -> Score:
    [feature, *_] = scored(organization("a", "Kenya Net"), organization("b", "Kenya Net")).features
    return Score((type(feature)("name", bits, ""),))


def test_decisions_that_contradict_each_other_are_named() -> None:
    judgements = {(A, B): Judgement.NEGATIVE, (A, C): Judgement.POSITIVE, (B, C): Judgement.POSITIVE}  # fmt: skip

    _, clusters = classify([], judgements)

    assert (clusters.conflicts, clusters.sets()) == ([(B, C)], [[A, C]])
    pairs, unsure = classify([_pair((A, B), _with_bits(40.0))], {(A, B): Judgement.UNSURE})
    assert [status for _, status in pairs] == [Status.QUEUED]
    assert unsure.sets() == []


def test_a_table_of_decisions_is_read_as_it_was_written() -> None:
    decisions = [
        Decision((A, B), Judgement.POSITIVE, "ann", NOW, "the same\tpage\nof the web"),
        Decision((A, C), Judgement.NEGATIVE, "bob", NOW, ""),
        Decision((B, C), Judgement.UNSURE, "ann", NOW, "?"),
    ]

    text = write_table(decisions)

    assert read_table(text, {A, B, C}, "nobody", NOW) == decisions
    assert write_table(read_table(text, {A, B, C}, "nobody", NOW)) == text


def test_a_table_with_an_unknown_record_is_refused_with_its_lines() -> None:
    others = (B, "https://example.org/nothing", A, IRIS.thing("initiative", "a", "1"))
    lines = [(A, "skos:exactMatch", "", iri, "", "", "", "1", "") for iri in others]

    with pytest.raises(IdentityError) as caught:
        read_table(table(*lines), {A, B, IRIS.thing("initiative", "a", "1")}, "me", NOW)

    faults = str(caught.value).splitlines()
    assert faults[0] == "line 3: unknown record https://example.org/nothing"
    assert faults[1] == "line 4: both sides are the same record"
    assert faults[2] == "line 5: an organization and an initiative are never one thing"
    assert "nothing was stored" in faults[3]


@each(
    "text, part",
    [("", "line 1: no column object_id, subject_id"), ("a,b\n", "line 1: no column"),
     (table((A, "owl:sameAs", "", B, "", "", "", "", "")), "the predicate is 'owl:sameAs'"),
     (table((A, "", "Never", B, "", "", "", "", "")), "the predicate modifier is 'Never'"),
     (table((A, "", "", B, "", "", "yesterday", "", "")), "'yesterday' is not a date"),
     (table((A, "", "", B, "", "", "", "", "x" * 200_000)), "field larger than field limit")],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_refused(text: str, part: str) -> None:
    with pytest.raises(IdentityError) as caught:
        read_table(text, {A, B}, "me", NOW)

    assert part in str(caught.value)


@each(
    "address, normal",
    [("http://WWW.example.org:80/a/?q#f", "example.org/a"), ("https://[broken", ""), ("ftp://example.org/", ""), ("text", "")],
)  # fmt: skip
def test_addresses_are_compared_without_what_varies(address: str, normal: str) -> None:
    assert normalize_page(address) == normal
    assert ordered(B, A) == ordered(A, B) == (A, B)


@pytest.mark.parametrize(("kind", "recall"), [("initiative", 0.9), ("organization", 0.5)])
def test_automatic_matches_of_the_labelled_set_are_right(kind: str, recall: float) -> None:
    curve = measure(labelled_set(400, 3), kind)["curve"]

    assert isinstance(curve, dict)
    precision, result, _ = curve[AUTOMATIC]
    assert precision >= 0.99
    assert result >= recall


def test_a_third_of_the_records_of_many_sources_are_matched_across_them() -> None:
    with many_sources(300, 10, 2) as entities:
        initiatives = [item for item in entities.values() if item.kind == "initiative"]
        pairs = [pair for pair, result in score_all(initiatives) if result.bits >= AUTOMATIC]
    sources = {entity.iri: entity.source for entity in initiatives}

    assert len(sources) == 300
    assert len(set(sources.values())) == 10
    assert all(sources[one] != sources[other] for one, other in pairs)
    assert len(pairs) > 80
