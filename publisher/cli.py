"""The publisher's commands: serve, dump, query; the front door hands them their settings as values."""

from __future__ import annotations

from pathlib import Path

import uvicorn

from publisher.app import create_app
from publisher.pool import Limits
from publisher.shelf import Shelf
from vocab.iris import Iris


def serve(data: Path, base: str, host: str, port: int, limits: Limits | None = None) -> None:
    """Serve what the journal under *data* holds until the process is ended."""
    app = create_app(Shelf(data, Iris(base), limits))
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)
