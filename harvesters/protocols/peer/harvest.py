"""Another Stocktake: the records that its journal tells of, without those that it had from us, and those that are gone.

Source: docs/explanation/journal.md, docs/reference/feeds.md (/ldes/version, what one record was after one entry)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import structlog
from pyoxigraph import NamedNode, Quad, RdfFormat

from harvesters.errors import NotFoundError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.option_schema import Option, get_option, option_names
from harvesters.page_model import Page, Pages
from harvesters.payloads.graph import Graph
from harvesters.payloads.rdf_parser import parse_quads
from harvesters.protocols.cursor import read, write
from harvesters.protocols.peer import record
from harvesters.protocols.peer.journal import Head, Replay, front, known, meet, number_of
from harvesters.protocols.peer.record import Item, Name, lineage, name, statements
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "sources": Option((str, list), None, "The names of its registries whose records are taken; without it those of all."),
    "relayed": Option(bool, True, "Take also what it had from other Stocktakes, but never what was here before."),
}

ROWS = 500  # records a page: a checkpoint each
ONE_BY_ONE = 1_000  # records that are asked for one by one; where more have changed the whole journal is read, which then is fewer requests
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a harvest stands: the journal up to *number*, whose id is *id*, was read from behind the entry *after*, whose id is *since*.

    *last* is the graph behind which it goes on; *again* as on a page.
    """

    base: str
    number: int
    id: str
    after: int = 0
    since: str = ""
    last: str = ""
    again: bool = False


@dataclass(slots=True)
class _Reading:
    """How the records of one Stocktake are read; what it says of its registries is remembered."""

    source: Source
    fetch: Fetch
    head: Head
    registries: dict[str, list[Quad]] = field(default_factory=dict)

    def wanted(self, about: Name | None) -> bool:
        chosen = option_names(self.source, OPTIONS, "sources")
        return about is not None and (not chosen or about.registry in chosen)

    def taken(self, graph: str, held: list[Quad]) -> bool:
        """Tell whether a record is to be taken: what came from us, or passed through us, is not, or it would go round for ever."""
        before = lineage(graph, held)
        ours = self.fetch.base
        return not before or (
            bool(get_option(self.source, OPTIONS, "relayed")) and not (ours and any(it.startswith(ours) for it in before))
        )

    def item(self, about: Name, graph: str, held: list[Quad], registry: Callable[[str], list[Quad]]) -> Iterator[Item]:
        """Give the record that *graph* is, nothing where it is not to be taken."""
        if self.taken(graph, held):
            if about.registry not in self.registries:
                self.registries[about.registry] = registry(f"{self.head.base}source/{about.registry}")
            yield record.item(about, graph, held, self.registries[about.registry])


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Graph]:
    """Collect the records of another Stocktake; after the first run those that its journal's new entries touched.

    *since* only tells that changes are enough: where the last run ended is told by the ETag that the journal's head had then. Each
    entry is proved before a record of it is told. Raises ParseError where there is no journal, where one does not hold, or where its
    IRIs begin as ours do.
    """
    spot = read(_Spot, cursor)
    if spot is None:
        head = meet(source, fetch)
        if head is None:
            yield Page((), None, unchanged=True)
            return
        _apart(source, fetch, head)
        after, name_ = _begun(source, fetch, head) if since is not None else (0, "")
        spot = _Spot(head.base, head.number, head.id, after, name_, again=cursor is not None)
    yield from _walk(_Reading(source, fetch, Head(front(source), spot.base, spot.number, spot.id)), spot)


def _apart(source: Source, fetch: Fetch, head: Head) -> None:
    if head.base == fetch.base:
        told = f"the IRIs of {head.url} begin with {head.base}, as ours do, so nothing tells whose a record is"
        cure = "give one of the two a base of its own (STOCKTAKE_BASE), or follow it with `stocktake mirror`"
        raise ParseError(f"{source.name}: {told}; {cure}")


def _begun(source: Source, fetch: Fetch, head: Head) -> tuple[int, str]:
    """Give number and id of the entry behind which the news begins, none where all is to be read."""
    before = known(source, fetch)
    number = number_of(source, fetch, head, before) if before else None
    if before and number is None:
        log.warning("remote journal was rewound or replaced; re-reading from the start", source=source.name, known=before)
    return (number, before) if before and number else (0, "")


def _walk(told: _Reading, spot: _Spot) -> Pages[Graph]:
    if spot.after:
        try:
            for page, after in _news(told, spot):
                spot = after
                yield page
            return
        except _Unlevel as error:
            log.info("remote index unavailable; reading changes from the whole journal", source=told.source.name, reason=str(error))
    with _replayed(told, spot, 0, None) as replay:
        for page, _ in _pages(spot, replay, lambda graph, entry: _all(told, replay, graph) if entry > spot.after else iter(())):
            yield page


def _news(told: _Reading, spot: _Spot) -> Iterator[tuple[Page[Graph], _Spot]]:
    """Give what the entries since the last run touched, each record as the other's feed tells it; raises _Unlevel where that cannot be."""
    with _replayed(told, spot, spot.after, spot.since) as replay:
        if (count := replay.count()) > ONE_BY_ONE:
            raise _Unlevel(f"{count} records have changed")
        yield from _pages(spot, replay, lambda graph, entry: _one(told, replay, graph, entry))


@contextmanager
def _replayed(told: _Reading, spot: _Spot, after: int, since: str | None) -> Iterator[Replay]:
    with tempfile.TemporaryDirectory(prefix="stocktake-") as folder, closing(Replay(Path(folder), spot.base)) as replay:
        replay.take(told.source, told.fetch, told.head, after, since)
        log.info("remote journal read", source=told.source.name, after=after, upto=spot.number, touched=replay.count())
        yield replay


class _Unlevel(Exception):
    """What changed cannot be read record by record: the other's feed does not tell it, or not as its journal does, or it is too much."""


def _pages(spot: _Spot, replay: Replay, items: Callable[[str, int], Iterator[Item]]) -> Iterator[tuple[Page[Graph], _Spot]]:
    while True:
        graphs = replay.touched(spot.last, ROWS)
        found = tuple(item for graph, entry in graphs for item in items(graph, entry))
        spot = replace(spot, last=graphs[-1][0] if graphs else spot.last)
        ended = len(graphs) < ROWS
        yield Page(found, None if ended else write(spot), again=spot.again), spot
        if ended:
            return


def _all(told: _Reading, replay: Replay, graph: str) -> Iterator[Item]:
    """Give a record as it is by the whole journal."""
    about = name(graph, told.head.base)
    if about and told.wanted(about):
        yield from told.item(about, graph, statements(replay.held(graph)), lambda registry: statements(replay.held(registry)))


def _one(told: _Reading, replay: Replay, graph: str, entry: int) -> Iterator[Item]:
    """Give a record as the other's feed tells that it was after an entry; raises _Unlevel where that does not fit the journal."""
    about = name(graph, told.head.base)
    if not about or not told.wanted(about):
        return
    news = statements(replay.held(graph))
    if record.is_gone(graph, news, told.head.base):
        yield from told.item(about, graph, news, lambda _: [])
        return
    version = f"ldes/version/{entry}/{graph.removeprefix(f'{told.head.base}record/')}"
    held = _graph(told, version, f"{told.head.base}{version}")
    if not set(news) <= set(held):
        raise _Unlevel(f"{told.head.url}{version} does not hold what entry {entry} brought")
    yield from told.item(about, graph, held, lambda registry: _graph(told, registry.removeprefix(told.head.base), registry))


def _graph(told: _Reading, path: str, graph: str) -> list[Quad]:
    """Ask for what a graph holds."""
    try:
        reply = told.fetch.get(f"{told.head.url}{path}", accept="application/n-quads, application/n-triples;q=0.9")
    except NotFoundError as error:
        raise _Unlevel(str(error)) from error
    quads = list(parse_quads(reply.content, RdfFormat.N_QUADS, f"{reply.url}: no N-Quads that can be read"))
    own = [it for it in quads if it.graph_name == NamedNode(graph)] or quads
    return [Quad(it.subject, it.predicate, it.object) for it in own]
