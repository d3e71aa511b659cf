"""Pages, data, files and errors all have the security headers, and the templates keep the content
security policy.
"""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from event_loops import session_loop
from fastapi import FastAPI
from rows import each

TEMPLATES = Path(__file__).parents[3] / "publisher" / "templates"
# A block of JSON-LD is data, which no browser runs.
ACTING = re.compile(
    r'<script(?![^>]*\bsrc=| type="application/ld\+json">)|<style|\sstyle=|\son[a-z]+=|javascript:',
    re.IGNORECASE,
)


@each(
    "path",
    ["/", "/sparql", "/exports", "/static/style.css", "/health", "/page/none", "/dumps/none", "/sparql?query=ASK{"],
)  # fmt: skip
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


KINDS = {
    ("GET", "/id/initiative/demo/a%2F1"): 303,
    ("GET", "/page/initiative/demo/a%2F1"): 200,
    ("HEAD", "/sparql"): 200,
    ("GET", "/sparql?query=ASK%7B%7D"): 200,
    # This answer is streamed.
    ("GET", "/sparql?query=CONSTRUCT%20%7B?s?p?o%7D%20WHERE%20%7B?s?p?o%7D%20LIMIT%20900"): 200,
    ("POST", "/sparql"): 415,
    ("DELETE", "/sparql"): 405,
    ("OPTIONS", "/sparql"): 200,
    ("GET", "/nowhere"): 404,
    ("GET", "/static/none.css"): 404,
    ("GET", "/static/world.svg/../../app.py"): 404,
    ("GET", "/feeds/all.atom"): 200,
    ("GET", "/feeds/events.ics"): 200,
    ("GET", "/oai?verb=Identify"): 200,
    ("GET", "/ldes"): 200,
    ("GET", "/activities"): 200,
    ("GET", "/sitemap.xml"): 200,
    ("GET", "/robots.txt"): 200,
    ("GET", "/journal"): 307,
    ("GET", "/catalog"): 200,
    ("GET", "/releases/99"): 308,
    ("GET", "/search?q=%00"): 200,
    ("GET", "/sparql?query=" + "x" * 60_000): 414,
}


@each("method, path", KINDS)
async def test_every_kind_of_answer_carries_them(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    preflight = {"Origin": "https://other.example", "Access-Control-Request-Method": "GET"}

    answer = await client.request(method, path, headers=preflight if method == "OPTIONS" else {})

    assert answer.status_code == KINDS[method, path]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_what_the_client_holds_already_carries_them_too(client: httpx.AsyncClient) -> None:
    etag = (await client.get("/sparql?query=ASK%7B%7D")).headers["etag"]

    answer = await client.get("/sparql?query=ASK%7B%7D", headers={"If-None-Match": etag})

    assert (answer.status_code, answer.headers["x-content-type-options"]) == (304, "nosniff")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@session_loop
async def test_behind_tls_a_browser_gets_hsts(app: FastAPI) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="https://stocktake.test"
    ) as client:
        answer = await client.get("/health")

    assert answer.headers["strict-transport-security"].startswith("max-age=")


@each("template", sorted(TEMPLATES.glob("*.html")))
def test_no_template_has_a_script_or_a_style_of_its_own(template: Path) -> None:
    assert ACTING.findall(template.read_text(encoding="utf-8")) == []
