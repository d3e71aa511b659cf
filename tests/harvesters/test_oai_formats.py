"""OAI-PMH beyond Dublin Core: other metadata prefixes, RDF, sets by pattern, single records."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import httpx
import pytest
import replay
from rdf_terms import value
from rows import each

from harvesters.compatibility import check_compatible
from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Payload, Record
from harvesters.payloads.property_path import compile_path
from harvesters.payloads.rdf_parser import parse_quads
from harvesters.protocols.oai import rdf_metadata
from harvesters.protocols.oai.harvest import collect
from harvesters.source import Source
from vocab.crosswalks import Crosswalks

from .conftest import DefineSource, Handler
from .simulated import START, Oai, SimulatedRecord, open_client, records

HEAD = '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2026-01-01T00:00:00Z</responseDate>'
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dct="http://purl.org/dc/terms/" xmlns:foaf="http://xmlns.com/foaf/0.1/">
<rdf:Description rdf:about="https://registry.example/w"><dct:title xml:lang="en">Wells</dct:title><dct:publisher><foaf:Organization>
<foaf:name>Water</foaf:name></foaf:Organization></dct:publisher></rdf:Description></rdf:RDF>"""

# One record in each of the prefixes that repositories speak beside oai_dc, in short.
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


def harvest(respond: Handler, source: Source, cursor: str | None = None) -> list[Page[Any]]:
    with open_client(respond) as fetch:
        return list(collect(source, fetch, None, cursor))


def items(pages: Iterable[Page[Any]]) -> list[Any]:
    return [item for page in pages for item in page.items]


@each("prefix", METADATA)
def test_any_prefix_brings_its_element_to_a_mapping_that_reads_it(
    prefix: str, define_source: DefineSource, words: Crosswalks
) -> None:
    path, prefixes = PATHS[prefix]
    source = define_source(
        "oai-pmh", fields={"title": path}, options={"prefix": prefix, "namespaces": prefixes}
    )

    (record,) = items(
        harvest(lambda request: answer(one(METADATA[request.url.params["metadataPrefix"]])), source)
    )

    assert [
        text.value for text in check_compatible(source)[1].prepare(source, words)(record).titles
    ] == ["Wells"]


def test_rdf_brings_a_graph(define_source: DefineSource) -> None:
    source = define_source("oai-pmh", fields={"title": "dct:title"}, options={"prefix": "rdf"})

    (record,) = items(harvest(lambda _: answer(one(RDF)), source))

    assert check_compatible(source)[0].payload_type is Payload.GRAPH
    assert (record.key, record.payload.subject.value) == ("k", "https://registry.example/w")
    assert [
        value(term) for term in compile_path("dct:title | dct:publisher/foaf:name")(record.payload)
    ] == ["Wells", "Water"]


def test_metadata_in_rdf_is_parsed_only_when_its_payload_is_needed(
    define_source: DefineSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    parses: list[bytes] = []

    def count(content: bytes, *rest: Any) -> Any:
        parses.append(content)
        return parse_quads(content, *rest)

    monkeypatch.setattr(rdf_metadata, "parse_quads", count)
    source = define_source("oai-pmh", fields={"title": "dct:title"}, options={"prefix": "rdf"})

    (record,) = items(harvest(lambda _: answer(one(RDF)), source))

    assert parses == []
    assert record.payload.properties
    assert parses == [record.raw]


def test_metadata_that_is_no_rdf_is_refused_when_it_is_parsed(define_source: DefineSource) -> None:
    source = define_source("oai-pmh", fields={"title": "dct:title"}, options={"prefix": "rdf"})
    body = RDF.replace("<dct:title ", '<dct:title rdf:about="x" rdf:resource="y" ')

    (record,) = items(harvest(lambda _: answer(one(body)), source))

    with pytest.raises(ParseError, match="its RDF/XML cannot be read"):
        _ = record.payload


@pytest.mark.parametrize(
    "body",
    ["<a/>", "<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>", RDF.replace("rdf:about", "rdf:nodeID")],
)  # fmt: skip
def test_metadata_that_is_no_rdf_is_unreadable_alone(
    body: str, define_source: DefineSource
) -> None:
    (item,) = items(
        harvest(
            lambda _: answer(one(body)),
            define_source("oai-pmh", fields={"title": "dct:title"}, options={"prefix": "rdf"}),
        )
    )

    assert (type(item), item.key) == (InvalidRecord, "k")


def test_a_mapping_of_xml_is_refused_where_graphs_come(define_source: DefineSource) -> None:
    with pytest.raises(
        SourceDefinitionError, match="cannot read what protocol 'oai-pmh' brings, an RDF graph"
    ):
        check_compatible(
            define_source("oai-pmh", "oai_dc", fields={}, options={"prefix": "edm", "graph": True})
        )


def test_a_prefix_that_the_repository_does_not_have_is_reported_with_those_that_it_has(
    define_source: DefineSource,
) -> None:
    formats = "".join(
        f"<metadataFormat><metadataPrefix>{name}</metadataPrefix></metadataFormat>"
        for name in ("oai_dc", "mods")
    )

    def respond(request: httpx.Request) -> httpx.Response:
        result = request.url.params["verb"] == "ListMetadataFormats"
        return answer(
            f"<ListMetadataFormats>{formats}</ListMetadataFormats>"
            if result
            else '<error code="cannotDisseminateFormat"/>'
        )

    with pytest.raises(
        ParseError,
        match="cannotDisseminateFormat; it has oai_dc, mods; correct the option 'prefix'",
    ):
        harvest(respond, define_source("oai-pmh", "oai_dc", options={"prefix": "datacite"}))


class Sets(Oai):
    """A repository that lists its sets, two at a time."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        parameters = dict(request.url.params)
        if parameters["verb"] != "ListSets":
            return super().__call__(request)
        self.request_log.append(parameters)
        names = sorted({name for element in self.stored for name in element.groups})
        start = int(parameters.get("resumptionToken", 0))
        text = "".join(f"<set><setSpec>{name}</setSpec></set>" for name in names[start : start + 2])
        return answer(
            f"<ListSets>{text}<resumptionToken>{start + 2 if start + 2 < len(names) else ''}</resumptionToken></ListSets>"
        )


def repository() -> Sets:
    groups = [("project:a",), ("project:b",), ("news",), ("project:a", "project:b"), ("other",)]
    return Sets(
        [SimulatedRecord(f"k{number}", START, groups=names) for number, names in enumerate(groups)]
    )


def test_sets_are_chosen_by_their_beginning(define_source: DefineSource) -> None:
    respond = repository()

    pages = harvest(respond, define_source("oai-pmh", "oai_dc", options={"set": "project:*"}))

    assert sorted(item.key for item in items(pages)) == ["k0", "k1", "k3"]
    assert [
        element["set"] for element in respond.request_log if element["verb"] == "ListRecords"
    ] == ["project:a", "project:b"]


def test_an_unknown_set_is_reported_with_the_known_ones(define_source: DefineSource) -> None:
    with pytest.raises(
        ParseError,
        match=r"no set is called proj-\*; the repository has news, other, project:a, project:b; correct",
    ):
        harvest(repository(), define_source("oai-pmh", "oai_dc", options={"set": "proj-*"}))


@pytest.mark.parametrize("message", [True, False])
def test_records_are_requested_one_by_one_where_configured_or_needed(
    message: bool, define_source: DefineSource
) -> None:
    stored = records(25, deleted=[3])
    respond = Oai(stored)

    def deaf(request: httpx.Request) -> httpx.Response:
        return (
            answer('<error code="badVerb"/>')
            if request.url.params["verb"] == "ListRecords"
            else respond(request)
        )

    pages = harvest(deaf, define_source("oai-pmh", "oai_dc", options={"singly": message}))

    assert [(type(item), item.key) for item in items(pages)] == [
        (DeletedRecord if element.deleted else Record, element.key) for element in stored
    ]
    assert pages[-1].incomplete_reason is None
    assert sum(element["verb"] == "GetRecord" for element in respond.request_log) == 24


def test_a_harvest_one_by_one_goes_on_from_each_of_its_cursors(define_source: DefineSource) -> None:
    respond = Oai(records(7))
    source = define_source("oai-pmh", "oai_dc", options={"singly": True})
    whole = harvest(respond, source)

    for number, page in enumerate(whole[:-1], 1):
        assert [item.key for item in items(harvest(respond, source, page.cursor))] == [
            item.key for item in items(whole[number:])
        ]


def test_a_repository_without_records_is_complete_one_by_one_too(
    define_source: DefineSource,
) -> None:
    pages = harvest(Oai([]), define_source("oai-pmh", "oai_dc", options={"singly": True}))

    assert (items(pages), pages[-1].incomplete_reason) == ([], None)


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
def test_real_lists_of_sets_and_prefixes_are_read(define_source: DefineSource) -> None:
    files = {
        "ListSets": "sickle_ListSets.xml",
        "ListMetadataFormats": "sickle_ListMetadataFormats.xml",
    }

    def respond(request: httpx.Request) -> httpx.Response:
        name = files.get(request.url.params["verb"], "sickle_cannotDisseminateFormat.xml")
        return httpx.Response(200, content=(replay.FEEDS / "oai" / name).read_bytes())

    with pytest.raises(ParseError, match=r"no set is called nothing\*; the repository has "):
        harvest(respond, define_source("oai-pmh", "oai_dc", options={"set": "nothing*"}))
    with pytest.raises(
        ParseError, match=r"cannotDisseminateFormat.*; it has epicur, xMetaDissPlus, oai_dc, mods, "
    ):
        harvest(respond, define_source("oai-pmh", "oai_dc"))


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


def same(reply: httpx.Response, request: httpx.Request) -> httpx.Response:
    return reply


def lineages(
    define_source: DefineSource, *records: str, prefix: str = "datacite", **options: bool
) -> list[tuple[str, ...]]:
    source = define_source("oai-pmh", fields={"title": "."}, options={"prefix": prefix, **options})
    return [
        item.lineage
        for item in items(
            harvest(
                lambda request: answer(f"<ListRecords>{''.join(records)}</ListRecords>"), source
            )
        )
    ]


def test_the_chain_of_an_aggregator_is_read_the_oldest_first(define_source: DefineSource) -> None:
    record = passed_on(
        "c-7",
        origin(
            "https://c.example/oai",
            "c/7 &amp; 8",
            origin("http://a.example/oai?db=x#top", "oai:a.example:7"),
        ),
    )

    assert lineages(define_source, record) == [
        (
            "http://a.example/oai?verb=GetRecord&identifier=oai%3Aa.example%3A7&metadataPrefix=oai_dc",
            "https://c.example/oai?verb=GetRecord&identifier=c%2F7+%26+8&metadataPrefix=oai_dc",
        )
    ]


def test_a_graph_has_the_chain_of_its_record_too(define_source: DefineSource) -> None:
    (chain,) = lineages(
        define_source, passed_on("k", origin("https://a.example/oai", "7"), "rdf"), prefix="rdf"
    )

    assert chain == ("https://a.example/oai?verb=GetRecord&identifier=7&metadataPrefix=oai_dc",)


@each(
    "container",
    ["", "<originDescription/>", origin("", "7"), origin("https://a.example/oai", " "), origin("ftp://a.example/", "7"),
     origin("http://[broken/oai", "7"), origin("https://a example/oai", "7"), origin("https://a.example/oai", "7" * 1_001)],
)  # fmt: skip
def test_a_container_without_a_usable_origin_is_left_out(
    container: str, define_source: DefineSource
) -> None:
    assert lineages(define_source, passed_on("k", container)) == [()]


def test_a_container_nested_without_end_has_twenty_levels(define_source: DefineSource) -> None:
    nested = ""
    for number in range(100):
        nested = origin("https://a.example/oai", str(number), nested)

    (chain,) = lineages(define_source, passed_on("k", nested))

    assert len(chain) == 20
    assert chain[-1] == "https://a.example/oai?verb=GetRecord&identifier=99&metadataPrefix=oai_dc"


def test_one_container_in_several_records_is_the_origin_of_none(
    define_source: DefineSource,
) -> None:
    same, other = origin("https://a.example/oai", "7"), origin("https://a.example/oai", "8")

    chains = lineages(
        define_source, passed_on("k1", same), passed_on("k2", same), passed_on("k3", other)
    )

    assert [len(chain) for chain in chains] == [0, 0, 1]


def test_a_record_whose_chain_alone_changes_is_read_again(define_source: DefineSource) -> None:
    source = define_source("oai-pmh", fields={"title": "."}, options={"prefix": "datacite"})
    containers = (origin("https://a.example/oai", "7"), origin("https://a.example/oai", "8"), "")
    bodies = [
        answer(f"<ListRecords>{passed_on('k', container)}</ListRecords>")
        for container in containers
    ]

    before, after, plain = (items(harvest(partial(same, body), source))[0] for body in bodies)

    assert before.raw == after.raw == plain.raw == plain.digested
    assert len({before.digested, after.digested, plain.digested}) == 3
