"""Registries, records, runs, schemes and the vocabulary at their own addresses."""

from __future__ import annotations

import re

import httpx
from rows import each

REFUSED = {
    400: [
        "/events?month=2025-13", "/events?month=x", "/documents?page=0", "/trends?by=colour", "/events?month=0000-01",
        "/things", "/things?concept=nothing:here", "/things?source=demo&sort=colour", "/things?source=demo&after=nonsense",
        "/organizations?sort=newest", "/search?kind=ship", "/search?sort=best", "/search?page=0", "/search?page=x",
        "/search?page=9999999999999999999999", "/search?per=1001", "/search?page=600&per=20", "/search?q=" + "x" * 1001,
        "/search?q=" + "%22" * 10_000, "/search?q=" + "(" * 10_000, "/search?q=" + "%E6%B0%B4" * 3_000,
        f"/search/suggest?q={'x' * 101}", "/search/suggest?limit=0", "/search/suggest?limit=21", "/search/suggest?limit=x",
        "/journal/?before=x", "/journal/?per=0", "/journal/?before=-3", "/journal/?before=99999999999999",
    ],
    404: [
        "/record/demo/none", "/record/demo", "/source/none", "/run/none", "/scheme/none", "/scheme/a/b/c", "/concept",
        "/concept?iri=x:y> ?p ?o } # \"'", "/cluster/initiative/demo", "/cluster/planet/demo/1", "/cluster/",
        *(f"/journal/{name}" for name in ("0", "4", "4.gz", "01", "-1", "999999999999", "head.gz", "..%2Fstatus.nq", "1.rdfp", "٣")),
        *(f"/reconcile/{name}?id=https://example.org/nothing" for name in ("view", "preview", "flyout/entity", "flyout/type")),
        "/source/nothing/report", "/id/initiative/demo/none", "/page/initiative/none/1", "/data/event/demo/1.ttl",
        "/id/organization/demo/none", "/id/x",
    ],
    406: [
        "/search/suggest?q=a&format=csv", "/search?format=pdf", "/status?format=csv", "/status?format=nonsense",
        "/source/demo/report.pdf",
    ],
}  # fmt: skip


@each("status, path", [(status, path) for status, paths in REFUSED.items() for path in paths])
async def test_what_cannot_be_asked_or_is_not_known_is_refused(
    client: httpx.AsyncClient, status: int, path: str
) -> None:
    answer = await client.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_addresses_and_times_of_harvests_run_from_left_to_right_on_an_arabic_page(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/source/demo?lang=ar", headers={"Accept": "text/html"})).text

    assert "03:15 UTC" in page
    assert re.search(r'href="https://creativecommons\.org/[^"]+"><bdi>CC', page)


async def test_all_that_a_registry_has_is_reached_by_going_on(client: httpx.AsyncClient) -> None:
    path: str | None = "/source/demo"
    seen: list[str] = []
    while path:
        page = (await client.get(path, headers={"Accept": "text/html"})).text
        named = [part.partition('"')[0] for part in page.split('<a href="/page/')[1:]]
        # those of its records are named beside the list
        seen += [item for item in named if not item.startswith("organization/")]
        path = (
            page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
            if 'rel="next"' in page
            else None
        )

    # and one that is gone, which is listed by itself
    assert (len(seen), len(set(seen))) == (124, 124)
