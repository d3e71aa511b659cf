"""maplib's store behind HTTP: run as ``python maplib_server.py FILE PORT`` where maplib is installed.

maplib has no free server of its own. Version 0.20 has no `ASK` and no `GRAPH` with a variable.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

_PEER = "maplib"  # installed in an environment of its own


class MaplibHandler(BaseHTTPRequestHandler):
    """Answer each POST of a form that has a field `query` with SPARQL's JSON."""

    protocol_version = "HTTP/1.1"
    model: Any

    def do_POST(self) -> None:
        """Ask the store; an error of the store is 500 with its text."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        try:
            status, body = 200, self.model.query(form["query"][0], return_json=True).encode()
        except BaseException as error:  # a panic of Rust is no Exception
            status, body = 500, repr(error).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/sparql-results+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    MaplibHandler.model = import_module(_PEER).Model()
    MaplibHandler.model.read(sys.argv[1])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), MaplibHandler).serve_forever()
