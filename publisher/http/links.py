"""Links: typed links between our addresses, as the Link header and as sets of links write them.

Sources: https://www.rfc-editor.org/rfc/rfc8288 (the header), https://www.rfc-editor.org/rfc/rfc9264 (sets, as text and as JSON).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple
from urllib.parse import quote

import orjson
from starlette.requests import Request

LINKSET_TEXT, LINKSET_JSON = "application/linkset", "application/linkset+json"
MAX_LINKS = 30  # links of one relation in a header; the set of links has them all


class Link(NamedTuple):
    """A link from *anchor* ("": the address that is answered) to *target*; *attributes* are pairs such as ``("type", "text/html")``."""

    rel: str
    target: str
    attributes: tuple[tuple[str, str], ...] = ()
    anchor: str = ""


def typed_link(rel: str, target: str, media: str) -> Link:
    """Give a link that tells the media type of its target."""
    return Link(rel, target, (("type", media.partition(";")[0]),))


def link_header(links: Iterable[Link]) -> str:
    """Write links as the value of a Link header, at most MANY of a relation.

    >>> header([typed("next", "/things?after=b", "text/html")])
    '</things?after=b>; rel="next"; type="text/html"'
    """
    seen: dict[str, int] = {}
    kept = []
    for it in links:
        seen[it.rel] = seen.get(it.rel, 0) + 1
        if seen[it.rel] <= MAX_LINKS:
            kept.append(_format_link(it))
    return ", ".join(kept)


def linkset_text(links: Iterable[Link]) -> bytes:
    """Write a set of links as text (RFC 9264, section 4.1), one a line."""
    return (",\n".join(_format_link(it) for it in links) + "\n").encode()


def linkset_json(links: Iterable[Link]) -> bytes:
    """Write a set of links as JSON (RFC 9264, section 4.2), by anchors and relations in their order."""
    contexts = []
    for anchor, group in groupby(links, key=lambda it: it.anchor):
        context: dict[str, object] = {"anchor": anchor} if anchor else {}
        told: dict[str, list[dict[str, object]]] = {}
        for it in group:
            told.setdefault(it.rel, []).append({"href": _to_uri(it.target), **{name: _member(name, text) for name, text in it.attributes}})
        contexts.append(context | told)
    return orjson.dumps({"linkset": contexts}, option=orjson.OPT_INDENT_2)


def _member(name: str, text: str) -> object:
    return text if name in ("type", "title", "media") else [text]  # section 4.2.4: what may come twice is a list


def origin(request: Request) -> str:
    """Give where this host answers, without a slash at the end."""
    return str(request.base_url).rstrip("/")


def _format_link(it: Link) -> str:
    anchor = f'; anchor="{_to_uri(it.anchor)}"' if it.anchor else ""
    attributes = "".join(f'; {name}="{_escape_quotes(text)}"' for name, text in it.attributes)
    return f'<{_to_uri(it.target)}>; rel="{it.rel}"{anchor}{attributes}'


def _escape_quotes(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _to_uri(iri: str) -> str:
    """Write an IRI as a URI, since a header is in ASCII (https://www.rfc-editor.org/rfc/rfc3987, section 3.1)."""
    return quote(iri, safe="!#$%&'()*+,/:;=?@[]~")
