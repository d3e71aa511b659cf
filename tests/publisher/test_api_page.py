"""``/docs/api``: the list of endpoints, and Swagger UI under our policy in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from browser import browsing

from publisher.pages import BUNDLE_FOLDER

SHOWN = """new Promise((resolve, reject) => {
  const violations = [];
  document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
  setTimeout(() => reject("Swagger UI shows no operation"), 60000);
  const poll = setInterval(() => {
    const operation = document.querySelector("#operations-find-search .opblock-summary-control");
    if (operation && document.getElementById("endpoints").hidden && !operation.ariaExpanded?.includes("true")) operation.click();
    if (document.querySelector("#operations-find-search .parameters")) {
      clearInterval(poll);
      resolve([document.querySelectorAll(".opblock").length, violations]);
    }
  }, 50);
})"""


GROUNDS = """(() => {
  const ground = (it) => getComputedStyle(it).backgroundColor, probe = document.body.appendChild(document.createElement("p"));
  probe.className = "card";
  return [ground(document.getElementById("swagger-ui")), ground(probe)];
})()"""


@pytest.fixture
def url(endpoint: str) -> str:
    """Return the address of a server of the world."""
    return endpoint.removesuffix("/sparql")


def test_page_lists_endpoints_without_scripts(url: str) -> None:
    page = httpx.get(f"{url}/docs/api").text

    assert "<code>GET /search</code>" in page
    assert "<code>DELETE /exports/{name}</code>" in page


@pytest.mark.parametrize("dark", [False, True])
def test_swagger_ui_shows_all_operations_under_the_policy_without_faults(
    url: str, tmp_path: Path, packages: Path, dark: bool
) -> None:
    if not (BUNDLE_FOLDER / "api.js").exists():
        pytest.skip("the scripts were not built, for which npm is needed")
    with browsing(tmp_path) as browser:
        browser.open(f"{url}/docs/api", dark=dark)
        count, violations = browser.run(SHOWN)
        hosts = {
            match[1]
            for address in browser.request_log
            if (match := re.match(r"https?://([^/:]+)", address))
        }
        described = httpx.get(f"{url}/openapi.json").json()["paths"]
        faults = browser.faults(packages)
        ground, card = browser.run(GROUNDS)

    assert ground == card
    assert faults == []
    assert (count, violations, hosts) == (sum(map(len, described.values())), [], {"127.0.0.1"})
    assert count > 60
