"""The tables of lists, so that every list of a page is available as data."""

from __future__ import annotations

from collections.abc import Iterable

from publisher.http.pages.charts.data_table import Column, DataTable
from publisher.projections.facets.queries import ListItem, Prize
from vocab.terms import DCT, SCHEMA

_LINE = (
    Column("thing"),
    Column("title", property=f"{DCT}title"),
    Column("kind"),
    Column("source"),
    Column("begins", property=f"{SCHEMA}startDate"),
    Column("ends", property=f"{SCHEMA}endDate"),
    Column("issued", property=f"{DCT}issued"),
    Column("changed", property=f"{DCT}modified"),
)
_PRIZE = (
    Column("thing"),
    Column("title", property=f"{DCT}title"),
    Column("prize", facet="prize"),
    Column("stage", facet="stage"),
    Column("year", property=f"{DCT}date"),
)


def list_table(name: str, title: str, lines: Iterable[ListItem], query: str) -> DataTable:
    """Return the table of things."""
    rows = tuple(
        (
            item.iri,
            item.title,
            item.kind,
            item.source,
            item.begins,
            item.ends,
            item.issued,
            item.changed,
        )
        for item in lines
    )
    return DataTable(name, title, _LINE, rows, query, is_observation=False)


def prize_table(name: str, title: str, prizes: Iterable[Prize], query: str) -> DataTable:
    """Return the table of prizes."""
    rows = tuple((item.iri, item.title, item.category, item.stage, item.year) for item in prizes)
    return DataTable(name, title, _PRIZE, rows, query, is_observation=False)
