"""List the deleted records of a dump, so that owners of a copy know what to delete.

The format is CSV (https://www.rfc-editor.org/rfc/rfc4180), one line for each tombstone in the order
of their IRIs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import groupby

from pyoxigraph import RdfFormat, parse

from vocab.terms import ADMS, DCT, FOAF, PROV

_GONE = b"operations#gone>"
_STATUS = f" <{ADMS}status> ".encode()
# The columns, and the property of the tombstone that fills each; the last two may be missing.
COLUMNS = {
    "record": None,
    "thing": f"{FOAF}primaryTopic",
    "identifier": f"{DCT}identifier",
    "title": f"{DCT}title",
    "first_seen": f"{DCT}issued",
    "gone": f"{PROV}invalidatedAtTime",
    "run": f"{PROV}wasInvalidatedBy",
    "reason": "#reason",
    "replaced_by": f"{DCT}isReplacedBy",
}


def deletion_rows(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows of the list, the header first, from sorted N-Quads with line ends."""
    yield _row(list(COLUMNS))
    records = (line for line in lines if b"/record/" in line[: line.find(b" ")])
    for _, group in groupby(records, key=lambda line: line[: line.find(b" ")]):
        statements = list(group)
        if any(_STATUS in line and _GONE in line for line in statements):
            yield _deletion_row(b"".join(statements))


def _deletion_row(text: bytes) -> bytes:
    values_by_property: dict[str, list[tuple[int, str]]] = {}
    subject = ""
    for quad in parse(text, RdfFormat.N_QUADS, lenient=True):
        subject, value = getattr(quad.subject, "value", ""), getattr(quad.object, "value", "")
        language = getattr(quad.object, "language", None)
        values_by_property.setdefault(quad.predicate.value, []).append(
            ({"en": 0, None: 1}.get(language, 2), value)
        )
    return _row(
        [subject if name is None else _first(values_by_property, name) for name in COLUMNS.values()]
    )


def _first(values_by_property: dict[str, list[tuple[int, str]]], name: str) -> str:
    """Return the English value, else one without a language, else any; *name* may be the end of a
    property's IRI.
    """
    values = next(
        (values for property_, values in values_by_property.items() if property_.endswith(name)), []
    )
    return min(values, default=(0, ""))[1]


def _row(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()
