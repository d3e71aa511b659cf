"""Configure and run uvicorn."""

from __future__ import annotations

import sys
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from web.host import HostCheck
from web.uvicorn_protocol import LimitedConnection

# concurrent; each takes one of the 1,024 file handles that a process has by default
MAX_CONNECTIONS = 1000
SHUTDOWN_SECONDS = 3  # for running responses to finish at shutdown


def create_config(
    app: ASGIApp,
    host: str,
    port: int,
    proxies: str = "",
    connection: type[LimitedConnection] = LimitedConnection,
) -> uvicorn.Config:
    """Return the server's configuration. *proxies*: addresses or networks whose X-Forwarded-For is
    trusted; "" trusts none.
    """
    return uvicorn.Config(
        HostCheck(app),
        host=host,
        port=port,
        http=connection,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),  # else any client could claim any address
        forwarded_allow_ips=proxies or "",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def run(config: uvicorn.Config) -> None:
    """Serve until SIGINT or SIGTERM; exit with code 3 if the server cannot start."""
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after shutdown
        server.run()
    if not server.started:
        sys.exit(3)
