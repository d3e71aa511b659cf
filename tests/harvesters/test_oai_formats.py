from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import pytest
import replay
from rdf_terms import value
from replay import crosswalks
from rows import each
from simulated import define_source, harvest, items

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.page_model import InvalidRecord, Payload
from harvesters.payloads.paths import compile_property_path
from harvesters.payloads.rdf_parser import parse_description
from harvesters.pipeline.record_processor import check_compatible
from harvesters.protocols import oai
from harvesters.source import Source

HEAD = '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2026-01-01T00:00:00Z</responseDate>'
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dct="http://purl.org/dc/terms/" xmlns:foaf="http://xmlns.com/foaf/0.1/">
<rdf:Description rdf:about="https://registry.example/w"><dct:title xml:lang="en">Wells</dct:title><dct:publisher><foaf:Organization>
<foaf:name>Water</foaf:name></foaf:Organization></dct:publisher></rdf:Description></rdf:RDF>"""

# One short record in each metadata format that repositories have beside oai_dc.
METADATA = {
    "datacite": '<resource xmlns="http://datacite.org/schema/kernel-4"><titles><title>Wells</title></titles></resource>',
    "oai_datacite": '<oai_datacite xmlns="http://schema.datacite.org/oai/oai-1.1/"><schemaVersion>4</schemaVersion><payload>'
    '<resource xmlns="http://datacite.org/schema/kernel-4"><titles><title>Wells</title></titles></resource></payload></oai_datacite>',
    "mods": '<mods xmlns="http://www.loc.gov/mods/v3"><titleInfo><title>Wells</title></titleInfo></mods>',
    "dim": '<dim:dim xmlns:dim="http://www.dspace.org/xmlns/dspace/dim"><dim:field element="title">Wells</dim:field></dim:dim>',
}
PATHS = {
    "datacite": ("d:titles/d:title", {"d": "http://datacite.org/schema/kernel-4"}),
    "oai_datacite": (".//d:titles/d:title", {"d": "http://datacite.org/schema/kernel-4"}),
    "mods": ("m:titleInfo/m:title", {"m": "http://www.loc.gov/mods/v3"}),
    "dim": ("i:field[@element='title']", {"i": "http://www.dspace.org/xmlns/dspace/dim"}),
}


def answer(body: str) -> httpx.Response:
    return httpx.Response(200, content=f"{HEAD}{body}</OAI-PMH>".encode())


def one(metadata: str) -> str:
    head = "<header><identifier>k</identifier><datestamp>2026-01-01</datestamp></header>"
    return f"<ListRecords><record>{head}<metadata>{metadata}</metadata></record></ListRecords>"


@pytest.fixture
def graph() -> Source:
    return define_source("oai-pmh", fields={"title": "dct:title"}, options={"prefix": "rdf"})


def read_one(metadata: str, source: Source) -> Any:
    (item,) = items(harvest(lambda _: answer(one(metadata)), source))
    return item


@each("prefix", METADATA)
def test_any_prefix_brings_its_element_to_a_mapping_that_reads_it(prefix: str) -> None:
    path, namespaces = PATHS[prefix]
    options = {"prefix": prefix, "namespaces": namespaces}
    source = define_source("oai-pmh", fields={"title": path}, options=options)

    (record,) = items(harvest(lambda request: answer(one(METADATA[request.url.params["metadataPrefix"]])), source))  # fmt: skip

    mapped = check_compatible(source)[1].prepare(source, crosswalks())(record)
    assert [text.value for text in mapped.titles] == ["Wells"]


def test_rdf_brings_a_graph_that_is_parsed_only_when_its_payload_is_needed(
    graph: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    parses: list[bytes] = []

    def count(content: bytes, *rest: Any) -> Any:
        parses.append(content)
        return parse_description(content, *rest)

    monkeypatch.setattr(oai, "parse_description", count)

    record = read_one(RDF, graph)

    assert parses == []
    assert check_compatible(graph)[0].payload_type is Payload.GRAPH
    payload = record.payload
    assert (record.key, payload.subject.value) == ("k", "https://registry.example/w")
    terms = compile_property_path("dct:title | dct:publisher/foaf:name")(payload)
    assert [value(term) for term in terms] == ["Wells", "Water"]
    assert parses == [record.raw]


def test_metadata_that_is_no_rdf_is_refused_when_it_is_parsed(graph: Source) -> None:
    record = read_one(RDF.replace("<dct:title ", '<dct:title rdf:about="x" rdf:resource="y" '), graph)  # fmt: skip

    with pytest.raises(ParseError, match="its RDF/XML cannot be read"):
        _ = record.payload


@each(
    "body",
    ["<a/>", "<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>", RDF.replace("rdf:about", "rdf:nodeID")],
)  # fmt: skip
def test_metadata_that_is_no_rdf_is_unreadable_alone(body: str, graph: Source) -> None:
    item = read_one(body, graph)

    assert (type(item), item.key) == (InvalidRecord, "k")


def test_a_mapping_of_xml_is_refused_where_graphs_come() -> None:
    source = define_source("oai-pmh", "oai_dc", fields={}, options={"prefix": "rdf"})

    with pytest.raises(SourceDefinitionError, match="cannot read the payload of protocol 'oai-pmh', an RDF"):  # fmt: skip
        check_compatible(source)


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
def test_a_prefix_that_the_repository_does_not_have_is_reported() -> None:
    error = (replay.FEEDS / "oai" / "sickle_cannotDisseminateFormat.xml").read_bytes()

    with pytest.raises(ParseError, match="reports an error: cannotDisseminateFormat"):
        harvest(lambda _: httpx.Response(200, content=error), define_source("oai-pmh", "oai_dc"))


PROVENANCE = "http://www.openarchives.org/OAI/2.0/provenance"


def origin(base: str, identifier: str, before: str = "") -> str:
    parts = f"<baseURL>{base}</baseURL><identifier>{identifier}</identifier><datestamp>2026-01-01</datestamp>"
    end = f"<metadataNamespace>http://www.openarchives.org/OAI/2.0/oai_dc/</metadataNamespace>{before}</originDescription>"
    return f'<originDescription harvestDate="2026-01-02T00:00:00Z" altered="true">{parts}{end}'


def passed_on(key: str, container: str, prefix: str = "datacite") -> str:
    head = f"<header><identifier>{key}</identifier><datestamp>2026-01-01</datestamp></header>"
    metadata = f"<metadata>{RDF if prefix == 'rdf' else METADATA[prefix]}</metadata>"
    about = f'<about><rights/></about><about><provenance xmlns="{PROVENANCE}">{container}</provenance></about>'
    return f"<record>{head}{metadata}{about}</record>"


def lineages(*records: str, prefix: str = "datacite") -> list[tuple[str, ...]]:
    source = define_source("oai-pmh", fields={"title": "."}, options={"prefix": prefix})
    response = answer(f"<ListRecords>{''.join(records)}</ListRecords>")
    return [item.lineage for item in items(harvest(lambda request: response, source))]


def test_the_chain_of_an_aggregator_is_read_the_oldest_first_in_graphs_too() -> None:
    oldest = origin("http://a.example/oai?db=x#top", "oai:a.example:7")

    (chain,) = lineages(passed_on("c-7", origin("https://c.example/oai", "c/7 &amp; 8", oldest)))  # fmt: skip

    assert chain == (
        "http://a.example/oai?verb=GetRecord&identifier=oai%3Aa.example%3A7&metadataPrefix=oai_dc",
        "https://c.example/oai?verb=GetRecord&identifier=c%2F7+%26+8&metadataPrefix=oai_dc",
    )

    record = passed_on("k", origin("https://a.example/oai", "7"), "rdf")

    assert lineages(record, prefix="rdf") == [
        ("https://a.example/oai?verb=GetRecord&identifier=7&metadataPrefix=oai_dc",)
    ]


@each(
    "container",
    ["", "<originDescription/>", origin("", "7"), origin("https://a.example/oai", " "), origin("ftp://a.example/", "7"),
     origin("http://[broken/oai", "7"), origin("https://a example/oai", "7"), origin("https://a.example/oai", "7" * 1_001)],
)  # fmt: skip
def test_a_container_without_a_usable_origin_is_left_out(container: str) -> None:
    assert lineages(passed_on("k", container)) == [()]


def test_a_container_nested_without_end_has_twenty_levels_and_a_shared_one_is_no_origin() -> None:
    nested = ""
    for number in range(100):
        nested = origin("https://a.example/oai", str(number), nested)

    (chain,) = lineages(passed_on("k", nested))

    assert len(chain) == 20
    assert chain[-1] == "https://a.example/oai?verb=GetRecord&identifier=99&metadataPrefix=oai_dc"

    same, other = (origin("https://a.example/oai", key) for key in "78")
    records = [passed_on(key, about) for key, about in (("k1", same), ("k2", same), ("k3", other))]

    assert [len(chain) for chain in lineages(*records)] == [0, 0, 1]


def test_a_record_whose_chain_alone_changes_is_read_again() -> None:
    source = define_source("oai-pmh", fields={"title": "."}, options={"prefix": "datacite"})
    containers = (origin("https://a.example/oai", "7"), origin("https://a.example/oai", "8"), "")
    bodies = [answer(f"<ListRecords>{passed_on('k', about)}</ListRecords>") for about in containers]

    before, after, plain = (
        items(harvest(partial(lambda body, _: body, body), source))[0] for body in bodies
    )

    assert before.raw == after.raw == plain.raw == plain.digested
    assert len({before.digested, after.digested, plain.digested}) == 3
