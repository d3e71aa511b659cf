"""The surroundings of chaos: registries that change from day to day, and a network link that can be
cut.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

PAGE = 20  # records
RECORDS = 100  # of a registry on its first day
CHANGED, ADDED = 6, 2  # records a day
DELAY = 0.03  # seconds before an answer, so that a run lasts long enough to be disturbed


def records(seed: int, source: str, day: int) -> list[dict[str, Any]]:
    """Return the records of the registry *source* on *day*: each day some have another title, and
    some are new.
    """
    titles = {f"{source}-{number}": f"Project {number}" for number in range(RECORDS + day * ADDED)}
    for earlier in range(1, day + 1):
        dice = random.Random(f"{seed} {source} {earlier}")
        for number in dice.sample(range(RECORDS), CHANGED):
            titles[f"{source}-{number}"] = f"Project {number}, plan of day {earlier}"
    return [
        {"id": key, "name": title, "sdgs": f"SDG {hash_of(key) % 17 + 1}"}
        for key, title in titles.items()
    ]


def hash_of(key: str) -> int:
    """Return a number that depends on the key alone."""
    return sum(key.encode())


def page(seed: int, path: str, day: int) -> bytes:
    """Return the answer to a request: one page of a registry's list."""
    parts = urlsplit(path)
    rows = records(seed, parts.path.strip("/"), day)
    number = int(parse_qs(parts.query).get("page", ["1"])[0])
    return orjson.dumps({"total": len(rows), "results": rows[number * PAGE - PAGE : number * PAGE]})


class Registries:
    """A server of registries on loopback; their records are those of *day*."""

    def __init__(self, seed: int) -> None:
        self.day = 0
        world = self

        class DayHandler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if urlsplit(self.path).path == "/robots.txt":
                    self.send_error(404)
                    return
                time.sleep(DELAY)
                body = page(seed, self.path, world.day)
                with suppress(ConnectionError):
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), DayHandler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Link:
    """A network link to a port of loopback. While it is cut, open and new connections are
    reset.
    """

    def __init__(self, target: int) -> None:
        self._target, self._cut, self._open = target, False, set[socket.socket]()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            self._cut = True
            for item in self._open:
                _reset(item)
            self._open.clear()

    def restore(self) -> None:
        with self._lock:
            self._cut = False

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            far.settimeout(None)
        except OSError:
            _reset(near)
            return
        with self._lock:
            if self._cut:
                _reset(near)
                _reset(far)
                return
            self._open |= {near, far}
        back = threading.Thread(target=_copy, args=(far, near), daemon=True)
        back.start()
        _copy(near, far)
        back.join()
        with self._lock:
            self._open -= {near, far}
            near.close()
            far.close()


def _copy(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while content := one.recv(65536):
            other.sendall(content)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


def _reset(item: socket.socket) -> None:
    """Close a connection so that the other side sees a reset and not an end."""
    with suppress(OSError):
        item.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        item.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        item.close()
