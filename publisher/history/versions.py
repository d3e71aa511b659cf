"""Versions of a graph after entries of the journal, and its changes as pages show them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice

from pyoxigraph import Quad, RdfFormat, Store, Triple, parse

from languages.request_locale import current_locale
from languages.translations import TranslatableText, gettext
from publisher.errors import NotReady
from publisher.history.graph_changes import GraphChange, read_graph_changes
from publisher.history.mementos import Memento, mementos
from publisher.history.record_states import written
from publisher.http.problems import HTTPProblem
from publisher.store.descriptions import (
    Description,
    Statement,
    describe_graph,
    to_triples,
    with_triples,
)
from publisher.store.query_service import QueryService
from vocab.field_changes import FieldView, field_views
from vocab.iris import Iris

NOT_INDEXED = HTTPProblem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    TranslatableText("The history index is still being built from the journal"),
    {"Retry-After": "5"},
)


async def read_history(service: QueryService, graph: str) -> tuple[GraphChange, ...] | None:
    """Return the published changes of *graph*, oldest first; None while the history is not ready,
    () if there are none.
    """
    position = service.current.position
    return await asyncio.to_thread(
        read_graph_changes, service.history, service.iris.base, graph, position
    )


async def read_version(service: QueryService, graph: str, entry: int) -> Description | None:
    """Return the description of *graph* after *entry*; None while the history is not ready.

    Every later change is undone from the current state. The names of other things are the current
    ones.
    """
    snapshot, now, changes = None, None, None
    while now is None or snapshot is not service.current:
        snapshot = service.current
        now, changes = await asyncio.gather(
            describe_graph(service, graph), read_history(service, graph)
        )
    return undo_changes(now, changes, entry) if changes is not None else None


async def compare_versions(
    service: QueryService, graph: str, before: int, after: int
) -> list[FieldView] | None:
    """Return the fields of *graph* that differ between two entries; None if it had no version by
    the later one. Raises NotReady.
    """
    versions = await asyncio.gather(
        *(read_version(service, graph, entry) for entry in (before, after))
    )
    if None in versions:
        raise NotReady(
            TranslatableText(
                "the history is still being built from the journal; try again in a moment"
            )
        )
    old, new = (
        {
            f"<{item.subject}> <{item.predicate}> {written(item.object)}"
            for item in version.statements
        }
        for version in versions
        if version
    )
    if not old and not new:
        return None
    removed, added = sorted(old - new), sorted(new - old)
    return field_views(removed, added, service.iris.base, current_locale().language, gettext)


def undo_changes(now: Description, changes: Sequence[GraphChange], entry: int) -> Description:
    """Return *now* with all changes after *entry* undone; *changes* is the whole history up to
    *now*.
    """
    if not changes or changes[0].entry > entry:
        return replace(now, statements=())
    store = Store()
    store.extend(Quad(*triple) for triple in to_triples(now))
    for change in reversed(changes):
        if change.entry > entry:
            for row in _rows(change, "A"):
                store.remove(Quad(*row))
            store.extend(Quad(*row) for row in _rows(change, "D"))
    return with_triples((item.triple for item in store), now)


def describe_change(change: GraphChange, about: Description) -> tuple[Description, Description]:
    """Return what a change added and removed, as descriptions; the change that created the graph is
    not listed row by row.
    """
    return with_triples(_rows(change, "A"), about), with_triples(_rows(change, "D"), about)


def _rows(change: GraphChange, sign: str) -> Iterable[Triple]:
    text = "".join(f"{row[2:]} .\n" for row in change.rows or () if row.startswith(sign))
    return (item.triple for item in parse(text.encode(), RdfFormat.N_TRIPLES, lenient=True))


SHOWN_CHANGES = 20  # changes that a page shows, the newest
SHOWN_ROWS = 60  # triples of a change that a page shows


@dataclass(frozen=True, slots=True)
class GraphChangeView:
    """One change; *added* and *removed* are its first ROWS rows, empty for the change that created
    the graph.
    """

    run: str
    time: str
    memento: str | None  # the path of the state after it, None if a later one has the same second
    added_count: int
    removed_count: int
    added: tuple[Statement, ...]
    removed: tuple[Statement, ...]
    first: bool
    fields: tuple[FieldView, ...]  # what changed, as people read it


def recent_changes(
    changes: Sequence[GraphChange], about: Description, iris: Iris
) -> list[GraphChangeView]:
    """Return the newest changes of the graph that *about* describes, the newest first."""
    graph = about.iri.removeprefix(iris.base)
    known = {memento.entry: memento for memento in mementos(changes)}
    return [
        _change(item, about, iris, known.get(item.entry), graph)
        for item in islice(reversed(changes), SHOWN_CHANGES)
    ]


def _change(
    graph_change: GraphChange, about: Description, iris: Iris, memento: Memento | None, graph: str
) -> GraphChangeView:
    added, removed = describe_change(graph_change, about)
    time = datetime.fromtimestamp(graph_change.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    address = memento.address(graph) if memento else None
    statements = (added.statements[:SHOWN_ROWS], removed.statements[:SHOWN_ROWS])
    return GraphChangeView(
        iris.run(graph_change.run),
        time,
        address,
        graph_change.added,
        graph_change.removed,
        *statements,
        graph_change.rows is None,
        _fields(graph_change, iris.base),
    )


def _fields(graph_change: GraphChange, base: str) -> tuple[FieldView, ...]:
    """Return the changed fields, with labels in the language of the request; none for the change
    that created the graph.
    """
    rows = graph_change.rows or ()
    removed, added = ([row[2:] for row in rows if row.startswith(sign)] for sign in ("D ", "A "))
    return tuple(field_views(removed, added, base, current_locale().language, gettext))
