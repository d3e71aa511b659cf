"""Serve recorded responses of real registries as one simulated host.

The responses stay in the folder FEEDS beside the project; where it is missing, the tests that need
it are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import unquote

import httpx
from lxml import etree
from pyoxigraph import QueryResultsFormat, QueryTriples, RdfFormat, Store, parse

from vocab.crosswalks import Crosswalks
from vocab.iris import Iris

SHARED = Path(__file__).parents[3] / "shared"
FEEDS = SHARED / "feeds"
HOST = "registry.example"
SUFFIXES = {".rdf": RdfFormat.RDF_XML, ".ttl": RdfFormat.TURTLE, ".jsonld": RdfFormat.JSON_LD}
MISSING = f"no real feeds at {FEEDS}"

_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_DC = "http://purl.org/dc/elements/1.1/"
_CSW = "http://www.opengis.net/cat/csw/2.0.2"
# The list that is made of single recordings has this many records a page.
_PAGE = 10

Answer = Callable[[Mapping[str, str]], bytes | None]


@cache
def crosswalks() -> Crosswalks:
    return Crosswalks(Iris())


def transport() -> httpx.MockTransport:
    return httpx.MockTransport(_answer)


def played(folder: Path) -> httpx.MockTransport:
    """Return a host that answers from *folder*: `store.ttl` as a SPARQL endpoint, `answers/` by the
    path's last part, else `reply.*`.
    """
    if (folder / "store.ttl").exists():
        store = Store()
        store.bulk_load(path=str(folder / "store.ttl"), format=RdfFormat.TURTLE)
        return httpx.MockTransport(lambda request: endpoint(store, request))
    if (folder / "answers").is_dir():
        files = {file.name: file for file in (folder / "answers").iterdir()}
        return httpx.MockTransport(
            lambda request: _named(files, unquote(request.url.path.rstrip("/").rpartition("/")[2]))
        )
    (reply,) = folder.glob("reply.*")
    return httpx.MockTransport(lambda _: httpx.Response(200, content=reply.read_bytes()))


def _named(files: Mapping[str, Path], name: str) -> httpx.Response:
    return (
        httpx.Response(200, content=files[name].read_bytes())
        if name in files
        else httpx.Response(404)
    )


def endpoint(store: Store, request: httpx.Request) -> httpx.Response:
    results = store.query(request.url.params["query"])
    if isinstance(results, QueryTriples):
        content, type_ = results.serialize(format=RdfFormat.N_TRIPLES), "application/n-triples"
    else:
        content = results.serialize(format=QueryResultsFormat.JSON)
        type_ = "application/sparql-results+json"
    return httpx.Response(200, content=content, headers={"Content-Type": type_})


@lru_cache
def _catalogues() -> Store:
    store = Store()
    for file in sorted((FEEDS / "dcat").iterdir()):
        with suppress(SyntaxError):
            quads = parse(
                file.read_bytes(),
                SUFFIXES[file.suffix],
                base_iri="https://registry.example/",
                rename_blank_nodes=True,
            )
            store.extend(list(quads))
    return store


def _answer(request: httpx.Request) -> httpx.Response:
    if request.url.host != HOST:
        return httpx.Response(404)
    path, parameters = request.url.path, dict(request.url.params)
    if path == "/dcat/sparql":
        return endpoint(_catalogues(), request)
    folder, _, name = path.removeprefix("/").rpartition("/")
    if folder in _FOLDERS:
        content = (
            _index(_FOLDERS[folder]) if name == "index.json" else _file(_FOLDERS[folder], name)
        )
    else:
        answer = _ANSWERS.get(path)
        content = answer(parameters) if answer else None
    return httpx.Response(404) if content is None else httpx.Response(200, content=content)


def _index(folder: Path) -> bytes:
    return json.dumps({"files": sorted(file.name for file in folder.glob("*.json"))}).encode()


def _file(folder: Path, name: str) -> bytes | None:
    file = folder / name
    return file.read_bytes() if name in {entry.name for entry in folder.iterdir()} else None


@lru_cache
def _recorded() -> dict[tuple[tuple[str, str], ...], bytes]:
    results = {}
    for file in sorted((FEEDS / "oai").glob("mit_*.xml")):
        request = etree.fromstring(file.read_bytes()).find(f"{_OAI}request")
        if request is not None:
            results[_terms({str(name): str(text) for name, text in request.attrib.items()})] = (
                file.read_bytes()
            )
    return results


def _terms(parameters: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the arguments sorted; a day becomes its first second, as MIT's server reads it."""
    days = {
        name for name in ("from", "until") if len(parameters.get(name, "")) == len("2024-01-01")
    }
    return tuple(
        sorted(
            (name, f"{text}T00:00:00Z" if name in days else text)
            for name, text in parameters.items()
        )
    )


def _mit(parameters: Mapping[str, str]) -> bytes | None:
    return _repeated(parameters) or _recorded().get(_terms(parameters))


def _repeated(parameters: Mapping[str, str]) -> bytes | None:
    """Return the answer to Identify, or to a second harvest, for which nothing has changed since
    the recordings were made; None for any other request.
    """
    if parameters.get("verb") == "Identify":
        return (FEEDS / "oai" / "sickle_Identify.xml").read_bytes()
    return (
        (FEEDS / "oai" / "sickle_noRecordsMatch.xml").read_bytes()
        if "from" in parameters and "until" not in parameters
        else None
    )


def _singles(parameters: Mapping[str, str]) -> bytes:
    if repeated := _repeated(parameters):
        return repeated
    records = [
        etree.tostring(record)
        for file in sorted((FEEDS / "oai").glob("mit_*.xml"))
        for record in etree.fromstring(file.read_bytes()).iterfind(f"{_OAI}GetRecord/{_OAI}record")
    ]
    first = int(parameters.get("resumptionToken", "0"))
    later = str(first + _PAGE) if first + _PAGE < len(records) else ""
    token = f'<resumptionToken completeListSize="{len(records)}" cursor="{first}">{later}</resumptionToken>'
    body = b"".join(records[first : first + _PAGE])
    return (
        b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><ListRecords>'
        + body
        + token.encode()
        + b"</ListRecords></OAI-PMH>"
    )


def _sickle(parameters: Mapping[str, str]) -> bytes | None:
    return _file(FEEDS / "oai", f"sickle_{parameters.get('resumptionToken', 'ListRecords.xml')}")


def _ckan(parameters: Mapping[str, str]) -> bytes:
    packages = []
    for file in sorted((FEEDS / "ckan").glob("*.json")):
        document = json.loads(file.read_bytes())
        packages += document if isinstance(document, list) else [document]
    start, rows = int(parameters.get("start", "0")), int(parameters.get("rows", "10"))
    return json.dumps(
        {
            "success": True,
            "result": {"count": len(packages), "results": packages[start : start + rows]},
        }
    ).encode()


def _bank(parameters: Mapping[str, str]) -> bytes:
    """Return a page of the World Bank's list: two of eight were recorded, the others are empty."""
    file = FEEDS / "worldbank" / f"az_donor_pipeline_page_os{parameters.get('os', '0')}.raw.json"
    return (
        file.read_bytes()
        if file.exists()
        else b'{"rows":10,"os":"20","page":"3","total":"79","projects":{}}'
    )


def _git_tree(parameters: Mapping[str, str]) -> bytes:
    rows = [
        {"path": f"nominees/{file.name}", "type": "blob"}
        for file in sorted((FEEDS / "dpg" / "nominees").glob("*.json"))
    ]
    return json.dumps(
        {"tree": [{"path": "nominees", "type": "tree"}, {"path": "LICENSE", "type": "blob"}, *rows]}
    ).encode()


def _csw(parameters: Mapping[str, str]) -> bytes:
    """Return MIT's single recordings as a catalogue service would list them; the identifier of the
    OAI record comes before its other identifiers.
    """
    results = []
    for file in sorted((FEEDS / "oai").glob("mit_*.xml")):
        for record in etree.fromstring(file.read_bytes()).iterfind(f"{_OAI}GetRecord/{_OAI}record"):
            parts = [
                etree.tostring(part, encoding="unicode", with_tail=False)
                for part in record.iterfind(f"{_OAI}metadata/*/*")
            ]
            key = f'<dc:identifier xmlns:dc="{_DC}">{record.findtext(f"{_OAI}header/{_OAI}identifier")}</dc:identifier>'
            results += [f"<csw:Record>{key}{''.join(parts)}</csw:Record>"] if parts else []
    start, size = int(parameters["startPosition"]), int(parameters["maxRecords"])
    following = start + size if start + size <= len(results) else 0
    result = f'<csw:SearchResults numberOfRecordsMatched="{len(results)}" nextRecord="{following}">'
    body = "".join(results[start - 1 : start - 1 + size])
    return f'<csw:GetRecordsResponse xmlns:csw="{_CSW}">{result}{body}</csw:SearchResults></csw:GetRecordsResponse>'.encode()


# This many nominees are replayed as activities and as resources.
_SOME = 40


def _nominees() -> list[str]:
    return [
        f"https://{HOST}/raw/main/nominees/{file.name}"
        for file in sorted((FEEDS / "dpg" / "nominees").glob("*.json"))[:_SOME]
    ]


def _activities(parameters: Mapping[str, str]) -> bytes:
    rows = [
        {
            "type": kind,
            "endTime": f"2026-0{month}-01T00:00:00Z",
            "object": {"id": address, "type": "Document"},
        }
        for month, kind in enumerate(("Create", "Update"), 1)
        for address in _nominees()
    ]
    return json.dumps({"type": "OrderedCollection", "orderedItems": rows}).encode()


def _resources(parameters: Mapping[str, str]) -> bytes:
    names = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:rs="http://www.openarchives.org/rs/terms/"'
    text = "".join(f"<url><loc>{address}</loc></url>" for address in _nominees())
    return f'<urlset {names}><rs:md capability="resourcelist"/>{text}</urlset>'.encode()


def _stream(parameters: Mapping[str, str]) -> bytes:
    files = [
        FEEDS / "ldes" / name
        for name in (
            "example-ldes-member.nq",
            "members_member_nquads.nq",
            "members_member_turtle.ttl",
        )
    ]
    texts = [b"\n".join(file.read_bytes() for file in files)]
    texts += [
        f"<https://{HOST}/stream> <https://w3id.org/tree#member> <{quad.subject.value}> .".encode()
        for quad in {
            quad.subject: quad
            for file in files[1:]
            for quad in parse(file.read_bytes(), RdfFormat.TRIG, lenient=True)
        }.values()
    ]
    return b"\n".join(texts)


def _sitemap(parameters: Mapping[str, str]) -> bytes:
    pages = "".join(
        f"<url><loc>https://{HOST}/feeds/html/{file.name}</loc></url>"
        for file in sorted((FEEDS / "html").iterdir())
    )
    return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{pages}</urlset>'.encode()


def _whole(file: Path) -> Answer:
    return lambda parameters: file.read_bytes()


_FOLDERS = {
    "dpg/nominees": FEEDS / "dpg" / "nominees", "raw/main/nominees": FEEDS / "dpg" / "nominees", "dpg/archive": FEEDS / "dpg" / "archive",
    **{f"feeds/{name}": FEEDS / name for name in ("datajson", "dcat", "html", "ical", "ldes", "nde", "oai", "rss", "waf")},
}  # fmt: skip
_ANSWERS: Mapping[str, Answer] = {
    "/mit/oai": _mit, "/mit/singles": _singles, "/sickle/oai": _sickle, "/ckan/api/3/action/package_search": _ckan,
    "/worldbank/projects": _bank, "/wsis/2015.csv": _whole(SHARED / "facts" / "wsis-prizes-2015" / "scrapper_wsis-projects-data.csv"),
    "/iati/activities.xml": _whole(FEEDS / "iati" / "activity-standard-example-annotated.xml"),
    "/library/oai": _whole(Path(__file__).parent / "replies" / "mods" / "reply.xml"),
    "/repository/oai": _whole(Path(__file__).parent / "replies" / "datacite" / "reply.xml"),
    "/wsis/2015.html": _whole(SHARED / "facts" / "wsis-prizes-2015" / "scrapper_wsis-nominated-projects.html"),
    "/legacy/book.xls": _whole(FEEDS / "tabular" / "book.xls"), "/redcross/projects.csv": _whole(FEEDS / "tabular" / "projects.csv"),
    "/sitemap.xml": _sitemap, "/git/trees/main": _git_tree, "/csw": _csw, "/stream": _stream, "/activities": _activities,
    "/resources": _resources, "/datasets/hydra-page1.jsonld": _whole(FEEDS / "nde" / "nde_hydra-page1.jsonld"),
    "/datasets/hydra-page2.jsonld": _whole(FEEDS / "nde" / "nde_hydra-page2.jsonld"),
    "/cordis/projects.csv": _whole(FEEDS / "tabular" / "cordis_projects_horizon.csv"),
}  # fmt: skip
