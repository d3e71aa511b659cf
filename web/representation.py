"""Choose a representation by suffix or Accept, and send it with exact validators.

Source: https://www.rfc-editor.org/rfc/rfc9110 sections 8.7 (Content-Location), 8.8 (validators), 12
(negotiation), 13 (conditions) and 15.5.7 (406).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import blake2b
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from languages.translations import TranslatableText
from web.conditional import is_not_modified
from web.formats import DATA_FORMATS, FORMATS, Format
from web.links import Link, link_header, typed_link
from web.negotiation import FormatT, best_match, choose_format, wants_html
from web.problems import HTTPProblem

REVALIDATED = "public, no-cache"  # kept by caches, which ask each time whether it is current


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
        """Return the URL of the representation in *data_format*."""
        if data_format.suffix == "html" and self.page:
            return self.page
        return (
            f"{self.stem}{self.query}&format={data_format.suffix}"
            if self.query
            else f"{self.stem}.{data_format.suffix}"
        )

    def alternates(
        self, rel: str = "alternate", rows: Iterable[Format] = FORMATS.values()
    ) -> list[Link]:
        """Return links to all representations."""
        return [typed_link(rel, self.form(data_format), data_format.media) for data_format in rows]


@dataclass(frozen=True, slots=True)
class Representation:
    """A response body with its metadata. *modified*: seconds since 1970, None if unknown;
    *negotiated*: chosen by Accept, not by URL.
    """

    body: bytes
    media: str
    status: HTTPStatus = HTTPStatus.OK
    modified: int | None = None
    negotiated: bool = False
    links: Iterable[Link] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def negotiate_format(request: Request, urls: ResourceURLs, suffix: str | None) -> Format:
    """Return the format for *request*: by suffix, by ``?format=``, else by Accept.

    Raises HTTPProblem (406) with the available formats if none matches.
    """
    requested = suffix or request.query_params.get("format")
    data_format = (
        FORMATS.get(requested)
        if requested
        else choose_format(request.headers.get("accept"), DATA_FORMATS.values())
    )
    if data_format is None:
        available = ", ".join(
            f"{urls.form(data_format)} ({data_format.media.partition(';')[0]})"
            for data_format in FORMATS.values()
        )
        headers = {"Link": link_header(urls.alternates()), "Vary": "Accept"}
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            TranslatableText(
                "No available format matches your request. Available: {formats}", formats=available
            ),
            headers,
        )
    return data_format


def negotiate_data_format(
    request: Request, formats: Mapping[str, FormatT], suffix: str | None
) -> FormatT | None:
    """Return the one of *formats* (by suffix) for *request*, None for the page: by *suffix* if it
    is not None, else by Accept.

    Raises HTTPProblem (406) with the available formats if none matches.
    """
    accept = request.headers.get("accept")
    if suffix is None and wants_html(accept, formats.values()):
        return None
    data_format = formats.get(suffix) if suffix else best_match(accept, formats.values())
    if data_format is None:
        available = ", ".join(data_format.media for data_format in formats.values())
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            TranslatableText(
                "No available format matches your request. Available: {formats}", formats=available
            ),
            {"Vary": "Accept"},
        )
    return data_format


def is_negotiated(request: Request, suffix: str | None) -> bool:
    """Return whether Accept decides the format, and neither suffix nor parameter."""
    return not suffix and "format" not in request.query_params


def build_response(request: Request, representation: Representation) -> Response:
    """Return a response with *representation*, or 304 if the client has it; HEAD gets the same
    headers without body.
    """
    etag = f'"{blake2b(representation.body, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": REVALIDATED, **representation.headers}
    if representation.negotiated:
        headers["Vary"] = ", ".join(dict.fromkeys(filter(None, ("Accept", headers.get("Vary")))))
    if links := link_header(representation.links):
        headers["Link"] = links
    if representation.modified is not None:
        headers["Last-Modified"] = formatdate(representation.modified, usegmt=True)
    if representation.status is HTTPStatus.OK and is_not_modified(
        request.headers, etag, modified=representation.modified
    ):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers |= {
        "Content-Type": representation.media,
        "Content-Length": str(len(representation.body)),
    }
    return Response(
        b"" if request.method == "HEAD" else representation.body, representation.status, headers
    )


def see_other(
    request: Request, path: str, links: Iterable[Link] = (), vary: str = "Accept"
) -> Response:
    """Return 303: the resource is described at *path* of this host."""
    headers = {"Link": link_header(links), "Vary": vary}
    root = request.scope.get("root_path", "")
    return RedirectResponse(
        root + path, HTTPStatus.SEE_OTHER, {name: text for name, text in headers.items() if text}
    )
