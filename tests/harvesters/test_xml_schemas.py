from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from replay import crosswalks
from rows import each
from simulated import define_source

from harvesters.errors import ParseError
from harvesters.mappings.registry import MAPPINGS
from harvesters.page_model import Record
from vocab.initiative import Role

MODS, DIM = "http://www.loc.gov/mods/v3", "http://www.dspace.org/xmlns/dspace/dim"


def read(mapping: str, xml: str, **options: Any) -> Any:
    source = define_source("oai-pmh", mapping, options=options)
    return MAPPINGS[mapping].prepare(source, crosswalks())(Record("k", etree.fromstring(xml), b""))


@each("mapping", ["oai_dc", "mods", "datacite", "iati_activity"])
@each("xml", ["<marc xmlns='http://www.loc.gov/MARC21/slim'/>", "<a><b>c</b></a>"])
def test_an_element_of_another_schema_is_reported(mapping: str, xml: str) -> None:
    with pytest.raises(ParseError, match=r"k: .* but <"):
        read(mapping, xml)


def test_a_corporate_name_leads_where_no_publisher_is_named() -> None:
    names = "".join(
        f"<name type='corporate'><namePart>{name}</namePart><role><roleTerm>{role}</roleTerm></role></name>"
        for name, role in (("A", "fnd"), ("B", "isb"), ("C", "ctb"))
    )

    item = read(
        "mods", f"<mods xmlns='{MODS}'><titleInfo><title>T</title></titleInfo>{names}</mods>"
    )

    assert [(party.name.value, party.role) for party in item.parties] == [
        ("A", Role.FUNDER),
        ("B", Role.LEAD),
        ("C", Role.PARTNER),
    ]


@each(
    "field, name",
    [('element="title"', "titles"), ('element="description" qualifier="abstract"', "descriptions"),
     ('element="subject" qualifier="other"', "subjects"), ('element="title" qualifier="none"', "titles")],
)  # fmt: skip
def test_a_field_of_dim_is_read_as_its_element(field: str, name: str) -> None:
    item = read(
        "oai_dc", f'<d:dim xmlns:d="{DIM}"><d:field mdschema="dc" {field}>Wells</d:field></d:dim>'
    )

    assert [text.value for text in getattr(item, name)] == ["Wells"]


def test_dates_of_a_kind_go_before_others() -> None:
    dates = "".join(
        f"<dcterms:{name}>{text}</dcterms:{name}>"
        for name, text in (("created", "2019"), ("issued", "2021"), ("modified", "2022"))
    )

    item = read("oai_dc", f'<q xmlns:dcterms="http://purl.org/dc/terms/">{dates}</q>')

    assert (item.issued, item.modified) == ("2021", "2022")


def test_a_purpose_code_without_a_text_is_a_word() -> None:
    sectors = "<sector code='99999'/><sector vocabulary='1' code='11220'/><sector vocabulary='99' code='7'/>"

    item = read(
        "iati_activity",
        f"<iati-activity><title><narrative>T</narrative></title>{sectors}</iati-activity>",
    )

    assert [text.value for text in item.subjects] == ["DAC 99999"]
    assert [claim.word for claim in (*item.goals, *item.targets)] == ["DAC 11220"]
