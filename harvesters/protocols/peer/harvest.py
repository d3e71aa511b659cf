"""Harvest another Stocktake by its journal: its changed and deleted records, except those that it
took from us.

Source: docs/explanation/journal.md, docs/reference/feeds.md (/ldes/version: a record as it was
after an entry)
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
from harvesters.page_model import Page, Pages, Payload
from harvesters.payloads.graph import Graph
from harvesters.payloads.rdf_parser import parse_quads
from harvesters.protocols.cursor import read_cursor, write_cursor
from harvesters.protocols.peer import record
from harvesters.protocols.peer.journal import (
    JournalHead,
    JournalReplay,
    entry_number,
    fetch_head,
    home_url,
    last_entry_id,
)
from harvesters.protocols.peer.record import (
    Item,
    RecordName,
    origin_chain,
    parse_name,
    parse_statements,
)
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "sources": Option((str, list), None, "The names of its registries to harvest; without it all."),
    "relayed": Option(
        bool,
        True,
        "Harvest also records that it took from other Stocktakes, but never those that came from here.",
    ),
}

MAX_RECORDS = 500  # records per page, each a checkpoint
# records requested one by one; for more, reading the whole journal takes fewer requests
MAX_SINGLE_REQUESTS = 1_000
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PeerCursor:
    """Position in a journal: it is read up to entry *number* with *id*, starting after entry
    *after* with the id *since*.

    *last* is the last graph that was read; *again* as in Page.
    """

    base: str
    number: int
    id: str
    after: int = 0
    since: str = ""
    last: str = ""
    again: bool = False


@dataclass(slots=True)
class PeerReader:
    """Reads the records of one peer; the descriptions of its registries are cached."""

    source: Source
    fetch: Fetch
    head: JournalHead
    registries: dict[str, list[Quad]] = field(default_factory=dict)

    def is_selected(self, about: RecordName | None) -> bool:
        """Return whether the record is from a registry that the source definition selects."""
        chosen = option_names(self.source, OPTIONS, "sources")
        return about is not None and (not chosen or about.registry in chosen)

    def is_accepted(self, graph: str, quads: list[Quad]) -> bool:
        """Return whether a record is accepted. One that came from us or through us is not: it would
        circulate for ever.
        """
        origins = origin_chain(graph, quads)
        ours = self.fetch.base
        return not origins or (
            bool(get_option(self.source, OPTIONS, "relayed"))
            and not (ours and any(record.startswith(ours) for record in origins))
        )

    def records(
        self,
        about: RecordName,
        graph: str,
        quads: list[Quad],
        registry: Callable[[str], list[Quad]],
    ) -> Iterator[Item]:
        """Yield the record in *graph*, or nothing if it is not accepted."""
        if self.is_accepted(graph, quads):
            if about.registry not in self.registries:
                self.registries[about.registry] = registry(
                    f"{self.head.base}source/{about.registry}"
                )
            yield record.parse_record(about, graph, quads, self.registries[about.registry])


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Graph]:
    """Yield the records of another Stocktake; after the first run, those that new journal entries
    changed.

    *since* only says that changes suffice: the ETag of the journal's head shows where the last run
    ended. Each entry is verified before its records are returned. Raises ParseError if there is no
    journal, if an entry is invalid, or if both servers have the same base IRI.
    """
    state = read_cursor(PeerCursor, cursor)
    if state is None:
        head = fetch_head(source, fetch)
        if head is None:
            yield Page((), None, unchanged=True)
            return
        _check_base(source, fetch, head)
        after, name_ = _start_entry(source, fetch, head) if since is not None else (0, "")
        state = PeerCursor(head.base, head.number, head.id, after, name_, again=cursor is not None)
    yield from _read_journal(
        PeerReader(
            source, fetch, JournalHead(home_url(source), state.base, state.number, state.id)
        ),
        state,
    )


def _check_base(source: Source, fetch: Fetch, head: JournalHead) -> None:
    if head.base == fetch.base:
        raise ParseError(
            Reason("same_base", {"source": source.name, "url": head.url, "base": head.base})
        )


def _start_entry(source: Source, fetch: Fetch, head: JournalHead) -> tuple[int, str]:
    """Return number and id of the entry after which to read; (0, "") to read everything."""
    before = last_entry_id(source, fetch)
    number = entry_number(source, fetch, head, before) if before else None
    if before and number is None:
        log.warning(
            "remote journal was rewound or replaced; re-reading from the start",
            source=source.name,
            known=before,
        )
    return (number, before) if before and number else (0, "")


def _read_journal(peer: PeerReader, state: PeerCursor) -> Pages[Graph]:
    if state.after:
        try:
            for page, after in _read_changes(peer, state):
                state = after
                yield page
            return
        except OutOfSync as error:
            log.info(
                "remote index unavailable; reading changes from the whole journal",
                source=peer.source.name,
                reason=str(error),
            )
    with _replay_journal(peer, state, 0, None) as replay:
        for page, _ in _read_pages(
            state,
            replay,
            lambda graph, entry: (
                _record_from_journal(peer, replay, graph) if entry > state.after else iter(())
            ),
        ):
            yield page


def _read_changes(peer: PeerReader, state: PeerCursor) -> Iterator[tuple[Page[Graph], PeerCursor]]:
    """Yield the records changed since the last run, as the peer's feed describes them. Raise
    OutOfSync if that is impossible.
    """
    with _replay_journal(peer, state, state.after, state.since) as replay:
        if (count := replay.count_changed()) > MAX_SINGLE_REQUESTS:
            raise OutOfSync(f"{count} records have changed")
        yield from _read_pages(
            state, replay, lambda graph, entry: _record_from_feed(peer, replay, graph, entry)
        )


@contextmanager
def _replay_journal(
    peer: PeerReader, state: PeerCursor, after: int, since: str | None
) -> Iterator[JournalReplay]:
    with (
        tempfile.TemporaryDirectory(prefix="stocktake-") as folder,
        closing(JournalReplay(Path(folder), state.base)) as replay,
    ):
        replay.apply_entries(peer.source, peer.fetch, peer.head, after, since)
        log.info(
            "remote journal read",
            source=peer.source.name,
            after=after,
            until=state.number,
            changed=replay.count_changed(),
        )
        yield replay


class OutOfSync(Exception):
    """Changes cannot be read record by record: the peer's feed lacks them or differs from its
    journal, or there are too many.
    """


def _read_pages(
    state: PeerCursor, replay: JournalReplay, items: Callable[[str, int], Iterator[Item]]
) -> Iterator[tuple[Page[Graph], PeerCursor]]:
    while True:
        graphs = replay.changed_graphs(state.last, MAX_RECORDS)
        records = tuple(item for graph, entry in graphs for item in items(graph, entry))
        state = replace(state, last=graphs[-1][0] if graphs else state.last)
        ended = len(graphs) < MAX_RECORDS
        yield Page(records, None if ended else write_cursor(state), again=state.again), state
        if ended:
            return


def _record_from_journal(peer: PeerReader, replay: JournalReplay, graph: str) -> Iterator[Item]:
    """Yield a record as the whole journal describes it."""
    about = parse_name(graph, peer.head.base)
    if about and peer.is_selected(about):
        yield from peer.records(
            about,
            graph,
            parse_statements(replay.statements(graph)),
            lambda registry: parse_statements(replay.statements(registry)),
        )


def _record_from_feed(
    peer: PeerReader, replay: JournalReplay, graph: str, entry: int
) -> Iterator[Item]:
    """Yield a record as the peer's feed describes it after an entry. Raise OutOfSync if that
    differs from the journal.
    """
    about = parse_name(graph, peer.head.base)
    if not about or not peer.is_selected(about):
        return
    changes = parse_statements(replay.statements(graph))
    if record.is_deleted(graph, changes, peer.head.base):
        yield from peer.records(about, graph, changes, lambda _: [])
        return
    version = f"ldes/version/{entry}/{graph.removeprefix(f'{peer.head.base}record/')}"
    quads = _fetch_graph(peer, version, f"{peer.head.base}{version}")
    if not set(changes) <= set(quads):
        raise OutOfSync(f"{peer.head.url}{version} lacks statements of entry {entry}")
    yield from peer.records(
        about,
        graph,
        quads,
        lambda registry: _fetch_graph(peer, registry.removeprefix(peer.head.base), registry),
    )


def _fetch_graph(peer: PeerReader, path: str, graph: str) -> list[Quad]:
    """Request the statements of a graph."""
    try:
        reply = peer.fetch.get(
            f"{peer.head.url}{path}", accept="application/n-quads, application/n-triples;q=0.9"
        )
    except NotFoundError as error:
        raise OutOfSync(str(error)) from error
    quads = list(
        parse_quads(reply.content, RdfFormat.N_QUADS, f"{reply.url}: the N-Quads cannot be parsed")
    )
    in_graph = [quad for quad in quads if quad.graph_name == NamedNode(graph)] or quads
    return [Quad(quad.subject, quad.predicate, quad.object) for quad in in_graph]


PROTOCOL = Protocol(collect, Payload.GRAPH, OPTIONS, incremental=True)
