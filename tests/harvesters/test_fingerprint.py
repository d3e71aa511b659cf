from typing import Any

from harvesters.pipeline.record_processor import content_fingerprint, page_fingerprint
from vocab.describe import describe
from vocab.initiative import Initiative, Party, Role, Text
from vocab.iris import Iris

IRIS = Iris()


def fingerprint_of(key: str, title: str = "A", source: str = "s", **more: Any) -> int:
    initiative = Initiative(
        key=key, titles=(Text(title, "en"),), parties=(Party(Role.LEAD, Text("Ministry", "en")),), **more,
    )  # fmt: skip
    result = describe(initiative, IRIS, source)
    return content_fingerprint(
        result, IRIS.thing("initiative", source, key), IRIS.record(source, key), source, key
    )


def test_neither_key_nor_source_nor_the_scheme_of_an_address_counts_but_what_is_said() -> None:
    for key in ("q", "another-key", "http://x.example/1", "a b"):
        assert fingerprint_of(key) == fingerprint_of("p1")
    assert fingerprint_of("p1", source="mirror") == fingerprint_of("p1")
    plain, safe = (fingerprint_of("p1", pages=(f"{scheme}://x.example/1",)) for scheme in ("http", "https"))  # fmt: skip
    assert plain == safe != fingerprint_of("p1")

    old, new = (fingerprint_of(key, pages=(f"https://x.example/{key}",)) for key in ("old-1", "new-1"))  # fmt: skip

    assert old == new

    assert fingerprint_of("p1", "A") != fingerprint_of("p1", "B")


def test_the_first_page_is_one_number_with_and_without_tls() -> None:
    pages = [
        page_fingerprint(f"<a> <http://xmlns.com/foaf/0.1/page> <{address}>")
        for address in ("https://x.example/a/", "http://x.example/a")
    ]

    assert pages[0] == pages[1]
    assert page_fingerprint("<a> <b> <c>") is None
