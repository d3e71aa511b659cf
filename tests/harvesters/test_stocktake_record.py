from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from peer_server import BASE, KENYA, WHEN
from replay import crosswalks
from rows import each
from simulated import define_source

from harvesters.errors import ParseError
from harvesters.mappings.stocktake_record import build_mapper
from harvesters.page_model import Record
from harvesters.payloads.graph import Graph
from harvesters.protocols.peer import parse_name, parse_record, parse_statements
from shapes.rules import Severity
from shapes.validate import Result, describe_results
from vocab.describe import describe
from vocab.initiative import (
    Amount,
    Basis,
    Checksum,
    Claim,
    Contact,
    Detection,
    Document,
    Event,
    File,
    Initiative,
    Outcome,
    Party,
    Period,
    Picture,
    Place,
    Post,
    Prize,
    Resource,
    Role,
    Text,
)
from vocab.iris import Iris
from vocab.provenance import Provenance, describe_record, describe_source

THEIRS, OURS = Iris(BASE), Iris("https://ours.example/")
FILE = File(
    "https://k.example/a", "https://k.example/a.csv", (Text("Table", "en"), Text("Tableau", "fr")), "text/csv", "https://k.example/l",
    (Text("All", "en"),), 12, Checksum("0a", "https://k.example/md5"),
)  # fmt: skip
KENYA_AREA = "http://metadata.un.org/sdg/codes/geoArea/404"
# The last identifier has a wrong check digit.
IDENTIFIERS = (
    "https://ror.org/03yrm5c26",
    "LEI: 5493001KJTIIGC8Y1R12",
    "https://ror.org/03yrm5c27",
)
CREDIT = "Kenya ICT projects, ICT Authority"


def things(iris: Iris) -> dict[str, Resource]:
    claims = {
        "action_lines": (Claim(iris.concept("action-line", "C7-ehea")),
                         Claim(iris.concept("action-line", "C2"), Basis.CROSSWALKED, "Infrastructure")),
        "goals": (Claim("http://metadata.un.org/sdg/4", evidence=Text("It teaches.", "en"), evidence_page="https://k.example/why"),
                  Claim("http://metadata.un.org/sdg/3", Basis.SUGGESTED, None, 0.75)),
        "targets": (Claim("http://metadata.un.org/sdg/4.4"),),
    }  # fmt: skip
    common: dict[str, Any] = {
        "key": "p/1 ü", "titles": (Text('Wells "deep"', "en"), Text("Puits", "fr"), Text("Visima")),
        "descriptions": (Text("A village\nbuilds a well.", "en"),), "identifiers": ("K-1",), "pages": ("https://k.example/1?a=b",),
        "languages": ("en",), "licences": ("https://k.example/other-licence", "https://k.example/second-licence"), "issued": "2024-02",
        "modified": "2024-03-01T10:00:00Z", "countries": (Claim(KENYA_AREA, percentage=40.5), "Atlantis"),
        "themes": ("https://k.example/theme",), "periods": (Period("1990", "1999"), Period("2001")),
        "conforms_to": ("https://k.example/standard",), "access_rights": "Open to all", "frequency": "R/P1Y", "files": (FILE,),
        "contacts": (Contact((Text("Office", "en"), Text("Guichet", "fr")), "office@k.example"),
                     Contact((Text("Ministry"),), None, "https://k.example/ask")),
        "picture": Picture("https://peer.example/picture/a.webp", Text("A well", "en")), "part_of": ("https://k.example/whole",),
        "subjects": (Text("water", "en"),), "related": ("https://k.example/2",), "detected": (Detection("title", "sw", 0.95),), **claims,
    }  # fmt: skip
    kind = iris.concept("stakeholder-type", "government")
    placed: dict[str, Any] = {
        "parties": (Party(Role.LEAD, Text("Ministry of ICT", "en"), None, kind, KENYA_AREA, "https://m.example/", IDENTIFIERS),
                    Party(Role.FUNDER, Text("Fund"))),
        "places": (Place(Text("Kisumu", "en"), -0.1, 34.75), Place(None, 1.5, 36.0)),
    }  # fmt: skip
    own: dict[str, Any] = {
        "prizes": (Prize(iris.concept("prize-category", "C7-ehea"), iris.concept("prize-stage", "winner"), 2024),),
        "coverage": iris.concept("coverage", "national"), "status": iris.concept("status", "ongoing"),
        "activity_types": (iris.concept("activity-type", "project"),), "planned_start": "2022-11", "planned_end": "2024-06-30",
        "stage": iris.concept("dpga-stage", "DPG"), "developed_in": (KENYA_AREA,),
        "amounts": (Amount(1250000.5, "KES", Text("budget", "en"), "2023", "2024"), Amount(7.0)),
        "outcomes": (Outcome((Text("Wells", "en"), Text("Puits", "fr")), (Text("Ten wells.", "en"),), "output"),),
    }  # fmt: skip
    return {
        "initiative": Initiative(**common, **placed, start="2023", end="2024-12-31", **own),
        "event": Event(**common, **placed, start="2024-05-01T09:00:00Z", end="2024-05-02", venue=Text("CICG", "en"),
                       registration="https://k.example/register", cancelled=True),
        "document": Document(**common, creators=(Text("Institute", "en"),), kind="https://d.example/report"),
        "post": Post(**common, content=Text("We met.\n\nTwice.", "en"), container="https://k.example/blog"),
    }  # fmt: skip


def brought(resource: Resource, registry: str = "kenya", known: bool = True) -> Record[Graph]:
    result = Result("", None, "MinCount", Severity.WARNING, None, "No lead", "")
    about = Provenance(registry, "kenya.7", "fields", "ab" * 32, WHEN, WHEN)
    graph = THEIRS.record(registry, resource.key)
    name = parse_name(graph, BASE)
    assert name
    lines = [
        *describe(resource, THEIRS, registry),
        *describe_record(resource.key, THEIRS, about),
        *describe_results(graph, THEIRS, [result]),
    ]
    source = parse_statements(describe_source(KENYA, THEIRS)) if known else []
    record = parse_record(BASE, name[1], graph, parse_statements(lines), source)
    assert isinstance(record, Record)
    return record


def read(record: Record[Graph]) -> Any:
    source = define_source("stocktake", "stocktake_record")
    return build_mapper(source, replace(crosswalks(), iris=OURS))(record)


@each("kind", ["initiative", "event", "document", "post"])
def test_what_the_other_says_of_a_thing_of_each_kind_is_said_here(kind: str) -> None:
    item, ours = things(THEIRS)[kind], things(OURS)[kind]

    result = describe(read(brought(item)), OURS, "from-other")

    new: dict[str, Any] = {"lineage": (THEIRS.record("kenya", item.key),), "credit": CREDIT}
    expected = replace(ours, key="kenya/p/1 ü", identifiers=(item.key, "K-1"), **new)
    assert result == describe(expected, OURS, "from-other")
    # The result says nothing of how the other instance administers its record.
    for word in ("CatalogRecord", "kenya.7", "abab", "ValidationResult", "No lead", f"{BASE}ns#", f"{BASE}scheme/"):  # fmt: skip
        assert word not in "\n".join(result)


def test_a_contact_without_a_name_is_left_out_and_a_missing_licence_is_the_registrys() -> None:
    names = (Text("Office", "en"),)
    contacts = (Contact(names), Contact((), "office@k.example"), Contact(names, "no-address"),
    Contact(names, None, "javascript:alert(1)"))  # fmt: skip

    assert read(brought(Document(key="1", titles=names, contacts=contacts))).contacts == ()

    result = read(brought(replace(things(THEIRS)["document"], licences=())))

    assert result.licences == ("https://k.example/licence",)


def test_what_the_other_had_from_a_third_keeps_whom_to_name_and_where_it_came_from() -> None:
    before = ("https://third.example/record/x/1", "https://fourth.example/record/third/x%2F1")
    item = replace(things(THEIRS)["post"], lineage=before, credit="Registry X, Office of X")

    result = read(brought(item, "fourth"))

    assert result.lineage == (*before, THEIRS.record("fourth", item.key))
    assert result.credit == "Registry X, Office of X"


def test_organizations_that_two_registries_know_by_the_same_key_stay_two() -> None:
    parties = (Party(Role.LEAD, Text("Fund", "en"), "17"),)
    item = replace(things(THEIRS)["initiative"], parties=parties)

    results = [read(brought(item, registry, known=False)) for registry in ("kenya", "peru")]

    assert [result.parties[0].key for result in results] == ["kenya/17", "peru/17"]


def test_a_graph_that_no_stocktake_wrote_is_unreadable() -> None:
    item = brought(things(THEIRS)["post"])
    strange = replace(item, content=Graph(item.payload.subject, {}))

    with pytest.raises(ParseError, match="no Stocktake record has the topic"):
        read(strange)
