"""Every answer of the publisher to the requests of `requests.txt` has not changed.

``make golden`` writes intended changes, and prints them.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from golden import FOLDER, answers, differences, read_requests
from prebuilt import ROOT, prebuilt
from starlette.routing import Match, Route
from world import build_world, site

from publisher.app import ROUTERS
from web.charts import load_outlines

MAKERS = [
    Path(__file__).with_name("world.py"),
    ROOT / "harvesters",
    ROOT / "shapes",
    *(
        Path(__file__).parents[1] / "publisher" / name
        for name in ("small_world.py", "publish_fixture.py")
    ),
]
SHOWN = 150  # lines of a difference
WITH_DOCUMENTATION = (
    "publisher.app", "publisher.pages", "publisher.apis.reconciliation",
)  # fmt: skip


@pytest.fixture(scope="module")
def answered(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    if load_outlines() is None:
        pytest.skip("the outlines were not built, for which npm is needed")
    folder = tmp_path_factory.mktemp("golden")
    data = prebuilt(pytestconfig, "golden", MAKERS, build_world, folder / "data")
    pages = folder / "docs"
    pages.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for module in WITH_DOCUMENTATION:  # as if the documentation was built
            patch.setattr(f"{module}.DOCUMENTATION", pages)
        with site(data) as running:
            texts: dict[str, str] = answers(running)
            return texts


@pytest.mark.parametrize("family", [*read_requests(), "apis", "commands", "demo"])
def test_answers_are_as_in_the_golden_file(
    answered: dict[str, str], family: str, pytestconfig: pytest.Config
) -> None:
    file = FOLDER / f"{family}.txt"
    old = file.read_text(encoding="utf-8") if file.exists() else ""
    lines = [*differences(old, answered[family])]

    assert "evil.example" not in answered[family]  # links begin with the address that is set
    if pytestconfig.getoption("--renew", default=False):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(answered[family], encoding="utf-8")
        with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print("\n".join(["", f"{file.name}: {'changed' if lines else 'as before'}", *lines]))
    elif lines:
        more = [f"... {len(lines) - SHOWN} more lines"] if len(lines) > SHOWN else []
        pytest.fail("\n".join([f"{file.name}:", *lines[:SHOWN], *more]), pytrace=False)


def test_each_route_has_a_request() -> None:
    routes = [
        route for router in ROUTERS.values() for route in router.routes if isinstance(route, Route)
    ]
    requests = [request for family in read_requests().values() for request in family]

    asked = [matching(routes, request.method, request.address) for request in requests]

    known = {(route.path, method) for route in routes for method in route.methods or ("GET",)}
    assert known - {*asked} - {(path, "HEAD") for path, _ in known} == set()


def matching(routes: list[Route], method: str, address: str) -> tuple[str, str]:
    """Return the path of the route that *address* leads to, and *method*."""
    scope = {"type": "http", "method": method, "path": unquote(urlsplit(address).path)}
    paths = (route.path for route in routes if route.matches(scope)[0] is Match.FULL)
    return next(paths, ""), method
