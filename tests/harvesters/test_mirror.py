"""The mirror copies another journal entry by entry and accepts only verified entries."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from command_line.harvesting.mirror import address
from harvesters.errors import FetchError, MirrorError, ParseError, SourceLockedError, TooLargeError
from harvesters.mirror import LARGEST, Mirror, follow, handshake, sync
from harvesters.network import download
from harvesters.network.fetch import Fetch
from harvesters.network.retry import RetryPolicy
from harvesters.network.settings import NetworkSettings
from harvesters.stored_response import Validator
from journal import mirror_origin
from journal.errors import ChainError, DamagedHeadError, ForkError, ReadOnlyMirrorError
from journal.journal import Journal

URL = "https://origin.example/"
BASE = "https://w3id.org/wsis-stocktaking/"
WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def quad(number: int, name: str = "s") -> str:
    return f'A <https://x.org/{name}/{number}> <https://x.org/p> "text {number} \\"é\\""@en <https://x.org/g> .'


@dataclass
class Origin:
    """Another Stocktake: its journal's files, and answers that a test puts in their place;
    *request_log* remembers each request.
    """

    journal: Journal
    base: str = BASE
    instead: dict[str, Callable[[httpx.Request], httpx.Response]] = field(default_factory=dict)
    request_log: list[tuple[str, str]] = field(default_factory=list)
    parts: bool = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/robots.txt":
            return httpx.Response(404)
        self.request_log.append((path, request.headers.get("range", "")))
        if path in self.instead:
            return self.instead[path](request)
        if path == "/journal/head":
            return self.head(request)
        if path == "/status":
            return httpx.Response(
                200, text=f'<{BASE}source/a> <{BASE}operations#publishedRecords> "3" .\n'
            )
        entry = self.journal.entry(int(path.removeprefix("/journal/").removesuffix(".gz")))
        return (
            self.file(request, entry.path.read_bytes(), entry.id) if entry else httpx.Response(404)
        )

    def head(self, request: httpx.Request) -> httpx.Response:
        newest = self.journal.head
        etag = f'"{newest.id if newest else ""}"'
        if request.headers.get("if-none-match") == etag:
            return httpx.Response(304)
        results = {
            "base": self.base,
            "number": newest.number if newest else 0,
            "id": newest.id if newest else None,
        }
        return httpx.Response(200, json=results, headers={"ETag": etag})

    def file(self, request: httpx.Request, content: bytes, name: str) -> httpx.Response:
        if not self.parts or request.headers.get("if-range", f'"{name}"') != f'"{name}"':
            return httpx.Response(200, content=content, headers={"ETag": f'"{name}"'})
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        part = content[first : last + 1]
        results = {
            "Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}",
            "ETag": f'"{name}"',
        }
        return httpx.Response(206, content=part, headers=results)


def grown(folder: Path, *entries: Iterable[str]) -> Journal:
    journal = Journal(folder)
    for rows in entries:
        head = journal.head
        journal.append(["\n".join(rows)], run=f"a.{head.number + 1 if head else 1}", time=WHEN)
    return journal


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(
        grown(tmp_path / "origin", [quad(1)], [quad(2)], [quad(n) for n in range(3, 200)])
    )


def mirror(tmp_path: Path, origin: Origin, **how: Any) -> Mirror:
    validators: dict[str, Validator] = {}
    opened_client = Fetch(
        NetworkSettings(
            retry_policy=RetryPolicy(max_attempts=1, max_bytes=1 << 20),
            transport=httpx.MockTransport(origin),
        ),
        pause=0,
        validators=validators,
    )
    return Mirror(
        tmp_path / "mirror", URL, opened_client, now=lambda: WHEN, validators=validators, **how
    )


def files(journal: Journal) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(journal.folder.glob("*.rdfp.gz"))}


def patch(*rows: str, previous: str | None = None) -> bytes:
    """Write an entry that tells its own hash truly, whatever stands in it."""
    head = [f"H prev <urn:sha256:{previous}> ."] if previous else []
    rest = "".join(
        f"{line}\n"
        for line in [
            *head,
            'H run "a.1" .',
            'H time "2026-03-01T12:00:00Z" .',
            "TX .",
            *rows,
            "TC .",
        ]
    ).encode()
    return gzip.compress(
        f"H id <urn:sha256:{hashlib.sha256(rest).hexdigest()}> .\n".encode() + rest
    )


def test_a_mirror_holds_the_same_bytes(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)

    brought = sync(item)

    assert brought == 3
    assert files(item.journal) == files(origin.journal)
    assert item.journal.verify() == 3
    assert mirror_origin.read(item.journal.folder) == mirror_origin.Origin(
        URL, BASE, 3, "2026-03-01T12:00:00Z"
    )


def test_a_mirror_has_the_origins_status_graph(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)

    sync(item)

    assert (
        item.data / "status.nq"
    ).read_text() == f'<{BASE}source/a> <{BASE}operations#publishedRecords> "3" <{BASE}status> .\n'


def test_only_what_is_new_is_asked_for(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)
    sync(item)
    origin.request_log.clear()
    grown(origin.journal.folder, [quad(500)])

    sync(item)

    assert [path for path, _ in origin.request_log] == ["/journal/head", "/journal/4.gz", "/status"]


def test_an_origin_without_news_answers_in_a_few_bytes(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)
    sync(item)

    brought = sync(item)

    assert (brought, item.client.outcome_counts["unchanged"]) == (0, 1)


def test_an_empty_origin_is_followed_too(tmp_path: Path) -> None:
    origin = Origin(Journal(tmp_path / "origin"))
    item = mirror(tmp_path, origin)

    before = sync(item)
    grown(origin.journal.folder, [quad(1)])

    assert (before, sync(item)) == (0, 1)


def test_a_mirror_of_a_mirror_is_one_as_well(tmp_path: Path, origin: Origin) -> None:
    first = mirror(tmp_path, origin)
    sync(first)

    second = mirror(tmp_path / "second", Origin(first.journal))
    sync(second)

    assert files(second.journal) == files(origin.journal)


def test_nothing_else_is_written_into_a_mirrors_journal(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)
    sync(item)

    with pytest.raises(ReadOnlyMirrorError, match=r"mirror of https://origin\.example/"):
        item.journal.append([quad(9)], run="b.1", time=WHEN)

    assert files(item.journal) == files(origin.journal)


def test_a_fork_at_the_same_length_is_refused(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)
    sync(item)
    before = files(item.journal)
    other = Origin(grown(tmp_path / "other", [quad(1)], [quad(2)], [quad(9)]))

    with pytest.raises(ForkError, match="have diverged"):
        sync(mirror(tmp_path, other))

    assert files(item.journal) == before


def test_a_fork_that_has_grown_longer_is_refused(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)
    sync(item)
    before = files(item.journal)
    other = Origin(grown(tmp_path / "other", [quad(7)], [quad(2)], [quad(3)], [quad(4)]))

    with pytest.raises(ForkError, match=r"entry 4 follows .* have diverged"):
        sync(mirror(tmp_path, other))

    assert files(item.journal) == before
    assert "have diverged" in (
        known.error if (known := mirror_origin.read(item.journal.folder)) else ""
    )
    assert sorted(path.name for path in (item.data / "mirror").iterdir()) == ["lock", "refused"]


def test_an_origin_that_was_set_back_is_refused(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)
    sync(item)
    other = Origin(grown(tmp_path / "other", [quad(1)]))

    with pytest.raises(ForkError, match="ends with entry 1, but 3 came from it"):
        sync(mirror(tmp_path, other))


def test_a_gap_is_refused_and_what_came_before_it_stays(tmp_path: Path, origin: Origin) -> None:
    origin.instead["/journal/2.gz"] = lambda _: httpx.Response(404)
    item = mirror(tmp_path, origin)

    with pytest.raises(MirrorError, match=r"journal/2\.gz: is missing.*gap"):
        sync(item)

    assert list(files(item.journal)) == ["000000001.rdfp.gz"]


def _changed(entry: bytes) -> bytes:
    return gzip.compress(gzip.decompress(entry).replace(b"text 2", b"text X"))


def _hide_previous(entry: bytes) -> bytes:
    """Move the row of the previous entry behind one that is no row of a header."""
    _, previous, rest = gzip.decompress(entry).split(b"\n", 2)
    rest = rest.replace(b"TX .\n", b'H X "y" .\n' + previous + b"\nTX .\n", 1)
    return gzip.compress(
        f"H id <urn:sha256:{hashlib.sha256(rest).hexdigest()}> .\n".encode() + rest
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (_hide_previous, "does not begin as"),
        (_changed, "does not match its id"),
        (lambda item: item[:-20], "cannot be decompressed"),
        (lambda item: gzip.compress(gzip.decompress(item)[:-5]), "before its commit"),
        (lambda item: item + gzip.compress(b"A more\n"), "no quad|goes on"),
        (lambda item: b"<html>", "cannot be decompressed"),
        (lambda item: gzip.compress(b"nothing of the kind"), "does not begin as"),
    ],
)
def test_an_entry_that_was_changed_is_refused_and_quarantined(
    tmp_path: Path, origin: Origin, content: Callable[[bytes], bytes], why: str
) -> None:
    entry = origin.journal.entry(2)
    assert entry is not None
    wrong = content(entry.path.read_bytes())
    origin.instead["/journal/2.gz"] = lambda request: origin.file(request, wrong, "wrong")
    item = mirror(tmp_path, origin)

    with pytest.raises(ChainError, match=f"https://origin.example/: entry 2 .*({why})"):
        sync(item)

    assert list(files(item.journal)) == ["000000001.rdfp.gz"]
    assert (item.data / "mirror" / "refused" / "000000002.rdfp.gz").read_bytes() == wrong
    assert not list((item.data / "mirror").glob("*.rdfp.gz*"))


def forged(
    *rows: str, run: str = "a.1", time: str = "2026-03-01T12:00:00Z", headers: Iterable[str] = ()
) -> bytes:
    """Write a first entry with a header of its own and the hash of that."""
    lines = [*headers, f'H run "{run}" .', f'H time "{time}" .', "TX .", *rows, "TC ."]
    rest = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
    return gzip.compress(
        f"H id <urn:sha256:{hashlib.sha256(rest).hexdigest()}> .\n".encode() + rest
    )


def text(literal: str) -> str:
    return f"A <https://x.org/s> <https://x.org/p> {literal} <https://x.org/g> ."


UNREADABLE = {
    "time is a word": forged(quad(1), time="yesterday"),
    "time has no zone": forged(quad(1), time="2026-03-01T12:00:00"),
    "time has another zone": forged(quad(1), time="2026-03-01T12:00:00+02:00"),
    "time is no day of the calendar": forged(quad(1), time="2026-02-30T12:00:00Z"),
    "time has digits of another script": forged(quad(1), time="٢٠٢٦-03-01T12:00:00Z"),
    "time is missing": gzip.compress(
        gzip.decompress(forged(quad(1))).replace(b'H time "2026-03-01T12:00:00Z" .\n', b"")
    ),
    "time stands twice": forged(quad(1), headers=['H time "2026-03-01T12:00:00Z" .']),
    "run is empty": forged(quad(1), run=""),
    "run has spaces": forged(quad(1), run="a 1"),
    "run leads out of its folder": forged(quad(1), run="../../x"),
    "run has a control character": forged(quad(1), run="a\x1b[31m"),
    "run is not UTF-8": forged(quad(1), run="a\ud800"),
    "escape of a surrogate": forged(text(r'"\uD800"')),
    "bytes of a surrogate": forged(text('"\ud800"')),
    "escape beyond Unicode": forged(text(r'"\U00110000"')),
    "escape that is not needed": forged(text(r'"\u0041"')),
    "control character as itself": forged(text('"\x07"')),
    "relative IRI": forged("A <s> <https://x.org/p> <https://x.org/o> <https://x.org/g> ."),
    "IRI with a wrong percent-encoding": forged(
        "A <https://x.org/%zz> <https://x.org/p> <https://x.org/o> <https://x.org/g> ."
    ),
    "IRI with a wrong host": forged(
        "A <https://x.org/s> <https://x.org/p> <http://[x> <https://x.org/g> ."
    ),
    "datatype that is no IRI": forged(text('"1"^^<integer>')),
    "datatype that is left out": forged(text('"x"^^<http://www.w3.org/2001/XMLSchema#string>')),
    "datatype that wants a language": forged(
        text('"x"^^<http://www.w3.org/1999/02/22-rdf-syntax-ns#langString>')
    ),
    "language tag in capitals": forged(text('"x"@EN')),
    "language tag that is too long": forged(text('"x"@abcdefghijk')),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_entry_that_followers_cannot_read_is_refused(
    tmp_path: Path, origin: Origin, name: str
) -> None:
    origin.instead["/journal/1.gz"] = lambda request: origin.file(
        request, UNREADABLE[name], "forged"
    )
    item = mirror(tmp_path, origin)

    with pytest.raises(ChainError, match=r"https://origin\.example/: .*entry 1"):
        sync(item)

    assert item.journal.head is None
    assert (item.data / "mirror" / "refused" / "000000001.rdfp.gz").exists()


def test_entry_in_canonical_form_is_accepted(tmp_path: Path, origin: Origin) -> None:
    rows = [
        text(r'"\u0007\t\n\r\b\f\"\\\u007F\uFFFE"'),
        text('"é\u2028\U0001f600"@zh-hans'),
        text('"1"^^<https://x.org/type>'),
    ]
    origin.journal = grown(tmp_path / "canonical", rows)

    assert sync(mirror(tmp_path, origin)) == 1


def test_refused_entry_is_reported_and_not_downloaded_again(tmp_path: Path, origin: Origin) -> None:
    origin.instead["/journal/2.gz"] = lambda request: origin.file(
        request, UNREADABLE["time is a word"], "forged"
    )
    item = mirror(tmp_path, origin)
    for _ in range(2):
        with pytest.raises(ChainError):
            sync(item)

    known = mirror_origin.read(item.journal.folder)
    assert known
    assert known.refused
    assert (known.refused.number, known.refused.etag, known.refused.time) == (
        2,
        '"forged"',
        "2026-03-01T12:00:00Z",
    )
    assert known.error == known.refused.reason
    assert [part for path, part in origin.request_log if path == "/journal/2.gz"][1:] == [
        "bytes=0-0"
    ]


def test_refused_entry_is_reported_while_the_origin_is_away(tmp_path: Path, origin: Origin) -> None:
    origin.instead["/journal/2.gz"] = lambda request: origin.file(
        request, UNREADABLE["time is a word"], "forged"
    )
    item = mirror(tmp_path, origin)
    with pytest.raises(ChainError):
        sync(item)
    origin.instead["/journal/head"] = lambda _: httpx.Response(403)

    with pytest.raises(FetchError):
        sync(item)

    known = mirror_origin.read(item.journal.folder)
    assert known
    assert known.refused
    assert "403" in known.error


def test_damage_of_our_own_newest_entry_is_not_charged_to_the_origin(tmp_path: Path) -> None:
    large = [quad(number) for number in range(20_000)]  # more than is read with the header
    origin = Origin(grown(tmp_path / "large", [quad(1)], large, [quad(3)]))
    origin.instead["/journal/3.gz"] = lambda _: httpx.Response(404)
    with pytest.raises(MirrorError):
        sync(mirror(tmp_path, origin))
    origin.instead.clear()
    item = mirror(tmp_path, origin)
    newest = item.journal.folder / "000000002.rdfp.gz"
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])

    with pytest.raises(DamagedHeadError, match="000000002"):
        sync(item)
    known = mirror_origin.read(item.journal.folder)
    newest.write_bytes(whole)
    brought = sync(mirror(tmp_path, origin))

    assert known
    assert known.refused is None
    assert brought == 1
    assert files(item.journal) == files(origin.journal)


def test_repaired_entry_replaces_the_refused_one(tmp_path: Path, origin: Origin) -> None:
    origin.instead["/journal/2.gz"] = lambda request: origin.file(
        request, UNREADABLE["time is a word"], "forged"
    )
    item = mirror(tmp_path, origin)
    with pytest.raises(ChainError):
        sync(item)
    origin.instead.clear()

    brought = sync(item)

    assert brought == 2
    assert files(item.journal) == files(origin.journal)
    assert mirror_origin.read(item.journal.folder) == mirror_origin.Origin(
        URL, BASE, 3, "2026-03-01T12:00:00Z"
    )
    assert list((item.data / "mirror" / "refused").iterdir()) == []


@pytest.mark.parametrize(
    "row",
    [
        'A _:b <https://x.org/p> "x" <https://x.org/g> .',
        "A <https://x.org/s> <https://x.org/p> _:b <https://x.org/g> .",
        'A <https://x.org/s> <https://x.org/p> "x" .',
        'A <https://x.org/s s> <https://x.org/p> "x" <https://x.org/g> .',
        'A <https://x.org/s> <https://x.org/p> "x\\q" <https://x.org/g> .',
        "PA rdf <http://x.org/> .",
        "",
    ],
)
def test_a_row_that_no_store_of_ours_takes_is_refused(
    tmp_path: Path, origin: Origin, row: str
) -> None:
    content = patch(quad(1), row)
    origin.instead["/journal/1.gz"] = lambda request: origin.file(request, content, "odd")

    with pytest.raises(ChainError, match="no quad in canonical form"):
        sync(mirror(tmp_path, origin))


def test_an_entry_that_unpacks_to_more_than_the_limit_is_refused(
    tmp_path: Path, origin: Origin
) -> None:
    content = patch(*(quad(1) for _ in range(40_000)))
    origin.instead["/journal/1.gz"] = lambda request: origin.file(request, content, "bomb")

    with pytest.raises(ChainError, match="more than 100000 bytes unpacked"):
        sync(mirror(tmp_path, origin, max_entry_bytes=100_000))

    assert len(content) < 100_000


def test_a_file_larger_than_the_limit_is_not_brought(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin, max_entry_bytes=50)

    with pytest.raises(TooLargeError, match="--largest"):
        sync(item)

    assert list((item.data / "mirror").iterdir()) == [item.data / "mirror" / "lock"]


def test_a_download_goes_on_where_it_broke_off(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PIECE", 100)
    entry = origin.journal.entry(1)
    assert entry is not None
    pieces = iter([origin.file, lambda *_: httpx.Response(403)])
    origin.instead["/journal/1.gz"] = lambda request: next(pieces)(
        request, entry.path.read_bytes(), entry.id
    )
    item = mirror(tmp_path, origin)
    with pytest.raises(FetchError):
        sync(item)
    origin.instead.clear()
    origin.request_log.clear()

    sync(item)

    assert (
        next(request_log for path, request_log in origin.request_log if path == "/journal/1.gz")
        == "bytes=100-199"
    )
    assert files(item.journal) == files(origin.journal)


def test_a_part_that_was_spoiled_is_brought_again_at_once(tmp_path: Path, origin: Origin) -> None:
    entry = origin.journal.entry(1)
    assert entry is not None
    item = mirror(tmp_path, origin)
    part = item.data / "mirror" / "000000001.rdfp.gz"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 50)
    part.with_name(part.name + ".tag").write_text(
        json.dumps({"etag": f'"{entry.id}"', "total": entry.path.stat().st_size})
    )

    sync(item)

    assert files(item.journal) == files(origin.journal)


def test_a_part_of_another_file_is_thrown_away(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)
    part = item.data / "mirror" / "000000001.rdfp.gz"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"old")
    part.with_name(part.name + ".tag").write_text(json.dumps({"etag": '"another"', "total": 99}))

    sync(item)

    assert files(item.journal) == files(origin.journal)


def test_an_origin_that_gives_no_parts_is_followed_too(tmp_path: Path, origin: Origin) -> None:
    origin.parts = False
    item = mirror(tmp_path, origin)

    sync(item)

    assert files(item.journal) == files(origin.journal)


def test_an_origin_that_gives_the_wrong_part_is_left(tmp_path: Path, origin: Origin) -> None:
    results = {"Content-Range": "bytes 7-8/400"}
    origin.instead["/journal/1.gz"] = lambda _: httpx.Response(206, content=b"xx", headers=results)

    with pytest.raises(ParseError, match="do not fit together"):
        sync(mirror(tmp_path, origin))


def test_a_base_that_is_not_the_origins_is_refused(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin, base="https://data.example/")

    with pytest.raises(MirrorError, match=r"STOCKTAKE_BASE is https://data\.example/"):
        sync(item)

    assert files(item.journal) == {}


def test_an_origin_with_another_base_is_another_origin(tmp_path: Path, origin: Origin) -> None:
    sync(mirror(tmp_path, origin))
    origin.base = "https://elsewhere.example/"

    with pytest.raises(MirrorError, match="use an empty directory for this mirror"):
        sync(mirror(tmp_path, origin))


def test_an_origin_may_move(tmp_path: Path, origin: Origin) -> None:
    sync(mirror(tmp_path, origin))
    moved = mirror(tmp_path, origin)
    moved.url = "https://moved.example/"

    sync(moved)

    assert (
        known.url if (known := mirror_origin.read(moved.journal.folder)) else None
    ) == "https://moved.example/"


def test_a_journal_of_its_own_is_never_made_a_mirror(tmp_path: Path, origin: Origin) -> None:
    own = grown(tmp_path / "mirror" / "journal", [quad(1)])

    with pytest.raises(MirrorError, match="already contains data"):
        sync(mirror(tmp_path, origin))

    assert mirror_origin.read(own.folder) is None
    assert origin.request_log == []


def test_two_mirrors_do_not_write_one_folder(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)
    errors: list[type[Exception]] = []

    def meanwhile(request: httpx.Request) -> httpx.Response:
        with pytest.raises(SourceLockedError) as caught:
            sync(mirror(tmp_path, origin))
        errors.append(caught.type)
        return origin.head(request)

    origin.instead["/journal/head"] = meanwhile
    sync(item)

    assert errors == [SourceLockedError]


@pytest.mark.parametrize(
    "message",
    [
        [],
        {},
        {"base": "x", "number": 1, "id": "a" * 64},
        {"base": BASE, "number": 2, "id": None},
        {"base": BASE, "number": -1, "id": "a" * 64},
        {"base": BASE, "number": 1, "id": "../../etc"},
    ],
)
def test_a_head_that_states_nonsense_is_refused(
    tmp_path: Path, origin: Origin, message: object
) -> None:
    origin.instead["/journal/head"] = lambda _: httpx.Response(200, json=message)

    with pytest.raises(ParseError, match="has no base, number and id"):
        sync(mirror(tmp_path, origin))


def test_what_is_no_stocktake_is_reported_as_such(tmp_path: Path, origin: Origin) -> None:
    origin.instead["/journal/head"] = lambda _: httpx.Response(404)

    with pytest.raises(MirrorError, match="front page"):
        sync(mirror(tmp_path, origin))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(200, text="<s> nonsense"),
        httpx.Response(200, text="_:b <x:p> <x:o> ."),
        httpx.Response(
            200,
            text="<x:s> <x:p> " + "<<( <x:s> <x:p> " * 60_000 + "<x:o>" + " )>>" * 60_000 + " .",
        ),
        httpx.Response(
            200,
            text="<x:s> <x:p> \"a\n'''\" .\n<x:s> <x:p> "
            + "<<( <x:s> <x:p> " * 60_000
            + "<x:o>"
            + " )>>" * 60_000
            + " .",
        ),
    ],
    ids=["500", "nonsense", "blank node", "deep nesting", "deep nesting behind a line break"],
)
def test_a_status_that_cannot_be_had_leaves_the_last_one(
    tmp_path: Path, origin: Origin, answer: httpx.Response
) -> None:
    item = mirror(tmp_path, origin)
    sync(item)
    before = (item.data / "status.nq").read_bytes()
    origin.instead["/status"] = lambda _: answer

    sync(item)

    assert (item.data / "status.nq").read_bytes() == before


def test_following_continues_after_an_error_and_reports_it(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin)
    handshake(item)
    results: list[str] = []

    def wait(seconds: float) -> bool:
        known = mirror_origin.read(item.journal.folder)
        results.append(known.error if known else "")
        origin.instead.clear()
        return len(results) == 2

    origin.instead["/journal/2.gz"] = lambda _: httpx.Response(404)
    follow(item, 60, wait)

    assert ["gap" in trouble for trouble in results] == [True, False]
    assert files(item.journal) == files(origin.journal)


@pytest.mark.parametrize(
    "url", ["https://x.example", "https://x.example/", "https://x.example/journal/"]
)
def test_the_address_is_that_of_the_front_page(url: str) -> None:
    assert address(url) == "https://x.example/"


def test_the_largest_entry_is_bounded_where_nothing_is_said(tmp_path: Path, origin: Origin) -> None:
    assert mirror(tmp_path, origin).max_entry_bytes == LARGEST
