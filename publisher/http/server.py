"""Server: how the app is put on the network."""

from __future__ import annotations

import sys
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from publisher.http.host import HostCheck
from publisher.http.uvicorn_protocol import LimitedConnection

MAX_CONNECTIONS = 1000  # at once: each takes a file handle, of which a process has 1024 unless it is told otherwise
SHUTDOWN_SECONDS = 3  # seconds that answers under way get when the server is asked to end


def create_config(
    app: ASGIApp, host: str, port: int, proxies: str = "", connection: type[LimitedConnection] = LimitedConnection
) -> uvicorn.Config:
    """Give the server's settings. Of *proxies*, addresses or networks, the word is taken for whom they ask; else nobody's is."""
    return uvicorn.Config(
        HostCheck(app),
        host=host,
        port=port,
        http=connection,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),  # else anyone could speak for any address
        forwarded_allow_ips=proxies or "",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def run(config: uvicorn.Config) -> None:
    """Serve until SIGINT or SIGTERM; end with exit code 3 where it cannot begin."""
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once all is closed
        server.run()
    if not server.started:
        sys.exit(3)
