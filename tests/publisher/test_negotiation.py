"""Formats are negotiated by the rules of RFC 9110, section 12."""

from __future__ import annotations

from rows import each

from web.respond import GRAPHS, TABLES, best_match, quality, wants_html

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@each(
    "accept, suffix",
    [(None, "json"), ("", "json"), ("*/*", "json"), ("text/csv", "csv"), ("TEXT/CSV", "csv"), ("text/csv; charset=utf-8", "csv"),
     ("text/csv;q=0.5, application/sparql-results+xml;q=0.6", "xml"), ("application/json", "json"), ("application/xml", "xml"),
     ("text/*", "csv"), ("text/*;q=0.5, text/csv;q=0.1", "tsv"), ("text/csv;q=0", None), ("text/csv;q=0, */*", "json"),
     ("image/png", None), ("image/png, */*;q=0.1", "json"), ("text/tab-separated-values;q=1.000", "tsv"),
     ("application/json, application/sparql-results+json", "json"), ("nonsense", None), ("nonsense, text/csv", "csv")],
)  # fmt: skip
def test_the_table_that_is_wanted_most_is_chosen(accept: str | None, suffix: str | None) -> None:
    row = best_match(accept, TABLES.values())

    assert (row.suffix if row else None) == suffix


@each(
    "accept, suffix",
    [(None, "ttl"), ("application/ld+json", "jsonld"), ("application/json", "jsonld"),
     ("application/rdf+xml;q=0.9, text/turtle;q=0.8", "rdf"), ("application/n-triples", "nt"), ("text/plain", "nt")],
)  # fmt: skip
def test_the_graph_that_is_wanted_most_is_chosen(accept: str | None, suffix: str) -> None:
    row = best_match(accept, GRAPHS.values())

    assert row is not None
    assert row.suffix == suffix


def test_the_most_precise_range_states_the_quality() -> None:
    accept = "text/*;q=0.3, text/html;q=0.7, */*;q=0.5"

    assert (
        quality(accept, "text/html"),
        quality(accept, "text/plain"),
        quality(accept, "image/png"),
    ) == (0.7, 0.3, 0.5)


@each(
    "accept, page",
    [(BROWSER, True), ("text/html", True), ("*/*", False), (None, False), ("text/turtle, text/html;q=0.5", False)],
)  # fmt: skip
def test_a_page_is_for_browsers(accept: str | None, page: bool) -> None:
    assert wants_html(accept, GRAPHS.values()) is page
