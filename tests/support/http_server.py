"""HTTP servers on loopback for as long as a test needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


class QuietHandler(BaseHTTPRequestHandler):
    """A handler that logs nothing; `answer` sends a response."""

    def answer(
        self, body: bytes = b"", media_type: str = "", status: int = 200, **headers: str
    ) -> None:
        if media_type:
            headers["Content-Type"] = media_type
        with suppress(BrokenPipeError):  # the client has closed the connection
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(
    handler: Callable[..., BaseHTTPRequestHandler], host: str = "127.0.0.1"
) -> Iterator[str]:
    """Serve with *handler*, and yield the address on loopback."""
    with ThreadingHTTPServer((host, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def answering(answer: Callable[[httpx.Request], httpx.Response]) -> Iterator[str]:
    """Serve the responses of *answer* over HTTP, for clients in other processes."""

    class AnswerHandler(QuietHandler):
        def do_GET(self) -> None:
            response = answer(httpx.Request("GET", f"http://{self.headers['Host']}{self.path}"))
            self.answer(
                response.content, response.headers.get("content-type", ""), response.status_code
            )

    with serving(AnswerHandler) as url:
        yield url
