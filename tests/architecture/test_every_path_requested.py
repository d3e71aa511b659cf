"""Each path of the server is requested by a test of the publisher."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import APIRouter
from rows import each

from publisher.routes import ROUTERS

TESTS = Path(__file__).parents[1] / "publisher"


@each("name", ROUTERS)
def test_every_path_of_a_router_is_requested_by_a_test(name: str) -> None:
    routes = ROUTERS[name].routes
    paths = {str(getattr(route, "path", "")).partition("{")[0] for route in routes}

    texts = "\n".join(file.read_text(encoding="utf-8") for file in sorted(TESTS.rglob("*.py")))

    missing = [path for path in paths if not re.search(rf"""["'}}]{re.escape(path)}""", texts)]

    assert missing == []


def test_no_router_has_a_lifespan_which_the_app_would_ignore() -> None:
    default = type(APIRouter().lifespan_context)

    own = [name for name, router in ROUTERS.items() if type(router.lifespan_context) is not default]

    assert own == []
