from __future__ import annotations

from typing import Any

from lxml import etree
from pyoxigraph import NamedNode, RdfFormat, Store
from replay import crosswalks
from simulated import define_source

from harvesters.mappings.registry import MAPPINGS
from harvesters.page_model import Record
from harvesters.payloads.graph import bounded_description
from vocab.initiative import Party, Resource, Role

ROR = "https://ror.org/03yrm5c26"


def mapped(source: Any, payload: Any) -> Resource:
    return MAPPINGS[source.mapping].prepare(source, crosswalks())(Record("1", payload, b""))


def identifiers(resource: Resource) -> dict[str, tuple[str, ...]]:
    return {party.name.value: party.identifiers for party in resource.parties}


def test_fields_name_those_of_the_lead() -> None:
    fields = {"title": "name", "lead": "lead", "lead_identifiers": "[ror, lei]"}
    source = define_source(fields=fields)

    resource = mapped(
        source, {"name": "A", "lead": "CDL", "ror": ROR, "lei": "LEI: 5493001KJTIIGC8Y1R12"}
    )

    assert identifiers(resource) == {"CDL": (ROR, "LEI: 5493001KJTIIGC8Y1R12")}


def test_iati_names_organizations_by_org_id() -> None:
    activity = etree.fromstring(
        "<iati-activity><iati-identifier>X-1</iati-identifier><title><narrative>A</narrative></title>"
        '<participating-org role="1" ref="XM-DAC-41114"><narrative>UNDP</narrative></participating-org></iati-activity>'
    )

    resource = mapped(define_source("iati", "iati_activity"), activity)

    assert resource.parties == (
        Party(Role.FUNDER, resource.parties[0].name, "XM-DAC-41114", identifiers=("XM-DAC-41114",)),
    )


def test_datacite_names_the_scheme_beside_the_value() -> None:
    namespace = 'xmlns="http://datacite.org/schema/kernel-4"'
    root = etree.fromstring(
        f"<resource {namespace}><titles><title>A</title></titles><publisher>P</publisher>"
        '<contributors><contributor contributorType="HostingInstitution"><contributorName>CDL</contributorName>'
        f'<nameIdentifier nameIdentifierScheme="ROR">{ROR}</nameIdentifier></contributor></contributors>'
        "<fundingReferences><fundingReference><funderName>Fund</funderName>"
        '<funderIdentifier funderIdentifierType="ISNI">0000 0001 2103 2683</funderIdentifier>'
        "</fundingReference></fundingReferences></resource>"
    )

    resource = mapped(define_source("oai_pmh", "datacite"), root)

    assert identifiers(resource) == {"P": (), "CDL": (ROR,), "Fund": ("ISNI: 0000 0001 2103 2683",)}


def test_schema_org_states_what_an_organization_is_the_same_as() -> None:
    text = f"""<https://x.example/1> a <http://schema.org/Project> ; <http://schema.org/name> "A" ;
        <http://schema.org/funder> <https://x.example/o> .
        <https://x.example/o> a <http://schema.org/Organization> ; <http://schema.org/name> "CDL" ;
        <http://schema.org/sameAs> <{ROR}>, <https://x.example/other> ."""
    store = Store()
    store.load(text.encode(), format=RdfFormat.TURTLE)

    resource = mapped(
        define_source("web", "schema_org"),
        bounded_description(store, NamedNode("https://x.example/1"), 2),
    )

    assert identifiers(resource) == {"CDL": (ROR,)}
