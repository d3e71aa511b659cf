"""The way out of every route: the formats and how a client chooses among them, typed links, errors
as problem details, validators, headers and content.

This is the only place that reads If-None-Match and If-Modified-Since. Sources:
https://www.rfc-editor.org/rfc/rfc9110 sections 5.6.6 (parameters), 8.7 (Content-Location), 8.8
(validators), 12 (negotiation), 13 (conditions) and 15.5.7 (406), https://www.rfc-editor.org/rfc/rfc9457
(problem details), https://www.rfc-editor.org/rfc/rfc8288 (the header Link),
https://www.rfc-editor.org/rfc/rfc9264 (link sets, as text and as JSON).
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from hashlib import blake2b
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote

import orjson
from pyoxigraph import QueryResultsFormat, RdfFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from languages.translations import TranslatableText
from vocab.iris import KINDS, encode

_TOKEN = r"[!#$%&'*+.^_`|~\w-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PART = re.compile(rf"(?:{_QUOTED}|[^,\"])+")  # up to the next comma outside quotes
_RANGE = re.compile(rf"\s*({_TOKEN})/({_TOKEN})\s*((?:;.*)?)\Z", re.ASCII | re.DOTALL)
_PARAMETER = re.compile(rf";\s*({_TOKEN})\s*=\s*({_QUOTED}|{_TOKEN})", re.ASCII)
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")
_CODING = re.compile(r"\s*+(gzip|x-gzip|\*)\s*+(?:;\s*+q\s*+=\s*+([0-9.]++)\s*+)?\Z", re.IGNORECASE)
_IGNORED_PARAMETERS = {"charset"}  # every response is UTF-8


@dataclass(frozen=True, slots=True)
class Format:
    """A format: *media* is sent as Content-Type, *aliases* are also accepted in Accept."""

    suffix: str
    label: str
    media: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphFormat(Format):
    """A serialization of triples."""

    writer: RdfFormat = RdfFormat.TURTLE


@dataclass(frozen=True, slots=True)
class TableFormat(Format):
    """A serialization of query solutions."""

    writer: QueryResultsFormat = QueryResultsFormat.JSON


FormatT = TypeVar("FormatT", bound=Format)
GRAPHS = {
    item.suffix: item
    for item in (
        GraphFormat(
            "ttl",
            "Turtle",
            "text/turtle; charset=utf-8",
            ("application/x-turtle",),
            RdfFormat.TURTLE,
        ),
        GraphFormat(
            "nt", "N-Triples", "application/n-triples", ("text/plain",), RdfFormat.N_TRIPLES
        ),
        GraphFormat(
            "jsonld", "JSON-LD", "application/ld+json", ("application/json",), RdfFormat.JSON_LD
        ),
        GraphFormat(
            "rdf",
            "RDF/XML",
            "application/rdf+xml",
            ("application/xml", "text/xml"),
            RdfFormat.RDF_XML,
        ),
    )
}
HTML = Format("html", "HTML", "text/html; charset=utf-8", ("application/xhtml+xml",))
JSON = Format("json", "JSON", "application/json")
TABLES = {
    item.suffix: item
    for item in (
        TableFormat(
            "json",
            "JSON",
            "application/sparql-results+json",
            ("application/json",),
            QueryResultsFormat.JSON,
        ),
        TableFormat(
            "xml",
            "XML",
            "application/sparql-results+xml",
            ("application/xml", "text/xml"),
            QueryResultsFormat.XML,
        ),
        TableFormat("csv", "CSV", "text/csv; charset=utf-8", (), QueryResultsFormat.CSV),
        TableFormat(
            "tsv", "TSV", "text/tab-separated-values; charset=utf-8", (), QueryResultsFormat.TSV
        ),
    )
}
# The data formats of a resource: here application/json is our plain JSON, not an alias of JSON-LD.
DATA_FORMATS: dict[str, Format] = {**GRAPHS, "json": JSON}
FORMATS: dict[str, Format] = {**DATA_FORMATS, "html": HTML}


def media_types(entry: Format) -> tuple[str, ...]:
    """Return every media type that selects *entry*, its own first, without parameters.

    >>> media_types(GRAPHS["ttl"])
    ('text/turtle', 'application/x-turtle')
    """
    return (entry.media.partition(";")[0], *entry.aliases)


class MediaRange(NamedTuple):
    """A media range, such as ``text/*;q=0.3``; *parameters* exclude q."""

    kind: str
    subtype: str
    quality: float
    parameters: frozenset[tuple[str, str]]

    @property
    def precision(self) -> int:
        """Return how specific the range is. The most specific range that matches decides."""
        return (self.kind != "*") + (self.subtype != "*") + len(self.parameters)

    def includes(self, kind: str, subtype: str, parameters: frozenset[tuple[str, str]]) -> bool:
        return (
            self.kind in ("*", kind)
            and self.subtype in ("*", subtype)
            and self.parameters <= parameters
        )


@lru_cache(maxsize=512)
def parse_accept(accept: str) -> tuple[MediaRange, ...]:
    """Parse an Accept header. Invalid media ranges are skipped; an invalid q-value counts as 1.

    >>> [(item.subtype, item.quality) for item in parse_accept('text/html, text/*;q=0.3, nonsense, */*;q=2')]
    [('html', 1.0), ('*', 0.3), ('*', 1.0)]
    """
    return tuple(
        _parse_range(match) for part in _PART.findall(accept) if (match := _RANGE.match(part))
    )


def parse_parameters(text: str) -> dict[str, str]:
    """Parse the parameters of a media type: names in lower case, values without quotes."""
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        for name, value in _PARAMETER.findall(text)
    }


def _parse_range(match: re.Match[str]) -> MediaRange:
    params = parse_parameters(match[3])
    quality_text = params.pop("q", "1")
    narrowing = frozenset(
        (name, value) for name, value in params.items() if name not in _IGNORED_PARAMETERS
    )
    return MediaRange(
        match[1].lower(),
        match[2].lower(),
        float(quality_text) if _QUALITY.match(quality_text) else 1.0,
        narrowing,
    )


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Return whether the header Accept-Encoding allows gzip; None: it is absent.

    >>> accepts_gzip("deflate, gzip;q=0.5"), accepts_gzip("gzip;q=0, *"), accepts_gzip("*"), accepts_gzip(None)
    (True, False, True, False)
    """
    codings = {
        match[1].lower(): match[2] is None or match[2].strip("0.") != ""
        for part in (accept_encoding or "").split(",")
        if (match := _CODING.match(part))
    }
    return codings.get("gzip", codings.get("x-gzip", codings.get("*", False)))


_ANYTHING = (MediaRange("*", "*", 1.0, frozenset()),)


def quality(accept: str | None, media: str) -> float:
    """Return the q-value of *media* in *accept*: that of the most specific matching range, 0 if
    none matches.

    A range with a parameter that *media* lacks counts only if no other range matches: few clients
    mean it strictly.

    >>> quality("text/*;q=0.3, text/html;q=0.7, */*;q=0.1", "text/html"), quality("text/*;q=0.3", "image/png")
    (0.7, 0.0)
    >>> quality(None, "text/html"), quality("text/html;level=1, text/html;q=0.4", "text/html"), quality("text/html;level=1", "text/html")
    (1.0, 0.4, 1.0)
    """
    ranges = parse_accept(accept) if accept and accept.strip() else _ANYTHING
    name, _, rest = media.partition(";")
    kind, _, subtype = name.strip().lower().partition("/")
    media_parameters = frozenset(parse_parameters(f";{rest}").items())
    matches = [
        media_range
        for media_range in ranges
        if media_range.includes(kind, subtype, media_parameters)
    ] or [
        media_range
        for media_range in ranges
        if media_range.includes(kind, subtype, media_range.parameters)
    ]
    return (
        max(matches, key=lambda media_range: (media_range.precision, media_range.quality)).quality
        if matches
        else 0.0
    )


def best_match(accept: str | None, formats: Iterable[FormatT]) -> FormatT | None:
    """Return the format that *accept* prefers, the first of equals; None if it accepts none.

    An alias counts slightly less than the format's own media type, so that ``application/json``
    selects SPARQL's JSON.
    """
    ranked = [(_score(accept, candidate), candidate) for candidate in formats]
    top = max((score for score, _ in ranked), default=0.0)
    return (
        next((candidate for score, candidate in ranked if score == top), None) if top > 0 else None
    )


def _score(accept: str | None, candidate: Format) -> float:
    return max(
        quality(accept, name) - 0.0001 * (position > 0)
        for position, name in enumerate(media_types(candidate))
    )


def wants_html(accept: str | None, formats: Iterable[Format]) -> bool:
    """Return whether the client prefers HTML to all of *formats*. ``*/*`` alone selects data."""
    page = max(quality(accept, name) for name in media_types(HTML))
    data = max((_score(accept, candidate) for candidate in formats), default=0.0)
    return page > data or (
        page == data and page > 0 and accept is not None and "text/html" in accept.lower()
    )


PROBLEM_MEDIA = "application/problem+json"


class HTTPProblem(Exception):
    """An error that is sent as problem details, with *headers*."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}


ValueT = TypeVar("ValueT")


def require(
    value: ValueT | None,
    text: str,
    status: HTTPStatus = HTTPStatus.NOT_FOUND,
    headers: dict[str, str] | None = None,
) -> ValueT:
    """Return *value*; raises HTTPProblem with *text* and *headers* if it is None or False."""
    if value is None or value is False:
        raise HTTPProblem(status, text, headers)
    return value


def problem_response(
    status: HTTPStatus,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    **extensions: Any,
) -> Response:
    """Return a response with problem details; *extensions* are extra members, such as line and
    column, omitted if None.
    """
    members = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
    members |= {name: value for name, value in extensions.items() if value is not None}
    return Response(json.dumps(members), status, headers, PROBLEM_MEDIA)


class Problem(NamedTuple):
    """What a client learns of an error: *detail* with *extensions*, or a page of *template* with
    *values*. Without a *title* it has that of its status.
    """

    status: HTTPStatus
    detail: str
    headers: Mapping[str, str] = {}
    title: str = ""
    extensions: Mapping[str, Any] = {}
    template: str = "problem.html"
    values: Mapping[str, object] = {}


def install_error_handler(
    app: Starlette,
    kinds: Iterable[type[Exception]],
    describe: Callable[[Request, Exception], Awaitable[Problem]],
    render: Callable[[Request, Problem], Response | None],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Let *app* answer errors of *kinds* as *describe* says, and return the handler. *render*
    returns the page of a problem, None where the client gets problem details.
    """

    async def respond_to_error(request: Request, error: Exception) -> Response:
        problem = await describe(request, error)
        title, headers = problem.title or problem.status.phrase, dict(problem.headers)
        if response := render(request, problem):
            response.headers.update(headers)
            return response
        return problem_response(
            problem.status, title, problem.detail, headers, **problem.extensions
        )

    for kind in kinds:
        app.add_exception_handler(kind, respond_to_error)
    return respond_to_error


def wants_page(request: Request) -> bool:
    """Return whether the client prefers a page to problem details: a browser does."""
    accept = request.headers.get("accept", PROBLEM_MEDIA)
    return quality(accept, "text/html") > quality(accept, PROBLEM_MEDIA)


LINKSET_TEXT, LINKSET_JSON = "application/linkset", "application/linkset+json"
MAX_LINKS = 30  # links of one relation in a header; the link set has all


class Link(NamedTuple):
    """A link from *anchor* ("": the requested URL) to *target*; *attributes* are pairs such as
    ``("type", "text/html")``.
    """

    rel: str
    target: str
    attributes: tuple[tuple[str, str], ...] = ()
    anchor: str = ""


def typed_link(rel: str, target: str, media: str) -> Link:
    return Link(rel, target, (("type", media.partition(";")[0]),))


def link_header(links: Iterable[Link]) -> str:
    """Format links as the value of a Link header, at most MAX_LINKS of each relation.

    >>> link_header([typed_link("next", "/things?after=b", "text/html")])
    '</things?after=b>; rel="next"; type="text/html"'
    """
    seen: dict[str, int] = {}
    formatted = []
    for link in links:
        seen[link.rel] = seen.get(link.rel, 0) + 1
        if seen[link.rel] <= MAX_LINKS:
            formatted.append(_format_link(link))
    return ", ".join(formatted)


def linkset_text(links: Iterable[Link]) -> bytes:
    """Serialize a link set as text (RFC 9264, section 4.1), one link a line."""
    return (",\n".join(_format_link(link) for link in links) + "\n").encode()


def linkset_json(links: Iterable[Link]) -> bytes:
    """Serialize a link set as JSON (RFC 9264, section 4.2), grouped by anchor and relation in
    order.
    """
    contexts = []
    for anchor, group in groupby(links, key=lambda link: link.anchor):
        context: dict[str, object] = {"anchor": anchor} if anchor else {}
        relations: dict[str, list[dict[str, object]]] = {}
        for link in group:
            relations.setdefault(link.rel, []).append(
                {
                    "href": _to_uri(link.target),
                    # Section 4.2.4: a repeatable attribute is a list.
                    **{
                        name: text if name in ("type", "title", "media") else [text]
                        for name, text in link.attributes
                    },
                }
            )
        contexts.append(context | relations)
    return orjson.dumps({"linkset": contexts}, option=orjson.OPT_INDENT_2)


def origin(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _format_link(link: Link) -> str:
    anchor = f'; anchor="{_to_uri(link.anchor)}"' if link.anchor else ""
    attributes = "".join(f'; {name}="{_escape_quotes(text)}"' for name, text in link.attributes)
    return f'<{_to_uri(link.target)}>; rel="{link.rel}"{anchor}{attributes}'


def _escape_quotes(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _to_uri(iri: str) -> str:
    """Convert an IRI to a URI, since headers are ASCII (https://www.rfc-editor.org/rfc/rfc3987,
    section 3.1).
    """
    return quote(iri, safe="!#$%&'()*+,/:;=?@[]~")


_TAG = re.compile(r'(?:W/)?("[^"]*")')
SAFE_METHODS = ("GET", "HEAD")
IMMUTABLE = "public, max-age=31536000, immutable"
NO_STORE = {"Cache-Control": "no-store"}  # no cache may store the response
REVALIDATED = "public, no-cache"  # caches keep it, and ask each time whether it is current


@dataclass(frozen=True, slots=True)
class ResourceURLs:
    """The URLs of a resource's representations: *stem* is the path before the suffix, *page* the
    path of the page if it differs.

    *query*, such as ``?iri=...``, follows the path; then the format is a parameter of the query and
    not a suffix.
    """

    stem: str
    page: str = ""
    query: str = ""

    def form(self, data_format: Format) -> str:
        if data_format.suffix == "html" and self.page:
            return self.page
        return (
            f"{self.stem}{self.query}&format={data_format.suffix}"
            if self.query
            else f"{self.stem}.{data_format.suffix}"
        )

    def alternates(
        self, rel: str = "alternate", formats: Iterable[Format] = FORMATS.values()
    ) -> list[Link]:
        return [typed_link(rel, self.form(item), item.media) for item in formats]


def path_segments(request: Request) -> list[str]:
    """Return the segments of the raw path after the first, percent-encoded as our IRIs are.

    Clients may encode more or fewer characters; both find the same thing.
    """
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    try:
        path = raw.partition(b"?")[0].decode()
        return [encode(unquote(part, errors="strict")) for part in path.strip("/").split("/")[1:]]
    except UnicodeDecodeError as error:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, TranslatableText("The path is not valid UTF-8")
        ) from error


def parse_thing_path(parts: list[str]) -> tuple[str, str, str]:
    """Return kind, source and key of a path ``{kind}/{source}/{key}``; raises HTTPProblem (404) for
    any other path.
    """
    if len(parts) != 3 or parts[0] not in KINDS or not all(parts):
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "The path must be {form}; kinds: {kinds}",
                form="{kind}/{source}/{key}",
                kinds=", ".join(KINDS),
            ),
        )
    return parts[0], parts[1], parts[2]


def split_suffix(key: str) -> tuple[str, str | None]:
    """Split a key from a format suffix.

    >>> split_suffix("a.b.ttl"), split_suffix("a.b")
    (('a.b', 'ttl'), ('a.b', None))
    """
    stem, dot, suffix = key.rpartition(".")
    return (stem, suffix) if dot and stem and suffix in FORMATS else (key, None)


def choose_format(
    request: Request,
    formats: Mapping[str, FormatT],
    suffix: str | None = None,
    urls: ResourceURLs | None = None,
) -> FormatT:
    """Return one of *formats* (by suffix): that of *suffix*, else of ``?format=``, else the one that
    Accept prefers; then the response varies by Accept.

    Raises HTTPProblem (406) that names the formats, and their addresses if *urls* are given.
    """
    asked, accept = suffix or request.query_params.get("format"), request.headers.get("accept")
    data = [item for item in formats.values() if item.suffix != HTML.suffix]
    request.state.is_negotiated = not asked
    chosen = (
        formats.get(asked)
        if asked
        else formats["html"]
        if "html" in formats and wants_html(accept, data)
        else best_match(accept, data)
    )
    if chosen is None:
        raise not_acceptable(formats.values(), urls)
    return chosen


def not_acceptable(formats: Collection[Format], urls: ResourceURLs | None = None) -> HTTPProblem:
    available = [
        f"{urls.form(item)} ({item.media.partition(';')[0]})" if urls else item.media
        for item in formats
    ]
    links = link_header(urls.alternates(formats=formats)) if urls else ""
    return HTTPProblem(
        HTTPStatus.NOT_ACCEPTABLE,
        TranslatableText(
            "No available format matches your request. Available: {formats}",
            formats=", ".join(available),
        ),
        {"Vary": "Accept"} | ({"Link": links} if links else {}),
    )


def respond(
    request: Request,
    content: bytes | str | Response | Path,
    form: Format | str,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    modified: int | None = None,
    links: Iterable[Link] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return *content* in the format, or of the media type, *form*; 304 if the client has it.

    *content* may be a rendered page, or a file, of which the requested ranges are sent. *modified*:
    seconds since 1970, None if unknown. The digest of the content is its entity tag, unless
    *headers* have one, or must not be stored. HEAD gets the same headers.
    """
    media = form if isinstance(form, str) else form.media
    headers = {**(headers or {}), "Vary": _vary(request, (headers or {}).get("Vary"))}
    headers["Link"] = link_header(links) or headers.get("Link", "")
    if modified is not None:
        headers["Last-Modified"] = formatdate(modified, usegmt=True)
    headers = {name: text for name, text in headers.items() if text}
    if isinstance(content, Path):
        headers.setdefault("Cache-Control", REVALIDATED)
        file = FileResponse(content, media_type=media, headers=headers, stat_result=content.stat())
        return unchanged(request, {**headers, "ETag": file.headers["etag"]}) or file
    body = bytes(content.body) if isinstance(content, Response) else content
    body = body.encode() if isinstance(body, str) else body
    if headers.setdefault("Cache-Control", REVALIDATED) != "no-store":
        headers.setdefault("ETag", f'"{blake2b(body, digest_size=12).hexdigest()}"')
        if status is HTTPStatus.OK and (response := unchanged(request, headers, modified)):
            return response
    headers |= {"Content-Type": media, "Content-Length": str(len(body))}
    return Response(b"" if request.method == "HEAD" else body, status, headers)


def respond_in(
    request: Request,
    writers: Mapping[Format, Callable[[], bytes | str | Response]],
    suffix: str | None = None,
    **options: Any,
) -> Response:
    """Return what the writer of the chosen format writes: that of *suffix*, or as `choose_format`
    chooses; *options* are those of `respond`.
    """
    chosen = choose_format(request, {item.suffix: item for item in writers}, suffix)
    return respond(request, writers[chosen](), chosen, **options)


def unchanged(
    request: Request,
    headers: Mapping[str, str],
    modified: float | None = None,
) -> Response | None:
    """Return 304 if the client has the response with the ETag of *headers*, changed at *modified*;
    None otherwise. For routes that know the tag before they make the content.
    """
    if request.method not in SAFE_METHODS:
        return None
    if not is_not_modified(request.headers, headers["ETag"], modified=modified):
        return None
    return Response(None, HTTPStatus.NOT_MODIFIED, headers)


def see_other(request: Request, path: str) -> Response:
    """Return 303: the resource is described at *path* of this host."""
    vary = _vary(request)
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, {"Vary": vary} if vary else None)


def _vary(request: Request, more: str | None = None) -> str:
    accept = "Accept" if getattr(request.state, "is_negotiated", False) else ""
    return ", ".join(dict.fromkeys(filter(None, (accept, more))))


def matches_etag(headers: Mapping[str, str], *etags: str) -> bool:
    """Return whether the header If-None-Match is ``*`` or names one of *etags*.

    Weak and strong tags count as the same (section 13.1.2).
    """
    sent = headers.get("if-none-match", "")
    return sent.strip() == "*" or not {etag.removeprefix("W/") for etag in etags}.isdisjoint(
        _TAG.findall(sent)
    )


def is_not_modified(headers: Mapping[str, str], *etags: str, modified: float | None) -> bool:
    """Return whether the client has the response with one of *etags*, last changed at *modified*,
    in seconds since 1970.

    A date counts only without If-None-Match (section 13.2.2), and only if it equals *modified*: the
    time of a run is its start, and its changes were published later. None: unknown.
    """
    if "if-none-match" in headers:
        return matches_etag(headers, *etags)
    return modified is not None and parse_http_date(headers.get("if-modified-since")) == modified


def parse_http_date(date: str | None) -> float | None:
    """Return an HTTP date in seconds since 1970; None if it is absent or invalid, and then ignored
    (section 13.1.3).
    """
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, TypeError, OverflowError):
        return None
