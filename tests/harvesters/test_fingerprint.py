from typing import Any

from rows import each

from harvesters.pipeline.fingerprint import content_fingerprint, page_fingerprint
from vocab.initiative import Initiative, Party, Role, Text
from vocab.iris import Iris
from vocab.statements.describe import describe

IRIS = Iris()


def fingerprint_of(key: str, title: str = "A", source: str = "s", **more: Any) -> int:
    initiative = Initiative(
        key=key, titles=(Text(title, "en"),), parties=(Party(Role.LEAD, Text("Ministry", "en")),), **more,
    )  # fmt: skip
    result = describe(initiative, IRIS, source)
    return content_fingerprint(
        result, IRIS.thing("initiative", source, key), IRIS.record(source, key), source, key
    )


@each("key", ["q", "another-key", "http://x.example/1", "a b"])
def test_a_key_does_not_count(key: str) -> None:
    assert fingerprint_of(key) == fingerprint_of("p1")


def test_nor_does_the_source() -> None:
    assert fingerprint_of("p1", source="mirror") == fingerprint_of("p1")


def test_nor_does_the_scheme_of_an_address() -> None:
    assert fingerprint_of("p1", pages=("https://x.example/1",)) == fingerprint_of(
        "p1", pages=("http://x.example/1",)
    )


def test_a_page_that_ends_with_the_key_is_the_same_page() -> None:
    assert fingerprint_of("old-1", pages=("https://x.example/old-1",)) == fingerprint_of(
        "new-1", pages=("https://x.example/new-1",)
    )


def test_what_is_said_counts() -> None:
    assert fingerprint_of("p1", "A") != fingerprint_of("p1", "B")


def test_the_first_page_is_one_number_with_and_without_tls() -> None:
    pages = [
        page_fingerprint(f"<a> <http://xmlns.com/foaf/0.1/page> <{address}>")
        for address in ("https://x.example/a/", "http://x.example/a")
    ]

    assert pages[0] == pages[1]
    assert page_fingerprint("<a> <b> <c>") is None
