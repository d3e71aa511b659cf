from __future__ import annotations

from typing import Any

import httpx
import pytest
from rows import each
from simulated import ScriptedRegistry, define_source, open_client

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.page_model import Validator
from harvesters.pipeline.record_processor import check_compatible

from .test_spreadsheet import ROWS, xlsx

HOST = "https://registry.example"
# A protocol without a mapping here is read by `fields`, with the title at its place in TITLES.
MAPPINGS = {"oai-pmh": "oai_dc", "ckan": "ckan_package", "iati": "iati_activity", "feed": "feed_entry", "ical": "ical_event"}  # fmt: skip
TITLES = {
    "sparql": "dct:title", "pod": "dct:title", "rdf": "dct:title", "csw": "dc:title", "web": "schema:name", "html": "a",
}  # fmt: skip
PATHS = {"web": "/sitemap.xml", "files": "/f/", "iati": "/a.xml"}
SPARQL, HTML = {"types": "foaf:Project"}, {"records": "//li", "key": "a/@id", "next": "//a[@rel = 'next']/@href"}  # fmt: skip
PAGED, TABLE = {"records": "rows", "page": "page"}, {"key": "id", "sheet": 2}
OAI, BOMB = '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">{}</OAI-PMH>', "<!DOCTYPE a [<!ENTITY b 'c'>]>"  # fmt: skip
OWS = (
    '<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows"><ows:Exception exceptionCode="InvalidParameterValue" locator="sortby">'
    "<ows:ExceptionText>No such\n field</ows:ExceptionText></ows:Exception></ows:ExceptionReport>"
)
SITEMAP = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</urlset>'


def defined(protocol: str, options: dict[str, Any]) -> Any:
    title = {"fields": {"title": TITLES.get(protocol, "name")}} if protocol not in MAPPINGS else {}
    url = HOST + PATHS.get(protocol, "/api")
    return define_source(
        protocol, MAPPINGS.get(protocol, "fields"), url=url, options=options, **title
    )


@each(
    "protocol, options, message",
    [("json", {"page": "p", "offset": "o"}, "both define paging"), ("json", {"cursor": "c"}, "needs 'next'"),
     ("json", {"records": "a["}, "is not a JMESPath"),
     ("csv", {"delimiter": ";;"}, "write one character"),
     ("csv", {"key": "a", "digest": ["b"]}, "keep one"), ("csv", {"carry": ["a", "b"]}, "write text"),
     ("spreadsheet", {"sheet": 0}, "a number from 1"), ("spreadsheet", {"join": {"Notes": 3}}, "Notes' is 3; write text or a list"),
     ("csw", {"size": 0}, "write a number from 1 up"),
     ("sparql", {}, "set either the option 'types' or the option 'pattern'"),
     ("sparql", {**SPARQL, "pattern": "?subject a ?b"}, "which selects the records"),
     ("sparql", {"types": "Project"}, "contains 'Project'; write an IRI"),
     ("sparql", {"pattern": "?subject a"}, "give an invalid SPARQL query"),
     ("sparql", {"pattern": "?subject a nope:x"}, "give an invalid SPARQL query"),
     ("sparql", {**SPARQL, "modified": "dct:modified["}, "give an invalid SPARQL query"),
     ("sparql", {**SPARQL, "size": 0}, "write a number from 1 up"),
     ("rdf", {"types": "Dataset"}, "'types' contains 'Dataset'; write an IRI"),
     ("rdf", {"types": "abc:Dataset"}, "'types' contains 'abc:Dataset'"),
     ("web", {"only": "("}, "'only' is no regular expression"), ("web", {"types": "Event"}, "'types' contains 'Event'"),
     ("files", {"format": "csv"}, "use one of json, xml, rdf"), ("files", {"only": "("}, "no regular expression"),
     ("resourcesync", {"format": "csv"}, "use one of json, xml, rdf"),
     ("activitystreams", {"format": "csv"}, "use one of inline, json, xml, rdf"),
     ("html", {"records": "//li["}, "not an XPath"), ("html", {"records": "//li"}, "records have no key"),
     ("html", {"key": "a"}, "'records' is missing")],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(
    protocol: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SourceDefinitionError, match=message):
        check_compatible(defined(protocol, options))


@each(
    "protocol, options, content, message",
    [("json", PAGED, "<!DOCTYPE html><html></html>", "HTML page where JSON was expected"),
    ("json", PAGED, '[{"id": 1},', "not JSON: .* at line 1, column"),
     ("json", PAGED, '{"rows": 3}', "has no records at 'rows'"),
     ("json", PAGED, '{"other": [], "error": "no"}', "it is an object with error, other"),
     ("json", PAGED, "3", "it is int"),
     ("ckan", {}, '{"success": false, "error": {"__type": "Authorization Error", "message": "Access denied"}}', "an error: Access denied"),
     ("ckan", {}, '{"success": false}', "reports an error: None"), ("ckan", {}, '{"success": true, "result": []}', "results are missing"),
     ("ckan", {}, "<html>", "HTML page where JSON was expected"), ("ckan", {}, "oops", "not JSON"),
     ("oai-pmh", {}, "<html><body>Sign in</body></html>", "HTML page where XML was expected"),
     ("oai-pmh", {}, "<rss/>", "is not an OAI-PMH response but <rss>"),
     ("oai-pmh", {}, OAI.format("<Identify/>"), "has no ListIdentifiers"),
     ("oai-pmh", {}, OAI.format("")[:-3], "not well-formed XML: .*line 1, column"),
     ("oai-pmh", {}, f"{BOMB}<OAI-PMH/>", "DOCTYPE, which is refused"), ("oai-pmh", {}, "<OAI-PMH>&nbsp;</OAI-PMH>", "nbsp"),
     ("oai-pmh", {}, "", "empty response"),
     ("oai-pmh", {}, OAI.format('<error code="badArgument">no\n  such prefix</error>'), "reports an error: badArgument: no such prefix"),
     ("csv", {}, "<html></html>", "HTML page where a table was expected"),
     ("csv", {}, "name,b\n1,2\n", "no column 'id', only name, b; set the option 'key'"),
     ("csv", {}, ",,\n", "has no header line"), ("csv", {}, "", "empty response"), ("csv", {}, 'id,a\n1,x\n2,"cut o', "begins at line 3"),
     ("csv", {}, "id,n\n1,é".encode("cp1252"), r"not utf-8 at byte 7 \(e9\); name its charset"),
     ("csv", {"charset": "iso-8859-15"}, "id,n\n“1”,a".encode("cp1252"), r"has the control character U\+0093; name its charset"),
     ("json", {}, '[{"id": "é"}]'.encode("latin-1"), r"not utf-8 at byte 9 \(e9\); name its charset"),
     ("spreadsheet", TABLE, "<html></html>", "an HTML page"), ("spreadsheet", TABLE, "id,n\n1,x\n", "not a readable spreadsheet"),
     ("spreadsheet", TABLE, b"PK\x03\x04" + b"x" * 50, "not a readable spreadsheet"),
     ("spreadsheet", TABLE, xlsx(ROWS)[:-60], "not a readable spreadsheet"),
     ("spreadsheet", TABLE, xlsx([["name"], ["x"]]), "no column 'id', only name"), ("spreadsheet", TABLE, xlsx([]), "has no header line"),
     ("spreadsheet", {"sheet": 3}, xlsx(ROWS), "has no sheet 3, only Notes, List"),
     ("csw", {}, OWS, "an error: InvalidParameterValue sortby No such field"), ("csw", {}, "<a/>", "not a GetRecords response but <a>"),
     ("csw", {}, "<html>", "HTML page"), ("csw", {}, "<a", "not well-formed"), ("csw", {}, f"{BOMB}<a>&b;</a>", "DOCTYPE"),
     *(("sparql", SPARQL, content, HOST) for content in ("", "{}", "[1]", '{"head":{},"boolean":true}', "<html>", "<a/>",
                                                       '{"head":{"vars":["count"]},"results":{"bindings":[')),
     *(("pod", {}, content, "not a data.json with a list 'dataset' but") for content in ("{}", "7", '{"dataset": {}}', '{"packages": []}')),
     ("web", {}, "<rss/>", "not a sitemap but <rss>"), ("web", {}, "hello", "not well-formed"),
     ("web", {}, "<urlset", "not well-formed"),
     ("web", {}, b"\x1f\x8bxx", "gzip file cannot be decompressed"), ("web", {}, f"{BOMB}<urlset>&b;</urlset>", "DOCTYPE"),
     ("web", {}, SITEMAP.format("<url><loc>https://www.registry.example/1</loc></url>" * 2),
     r"lists \d pages?, all on another host \(www\.registry"),
     ("web", {}, "<html><p>Hello</p></html>", "is a page without a record of a known class"),
     ("files", {}, "hello", "not a directory listing"), ("files", {}, "<html><p>hello</p></html>", "lists no files and no subfolders"),
     ("files", {}, '{"a": 1}', "not a list of a repository's files"),
     ("files", {}, '[{"path": "a.json"}]', "has no address for 'a.json'; set the option 'raw'"),
     ("files", {}, '<html><title>Index</title><a href="in/">in/</a></html>', "subfolders do not end"),
     ("feed", {}, f"{BOMB}<feed/>", "DOCTYPE, which is refused"), ("feed", {}, "<html><title>Back soon</title></html>", "an HTML page"),
     ("feed", {}, '{"a": 1}', "neither Atom nor RSS"), ("feed", {}, "<a/>", "neither Atom nor RSS"), ("feed", {}, "", "empty response"),
     *(("ical", {},
     content, HOST) for content in ("", "<html></html>", "BEGIN", '{"a": 1}', "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", b"\xff\xfe\x00")),
     ("iati", {}, f"{BOMB}<iati-activities/>", "DOCTYPE, which is refused"),
     ("iati", {}, f"{BOMB}<iati-activities/>".encode("utf-16"), "DOCTYPE, which is refused"),
     ("iati", {}, "<iati-organisations/>", "it begins with <iati-organisations>"), ("iati", {}, "<html></html>", "an HTML page"),
     ("iati", {}, "", "empty response"),
     ("iati", {}, "<iati-activities>", "not well-formed XML"),
     *(("activitystreams", {}, content, HOST) for content in ("{}", "[]", "7", '{"type": "Person"}', "<html>", "")),
     ("resourcesync", {}, "<urlset/>", "not a ResourceSync document: <urlset> without a capability"),
     ("resourcesync", {}, "<a", "not well-formed"),
     ("resourcesync", {}, "<html>", "HTML page"),
     ("html", HTML, "", "empty response"), ("html", HTML, "<html><ul></ul></html>", "has no record at '//li'"),
     ("html", HTML, '<html><li><a id="a">a</a></li><a rel="next" href="/api">more</a></html>', "repeats")],
)  # fmt: skip
def test_what_is_no_response_of_the_protocol_is_reported(
    protocol: str, options: dict[str, Any], content: bytes | str, message: str
) -> None:
    source = defined(protocol, options)

    with (
        open_client(lambda _: httpx.Response(200, content=content)) as fetch,
        pytest.raises(ParseError, match=message),
    ):
        list(check_compatible(source)[0].collect(source, fetch, None))


@each("protocol", ["json", "csv", "spreadsheet", "feed", "ical", "iati", "pod", "rdf"])
@each("header", ["if-none-match", "if-modified-since"])
def test_what_its_server_calls_unchanged_is_not_read_again(protocol: str, header: str) -> None:
    source = defined(protocol, {})
    server = ScriptedRegistry(lambda request: httpx.Response(304 if header in request.headers else 200))  # fmt: skip
    validator = Validator('"1"', "Mon, 01 Jan 2026 00:00:00 GMT")

    with server.open_client(validators={source.url: validator}) as fetch:
        (page,) = check_compatible(source)[0].collect(source, fetch, None)

    assert (page.unchanged, page.items) == (True, ())
