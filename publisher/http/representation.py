"""Representation: the form in which a resource is told, chosen by suffix or by Accept, with validators that are exact.

Source: https://www.rfc-editor.org/rfc/rfc9110 sections 8.7 (Content-Location), 8.8 (validators), 12 (negotiation), 13 (conditions)
and 15.5.7 (406).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from hashlib import blake2b
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from publisher.formats import DATA_FORMATS, FORMATS, Format
from publisher.http.links import Link, link_header, typed_link
from publisher.http.negotiation import choose_format
from publisher.http.problems import HTTPProblem

_TAG = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class ResourceURLs:
    """Where the forms of a resource lie: *stem* is the path to which a suffix is added, *page* that of the page where it is another.

    *query* stands behind it all, such as ``?iri=...``; then the form stands in it too, since a suffix cannot.
    """

    stem: str
    page: str = ""
    query: str = ""

    def form(self, row: Format) -> str:
        """Give the address of the form *row*."""
        if row.suffix == "html" and self.page:
            return self.page
        return f"{self.stem}{self.query}&format={row.suffix}" if self.query else f"{self.stem}.{row.suffix}"

    def alternates(self, rel: str = "alternate", rows: Iterable[Format] = FORMATS.values()) -> list[Link]:
        """Give links to all forms."""
        return [typed_link(rel, self.form(row), row.media) for row in rows]


@dataclass(frozen=True, slots=True)
class Representation:
    """What is answered; *modified* are seconds since 1970, None where not known, *negotiated*: by Accept, not by the address."""

    body: bytes
    media: str
    status: HTTPStatus = HTTPStatus.OK
    modified: int | None = None
    negotiated: bool = False
    links: Iterable[Link] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def negotiate_format(request: Request, place: ResourceURLs, suffix: str | None) -> Format:
    """Choose the form in which *request* wants a resource: by suffix, by ``?format=``, else by Accept.

    Raises Refused with the list of what there is where nothing fits.
    """
    named = suffix or request.query_params.get("format")
    row = FORMATS.get(named) if named else choose_format(request.headers.get("accept"), DATA_FORMATS.values())
    if row is None:
        there = ", ".join(f"{place.form(row)} ({row.media.partition(';')[0]})" for row in FORMATS.values())
        told = {"Link": link_header(place.alternates()), "Vary": "Accept"}
        raise HTTPProblem(HTTPStatus.NOT_ACCEPTABLE, f"None of the formats you asked for is available. Available: {there}", told)
    return row


def is_negotiated(request: Request, suffix: str | None) -> bool:
    """Tell whether the header Accept has chosen, and no address has."""
    return not suffix and "format" not in request.query_params


def build_response(request: Request, it: Representation) -> Response:
    """Answer with *it*, or 304 where the client has it already; to HEAD with the same headers and no body."""
    etag = f'"{blake2b(it.body, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "public, no-cache", **it.headers}
    if it.negotiated:
        headers["Vary"] = ", ".join(dict.fromkeys(filter(None, ("Accept", headers.get("Vary")))))
    if links := link_header(it.links):
        headers["Link"] = links
    if it.modified is not None:
        headers["Last-Modified"] = formatdate(it.modified, usegmt=True)
    if it.status is HTTPStatus.OK and _not_modified(request, etag, it.modified):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers |= {"Content-Type": it.media, "Content-Length": str(len(it.body))}
    return Response(b"" if request.method == "HEAD" else it.body, it.status, headers)


def see_other(request: Request, path: str, links: Iterable[Link] = (), vary: str = "Accept") -> Response:
    """Answer 303: the resource is told at *path* of this host."""
    headers = {"Link": link_header(links), "Vary": vary}
    root = request.scope.get("root_path", "")
    return RedirectResponse(root + path, HTTPStatus.SEE_OTHER, {name: text for name, text in headers.items() if text})


def _not_modified(request: Request, etag: str, modified: int | None) -> bool:
    """Tell whether the client holds what would be sent.

    A date counts only where it is the one that we told, not a later one: a run's time is when it began, and what it
    changed was published later.
    """
    if (known := request.headers.get("if-none-match")) is not None:
        return known.strip() == "*" or etag in _TAG.findall(known)
    since = request.headers.get("if-modified-since")
    try:
        return modified is not None and since is not None and int(parsedate_to_datetime(since).timestamp()) == modified
    except (ValueError, TypeError):
        return False  # section 13.1.3: a date that is none is ignored
