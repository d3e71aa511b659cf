from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from peer_server import BASE, OURS, URL, WHEN, Peer, initiative, peer
from pyoxigraph import NamedNode
from rows import each
from simulated import define_source, items

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.page_model import DeletedRecord, Page, Record, Validator
from harvesters.pipeline.record_processor import check_compatible
from harvesters.protocols import document
from harvesters.protocols import peer as peer_harvest
from harvesters.protocols.peer import collect
from harvesters.source import Source, load
from vocab.terms import DCT

Seen = dict[str, Validator]


def source(**options: Any) -> Source:
    return define_source("stocktake", "stocktake_record", url=URL, options=options)


@pytest.fixture
def server(tmp_path: Path) -> Peer:
    element = peer(tmp_path)
    element.describe()
    element.commit("kenya", initiative("1"), initiative("p/2", "Schools"))
    element.commit("peru", initiative("1", "Radio"))
    return element


def harvest(
    element: Peer, source: Source, since: datetime | None = None, seen: Seen | None = None, cursor: str | None = None
) -> Any:  # fmt: skip
    with element.client(seen) as opened_client:
        return list(collect(source, opened_client, since, cursor)), opened_client.seen


def titles(pages: list[Page[Any]]) -> dict[str, str]:
    records = (item for item in items(pages) if isinstance(item, Record))
    return {row.key: row.payload.all(row.payload.subject, f"{DCT}title")[0].value for row in records}  # fmt: skip


def test_the_first_run_brings_all_records_by_registry_and_key_and_what_the_registry_is_called(
    server: Peer,
) -> None:
    pages, _ = harvest(server, source())

    assert titles(pages) == {"kenya/1": "Wells", "kenya/p/2": "Schools", "peru/1": "Radio"}
    assert server.requested == ["/journal/head", "/journal/1.gz", "/journal/2.gz", "/journal/3.gz"]

    (record,) = (item for item in items(pages) if item.key == "kenya/1")
    terms = record.payload.all(NamedNode(f"{BASE}source/kenya"), f"{DCT}title", f"{DCT}license")
    assert [term.value for term in terms] == ["Kenya ICT projects", "https://k.example/licence"]


def test_a_journal_without_news_is_not_read_again(server: Peer) -> None:
    _, seen = harvest(server, source())
    server.requested.clear()

    pages, _ = harvest(server, source(), WHEN, seen)

    assert [page.unchanged for page in pages] == [True]
    assert server.requested == ["/journal/head"]


def test_later_runs_ask_for_the_new_entries_and_the_records_that_they_touched(server: Peer) -> None:
    _, seen = harvest(server, source())
    news = (initiative("1", "Deep wells"), initiative("3", "New"))
    server.commit("kenya", *news, gone=[initiative("p/2", "Schools")])
    server.requested.clear()

    pages, _ = harvest(server, source(), WHEN, seen)

    (gone,) = [item for item in items(pages) if isinstance(item, DeletedRecord)]
    assert titles(pages) == {"kenya/1": "Deep wells", "kenya/3": "New"}
    assert gone == DeletedRecord("kenya/p/2", "2026-03-01T12:00:00Z")
    versions = [f"/ldes/version/4/kenya/{number}" for number in (1, 3)]
    assert server.requested == [
        "/journal/head", "/journal/", "/journal/4.gz", versions[0], "/source/kenya", versions[1],
    ]  # fmt: skip


def test_a_change_is_the_same_record_as_a_full_harvest_brings_however_the_other_keeps_it(
    server: Peer,
) -> None:
    before, seen = harvest(server, source())
    server.commit("kenya", initiative("1"), run="r.9")
    later, _ = harvest(server, source())
    server.commit("kenya", initiative("1", "Deep wells"))

    news, _ = harvest(server, source(), WHEN, seen)
    swept, _ = harvest(server, source())

    assert [item.raw for item in items(later)] == [item.raw for item in items(before)]
    (changed,) = items(news)
    assert changed.raw == next(item.raw for item in items(swept) if item.key == "kenya/1")


@pytest.mark.parametrize("trouble", ["late", "other words", "many"])
def test_where_the_feed_does_not_fit_the_journal_the_whole_journal_is_read(
    trouble: str, server: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, seen = harvest(server, source())
    server.commit("kenya", initiative("1", "Deep wells"))
    server.is_feed_current = trouble != "late"
    if trouble == "other words":
        server.overrides["/ldes/version/4/kenya/1"] = lambda _: httpx.Response(
            200, text=f'<{BASE}x> <{DCT}title> "No" .\n'
        )
    if trouble == "many":
        monkeypatch.setattr(peer_harvest, "MAX_SINGLE_REQUESTS", 0)
    server.requested.clear()

    pages, _ = harvest(server, source(), WHEN, seen)

    assert titles(pages) == {"kenya/1": "Deep wells"}
    assert server.requested[-4:] == [f"/journal/{number}.gz" for number in (1, 2, 3, 4)]


def test_a_journal_that_was_set_back_is_read_whole(server: Peer, tmp_path: Path) -> None:
    _, seen = harvest(server, source())
    anew = peer(tmp_path / "anew")
    anew.commit("kenya", initiative("1", "Other wells"))

    pages, _ = harvest(anew, source(), WHEN, seen)

    assert titles(pages) == {"kenya/1": "Other wells"}


def test_a_run_that_was_cut_off_goes_on_and_does_not_pass_over_what_came_meanwhile(
    server: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "MAX_RECORDS", 2)
    pages, seen = harvest(server, source())
    server.commit("kenya", initiative("4", "Late"))

    rest, resumed = harvest(server, source(), cursor=pages[0].cursor)

    whole = {"kenya/1": "Wells", "kenya/p/2": "Schools", "peru/1": "Radio"}
    assert titles([pages[0], *rest]) == whole
    # The resumed run stores no validator of the head. With one, the next run would begin after
    # what this one did not read.
    assert f"{URL}journal/head" in seen.keys() - resumed.keys()


@each(
    "answer, message",
    [(lambda server: httpx.Response(200, content=server.journal.entry(3).path.read_bytes()), "two journals have diverged"),
     (lambda server: httpx.Response(404), "its journal has a gap")],
)  # fmt: skip
def test_an_entry_that_is_not_what_its_id_says_or_is_missing_ends_the_run(
    server: Peer, answer: Any, message: str
) -> None:
    server.overrides["/journal/2.gz"] = lambda _: answer(server)

    with pytest.raises(ParseError, match=message):
        harvest(server, source())


@pytest.mark.parametrize(
    ("answer", "message"),
    [(httpx.Response(404), "there is no journal"), (httpx.Response(200, json={"number": 1}), "base, number or id"),
     (httpx.Response(200, json={"base": OURS, "number": 0, "id": None}), "as ours do")],
)  # fmt: skip
def test_what_is_no_other_stocktake_is_refused(
    answer: httpx.Response, message: str, server: Peer
) -> None:
    server.overrides["/journal/head"] = lambda _: answer

    with pytest.raises(ParseError, match=message):
        harvest(server, source())


def test_only_the_registries_that_the_definition_names_are_taken(server: Peer) -> None:
    pages, _ = harvest(server, source(sources=["peru"]))

    assert list(titles(pages)) == ["peru/1"]


@pytest.mark.parametrize(
    ("relayed", "lineage", "expected"),
    [(True, ("https://third.example/record/x/1",), True), (False, ("https://third.example/record/x/1",), False),
     (True, (f"{OURS}record/wells/1",), False), (True, ("https://third.example/record/x/1", f"{OURS}record/third/x%2F1"), False)],
    ids=["a third's", "a third's, not wanted", "our own", "a third's that came through us"],
)  # fmt: skip
def test_what_the_other_had_from_elsewhere_is_taken_unless_it_was_here_before(
    relayed: bool, lineage: tuple[str, ...], expected: bool, server: Peer
) -> None:
    server.commit("fed", initiative("9", "Relayed", lineage=lineage))

    pages, _ = harvest(server, source(relayed=relayed))

    assert ("fed/9" in titles(pages)) is expected


def test_a_mapping_that_reads_no_graphs_is_refused_and_that_of_a_stocktake_paired() -> None:
    message = "cannot read the payload of protocol 'stocktake', an RDF graph"
    with pytest.raises(SourceDefinitionError, match=message):
        check_compatible(define_source("stocktake", "oai_dc", url=URL))

    file = Path(__file__).parent / "source_definitions" / "another-stocktake.toml"

    protocol, reader = check_compatible(load(file))

    assert (protocol.incremental, protocol.payload_type in reader.accepts) == (True, True)
