"""The way out of every route: choose the format, compare validators, write headers and content.

This is the only place that reads If-None-Match and If-Modified-Since. Source:
https://www.rfc-editor.org/rfc/rfc9110 sections 8.7 (Content-Location), 8.8 (validators), 12
(negotiation), 13 (conditions) and 15.5.7 (406).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from languages.translations import TranslatableText
from web.formats import FORMATS, HTML, Format, FormatT, best_match, wants_html
from web.links import Link, link_header, typed_link
from web.problems import HTTPProblem

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
        self, rel: str = "alternate", rows: Iterable[Format] = FORMATS.values()
    ) -> list[Link]:
        return [typed_link(rel, self.form(data_format), data_format.media) for data_format in rows]


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
    data = [row for row in formats.values() if row.suffix != HTML.suffix]
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


def not_acceptable(rows: Collection[Format], urls: ResourceURLs | None = None) -> HTTPProblem:
    available = [
        f"{urls.form(row)} ({row.media.partition(';')[0]})" if urls else row.media for row in rows
    ]
    links = link_header(urls.alternates(rows=rows)) if urls else ""
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


def unchanged(
    request: Request,
    headers: Mapping[str, str],
    modified: float | None = None,
    etags: Iterable[str] = (),
) -> Response | None:
    """Return 304 if the client has the response with the ETag of *headers*, or one of *etags*,
    changed at *modified*; None otherwise. For routes that know the tag before they make the content.
    """
    if request.method not in SAFE_METHODS:
        return None
    if not is_not_modified(request.headers, headers["ETag"], *etags, modified=modified):
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
