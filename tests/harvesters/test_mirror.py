from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from damage import count_verified
from fetch_client import fetch_with
from rows import each

from command_line.services import mirror_address
from harvesters.errors import FetchError, MirrorError, ParseError, SourceLockedError, TooLargeError
from harvesters.mirror import Mirror, follow, handshake, sync
from harvesters.network.fetch import RetryPolicy
from journal import store
from journal.errors import ChainError, DamagedHeadError, ForkError, ReadOnlyMirrorError
from journal.journal import Journal
from journal.store import LARGEST, read_origin

URL = "https://origin.example/"
BASE = "https://w3id.org/wsis-stocktaking/"
WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def quad(number: int, name: str = "s") -> str:
    return f'A <https://x.org/{name}/{number}> <https://x.org/p> "text {number} \\"é\\""@en <https://x.org/g> .'


@dataclass
class Origin:
    """Another Stocktake: it serves its journal's files, or the answers that a test puts into
    *instead*, and records each request in *request_log*.
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
        results = {
            "base": self.base,
            "number": newest.number if newest else 0,
            "id": newest.id if newest else None,
        }
        return httpx.Response(200, json=results)

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
    policy = RetryPolicy(max_attempts=1, max_bytes=1 << 20)
    client = fetch_with(httpx.MockTransport(origin), retry_policy=policy, pause=0)
    folder = tmp_path / "mirror"
    return Mirror(folder, URL, client, now=lambda: WHEN, **how)


@pytest.fixture
def item(tmp_path: Path, origin: Origin) -> Mirror:
    return mirror(tmp_path, origin)


@pytest.fixture
def synced(item: Mirror, origin: Origin) -> Mirror:
    sync(item)
    origin.request_log.clear()
    return item


def fails(item: Mirror, error: type[Exception], message: str = "") -> None:
    with pytest.raises(error, match=message or "."):
        sync(item)


def known(item: Mirror) -> store.Origin:
    read = read_origin(item.journal.folder)
    assert read
    return read


def files(journal: Journal) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(journal.folder.glob("*.rdfp.gz"))}


def hashed(rest: bytes) -> bytes:
    """Return an entry that states its own hash correctly, whatever else is wrong with it."""
    return gzip.compress(
        f"H id <urn:sha256:{hashlib.sha256(rest).hexdigest()}> .\n".encode() + rest
    )


def test_a_mirror_holds_the_same_bytes_and_the_status_graph(item: Mirror, origin: Origin) -> None:
    assert sync(item) == 3

    assert files(item.journal) == files(origin.journal)
    assert count_verified(item.journal) == 3
    assert known(item) == store.Origin(URL, BASE, 3, "2026-03-01T12:00:00Z")
    status = f'<{BASE}source/a> <{BASE}operations#publishedRecords> "3" <{BASE}status> .\n'
    assert (item.data / "status.nq").read_text() == status


def test_only_what_is_new_is_asked_for(synced: Mirror, origin: Origin) -> None:
    assert sync(synced) == 0
    origin.request_log.clear()
    grown(origin.journal.folder, [quad(500)])

    sync(synced)

    assert [path for path, _ in origin.request_log] == ["/journal/head", "/journal/4.gz", "/status"]


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


def test_nothing_else_is_written_into_a_mirrors_journal(synced: Mirror, origin: Origin) -> None:
    with pytest.raises(ReadOnlyMirrorError, match=r"mirror of https://origin\.example/"):
        synced.journal.append([quad(9)], run="b.1", time=WHEN)

    assert files(synced.journal) == files(origin.journal)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((1, 2, 9), "have diverged"), ((7, 2, 3, 4), r"entry 4 follows .* have diverged"),
     ((1,), "ends with entry 1, but entry 3 was imported from it")],
)  # fmt: skip
def test_a_fork_or_an_origin_that_was_set_back_is_refused(
    tmp_path: Path, synced: Mirror, numbers: tuple[int, ...], message: str
) -> None:
    before = files(synced.journal)
    other = Origin(grown(tmp_path / "other", *([quad(number)] for number in numbers)))

    fails(mirror(tmp_path, other), ForkError, message)

    assert files(synced.journal) == before
    if len(numbers) > 3:
        assert "have diverged" in known(synced).error
        assert sorted(path.name for path in (synced.data / "mirror").iterdir()) == ["lock", "refused"]  # fmt: skip


def _changed(entry: bytes) -> bytes:
    return gzip.compress(gzip.decompress(entry).replace(b"text 2", b"text X"))


def _hide_previous(entry: bytes) -> bytes:
    """Move the row of the previous entry behind a row that no header has."""
    _, previous, rest = gzip.decompress(entry).split(b"\n", 2)
    return hashed(rest.replace(b"TX .\n", b'H X "y" .\n' + previous + b"\nTX .\n", 1))


@each(
    "number, content, why",
    [(number, *row) for number, row in enumerate([
        (_hide_previous, "does not begin as"), (_changed, "does not match its id"), (lambda item: item[:-20], "cannot be decompressed"),
        (lambda item: gzip.compress(gzip.decompress(item)[:-5]), "before its commit"),
        (lambda item: item + gzip.compress(b"A more\n"), "no quad|goes on"), (lambda item: b"<html>", "cannot be decompressed"),
        (lambda item: gzip.compress(b"nothing of the kind"), "does not begin as"),
    ])],
)  # fmt: skip
def test_an_entry_that_was_changed_is_refused_and_quarantined(
    tmp_path: Path, origin: Origin, number: int, content: Callable[[bytes], bytes], why: str
) -> None:
    entry = origin.journal.entry(2)
    assert entry is not None
    wrong = content(entry.path.read_bytes())
    origin.instead["/journal/2.gz"] = lambda request: origin.file(request, wrong, "wrong")
    item = mirror(tmp_path / str(number), origin)

    fails(item, ChainError, f"https://origin.example/: entry 2 .*({why})")

    assert list(files(item.journal)) == ["000000001.rdfp.gz"]
    assert (item.data / "mirror" / "refused" / "000000002.rdfp.gz").read_bytes() == wrong
    assert not list((item.data / "mirror").glob("*.rdfp.gz*"))


def forged(
    *rows: str, run: str = "a.1", time: str = "2026-03-01T12:00:00Z", headers: Iterable[str] = ()
) -> bytes:
    """Return a first entry with these headers and rows, which states its own hash correctly."""
    lines = [*headers, f'H run "{run}" .', f'H time "{time}" .', "TX .", *rows, "TC ."]
    return hashed("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))


def text(literal: str) -> str:
    return f"A <https://x.org/s> <https://x.org/p> {literal} <https://x.org/g> ."


XSD, RDF = "http://www.w3.org/2001/XMLSchema#", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NO_TIME = gzip.decompress(forged(quad(1))).replace(b'H time "2026-03-01T12:00:00Z" .\n', b"")
# Followers cannot read these first entries: their header or one of their rows is wrong.
UNREADABLE = [
    *(forged(quad(1), time=time) for time in ("yesterday", "2026-03-01T12:00:00", "2026-03-01T12:00:00+02:00", "2026-02-30T12:00:00Z",
                                              "٢٠٢٦-03-01T12:00:00Z")),
    gzip.compress(NO_TIME), forged(quad(1), headers=['H time "2026-03-01T12:00:00Z" .']),
    *(forged(quad(1), run=run) for run in ("", "a 1", "../../x", "a\x1b[31m", "a\ud800")),
    # These have a surrogate, an escape that is beyond Unicode or not needed, or a control
    # character.
    *(forged(text(literal)) for literal in (r'"\uD800"', '"\ud800"', r'"\U00110000"', r'"\u0041"', '"\x07"')),
    *(forged(f"A {subject} <https://x.org/p> {object_} <https://x.org/g> .")
      for subject, object_ in (("<s>", "<https://x.org/o>"), ("<https://x.org/%zz>", "<https://x.org/o>"),
      ("<https://x.org/s>", "<http://[x>"))),
    # These have a datatype that is no IRI, must be left out or needs a language, or a wrong
    # language tag.
    *(forged(text(literal)) for literal in ('"1"^^<integer>', f'"x"^^<{XSD}string>', f'"x"^^<{RDF}langString>', '"x"@EN',
    '"x"@abcdefghijk')),
    # No store of ours accepts these rows.
    *(forged(quad(1), row) for row in (
        'A _:b <https://x.org/p> "x" <https://x.org/g> .', "A <https://x.org/s> <https://x.org/p> _:b <https://x.org/g> .",
        'A <https://x.org/s> <https://x.org/p> "x" .', 'A <https://x.org/s s> <https://x.org/p> "x" <https://x.org/g> .',
        'A <https://x.org/s> <https://x.org/p> "x\\q" <https://x.org/g> .', "PA rdf <http://x.org/> .", "")),
]  # fmt: skip


@each("number, content", enumerate(UNREADABLE))
def test_entry_that_followers_cannot_read_is_refused(
    tmp_path: Path, origin: Origin, number: int, content: bytes
) -> None:
    origin.instead["/journal/1.gz"] = lambda request: origin.file(request, content, "forged")
    item = mirror(tmp_path / str(number), origin)

    fails(item, ChainError, r"https://origin\.example/: .*entry 1")

    assert item.journal.head is None
    assert (item.data / "mirror" / "refused" / "000000001.rdfp.gz").exists()
    if UNREADABLE[-7:].count(content):
        assert "no quad in canonical form" in known(item).error


def test_entry_in_canonical_form_is_accepted(tmp_path: Path, origin: Origin) -> None:
    literals = (r'"\u0007\t\n\r\b\f\"\\\u007F\uFFFE"', '"é\u2028\U0001f600"@zh-hans', '"1"^^<https://x.org/type>')  # fmt: skip
    origin.journal = grown(tmp_path / "canonical", map(text, literals))

    assert sync(mirror(tmp_path, origin)) == 1


@pytest.fixture
def refusing(item: Mirror, origin: Origin) -> Mirror:
    origin.instead["/journal/2.gz"] = lambda request: origin.file(request, UNREADABLE[0], "forged")
    fails(item, ChainError)
    return item


def test_refused_entry_is_reported_and_not_downloaded_again(
    refusing: Mirror, origin: Origin
) -> None:
    fails(refusing, ChainError)

    refused = known(refusing).refused
    assert refused
    assert (refused.number, refused.etag) == (2, '"forged"')
    assert (refused.time, refused.reason) == ("2026-03-01T12:00:00Z", known(refusing).error)
    parts = [part for path, part in origin.request_log if path == "/journal/2.gz"]
    assert parts[1:] == ["bytes=0-0"]


def test_refused_entry_is_reported_while_the_origin_is_away(
    refusing: Mirror, origin: Origin
) -> None:
    origin.instead["/journal/head"] = lambda _: httpx.Response(403)

    fails(refusing, FetchError)

    assert known(refusing).refused
    assert "403" in known(refusing).error


def test_repaired_entry_replaces_the_refused_one(refusing: Mirror, origin: Origin) -> None:
    origin.instead.clear()

    assert sync(refusing) == 2

    assert files(refusing.journal) == files(origin.journal)
    assert known(refusing) == store.Origin(URL, BASE, 3, "2026-03-01T12:00:00Z")
    assert list((refusing.data / "mirror" / "refused").iterdir()) == []


def test_damage_of_our_own_newest_entry_is_not_charged_to_the_origin(tmp_path: Path) -> None:
    # These rows are more than is read together with the header.
    large = [quad(number) for number in range(20_000)]
    origin = Origin(grown(tmp_path / "large", [quad(1)], large, [quad(3)]))
    origin.instead["/journal/3.gz"] = lambda _: httpx.Response(404)
    fails(mirror(tmp_path, origin), MirrorError)
    origin.instead.clear()
    item = mirror(tmp_path, origin)
    newest = item.journal.folder / "000000002.rdfp.gz"
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])

    fails(item, DamagedHeadError, "000000002")
    assert known(item).refused is None
    newest.write_bytes(whole)

    assert sync(mirror(tmp_path, origin)) == 1
    assert files(item.journal) == files(origin.journal)


def test_an_entry_that_unpacks_to_more_than_the_limit_is_refused(
    tmp_path: Path, origin: Origin
) -> None:
    content = forged(*(quad(1) for _ in range(40_000)))
    origin.instead["/journal/1.gz"] = lambda request: origin.file(request, content, "bomb")

    item = mirror(tmp_path, origin, max_entry_bytes=100_000)
    fails(item, ChainError, "more than 100000 bytes unpacked")

    assert len(content) < 100_000


def test_a_file_larger_than_the_limit_is_not_brought(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin, max_entry_bytes=50)

    fails(item, TooLargeError, "--largest")

    assert list((item.data / "mirror").iterdir()) == [item.data / "mirror" / "lock"]


def test_a_download_goes_on_where_it_broke_off(
    item: Mirror, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvesters.mirror.PIECE", 100)
    entry = origin.journal.entry(1)
    assert entry is not None
    content, name = entry.path.read_bytes(), entry.id
    pieces = iter([origin.file, lambda *_: httpx.Response(403)])
    origin.instead["/journal/1.gz"] = lambda request: next(pieces)(request, content, name)
    fails(item, FetchError)
    origin.instead.clear()
    origin.request_log.clear()

    sync(item)

    parts = [part for path, part in origin.request_log if path == "/journal/1.gz"]
    assert parts[0] == "bytes=99-198"
    assert files(item.journal) == files(origin.journal)


@pytest.mark.parametrize("part", [b"\0" * 50, b"old", None])
def test_a_part_that_was_spoiled_is_of_another_file_or_is_whole_is_brought_again(
    item: Mirror, origin: Origin, part: bytes | None
) -> None:
    entry = origin.journal.entry(1)
    assert entry is not None
    file = item.data / "mirror" / "000000001.rdfp.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(part or entry.path.read_bytes())

    sync(item)

    assert files(item.journal) == files(origin.journal)


def test_an_origin_that_gives_the_wrong_part_is_left_and_one_without_parts_followed_to_a_gap(
    item: Mirror, origin: Origin
) -> None:
    assert item.max_entry_bytes == LARGEST
    results = {"Content-Range": "bytes 7-8/400"}
    origin.instead["/journal/1.gz"] = lambda _: httpx.Response(206, content=b"xx", headers=results)

    fails(item, ParseError, "do not fit together")
    origin.instead = {"/journal/2.gz": lambda _: httpx.Response(404)}
    # An origin that sends no parts of files is followed too.
    origin.parts = False
    fails(item, MirrorError, r"journal/2\.gz: is missing.*gap")
    assert list(files(item.journal)) == ["000000001.rdfp.gz"]
    origin.instead = {}
    sync(item)
    assert files(item.journal) == files(origin.journal)


def test_a_base_that_is_not_the_origins_is_refused(tmp_path: Path, origin: Origin) -> None:
    item = mirror(tmp_path, origin, base="https://data.example/")

    fails(item, MirrorError, r"STOCKTAKE_BASE is https://data\.example/")

    assert files(item.journal) == {}


def test_an_origin_with_another_base_is_another_origin_but_it_may_move(
    synced: Mirror, tmp_path: Path, origin: Origin
) -> None:
    moved = mirror(tmp_path, origin)
    moved.url = "https://moved.example/"
    sync(moved)
    assert known(moved).url == "https://moved.example/"

    origin.base = "https://elsewhere.example/"
    fails(mirror(tmp_path, origin), MirrorError, "use an empty directory for this mirror")


def test_a_journal_of_its_own_is_never_made_a_mirror(tmp_path: Path, origin: Origin) -> None:
    own = grown(tmp_path / "mirror" / "journal", [quad(1)])

    fails(mirror(tmp_path, origin), MirrorError, "already contains data")

    assert read_origin(own.folder) is None
    assert origin.request_log == []


def test_two_mirrors_do_not_write_one_folder(tmp_path: Path, item: Mirror, origin: Origin) -> None:
    refused: list[int] = []

    def meanwhile(request: httpx.Request) -> httpx.Response:
        fails(mirror(tmp_path, origin), SourceLockedError)
        refused.append(1)
        return origin.head(request)

    origin.instead["/journal/head"] = meanwhile
    sync(item)

    assert refused == [1]


NONSENSE: list[Any] = [
    [], {}, {"base": "x", "number": 1, "id": "a" * 64}, {"base": BASE, "number": 2, "id": None},
    {"base": BASE, "number": -1, "id": "a" * 64}, {"base": BASE, "number": 1, "id": "../../etc"},
]  # fmt: skip


@each(
    "response, error, message",
    [*((httpx.Response(200, json=head), ParseError, "has no base, number and id") for head in NONSENSE),
     (httpx.Response(404), MirrorError, "front page")],
)  # fmt: skip
def test_a_head_that_states_nonsense_is_refused(
    tmp_path: Path, origin: Origin, response: httpx.Response, error: type[Exception], message: str
) -> None:
    origin.instead["/journal/head"] = lambda _: response

    fails(mirror(tmp_path, origin), error, message)


DEEP = "<<( <x:s> <x:p> " * 60_000 + "<x:o>" + " )>>" * 60_000 + " ."


@each(
    "answer",
    [httpx.Response(500), *(httpx.Response(200, text=text) for text in (
        "<s> nonsense", "_:b <x:p> <x:o> .", f"<x:s> <x:p> {DEEP}", f"<x:s> <x:p> \"a\n'''\" .\n<x:s> <x:p> {DEEP}"))],
)  # fmt: skip
def test_a_status_that_cannot_be_had_leaves_the_last_one(
    synced: Mirror, origin: Origin, answer: httpx.Response
) -> None:
    before = (synced.data / "status.nq").read_bytes()
    origin.instead["/status"] = lambda _: answer

    sync(synced)

    assert (synced.data / "status.nq").read_bytes() == before


def test_following_continues_after_an_error_and_reports_it(item: Mirror, origin: Origin) -> None:
    handshake(item)
    results: list[str] = []

    def wait(seconds: float) -> bool:
        results.append(known(item).error)
        origin.instead.clear()
        return len(results) == 2

    origin.instead["/journal/2.gz"] = lambda _: httpx.Response(404)
    follow(item, 60, wait)

    assert ["gap" in trouble for trouble in results] == [True, False]
    assert files(item.journal) == files(origin.journal)


@each("url", ["https://x.example", "https://x.example/", "https://x.example/journal/"])
def test_the_address_is_that_of_the_front_page(url: str) -> None:
    assert mirror_address(url) == "https://x.example/"
