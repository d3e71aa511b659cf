from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import replay
from pyoxigraph import RdfFormat, Store, parse
from replay import crosswalks
from rows import each
from simulated import open_client

from harvesters.errors import ParseError
from harvesters.mappings import fields
from harvesters.page_model import Record
from harvesters.pipeline.record_processor import check_compatible
from harvesters.source import load
from vocab.initiative import Basis, Initiative, Resource, Role

CARDS = sorted((Path(__file__).parents[2] / "sources").glob("*.toml"))
PARTNERS = replay.SHARED / "facts" / "partners"
REPLIES = Path(__file__).parent / "replies"
ROOT = Path(__file__).parents[2]

CORDIS = """@prefix e: <http://data.europa.eu/s66#> . @prefix x: <http://www.w3.org/2001/XMLSchema#> .
<http://data.europa.eu/s66/resource/project/101069359> a e:Project ; e:title "Full spectrum SOLar Direct Air Capture" ; e:acronym "SolDAC" ;
  e:identifier "101069359" ; e:startDate "2022-09-01"^^x:date ; e:endDate "2025-08-31"^^x:date ; e:keyword "solar energy" ;
  e:hasInvolvedParty [ e:isRoleOf [ e:legalName "Institute" ] ] ."""
KOHESIO = """@prefix w: <https://linkedopendata.eu/prop/direct/> . @prefix r: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix i: <https://linkedopendata.eu/entity/> . @prefix x: <http://www.w3.org/2001/XMLSchema#> .
i:Q7361953 w:P35 i:Q9934 ; r:label "Gottsunda"@en, "Gottsunda växer"@sv ; w:P20 "2023-09-04T00:00:00Z"^^x:dateTime ; w:P32 i:Q11 ;
  w:P889 i:Q2757713 . i:Q11 r:label "Sweden"@en . i:Q2757713 r:label "Uppsala kommun"@sv ."""

Answer = Callable[[httpx.Request], bytes | httpx.Response]


def _sample(*parts: str) -> Any:
    return json.loads(PARTNERS.joinpath(*parts).read_bytes())


def _bank(request: httpx.Request) -> bytes:
    three = _sample("worldbank", "projects_v3_sample.json")
    two = _sample("worldbank", "projects_v2_sample.json")
    rows = {**three["projects"], two["id"]: two}
    left = dict(list(rows.items())[int(request.url.params["os"]) :])
    return json.dumps({"total": str(len(rows)), "projects": left}).encode()


def _dial(request: httpx.Request) -> bytes:
    number = int(request.url.params.get("page", "1"))
    project = {"name": f"Project {number}", "slug": f"p{number}", "description": "D", "countries": ["Kenya"], "SDGs": [{"SDGNumber": 4}],
               "startDate": "2020-01-01", "organizations": [{"name": "Org"}], "tags": ["health"]}  # fmt: skip
    following = "https://exchange.dial.global/api/v1/projects?page=2" if number == 1 else None
    return json.dumps(
        {
            "count": 2, "page_size": 1, "next_page": following, "previous_page": None, "results": [project],
        }
    ).encode()  # fmt: skip


def _atlas(_: httpx.Request) -> bytes:
    sample = _sample("dial", "who-digital-health-atlas-sample.json")
    csv.writer(text := io.StringIO()).writerows(
        [sample["columns"], [sample["sample"][name] for name in sample["columns"]]]
    )
    return text.getvalue().encode()


def _bulk(request: httpx.Request) -> bytes:
    names = {"a-activities": "a", "a-organisation": "a", "b-activities": "b"}
    if request.url.path == "/datasets-minimal":
        root = "https://bulk-data.iatistandard.org"
        datasets = [
            {"short_name": name, "reporting_org_short_name": publisher, "source_url": f"https://{publisher}.example/",
             "last_known_good_dataset": {"cached_dataset_url_xml": f"{root}/{publisher}/{name}.xml", "hash": "0"}}
            for name, publisher in names.items()
        ]  # fmt: skip
        lost = {
            "short_name": "b-lost",
            "reporting_org_short_name": "b",
            "last_known_good_dataset": {"cached_dataset_url_xml": None},
        }
        index = {"index_created": "2026-06-01 00:00:00+00:00", "datasets": [*datasets, lost]}
        return json.dumps(index).encode()
    if request.url.path.endswith("organisation.xml"):
        return b'<iati-organisations version="2.03"/>'
    example = Path(replay.FEEDS / "iati" / "activity-standard-example-annotated.xml").read_bytes()
    return (
        example.replace(b"AA-AAA-123456789-ABC123", b"B-1")
        if "/b/" in str(request.url)
        else example
    )


def _graph(request: httpx.Request) -> bytes:
    """Return one of two pages of projects or the empty one behind them, as the Graph API's
    documentation describes them.
    """
    project = {
        "id": "corda__h2020::70ea22400fd890c5033cb31642c4ae68", "code": "777541", "acronym": "OpenAIRE-Advance",
        "title": "OpenAIRE Advancing Open Scholarship", "websiteUrl": "https://www.openaire.eu/advance/", "startDate": "2018-01-01",
        "endDate": "2021-02-28", "callIdentifier": "H2020-EINFRA-2017", "keywords": "Open Access,Open Data",
        "subjects": ["e-infrastructures"], "summary": "OpenAIRE-Advance continues the mission of OpenAIRE.",
        "fundings": [{"fundingStream": {"id": "EC::H2020::RIA", "description": "H2020"}, "jurisdiction": "EU",
                      "name": "European Commission", "shortName": "EC"}],
        "granted": {"currency": "EUR", "fundedAmount": 1.0e7, "totalCost": 0.0},
    }  # fmt: skip
    pages = {
        "*": ([project], "AoI/1=="),
        "AoI/1==": ([{**project, "id": "fwf_________::8b1f", "keywords": None}], "AoI/2=="),
        "AoI/2==": ([], "AoI/2=="),
    }
    results, following = pages[request.url.params["cursor"]]
    assert request.url.params["pageSize"] == "100"
    header = {
        "numFound": 2, "maxScore": 1, "queryTime": 21, "pageSize": 100, "nextCursor": following,
    }  # fmt: skip
    return json.dumps({"header": header, "results": results}).encode()


def _iati(request: httpx.Request) -> bytes:
    if not request.url.path.endswith("package_search"):
        return Path(replay.FEEDS / "iati" / "activity-standard-example-annotated.xml").read_bytes()
    package = json.loads(
        (replay.FEEDS / "iati" / "meta_fixture-org_fixture-org-activities2.json").read_bytes()
    )
    return json.dumps({"success": True, "result": {"count": 1, "results": [package]}}).encode()


def _endpoint(turtle: str) -> Answer:
    store = Store()
    store.extend(list(parse(turtle.encode(), RdfFormat.TURTLE)))
    return lambda request: replay.endpoint(store, request)


def _file(path: Path) -> Answer:
    return lambda _: path.read_bytes()


PRIZES = {
    "accepted": {
        "2027": {"type": "Event", "title": {"en": "WSIS Prizes 2027"}, "start": "2027-01-01", "end": "2027-06-01"},
        "2027-a": {
            "type": "Initiative", "title": {"en": "Village telecentres"}, "country": ["Kenya"], "publisher": {"name": "Ministry"},
            "nominated": ["https://w3id.org/wsis-stocktaking/id/initiative/submissions/a"], "prizeCategory": "C4",
            "prizeStage": "winner", "prizeYear": "2027", "prizeDate": "2027-06-01", "prizeEdition": "2027",
        },
    },
    "withdrawn": [],
}  # fmt: skip

# The answer that replaces each registry, the number of records that its definition reads from it,
# and the title of the first.
PLAYED: dict[str, tuple[Answer, int, str]] = {
    "cordis": (_endpoint(CORDIS), 1, "Full spectrum SOLar Direct Air Capture"),
    "digital-impact-exchange": (_dial, 2, "Project 1"),
    "dpga": (_file(PARTNERS / "dpga" / "all_nominees_2024-08-19.json"), 228, "Aajeevika"),
    "iati": (_bulk, 2, "Activity title"),
    "kohesio": (_endpoint(KOHESIO), 1, "Gottsunda växer"),
    "openaire": (_graph, 2, "OpenAIRE Advancing Open Scholarship"),
    "prizes": (lambda _: json.dumps(PRIZES).encode(), 2, "WSIS Prizes 2027"),
    "submissions": (_file(REPLIES / "submission" / "reply.json"), 4, "Village telecentres"),
    "undp": (_iati, 1, "Activity title"),
    "who-digital-health-atlas": (_atlas, 1, "HelloMAMA"),
    "world-bank": (_bank, 2, "Sustainable and Inclusive Finance"),
    "wsis-prizes-2015": (_file(replay.SHARED / "facts" / "wsis-prizes-2015" / "scrapper_wsis-nominated-projects.html"), 302,
                         "Burkina Open Data Initiative"),
}  # fmt: skip


def harvested(definition: Path) -> list[Resource]:
    source = load(definition)
    protocol, reader = check_compatible(source)
    read = reader.prepare(source, crosswalks())

    def respond(request: httpx.Request) -> httpx.Response:
        result = PLAYED[definition.stem][0](request)
        return result if isinstance(result, httpx.Response) else httpx.Response(200, content=result)

    with open_client(respond) as fetch:
        pages = list(protocol.collect(source, fetch, None))
    assert [page.incomplete_reason for page in pages if page.incomplete_reason] == []
    return [read(item) for page in pages for item in page.items if isinstance(item, Record)]


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
@pytest.mark.parametrize("definition", CARDS, ids=lambda definition: definition.stem)
def test_each_shipped_definition_reads_more_than_titles_of_what_its_registry_answers(
    definition: Path,
) -> None:
    _, count, title = PLAYED[definition.stem]

    result = harvested(definition)

    fields = ("countries", "parties", "goals", "subjects", "action_lines")
    filled = {name for name in fields for item in result if getattr(item, name)}
    assert (len(result), result[0].titles[0].value) == (count, title)
    assert len(filled) >= 2, filled


@each("definition", CARDS)
def test_no_shipped_definition_runs_by_itself_and_each_names_its_owner(definition: Path) -> None:
    source, text = load(definition), definition.read_text(encoding="utf-8")

    assert not source.enabled
    assert source.publisher
    assert "# Attribution: " in text
    assert ("it was never run against the service" in text) or definition.stem not in ("iati", "openaire")  # fmt: skip


def bank_project(**row: Any) -> Initiative:
    source = load(ROOT / "sources" / "world-bank.toml")
    record = Record("P1", {"id": "P1", "project_name": "Roads", **row}, b"")
    return cast(Initiative, check_compatible(source)[1].prepare(source, crosswalks())(record))


def test_a_world_bank_project_starts_with_its_loan_not_with_its_approval() -> None:
    approved = {"boardapprovaldate": "2024-07-29T00:00:00Z", "p2a_updated_date": "2024-09-13 00:00:00.0"}  # fmt: skip
    lent = {"loan_effective_date": "2025-01-15T00:00:00Z", "proj_last_upd_date": "2025-03-01T00:00:00Z"}  # fmt: skip

    projects = [bank_project(**approved, **lent), bank_project(**approved)]

    assert [(project.start, project.issued, project.modified) for project in projects] == [
        ("2025-01-15T00:00:00Z", "2024-07-29T00:00:00Z", "2025-03-01T00:00:00Z"),
        (None, "2024-07-29T00:00:00Z", "2024-09-13"),
    ]


@each(
    "status, issued",
    [("Active", "2024-07-29"), ("Pipeline", "2023-01-10"), ("Dropped", "2023-01-10")],
)
def test_a_board_that_did_not_approve_a_world_bank_project_did_not_issue_it(
    status: str, issued: str
) -> None:
    project = bank_project(
        status=status, boardapprovaldate="2024-07-29", public_disclosure_date="2023-01-10", impagency="State Roads Agency",
        borrower="Ministry of Finance",
    )  # fmt: skip

    assert project.issued == issued
    assert [(party.name.value, party.role) for party in project.parties] == [
        ("State Roads Agency", Role.LEAD), ("Ministry of Finance", Role.PARTNER), ("World Bank", Role.FUNDER),
    ]  # fmt: skip


def test_sectors_of_the_world_bank_are_crosswalked_and_stay_subjects() -> None:
    project = bank_project(sector=[{"Name": "Social Protection"}, {"Name": "Oil and Gas"}])

    (claim,) = project.targets
    poverty = ("http://metadata.un.org/sdg/1.3", Basis.CROSSWALKED, "Social Protection")
    assert (claim.concept, claim.basis, claim.word) == poverty
    assert [text.value for text in project.subjects] == ["Social Protection", "Oil and Gas"]


def test_themes_of_the_world_bank_are_crosswalked_in_all_levels() -> None:
    climate = {"name": "Climate change", "theme3": [{"name": "Adaptation"}]}
    codes = {"theme_namecode": [{"name": "Access to law and justice"}]}

    present = bank_project(theme_list=[{"name": "Finance", "theme2": [climate]}], **codes)
    before = bank_project(**codes)

    theme, sdg = f"{crosswalks().iris.base}scheme/world-bank-theme", "http://metadata.un.org/sdg"
    claims = [(claim.concept, claim.word, claim.crosswalk) for claim in (*present.goals, *present.targets)]  # fmt: skip
    assert claims == [(f"{sdg}/13", "Climate change", theme), (f"{sdg}/13.1", "Adaptation", theme)]
    (justice,) = before.targets
    assert (justice.concept, justice.word) == (f"{sdg}/16.3", "Access to law and justice")


def test_an_unknown_crosswalk_is_refused_with_the_known_ones() -> None:
    source = load(ROOT / "sources" / "world-bank.toml")
    options = {**source.options, "crosswalk": ["world-bank-sector", "sectors"]}

    (fault,) = fields.faults(replace(source, options=options))

    assert fault.text.startswith("world-bank: unknown crosswalk 'sectors'; ")


def test_the_readme_lists_every_shipped_definition() -> None:
    text = (ROOT / "sources/README.md").read_text(encoding="utf-8")
    results = set(re.findall(r"^\| \[`([\w-]+)`\]\(\1\.toml\)", text, re.MULTILINE))

    assert results == {definition.stem for definition in CARDS} == set(PLAYED)


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
def test_the_nominations_of_2015_name_their_edition_and_day() -> None:
    result = harvested(ROOT / "sources" / "wsis-prizes-2015.toml")

    prizes = [prize for item in result if isinstance(item, Initiative) for prize in item.prizes]
    edition = crosswalks().iris.thing("event", "prizes", "2015")
    assert len(prizes) == 302
    days = {(prize.year, prize.date, prize.edition) for prize in prizes}
    assert days == {(2015, "2015-03-13", edition)}


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
def test_copies_of_the_bulk_data_service_are_read_whole_and_by_publisher() -> None:
    source = load(ROOT / "sources" / "iati.toml")
    collect = check_compatible(source)[0].collect

    def keys(publishers: str | None) -> tuple[list[str | None], object]:
        chosen = replace(source, options={"publishers": publishers} if publishers else {})
        with open_client(lambda request: httpx.Response(200, content=_bulk(request))) as fetch:
            pages = list(collect(chosen, fetch, None))
        return [item.key for page in pages for item in page.items], pages[-1].incomplete_reason

    assert keys(None) == (["AA-AAA-123456789-ABC123", "B-1"], None)
    assert keys("b") == (["B-1"], None)


def test_what_is_no_index_of_the_bulk_data_service_is_reported() -> None:
    source = load(ROOT / "sources" / "iati.toml")

    with (
        open_client(lambda _: httpx.Response(200, content=b"{}")) as fetch,
        pytest.raises(ParseError, match="is not an index of the bulk data service"),
    ):
        list(check_compatible(source)[0].collect(source, fetch, None))


def test_projects_of_openaire_keep_funder_dates_and_amount() -> None:
    project = cast(Initiative, harvested(ROOT / "sources" / "openaire.toml")[0])

    (funder,), (amount,) = project.parties, project.amounts
    assert project.key == "corda__h2020::70ea22400fd890c5033cb31642c4ae68"
    assert (project.identifiers, project.start, project.end) == (("777541",), "2018-01-01", "2021-02-28")  # fmt: skip
    assert (funder.name.value, funder.role) == ("European Commission", Role.FUNDER)
    subjects = [text.value for text in project.subjects]
    assert subjects == ["e-infrastructures", "Open Access", "Open Data"]
    assert (amount.value, amount.currency) == (1.0e7, "EUR")
