from __future__ import annotations

from typing import Any

import pytest
from pyoxigraph import NamedNode, RdfFormat, Store, parse
from replay import crosswalks
from rows import each
from simulated import define_source

from harvesters.errors import ParseError
from harvesters.mappings import dcat, schema_org
from harvesters.page_model import Record
from harvesters.payloads.graph import bounded_description, merge_graphs
from vocab.initiative import Basis, Document, Event, Initiative, Period, Post, Role

IT = "https://registry.example/it"
HEAD = """@base <https://registry.example/> . @prefix dcat: <http://www.w3.org/ns/dcat#> . @prefix dct: <http://purl.org/dc/terms/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> . @prefix locn: <http://www.w3.org/ns/locn#> . @prefix s: <https://schema.org/> ."""
KENYA = "http://metadata.un.org/sdg/codes/geoArea/404"


def read(mapping: Any, text: str, **options: Any) -> Any:
    store = Store()
    store.bulk_extend(merge_graphs(parse(f"{HEAD} {text}".encode(), RdfFormat.TURTLE)))
    name = mapping.__name__.rpartition(".")[2]
    read_record = mapping.MAPPING.prepare(
        define_source("rdf", name, options=options, language="en"), crosswalks()
    )
    return read_record(Record(IT, bounded_description(store, NamedNode(IT), 2), b""))


@pytest.mark.parametrize(
    "place",
    ['"Kenya"', '"KEN"', "<http://publications.europa.eu/resource/authority/country/KEN>", f"<{KENYA}>", '[ s:name "Kenya" ]'],
)  # fmt: skip
def test_a_country_is_known_by_its_name_its_code_or_the_end_of_its_address(place: str) -> None:
    assert read(dcat, f'<it> dct:title "A" ; dct:spatial {place} .').countries == (KENYA,)


@pytest.mark.parametrize(
    ("place", "points"),
    [*((place, [(-1.28, 36.8)]) for place in (
        '[ dcat:centroid "POINT(36.8 -1.28)" ]', '[ locn:geometry "<http://www.opengis.net/def/crs/OGC/1.3/CRS84> Point(36.8 -1.28)" ]',
        '[ locn:geometry \'{"type":"Point","coordinates":[36.8,-1.28]}\' ]', "[ s:latitude -1.28 ; s:longitude 36.8 ]",
        '[ s:geo [ s:latitude "-1.28" ; s:longitude "36.8" ] ]',
        # A place that leads back to itself by its shape is read once.
        "<a> . <a> s:geo <b> . <b> s:geo <a> , [ s:latitude -1.28 ; s:longitude 36.8 ]")),
     ("<a> . <a> s:geo <a>", []), ('[ dcat:bbox "POLYGON((1 1,2 2,1 2,1 1))" ]', [])],
)  # fmt: skip
def test_a_point_is_read_and_a_shape_is_no_point_and_no_country(
    place: str, points: list[tuple[float, float]]
) -> None:
    item = read(dcat, f'<it> dct:title "A" ; dct:spatial {place} .', kind="initiative")

    assert [(spot.latitude, spot.longitude) for spot in item.places] == points
    # A place with an address is an area, which that address may name.
    if not place.startswith("<a>"):
        assert item.countries == ()


@pytest.mark.parametrize(
    ("theme", "goal"), [("HEAL", "3"), ("ENER", "7"), ("EDUC", None), ("TECH", None)]
)
def test_a_data_theme_of_the_union_gives_the_goal_whose_subject_it_names(
    theme: str, goal: str | None
) -> None:
    address = f"http://publications.europa.eu/resource/authority/data-theme/{theme}"

    item = read(dcat, f'<it> dct:title "A" ; dcat:theme <{address}> .')

    claims = [(claim.concept.rpartition("/")[2], claim.basis, claim.word) for claim in item.goals]
    assert claims == ([(goal, Basis.CROSSWALKED, address)] if goal else [])
    assert (item.themes, item.action_lines) == ((address,), ())


@pytest.mark.parametrize(
    "period",
    ['[ dcat:startDate "2020" ; dcat:endDate "2021" ]', '[ s:startDate "2020" ; s:endDate "2021" ]', '"2020/2021"'],
)  # fmt: skip
def test_a_period_is_what_a_resource_is_about_and_not_the_time_of_a_project(period: str) -> None:
    item = read(dcat, f'<it> dct:title "A" ; dct:temporal {period} .', kind="initiative")

    assert item.periods == (Period("2020", "2021"),)
    assert (item.start, item.end) == (None, None)


def parties(item: Any) -> list[tuple[Role, str]]:
    return [(party.role, party.name.value) for party in item.parties]


def test_persons_are_left_out_and_organizations_have_their_roles() -> None:
    turtle = """<it> dct:title "A" ; dct:publisher [ foaf:name "P" ] ; dct:creator [ a foaf:Person ; foaf:name "Jane" ],
        [ a foaf:Organization ; foaf:name "Q" ], [ foaf:name "P" ] ."""

    assert parties(read(dcat, turtle)) == [(Role.LEAD, "P"), (Role.PARTNER, "Q")]


def test_a_publisher_that_two_nodes_name_is_not_its_own_partner() -> None:
    turtle = (
        '<it> dct:title "A" ; dct:publisher [ foaf:name "P" ], [ a foaf:Agent ; foaf:name "P" ] .'
    )

    assert parties(read(dcat, turtle)) == [(Role.LEAD, "P")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("ResearchProject", Initiative), ("BusinessEvent", Event), ("SocialMediaPosting", Post), ("ScholarlyArticle", Document)],
)  # fmt: skip
def test_a_class_of_schema_org_states_the_kind(
    name: str, kind: type[Initiative] | type[Event] | type[Post] | type[Document]
) -> None:
    assert isinstance(read(schema_org, f'<it> a s:{name} ; s:name "A" .'), kind)


def test_an_organization_is_none_of_the_four_kinds_unless_the_definition_says_so() -> None:
    turtle = '<it> a s:Organization ; s:name "A" .'

    with pytest.raises(ParseError, match="it is Organization, which is not a known class"):
        read(schema_org, turtle)

    assert isinstance(read(schema_org, turtle, kind="initiative"), Initiative)


def test_what_a_thing_is_related_to_has_our_address_where_it_is_a_record_too() -> None:
    turtle = (
        '<it> a s:Event ; s:name "A" ; s:superEvent <e>, <other> . <e> a s:Event ; s:name "B" .'
    )

    ours = "https://w3id.org/wsis-stocktaking/id/event/a/https:%2F%2Fregistry.example%2Fe"
    assert read(schema_org, turtle).related == (ours, "https://registry.example/other")


@each(
    "location, venue",
    [('[ s:name "Hall" ; s:address [ s:addressLocality "Kisumu" ] ]', "Hall, Kisumu"), ('"Online"', "Online"),
     ("[ a s:VirtualLocation ; s:url <https://meet.example/> ]", "https://meet.example/")],
)  # fmt: skip
def test_a_venue_is_a_place_and_its_town_or_an_address_on_the_web(
    location: str, venue: str
) -> None:
    item = read(schema_org, f'<it> a s:Event ; s:name "A" ; s:location {location} .')

    assert item.venue.value == venue


@pytest.mark.parametrize("mapping", [dcat, schema_org])
def test_what_has_no_name_is_unreadable(mapping: Any) -> None:
    with pytest.raises(ParseError):
        read(mapping, '<it> a s:Event, dcat:Dataset ; dct:identifier "7" .')


def test_a_term_that_is_no_iri_is_kept_as_it_is() -> None:
    """The lenient parser keeps a space in an IRI; a term that is created may not have one."""
    text = b'{"@context": {"name here": "https://schema.org/na me"}, "@id": "https://registry.example/it", "name here": "A"}'
    quads = list(parse(text, RdfFormat.JSON_LD, lenient=True))

    for statements in (quads, merge_graphs(quads)):
        assert [quad.predicate.value for quad in statements] == ["https://schema.org/na me"]


def test_a_time_without_a_zone_is_its_day_as_in_calendars() -> None:
    text = '<it> a s:Event ; s:name "A" ; s:startDate "2026-05-01T09:00" ; s:endDate "2026-05-01T17:00+03:00" .'

    event = read(schema_org, text)

    assert (event.start, event.end) == ("2026-05-01", "2026-05-01T17:00+03:00")


def test_a_publisher_that_is_only_an_address_is_named_by_it() -> None:
    turtle = '<it> dct:title "A" ; dct:publisher <https://a.example/org/7> ; dct:creator <https://a.example/p/1> .'
    person = '<it> dct:title "A" ; dct:publisher <https://orcid.org/0000-0001> .'

    assert parties(read(dcat, turtle)) == [(Role.LEAD, "https://a.example/org/7")]
    assert parties(read(dcat, person)) == []


@pytest.mark.parametrize(
    "name",
    ['"_:b0"', "<nodeID://b10023>", "<https://a.example/.well-known/genid/b0>", "[]"],
)  # fmt: skip
def test_the_name_of_a_blank_node_is_no_value(name: str) -> None:
    names = [
        "dct:publisher", "dct:license", "dcat:keyword", "dct:relation", "dcat:landingPage", "dct:type",
    ]  # fmt: skip
    text = f'<it> dct:title "A" {"".join(f"; {property_} {name} " for property_ in names)} .'

    item = read(dcat, text)

    assert (item.parties, item.licences, item.subjects) == ((), (), ())
    assert (item.related, item.pages, item.kind) == ((), (), None)
