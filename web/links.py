"""Typed links between our addresses, written as a Link header or as a link set.

Sources: https://www.rfc-editor.org/rfc/rfc8288 (the header), https://www.rfc-editor.org/rfc/rfc9264
(sets, as text and as JSON).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple
from urllib.parse import quote

import orjson
from starlette.requests import Request

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
