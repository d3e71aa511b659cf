"""The source definition of the small simulated registry, and the time of the tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEFINITION: dict[str, Any] = {
    "title": "Projects",
    "protocol": "json",
    "mapping": "fields",
    "url": "https://registry.example/api",
    "licence": "https://creativecommons.org/licenses/by/4.0/",
    "language": "en",
    "pause": 0,
    "options": {"records": "results", "total": "total", "page": "page", "key": "id"},
    "fields": {"key": "id", "title@en": "name", "goals": "sdgs", "lead": "owner"},
}
