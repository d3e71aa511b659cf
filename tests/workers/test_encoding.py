from __future__ import annotations

import pytest
from postgresql import Cluster
from waiting import WITHIN

from .conftest import House


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        (words, encoding)
        for words in (("runs", "list"), ("worker",), ("keys", "list"))
        for encoding in ("SQL_ASCII", "LATIN1")
    ],
)
def test_database_that_is_not_utf8_is_refused(
    house: House, cluster: Cluster, database: str, encoding: str, words: tuple[str, ...]
) -> None:
    name = f"{database}_{encoding.lower()}"
    with cluster.admin() as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    house.define_source("a")

    assert house.start(*words, ledger=cluster.url(name)).wait(WITHIN) == 2, house.output_of(0)
    assert len(house.output_of(0).splitlines()) == 1
    assert f"the database '{name}' has the encoding {encoding}" in house.output_of(0)
    assert f"CREATE DATABASE {name}_utf8 ENCODING 'UTF8'" in house.output_of(0)
