"""What every answer tells a browser: pages, data, files and errors alike; and that templates keep to it."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

TEMPLATES = Path(__file__).parents[3] / "publisher" / "templates"
# A block of JSON-LD is data, which no browser runs.
ACTING = re.compile(r'<script(?![^>]*\bsrc=| type="application/ld\+json">)|<style|\sstyle=|\son[a-z]+=|javascript:', re.IGNORECASE)


@pytest.mark.parametrize(
    "path", ["/", "/sparql", "/exports", "/static/style.css", "/health", "/page/none", "/dumps/none", "/sparql?query=ASK{"]
)
async def test_every_answer_carries_them(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Accept": "text/html"})

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "geolocation=()" in answer.headers["permissions-policy"]
    assert "strict-transport-security" not in answer.headers


async def test_behind_tls_a_browser_is_told_to_stay_there(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://stocktake.test") as client:
        answer = await client.get("/health")

    assert answer.headers["strict-transport-security"].startswith("max-age=")


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_template_has_a_script_or_a_style_of_its_own(template: Path) -> None:
    assert ACTING.findall(template.read_text(encoding="utf-8")) == []
