"""Read the provenance container of a record that an aggregator passes on: where it was harvested,
and where before that.

Source: https://www.openarchives.org/OAI/2.0/guidelines-provenance.htm
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import urlencode, urlsplit

from lxml.etree import _Element

from vocab.iris import is_web

_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_NS = "{http://www.openarchives.org/OAI/2.0/provenance}"
_ORIGIN = f"{_NS}originDescription"
_LEVELS = 20  # aggregators that a record came through
_LENGTH = 1_000  # of an identifier or an address, in characters


def parse_chain(record: _Element) -> tuple[str, ...]:
    """Return the addresses at which a record was harvested before, the oldest first; empty if its
    ``<about>`` does not say so.

    An address is the GetRecord request for the record in Dublin Core, which every repository
    answers. A level without an identifier or with a base URL that is no web address is left out, as
    are levels beyond 20.
    """
    origin = next(
        (
            node
            for about in record.iterfind(f"{_OAI}about")
            for node in about.iterfind(f"{_NS}provenance/{_ORIGIN}")
        ),
        None,
    )
    return tuple(
        dict.fromkeys(
            reversed([address for level in _levels(origin) if (address := _address(level))])
        )
    )


def _levels(origin: _Element | None) -> Iterator[_Element]:
    """Yield the descriptions of a chain, the newest first."""
    for _ in range(_LEVELS):
        if origin is None:
            return
        yield origin
        origin = origin.find(_ORIGIN)


def _address(level: _Element) -> str | None:
    base, identifier = (
        (level.findtext(f"{_NS}{name}") or "").strip() for name in ("baseURL", "identifier")
    )
    try:
        parts = urlsplit(base)
    except ValueError:
        return None
    if not (parts.hostname and identifier and len(base) <= _LENGTH and len(identifier) <= _LENGTH):
        return None
    query = urlencode({"verb": "GetRecord", "identifier": identifier, "metadataPrefix": "oai_dc"})
    address = parts._replace(query=query, fragment="").geturl()
    return address if parts.scheme in ("http", "https") and is_web(address) else None


def drop_repeated(chains: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the chains of a page's records without those that end at one address: one record is
    not the origin of several.

    Some repositories write one and the same container into every record.

    >>> drop_repeated([("a",), ("a", "b"), ("b",), ()])
    [('a',), (), (), ()]
    """
    ends = Counter(chain[-1] for chain in chains if chain)
    return [chain if chain and ends[chain[-1]] == 1 else () for chain in chains]
