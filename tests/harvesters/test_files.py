"""File lists of web servers and code hosts."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import replay

from harvesters.compatibility import check_compatible
from harvesters.errors import NotFoundError, ParseError, SourceDefinitionError, UnavailableError
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Payload, Record
from harvesters.source import Source

from .conftest import DefineSource
from .simulated import Site, harvest, items

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


@pytest.fixture
def source(define_source: DefineSource) -> Callable[..., Source]:
    return lambda url="/f/", **options: define_source(
        "files", url=HOST + url, fields={"title": "name"}, options=options
    )


def keys(pages: Iterable[Page[Any]]) -> list[Any]:
    return [item.key for item in items(pages)]


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


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_servers_listing_is_read(dialect: str, source: Callable[..., Source]) -> None:
    pages = harvest(folder(DIALECTS[dialect]), source())

    assert keys(pages) == ["a", "sub/b c", "z"]
    assert [item.modified[:10] for item in items(pages)] == [
        "2026-01-01",
        "2026-02-01",
        "2026-02-01",
    ]
    assert pages[-1].incomplete_reason is None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_only_files_that_the_listing_shows_as_new_are_requested(
    dialect: str, source: Callable[..., Source]
) -> None:
    registry = folder(DIALECTS[dialect])

    assert keys(harvest(registry, source(), datetime(2026, 1, 31, tzinfo=UTC))) == ["sub/b c", "z"]
    assert "/f/a.json" not in registry.request_log


def test_folders_within_are_left_out_where_the_definition_says_so(
    source: Callable[..., Source],
) -> None:
    assert keys(harvest(folder(), source(deep=False))) == ["a", "z"]


def test_only_files_that_the_definition_names_are_read(source: Callable[..., Source]) -> None:
    assert keys(harvest(folder(), source(only="^(a|sub/.*)[.]json$"))) == ["a", "sub/b c"]


def test_a_harvest_goes_on_from_each_of_its_cursors(source: Callable[..., Source]) -> None:
    whole = harvest(folder(), source())

    for number, page in enumerate(whole[:-1], 1):
        registry = folder()
        assert keys(harvest(registry, source(), cursor=page.cursor)) == keys(whole[number:])
        assert "/f/a.json" not in registry.request_log


def test_a_folder_that_was_read_is_not_listed_again(source: Callable[..., Source]) -> None:
    whole = harvest(folder(), source())
    registry = folder()

    harvest(registry, source(), cursor=whole[2].cursor)

    assert registry.request_log == ["/f/"]


@pytest.mark.parametrize(
    ("broken", "kind"),
    [(b"{", InvalidRecord), (b"[1]", InvalidRecord), (b"<html>", InvalidRecord), (403, InvalidRecord), (404, DeletedRecord),
     (500, InvalidRecord)],
)  # fmt: skip
def test_a_file_that_cannot_be_read_stops_nothing(
    broken: bytes | int,
    kind: type[InvalidRecord] | type[DeletedRecord],
    source: Callable[..., Source],
) -> None:
    pages = harvest(folder(files={"/f/a.json": broken}), source())

    assert [(type(item), item.key) for item in items(pages)] == [
        (kind, "a"),
        (Record, "sub/b c"),
        (Record, "z"),
    ]
    assert pages[-1].incomplete_reason is None


def test_a_folder_that_goes_away_ends_the_harvest(source: Callable[..., Source]) -> None:
    with pytest.raises(NotFoundError):
        harvest(folder(files={"/f/sub/": 404}), source())

    class FailingFolder(Folder):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            return super().__call__(request) if len(self.request_log) < 3 else httpx.Response(503)

    with pytest.raises(UnavailableError):
        harvest(FailingFolder(folder().pages), source())


def test_folders_without_end_are_reported(source: Callable[..., Source]) -> None:
    class Endless(Folder):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(
                200, content=b'<html><title>Index</title><a href="in/">in/</a></html>'
            )

    with pytest.raises(ParseError, match="subfolders do not end"):
        harvest(Endless({}), source())


def test_xml_and_rdf_files_are_read_as_the_definition_says(source: Callable[..., Source]) -> None:
    listing = '<html><a href="a.xml">a</a><a href="b.ttl">b</a></html>'
    ttl = "<https://registry.example/d> a <http://www.w3.org/ns/dcat#Dataset> ."
    registry = Folder({"/f/": listing, "/f/a.xml": "<r><t>1</t></r>", "/f/b.ttl": ttl})

    as_xml, as_rdf = (items(harvest(registry, source(format=kind))) for kind in ("xml", "rdf"))

    assert [(element.key, element.payload.tag) for element in as_xml] == [("a", "r")]
    assert [element.key for element in as_rdf] == ["https://registry.example/d"]


def test_a_broken_file_of_rdf_leaves_the_harvest_incomplete(source: Callable[..., Source]) -> None:
    pages = harvest(
        Folder({"/f/": '<html><a href="b.ttl">b</a></html>', "/f/b.ttl": "<a"}),
        source(format="rdf"),
    )

    assert str(pages[-1].incomplete_reason).startswith("the file b.ttl cannot be read")


@pytest.mark.parametrize(
    ("kind", "payload"), [("json", Payload.ROW), ("xml", Payload.XML), ("rdf", Payload.GRAPH)]
)
def test_the_mapping_must_read_what_the_files_hold(
    kind: str, payload: Payload, define_source: DefineSource
) -> None:
    assert (
        check_compatible(
            define_source("files", "fields", fields={"title": "'x'"}, options={"format": kind})
        )[0].payload_type
        is payload
    )
    if payload is not Payload.XML:
        with pytest.raises(SourceDefinitionError, match="cannot read what protocol 'files' brings"):
            check_compatible(define_source("files", "oai_dc", fields={}, options={"format": kind}))


PATHS = {"b": "n/b.json", "a": "n/a.json", "l": "LICENSE"}
BLOBS = [
    {"path": path, "type": "blob", "url": f"{HOST}/blob/{name}"} for name, path in PATHS.items()
]
TREE = {"tree": [*BLOBS, {"path": "n", "type": "tree", "url": f"{HOST}/tree/n"}]}


def test_a_tree_of_git_is_read_by_its_plain_files(source: Callable[..., Source]) -> None:
    registry = Folder({"/tree": TREE, "/raw/n/a.json": {"n": 1}, "/raw/n/b.json": {"n": 2}})

    assert keys(harvest(registry, source("/tree", raw=f"{HOST}/raw/"))) == ["n/a", "n/b"]


def test_a_tree_of_git_is_read_by_its_blobs(source: Callable[..., Source]) -> None:
    blobs = {
        f"/blob/{name}": {
            "encoding": "base64",
            "content": base64.encodebytes(b'{"n": "%s"}' % name.encode()).decode(),
        }
        for name in "ab"
    }

    result = items(harvest(Folder({"/tree": TREE, **blobs}), source("/tree")))

    assert [(item.key, item.payload) for item in result] == [
        ("n/a", {"n": "a"}),
        ("n/b", {"n": "b"}),
    ]


def test_a_code_hosts_contents_are_read_by_their_download(source: Callable[..., Source]) -> None:
    rows = [
        {"name": "a.json", "path": "n/a.json", "type": "file", "download_url": f"{HOST}/x/a.json"}
    ]

    assert keys(harvest(Folder({"/c": rows, "/x/a.json": {"n": 1}}), source("/c"))) == ["n/a"]


def test_a_tree_that_is_cut_short_leaves_the_harvest_incomplete(
    source: Callable[..., Source],
) -> None:
    registry = Folder(
        {"/tree": {**TREE, "truncated": True}, "/raw/n/a.json": {"n": 1}, "/raw/n/b.json": {"n": 2}}
    )

    assert "truncated" in str(
        harvest(registry, source("/tree", raw=f"{HOST}/raw/"))[-1].incomplete_reason
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"hello", "not a directory listing"), (b"<html><p>hello</p></html>", "lists no files and no subfolders"),
     (b'{"a": 1}', "not a list of a repository's files"), (b'[{"path": "a.json"}]', "has no address for 'a.json'; set the option 'raw'")],
)  # fmt: skip
def test_what_is_no_listing_is_reported(
    content: bytes, why: str, source: Callable[..., Source]
) -> None:
    with pytest.raises(ParseError, match=why):
        harvest(Folder({"/f/": content}), source())


@pytest.mark.parametrize(
    ("options", "why"),
    [({"format": "csv"}, "use one of json, xml, rdf"), ({"only": "("}, "no regular expression")],
)
def test_a_definition_with_a_wrong_option_is_refused(
    options: dict[str, str], why: str, source: Callable[..., Source]
) -> None:
    with pytest.raises(SourceDefinitionError, match=why):
        check_compatible(source(**options))


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
@pytest.mark.parametrize(
    ("name", "url", "count"),
    [
        ("apache-noaa-waf.html", "/waf/NOAA/nmfs/garfo/iso/xml/", {"1463": "2026-07-12", "1503": "2026-07-12"}),
        ("ms-iis-waf.html", "/WAFer_harvest/ISO/", {
            "enviroatlas-metadata-waf_ACS_Demographics_by_Tract_2008_2012_EA": "2021-06-17",
            "enviroatlas-metadata-waf_Ag_On_Slopes": "2025-07-23",
        }),
    ],
)  # fmt: skip
def test_the_real_listings_are_read(
    name: str, url: str, count: dict[str, str], source: Callable[..., Source]
) -> None:
    class Real(Folder):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            listing = request.url.path == url
            return httpx.Response(
                200,
                content=(replay.FEEDS / "waf" / name).read_bytes()
                if listing
                else b"<MD_Metadata/>",
            )

    pages = harvest(Real({}), source(url, format="xml"))

    assert {item.key: item.modified for item in items(pages)} == count
