"""The outlets: each of their paths is asked by a test of the publisher."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from publisher.app import ROUTERS
from publisher.pages.templating import Pages
from publisher.store.query_service import QueryService
from vocab.iris import Iris

TESTS = Path(__file__).parents[1] / "publisher"


@pytest.mark.parametrize("name", ROUTERS)
def test_every_path_of_an_outlet_is_asked_by_a_test(name, tmp_path):
    service = QueryService(tmp_path, Iris())
    paths = {route.path.partition("{")[0] for route in ROUTERS[name](service, Pages(service.iris)).routes}

    texts = "\n".join(file.read_text(encoding="utf-8") for file in sorted(TESTS.rglob("*.py")))

    unasked = [path for path in paths if not re.search(rf"""["'}}]{re.escape(path)}""", texts)]

    assert unasked == []
