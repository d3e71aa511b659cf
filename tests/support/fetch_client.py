"""Open the HTTP client of the harvesters with some settings, the others by default."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import httpx

from harvesters.network.fetch import Fetch, NetworkSettings

_NETWORK = {field.name for field in fields(NetworkSettings)}


def fetch_with(transport: httpx.BaseTransport, **settings: Any) -> Fetch:
    """Return a client that uses *transport*; *settings* go to ``NetworkSettings`` and ``Fetch``."""
    network = {name: settings.pop(name) for name in _NETWORK & {*settings}}
    return Fetch(NetworkSettings(transport=transport, **network), **settings)
