"""Build all IRIs of this project."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

BASE = "https://w3id.org/wsis-stocktaking/"

# The kinds of things, in the order of their numbers in the facet tables, from 1.
KINDS = ("initiative", "event", "document", "post", "organization")

# RFC 3987, restricted to http(s) with a registered name or IPv4 host; other values stay literals.
_UCS = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef\U00010000-\U0001fffd\U00020000-\U0002fffd\U00030000-\U0003fffd"
_CHAR = rf"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@{_UCS}]|%[0-9A-Fa-f]{{2}})"
_HOST = rf"(?:[A-Za-z0-9\-._~!$&'()*+,;={_UCS}]|%[0-9A-Fa-f]{{2}})+"
_WEB = re.compile(
    rf"https?://(?:{_CHAR}*@)?{_HOST}(?::[0-9]{{0,5}})?(?:/{_CHAR}*)*(?:\?(?:{_CHAR}|[/?])*)?(?:#(?:{_CHAR}|[/?])*)?\Z"
)
# A segment that needs no encoding, and does not start with a dot.
_SEGMENT = re.compile(r"[A-Za-z0-9:@!$'()*,;=~\-_][A-Za-z0-9:@!$'()*,;=~\-._]*\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9:@!$'()*,;=~\-._]+")
_GAPS = re.compile(r"[\W_]+")
_SIMPLE_WEB = re.compile(r"https?://[A-Za-z0-9.\-]+(?:/[A-Za-z0-9\-._~/=,:@+]*)?\Z")


def is_web(text: str) -> bool:
    """Return whether *text* is an absolute http or https IRI that every RDF store accepts.

    Source: https://www.rfc-editor.org/rfc/rfc3987 section 2.2.

    >>> is_web("https://example.org/a?b=c"), is_web("www.example.org"), is_web("http://a b/")
    (True, False, False)
    """
    return text.startswith("http") and bool(_SIMPLE_WEB.match(text) or _WEB.match(text))


def encode(key: str) -> str:
    """Percent-encode a source's identifier as one path segment, reversible and never empty.

    A lone surrogate, which no UTF-8 text can hold, is written as U+FFFD.

    >>> encode("oai:x.org:1/2 ü")
    'oai:x.org:1%2F2%20%C3%BC'
    """
    return key if _SEGMENT.match(key) else _encoded(key)


@lru_cache(maxsize=1024)  # Keys of one or two pages of records: each is written about ten times.
def _encoded(key: str) -> str:
    encoded = _UNSAFE.sub(_percent, key)
    return encoded.replace(".", "%2E") if encoded in {".", ".."} else encoded


def _percent(match: re.Match[str]) -> str:
    return "%" + match.group().encode("utf-8", "replace").hex("%").upper()


@dataclass(frozen=True, slots=True)
class Iris:
    """Build IRIs under one base; *base* ends with a slash or a hash."""

    base: str = BASE

    @property
    def ns(self) -> str:
        return f"{self.base}ns#"

    @property
    def operations(self) -> str:
        """Return the namespace of the terms of records, sources, runs and the endpoint: of what is
        stated about a record, and not about the thing that it describes.
        """
        return f"{self.base}operations#"

    def scheme(self, name: str) -> str:
        """Return the IRI of a concept scheme, e.g. ``action-line``."""
        return f"{self.base}scheme/{name}"

    def concept(self, scheme: str, code: str) -> str:
        """Return the IRI of a concept of ours, e.g. ``concept("action-line", "C7-ehea")``."""
        return f"{self.base}scheme/{scheme}/{code}"

    def thing(self, kind: str, source: str, key: str) -> str:
        """Return the IRI of an initiative, event, document, post or organization (one of KINDS) of
        a source.
        """
        return f"{self.base}id/{kind}/{source}/{encode(key)}"

    def record(self, source: str, key: str) -> str:
        """Return the IRI of a record, which is both its named graph and its ``dcat:CatalogRecord``."""
        return f"{self.base}record/{source}/{encode(key)}"

    def picture(self, name: str) -> str:
        """Return the IRI of a picture of a submission; *name* is that of its file."""
        return f"{self.base}picture/{name}"

    def source(self, name: str) -> str:
        return f"{self.base}source/{name}"

    def run(self, run: str) -> str:
        return f"{self.base}run/{run}"

    def release(self, number: int) -> str:
        return f"{self.base}release/{number}"

    @property
    def clusters(self) -> str:
        """Return the prefix of the IRIs of clusters, after which they have the kind, the source and
        the key of the member that names the cluster.
        """
        return f"{self.base}cluster/"

    def links(self, source: str) -> str:
        """Return the IRI of the graph with the states of the links of a source's records; with ""
        the prefix of these IRIs.
        """
        return f"{self.base}links/{source}"

    @property
    def status(self) -> str:
        """Return the IRI of the status graph, which no release contains."""
        return f"{self.base}status"


def slug(name: str) -> str:
    """Return a stable key for an organization without an identifier, from its name.

    >>> slug("Ministry of ICT, Kenya"), slug("工业部")
    ('ministry-of-ict-kenya', '工业部')
    >>> slug("...").startswith("x-")
    True
    """
    words = _GAPS.sub("-", name.casefold()).strip("-")
    return (
        words[:80]
        if words
        else "x-" + hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).hexdigest()
    )
