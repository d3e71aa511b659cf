"""Huge files: an IATI file and a CSV of any size, made as they are sent, by a server on loopback
that holds none of them.

By hand: ``python -m benchmarks.large_source 8099``, then ask for ``/iati.xml?bytes=1000000`` or
``/rows.csv?bytes=1000000``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_PROSE = "Forty schools in the countryside are connected, and their teachers learn how to teach with what they find there. "
_TRANSACTION = (
    '<transaction><transaction-type code="3"/><transaction-date iso-date="2024-0{month}-01"/>'
    '<value currency="USD" value-date="2024-0{month}-01">{number}</value>'
    "<description><narrative>Instalment {month}</narrative></description></transaction>"
)
_ACTIVITY = (
    '<iati-activity xml:lang="en" last-updated-datetime="2026-01-04T10:00:00Z"><iati-identifier>XM-GEN-{number}</iati-identifier>'
    '<reporting-org ref="XM-GEN" type="40"><narrative>Generator</narrative></reporting-org>'
    '<title><narrative>Activity {number}</narrative><narrative xml:lang="fr">Activité {number}</narrative></title>'
    '<description type="1"><narrative>{prose}</narrative></description>'
    '<participating-org ref="XM-A" role="1" type="10"><narrative>Aid Ministry</narrative></participating-org>'
    '<activity-status code="2"/><activity-date iso-date="2024-01-01" type="2"/><recipient-country code="KE"/>'
    '<sector vocabulary="1" code="22040"/><tag vocabulary="2" code="4"/>{transactions}</iati-activity>\n'
)
PIECE = 1 << 20  # bytes sent at once


def iati(size: int) -> Iterator[bytes]:
    """Return an IATI file of about *size* bytes, of activities with some 4 kB each."""
    transactions = "".join(
        _TRANSACTION.format(month=month, number=month * 1000) for month in range(1, 10)
    )
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n<iati-activities version="2.03">\n'
    yield from _pieces(
        head,
        lambda number: _ACTIVITY.format(number=number, prose=_PROSE * 8, transactions=transactions),
        size,
    )
    yield b"</iati-activities>\n"


def rows(size: int) -> Iterator[bytes]:
    """Return a CSV of about *size* bytes, of rows with some 1 kB each."""
    yield from _pieces(
        b"id,name,text,country,goal\r\n",
        lambda number: f'{number},Project {number},"{_PROSE * 8}",Kenya,SDG 4\r\n',
        size,
    )


def _pieces(head: bytes, one: object, size: int) -> Iterator[bytes]:
    assert callable(one)
    piece, number, sent = bytearray(head), 0, 0
    while sent + len(piece) < size:
        number += 1
        piece += one(number).encode()
        if len(piece) >= PIECE:
            yield bytes(piece)
            sent += len(piece)
            piece.clear()
    yield bytes(piece)


class _Files(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # the end of the connection is the end of the file

    def do_GET(self) -> None:
        """Send the file that is asked for."""
        asked = urlsplit(self.path)
        make = {"/iati.xml": iati, "/rows.csv": rows}.get(asked.path)
        self.send_response(200 if make else 404)
        self.end_headers()
        for piece in make(int(parse_qs(asked.query)["bytes"][0])) if make else ():
            self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Files)
    print(server.server_address[1], flush=True)
    server.serve_forever()
