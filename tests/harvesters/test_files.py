from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import replay
from rows import each
from simulated import Site, define_source, harvest, items, keys

from harvesters.errors import NotFoundError, SourceDefinitionError
from harvesters.page_model import Payload
from harvesters.pipeline.record_processor import check_compatible
from harvesters.source import Source

HOST = "https://registry.example"
APACHE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html><head><title>Index of /f</title></head><body><h1>Index of /f</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td><a href="/">Parent Directory</a></td><td>&nbsp;</td></tr>
<tr><td><a href="a.json">a.json</a></td><td align="right">2026-01-01 02:23  </td><td> 35K</td></tr>
<tr><td><a href="sub/">sub/</a></td><td align="right">2026-02-01 02:23  </td></tr>
<tr><td><a href="z.json">z.json</a></td><td align="right">2026-02-01 02:23  </td></tr></table></body></html>"""
APACHE_PRE = """<html><head><title>Index of /f</title></head><body><h1>Index of /f</h1>
<pre><a href="?C=N;O=D">Name</a> <hr><a href="/">Parent Directory</a>
<img src="/i.gif"> <a href="a.json">a.json</a>          2026-01-01 02:23   35K
<img src="/i.gif"> <a href="sub/">sub/</a>            2026-02-01 02:23    -
<img src="/i.gif"> <a href="z.json">z.json</a>          2026-02-01 02:23   35K
</pre></body></html>"""
NGINX = """<html><head><title>Index of /f/</title></head><body><h1>Index of /f/</h1><hr><pre><a href="../">../</a>
<a href="sub/">sub/</a>                                  01-Feb-2026 02:23       -
<a href="a.json">a.json</a>                              01-Jan-2026 02:23      35
<a href="z.json">z.json</a>                              01-Feb-2026 02:23      35
</pre><hr></body></html>"""
IIS = """<html><head><title>registry.example - /f/</title></head><body><H1>registry.example - /f/</H1><hr><pre>
<A HREF="/">[To Parent Directory]</A><br><br> 1/1/2026 12:20 PM        39985 <A HREF="/f/a.json">a.json</A><br>
 2/1/2026  5:33 PM        &lt;dir&gt; <A HREF="/f/sub/">sub</A><br>
 2/1/2026  5:33 PM        47077 <A HREF="/f/z.json">z.json</A><br></pre><hr></body></html>"""
DIALECTS = {"apache": APACHE, "apache, plain": APACHE_PRE, "nginx": NGINX, "iis": IIS}
SUB = """<html><title>Index</title><pre><a href="../">../</a>
<a href="b%20c.json">b c.json</a>  01-Feb-2026 02:23 3
<a href="read.txt">read.txt</a></pre></html>"""


class Folder(Site):
    def name(self, request: httpx.Request) -> str:
        return request.url.raw_path.decode()


def source(url: str = "/f/", **options: Any) -> Source:
    return define_source("files", url=HOST + url, fields={"title": "name"}, options=options)


def folder(listing: str = NGINX, files: Mapping[str, object] | None = None) -> Folder:
    return Folder(
        {
            "/f/": listing,
            "/f/sub/": SUB,
            "/f/a.json": {"n": 1},
            "/f/sub/b%20c.json": {"n": 2},
            "/f/z.json": {"n": 3},
            **(files or {}),
        }
    )


@each("dialect", DIALECTS)
def test_every_servers_listing_is_read_and_only_new_files_are_requested(dialect: str) -> None:
    registry = folder(DIALECTS[dialect])

    newer = harvest(registry, source(), datetime(2026, 1, 31, tzinfo=UTC))
    requested = [*registry.request_log]
    pages = harvest(registry, source())

    assert (keys(newer), "/f/a.json" in requested) == (["sub/b c", "z"], False)
    assert {item.key: item.modified[:10] for item in items(pages)} == {
        "a": "2026-01-01", "sub/b c": "2026-02-01", "z": "2026-02-01",
    }  # fmt: skip
    assert pages[-1].incomplete_reason is None


def test_only_files_that_the_definition_names_are_read() -> None:
    assert keys(harvest(folder(), source(only="^(a|sub/.*)[.]json$"))) == ["a", "sub/b c"]


def test_a_harvest_goes_on_from_each_of_its_cursors() -> None:
    whole = harvest(folder(), source())

    for number, page in enumerate(whole[:-1], 1):
        registry = folder()
        assert keys(harvest(registry, source(), cursor=page.cursor)) == keys(whole[number:])
        assert "/f/a.json" not in registry.request_log

    harvest(registry := folder(), source(), cursor=whole[2].cursor)
    # The folder that was read before is not requested again.
    assert registry.request_log == ["/f/"]


def test_a_folder_that_goes_away_ends_the_harvest() -> None:
    with pytest.raises(NotFoundError):
        harvest(folder(files={"/f/sub/": 404}), source())


def test_xml_and_rdf_files_are_read_as_the_definition_says() -> None:
    listing = '<html><a href="a.xml">a</a><a href="b.ttl">b</a></html>'
    ttl = "<https://registry.example/d> a <http://www.w3.org/ns/dcat#Dataset> ."
    registry = Folder({"/f/": listing, "/f/a.xml": "<r><t>1</t></r>", "/f/b.ttl": ttl})

    as_xml, as_rdf = (items(harvest(registry, source(format=kind))) for kind in ("xml", "rdf"))

    assert [(element.key, element.payload.tag) for element in as_xml] == [("a", "r")]
    assert [element.key for element in as_rdf] == ["https://registry.example/d"]


def test_a_broken_file_of_rdf_leaves_the_harvest_incomplete() -> None:
    registry = Folder({"/f/": '<html><a href="b.ttl">b</a></html>', "/f/b.ttl": "<a"})

    reason = harvest(registry, source(format="rdf"))[-1].incomplete_reason

    assert str(reason).startswith("the file https://registry.example/f/b.ttl cannot be read")


@each("kind, payload", [("json", Payload.ROW), ("xml", Payload.XML), ("rdf", Payload.GRAPH)])
def test_the_mapping_must_read_what_the_files_hold(kind: str, payload: Payload) -> None:
    source = define_source("files", fields={"title": "'x'"}, options={"format": kind})

    assert check_compatible(source)[0].payload_type is payload
    if payload is not Payload.XML:
        with pytest.raises(
            SourceDefinitionError, match="cannot read the payload of protocol 'files'"
        ):
            check_compatible(define_source("files", "oai_dc", fields={}, options={"format": kind}))


PATHS = {"b": "n/b.json", "a": "n/a.json", "l": "LICENSE"}


NODES = [{"path": path, "type": "blob", "url": f"{HOST}/blob/{name}"} for name, path in PATHS.items()]  # fmt: skip
TREE = {"tree": [*NODES, {"path": "n", "type": "tree", "url": f"{HOST}/tree/n"}]}
RAW, PLAIN = {"raw": f"{HOST}/raw/"}, {"/raw/n/a.json": {"n": "a"}, "/raw/n/b.json": {"n": "b"}}
BLOBS = {
    f"/blob/{name}": {"encoding": "base64", "content": base64.encodebytes(b'{"n": "%s"}' % name.encode()).decode()} for name in "ab"
}  # fmt: skip
CONTENTS = [{"name": "a.json", "path": "n/a.json", "type": "file", "download_url": f"{HOST}/x/a.json"}]  # fmt: skip


@each(
    "pages, options, expected, truncated",
    [({"/tree": TREE, **PLAIN}, RAW, ["n/a", "n/b"], False), ({"/tree": TREE, **BLOBS}, {}, ["n/a", "n/b"], False),
     ({"/tree": {**TREE, "truncated": True}, **PLAIN}, RAW, ["n/a", "n/b"], True),
     ({"/tree": CONTENTS, "/x/a.json": {"n": "a"}}, {}, ["n/a"], False)],
)  # fmt: skip
def test_a_code_hosts_tree_is_read_by_its_plain_files_its_blobs_or_its_downloads(
    pages: dict[str, Any], options: dict[str, Any], expected: list[str], truncated: bool
) -> None:
    result = harvest(Folder(pages), source("/tree", **options))

    assert keys(result) == expected
    assert [item.payload["n"] for item in items(result)] == [key[-1] for key in expected]
    assert ("truncated" in str(result[-1].incomplete_reason)) is truncated


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
@each(
    "name, url, expected",
    [("apache-noaa-waf.html", "/waf/NOAA/nmfs/garfo/iso/xml/", {"1463": "2026-07-12", "1503": "2026-07-12"}),
     ("ms-iis-waf.html", "/WAFer_harvest/ISO/", {
        "enviroatlas-metadata-waf_ACS_Demographics_by_Tract_2008_2012_EA": "2021-06-17",
        "enviroatlas-metadata-waf_Ag_On_Slopes": "2025-07-23",
     })],
)  # fmt: skip
def test_the_real_listings_are_read(name: str, url: str, expected: dict[str, str]) -> None:
    content = (replay.FEEDS / "waf" / name).read_bytes()

    pages = harvest(
        lambda request: httpx.Response(200, content=content if request.url.path == url else b"<MD_Metadata/>"),
        source(url, format="xml"),
    )  # fmt: skip

    assert {item.key: item.modified for item in items(pages)} == expected
