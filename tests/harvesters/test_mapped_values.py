"""The organizations, dates, files, licences and languages that mappings read from one record."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from pyoxigraph import NamedNode, RdfFormat, Store
from replay import crosswalks
from rows import each
from simulated import define_source

from harvesters.errors import ParseError
from harvesters.mappings.mapping import MAPPINGS
from harvesters.page_model import Record
from harvesters.payloads.graph import bounded_description
from vocab.initiative import Role, Text

ROR, LEI = "https://ror.org/03yrm5c26", "LEI: 5493001KJTIIGC8Y1R12"
DATACITE = "http://datacite.org/schema/kernel-4"
MODS, DIM = "http://www.loc.gov/mods/v3", "http://www.dspace.org/xmlns/dspace/dim"
PREFIXES = """@prefix s: <http://schema.org/> . @prefix dct: <http://purl.org/dc/terms/> . @prefix dcat: <http://www.w3.org/ns/dcat#> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> . @prefix prov: <http://www.w3.org/ns/prov#> ."""


def mapped(mapping: str, payload: Any, protocol: Any = "json", **definition: Any) -> Any:
    """Return the resource that a mapping reads from a row, or from XML as text."""
    source = define_source(protocol, mapping, **definition)
    payload = etree.fromstring(payload) if isinstance(payload, str) else payload
    return MAPPINGS[mapping].prepare(source, crosswalks())(Record("k", payload, b""))


def described(mapping: str, turtle: str) -> Any:
    """Return the resource that a mapping reads from the statements about urn:it."""
    store = Store()
    store.load(f"{PREFIXES} {turtle}".encode(), format=RdfFormat.TURTLE)
    return mapped(mapping, bounded_description(store, NamedNode("urn:it"), 3), "rdf")


def parties(resource: Any) -> dict[str, tuple[Any, ...]]:
    return {party.name.value: (party.role, *party.identifiers) for party in resource.parties}


# ---- organizations


def test_fields_name_the_identifiers_of_the_lead() -> None:
    fields = {"title": "name", "lead": "lead", "lead_identifiers": "[ror, lei]"}
    row = {"name": "A", "lead": "CDL", "ror": ROR, "lei": LEI}

    assert parties(mapped("fields", row, fields=fields)) == {"CDL": (Role.LEAD, ROR, LEI)}


def test_a_partner_with_a_bar_is_two_and_an_owner_is_one() -> None:
    fields = {"title": "name", "lead": "lead", "partners": "partners"}

    resource = mapped("fields", {"name": "Wells", "lead": "A | B", "partners": "C | D|"}, fields=fields)  # fmt: skip

    assert [*parties(resource)] == ["A | B", "C", "D"]


def test_iati_names_organizations_by_org_id() -> None:
    activity = (
        "<iati-activity><iati-identifier>X-1</iati-identifier><title><narrative>A</narrative></title>"
        '<participating-org role="1" ref="XM-DAC-41114"><narrative>UNDP</narrative></participating-org></iati-activity>'
    )

    resource = mapped("iati_activity", activity, "iati")

    assert parties(resource) == {"UNDP": (Role.FUNDER, "XM-DAC-41114")}
    assert resource.parties[0].key == "XM-DAC-41114"


def test_datacite_names_the_scheme_beside_the_value() -> None:
    record = (
        f'<resource xmlns="{DATACITE}"><titles><title>A</title></titles><publisher>P</publisher>'
        '<contributors><contributor contributorType="HostingInstitution"><contributorName>CDL</contributorName>'
        f'<nameIdentifier nameIdentifierScheme="ROR">{ROR}</nameIdentifier></contributor></contributors>'
        '<fundingReferences><fundingReference><funderName>Fund</funderName><funderIdentifier funderIdentifierType="ISNI">'
        "0000 0001 2103 2683</funderIdentifier></fundingReference></fundingReferences></resource>"
    )

    identifiers = {name: rest for name, (_, *rest) in parties(mapped("datacite", record)).items()}

    assert identifiers == {"P": [], "CDL": [ROR], "Fund": ["ISNI: 0000 0001 2103 2683"]}


@each("word, role", [("Sponsor", Role.FUNDER), ("HostingInstitution", Role.PARTNER)])
def test_a_contributor_of_datacite_has_the_role_of_its_type(word: str, role: Role) -> None:
    record = (
        f'<resource xmlns="{DATACITE}"><titles><title>A</title></titles><contributors>'
        f'<contributor contributorType="{word}"><contributorName>CDL</contributorName></contributor></contributors></resource>'
    )

    assert parties(mapped("datacite", record)) == {"CDL": (role,)}


def test_schema_org_states_what_an_organization_is_the_same_as() -> None:
    turtle = f"""<urn:it> a s:Project ; s:name "A" ; s:funder <https://x.example/o> .
        <https://x.example/o> a s:Organization ; s:name "CDL" ; s:sameAs <{ROR}>, <https://x.example/other> ."""

    assert parties(described("schema_org", turtle)) == {"CDL": (Role.FUNDER, ROR)}


def test_the_agent_of_a_qualified_attribution_is_a_partner() -> None:
    turtle = """<urn:it> a dcat:Dataset ; dct:title "Wells" ; prov:qualifiedAttribution
        [ prov:agent [ a foaf:Organization ; foaf:name "Water Board" ] ; dcat:hadRole <https://k.example/processor> ] ,
        [ prov:agent [ a foaf:Person ; foaf:name "A. Example" ] ] ."""

    assert parties(described("dcat", turtle)) == {"Water Board": (Role.PARTNER,)}


def test_a_corporate_name_of_mods_leads_where_no_publisher_is_named() -> None:
    role = (
        "<name type='corporate'><namePart>{}</namePart><role><roleTerm>{}</roleTerm></role></name>"
    )
    names = "".join(role.format(*row) for row in (("A", "fnd"), ("B", "isb"), ("C", "ctb")))

    item = mapped("mods", f"<mods xmlns='{MODS}'><titleInfo><title>T</title></titleInfo>{names}</mods>")  # fmt: skip

    assert parties(item) == {"A": (Role.FUNDER,), "B": (Role.LEAD,), "C": (Role.PARTNER,)}


# ---- elements, dates and files


@each("mapping", ["oai_dc", "mods", "datacite", "iati_activity"])
@each("xml", ["<marc xmlns='http://www.loc.gov/MARC21/slim'/>", "<a><b>c</b></a>"])
def test_an_element_of_another_schema_is_reported(mapping: str, xml: str) -> None:
    with pytest.raises(ParseError, match=r"k: .* but <"):
        mapped(mapping, xml, "oai-pmh")


@each(
    "field, name",
    [('element="title"', "titles"), ('element="description" qualifier="abstract"', "descriptions"),
     ('element="subject" qualifier="other"', "subjects"), ('element="title" qualifier="none"', "titles")],
)  # fmt: skip
def test_a_field_of_dim_is_read_as_its_element(field: str, name: str) -> None:
    item = mapped("oai_dc", f'<d:dim xmlns:d="{DIM}"><d:field mdschema="dc" {field}>Wells</d:field></d:dim>')  # fmt: skip

    assert [text.value for text in getattr(item, name)] == ["Wells"]


def test_dates_of_a_kind_go_before_others() -> None:
    dates = (("created", "2019"), ("issued", "2021"), ("modified", "2022"))
    elements = "".join(f"<t:{name}>{text}</t:{name}>" for name, text in dates)

    item = mapped("oai_dc", f'<q xmlns:t="http://purl.org/dc/terms/">{elements}</q>')

    assert (item.issued, item.modified) == ("2021", "2022")


def test_a_purpose_code_without_a_text_is_a_word() -> None:
    sectors = "<sector code='99999'/><sector vocabulary='1' code='11220'/><sector vocabulary='99' code='7'/>"
    title = "<title><narrative>T</narrative></title>"

    item = mapped("iati_activity", f"<iati-activity>{title}{sectors}</iati-activity>")

    assert [text.value for text in item.subjects] == ["DAC 99999"]
    assert [claim.word for claim in (*item.goals, *item.targets)] == ["DAC 11220"]


def test_a_checksum_without_its_algorithm_is_not_published() -> None:
    def checksum(**more: str) -> Any:
        resource = {"url": "https://k.example/a", "hash": "c157a79031e1c40f85931829bc5fc552", **more}  # fmt: skip
        return mapped("ckan_package", {"title": "A", "resources": [resource]}).files[0].checksum

    assert checksum() is None
    assert checksum(hash_algorithm="MD5").algorithm == "http://spdx.org/rdf/terms#checksumAlgorithm_md5"  # fmt: skip


def test_the_date_of_issue_of_a_package_is_its_own_before_that_of_the_record() -> None:
    dates = '[{"type": "publication", "value": "1982"}, {"type": "revision", "value": "1983"}]'
    package = {"title": "A", "metadata_created": "2020-01-01", "metadata_modified": "2021-01-01",
               "extras": [{"key": "dataset-reference-date", "value": dates}]}  # fmt: skip

    changes: list[dict[str, Any]] = [{}, {"extras": []}, {"issued": "1981"}]

    read = [mapped("ckan_package", {**package, **change}) for change in changes]

    assert [item.issued for item in read] == ["1982", "2020-01-01", "1981"]
    assert [item.modified for item in read[:2]] == ["1983", "2021-01-01"]


@each(
    "places",
    [{"groups": [{"name": "ken", "title": "Kenya"}, {"name": "water", "title": "Water"}]},
     {"solr_additions": '{"countries": ["Kenya"]}', "groups": [{"title": "Water"}]}],
)  # fmt: skip
def test_countries_of_hdx_are_its_groups_and_additions(places: dict[str, Any]) -> None:
    resource = mapped("ckan_package", {"title": "Wells", **places})

    assert resource.countries == ("http://metadata.un.org/sdg/codes/geoArea/404",)
    assert [subject.value for subject in resource.subjects] == ["Water"]


@each(
    "mapping, record",
    [("dpg_nominee", {"license": "MPL-2.0"}), ("dpg_nominee", {"license": ["mpl-2.0"]}),
     ("dpg_nominee", {"license": [{"spdx": "MPL-2.0", "licenseURL": "https://a.example/"}]}), ("fields", {"licence": "MPL-2.0"}),
     ("ckan_package", {"license_id": "MPL-2.0"})],
)  # fmt: skip
def test_a_licence_of_spdx_is_its_address(mapping: str, record: dict[str, Any]) -> None:
    more = {"fields": {"title": "name", "licence": "licence"}} if mapping == "fields" else {}

    resource = mapped(mapping, {"name": "Wells", **record}, **more)

    assert resource.licences == ("https://spdx.org/licenses/MPL-2.0",)


# ---- languages

DC = '<dc xmlns="http://purl.org/dc/elements/1.1/">{}</dc>'


@pytest.mark.parametrize(
    ("languages", "default", "tag"),
    [(["fre"], None, "fr"), (["fr"], "en", "fr"), (["en_US"], "en", "en"), (["fr", "en"], "es", "es"), (["mul"], "es", "es"),
     ([], "es", "es")],
)  # fmt: skip
@pytest.mark.parametrize("mapping", ["fields", "oai_dc", "ckan_package"])
def test_texts_have_the_one_language_that_their_record_states(
    mapping: str, languages: list[str], default: str | None, tag: str
) -> None:
    more: dict[str, Any] = {"language": default}
    tags: list[Any] = [{"name": "sources"}]
    if mapping == "fields":
        more["fields"] = {"title": "title", "description": "notes", "languages": "language", "subjects": "tags"}  # fmt: skip
        tags = ["sources"]
    row = {"title": "Puits", "notes": "Eau", "language": languages, "tags": tags}
    stated = "".join(f"<language>{language}</language>" for language in languages)
    element = DC.format(f"<title>Puits</title><description>Eau</description><subject>sources</subject>{stated}")  # fmt: skip

    resource = mapped(mapping, element if mapping == "oai_dc" else row, **more)

    texts = (*resource.titles, *resource.descriptions, *resource.subjects)
    # CKAN states no language for a tag.
    unknown = mapping == "ckan_package" and tag == default and languages != ["en_US"]
    assert [text.language for text in texts] == [tag, tag, None if unknown else tag]


def test_keywords_have_the_language_of_their_record_where_its_texts_have_their_own() -> None:
    element = DC.format('<title xml:lang="fr">Puits</title><subject>sources</subject><language>fre</language>')  # fmt: skip

    assert mapped("oai_dc", element, language="en").subjects == (Text("sources", "fr"),)
