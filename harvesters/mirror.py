"""Copy another Stocktake's journal into one of our own; each entry is checked before it is moved
into place.

An entry that fails a check is quarantined, and reported in ``journal/origin.json`` to all servers of
the mirror.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pyoxigraph import BlankNode, Literal, Quad, RdfFormat, parse

from harvesters.errors import (
    HarvestError,
    MirrorError,
    NotFoundError,
    ParseError,
    SourceLockedError,
    TooLargeError,
    UnexpectedStatusError,
    parser_errors,
)
from harvesters.network.fetch import Fetch, NetworkSettings, RetryPolicy
from harvesters.network.reply import load_json
from harvesters.payloads.rdf_parser import parse_quads
from harvesters.pipeline.processes import UPLOAD_LIMITS, call_bounded, preload
from journal.data_format import record_if_new
from journal.entry import SUFFIX, Entry
from journal.errors import ChainError, DamagedHeadError, ForkError, JournalError
from journal.files import AlreadyLockedError, FileLock, describe_holder, replace_file
from journal.journal import Journal
from journal.outage import Outage
from journal.store import LARGEST, Origin, RefusedEntry, read_origin, write_origin
from vocab.iris import Iris, is_web
from vocab.provenance import check_source_status, terms_by_subject

REFUSED = "refused"  # the folder of quarantined entries, below that of the mirror
_ID = re.compile(r"[0-9a-f]{64}\Z")
log = structlog.get_logger(component="mirror")


@dataclass(frozen=True, slots=True)
class RemoteHead:
    """The origin's newest entry, number 0 and id None if it has none, and the base of its IRIs."""

    base: str
    number: int
    id: str | None


@dataclass(slots=True)
class Mirror:
    """A mirror of the Stocktake at *url*, which ends with a slash, in the data directory *data*.

    *base* is the required prefix of IRIs, None to accept the origin's. *max_entry_bytes* limits an
    entry's uncompressed size.
    """

    data: Path
    url: str
    client: Fetch
    base: str | None = None
    max_entry_bytes: int = LARGEST
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def journal(self) -> Journal:
        """Return the journal that is written."""
        return Journal(self.data / "journal")


# Bytes of a response: four parts, for servers without range requests.
_MAX_ANSWER_BYTES = 64 << 20


@contextmanager
def open_mirror(
    data: Path, url: str, base: str | None, network: NetworkSettings, pause: float, largest: int
) -> Iterator[Mirror]:
    """Open a client for the Stocktake at *url* with a *pause* in seconds between requests, and yield
    its mirror in *data*.
    """
    network = replace(network, retry_policy=RetryPolicy(max_bytes=_MAX_ANSWER_BYTES))
    with Fetch(network, pause) as client:
        yield Mirror(data, url, client, base, largest)


def handshake_or_cached(mirror: Mirror) -> Origin:
    """Return the origin; if it does not respond, the one that was mirrored before."""
    try:
        return handshake(mirror)
    except (HarvestError, JournalError) as error:
        known = read_origin(mirror.journal.folder)
        if known is None or isinstance(error, MirrorError | JournalError):
            raise
        log.warning(
            "origin does not respond; serving the local copy", origin=mirror.url, reason=str(error)
        )
        return known


def describe_copy(mirror: Mirror, copied: int) -> str:
    """Return a line about the content of a mirror after a sync."""
    head = mirror.journal.head
    content = f"{head.number} entries, the last {head.id}" if head else "no entries"
    return f"{mirror.data} is a mirror of {mirror.url}: {content}; {copied} copied now"


def sync(mirror: Mirror) -> int:
    """Download all entries that the origin has and we have not; return how many.

    Each entry is stored completely or not at all, so that this may be killed at any time and run
    again. Raises MirrorError, ForkError or ChainError if the origin is not the one mirrored here,
    and FetchError if it cannot be requested.
    """
    preload(status_quads)
    with _mirror_lock(mirror.data):
        known = _check_journal(mirror)
        try:
            remote_head = _fetch_head(mirror)
            known = _origin(mirror, remote_head, known)
            _check_not_diverged(mirror, remote_head)
            write_origin(mirror.journal.folder, known)
            local_head = mirror.journal.head
            first = local_head.number + 1 if local_head else 1
            for number in range(first, remote_head.number + 1):
                entry = _download_entry(mirror, number, known)
                log.info("entry imported", number=number, newest=remote_head.number, run=entry.run)
            known = _clear_quarantine(mirror, known)
            _download_status(mirror, remote_head.base)
        except (HarvestError, JournalError) as error:
            if stored := read_origin(mirror.journal.folder):
                write_origin(mirror.journal.folder, replace(stored, error=str(error)))
            raise
        return remote_head.number - first + 1


def handshake(mirror: Mirror) -> Origin:
    """Fetch the origin's identity and store it, without downloading entries; raises like ``sync``."""
    with _mirror_lock(mirror.data):
        known = _check_journal(mirror)
        known = _origin(mirror, _fetch_head(mirror), known)
        write_origin(mirror.journal.folder, known)
        return known


def follow(mirror: Mirror, every: float, wait: Callable[[float], bool]) -> None:
    """Run ``sync`` every *every* seconds until *wait* returns True; failures are logged and
    retried.
    """
    outage = Outage("mirror sync failed; stored entries stay available", "mirror sync recovered")
    while True:
        try:
            sync(mirror)
            outage.over(origin=mirror.url)
        except (HarvestError, JournalError) as error:
            outage.failed(str(error), origin=mirror.url)
        if wait(every):
            return


def _origin(mirror: Mirror, head: RemoteHead, known: Origin | None) -> Origin:
    """Return the description of the origin at its present head; a refused entry stays in it until
    another one replaces it.
    """
    refused = known.refused if known else None
    return Origin(
        mirror.url,
        head.base,
        head.number,
        _timestamp(mirror),
        refused.reason if refused else "",
        refused,
    )


def _timestamp(mirror: Mirror) -> str:
    return f"{mirror.now():%Y-%m-%dT%H:%M:%SZ}"


@contextmanager
def _mirror_lock(data: Path) -> Iterator[None]:
    folder = data / "mirror"
    folder.mkdir(parents=True, exist_ok=True)
    record_if_new(data)
    try:
        lock = FileLock(folder / "lock", wait=False)
    except AlreadyLockedError as error:
        holder = describe_holder(folder / "lock")
        raise SourceLockedError(
            f"{data}: another process mirrors into it ({holder}); wait for it, or end it"
        ) from error
    with lock:
        yield


def _check_journal(mirror: Mirror) -> Origin | None:
    """Return the origin that the journal has been mirroring; raises MirrorError if the journal is
    not a mirror.
    """
    journal, known = mirror.journal, read_origin(mirror.journal.folder)
    if moved_aside := journal.recover():
        log.warning(
            "incomplete journal entry moved aside",
            file=str(moved_aside),
            action="none: it is fetched again",
        )
    if known is None and (head := journal.head):
        raise MirrorError(
            f"{mirror.data} already contains data ({head.number} entries); use an empty directory for a mirror (--data)"
        )
    return known


def _fetch_head(mirror: Mirror) -> RemoteHead:
    """Return the origin's newest entry; raises MirrorError if its base is not ours."""
    address = f"{mirror.url}journal/head"
    try:
        reply = mirror.client.get(address, accept="application/json")
    except NotFoundError as error:
        raise MirrorError(
            f"{address}: there is no journal; give the address of a Stocktake's front page"
        ) from error
    head = _parse_head(load_json(reply), address)
    if mirror.base not in (None, head.base):
        raise MirrorError(
            f"{mirror.url}: its IRIs begin with {head.base}, but STOCKTAKE_BASE is {mirror.base}; "
            "unset STOCKTAKE_BASE to use that of the origin"
        )
    if (known := read_origin(mirror.journal.folder)) and known.base != head.base:
        raise MirrorError(
            f"{mirror.url}: its IRIs begin with {head.base}, but those stored here with {known.base}; "
            "use an empty directory for this mirror (--data)"
        )
    return head


def _parse_head(document: object, address: str) -> RemoteHead:
    match document:
        case {"base": str(base), "number": int(number), "id": (str() | None) as name} if (
            is_web(base)
            and base[-1] in "/#"
            and (number == 0 if name is None else number > 0 and _ID.match(name))
        ):
            return RemoteHead(base, number, name)
    raise ParseError(f"{address}: has no base, number and id of a newest entry")


def _check_not_diverged(mirror: Mirror, remote_head: RemoteHead) -> None:
    """Raise ForkError if our newest entry cannot be one of the origin's."""
    local_head = mirror.journal.head
    if local_head and local_head.number > remote_head.number:
        raise ForkError(
            f"{mirror.url}: its journal ends with entry {remote_head.number}, but entry {local_head.number} was imported from it; "
            "it was rewound or replaced; stored entries stay"
        )
    if local_head and local_head.number == remote_head.number and local_head.id != remote_head.id:
        raise ForkError(
            f"{mirror.url}: its entry {local_head.number} is {remote_head.id}, but {local_head.id} is stored here: "
            "the two journals have diverged"
        )


def _download_entry(mirror: Mirror, number: int, known: Origin) -> Entry:
    """Download an entry and move it into place. An entry that fails a check after a resumed download
    is downloaded once more.

    Raises ChainError if the entry fails a check. Its file is then in quarantine, and is not
    downloaded again while the origin serves the same one.
    """
    part = mirror.data / "mirror" / f"{number:09d}{SUFFIX}"
    address, refused = f"{mirror.url}journal/{number}.gz", known.refused
    if refused and refused.number == number and _is_still_refused(mirror, refused, address):
        raise ChainError(refused.reason)
    for is_whole in (not part.exists(), True):
        try:
            etag = download_resumable(mirror.client, address, part, mirror.max_entry_bytes)
        except NotFoundError as error:
            raise MirrorError(
                f"{address}: is missing, but later entries exist: its journal has a gap"
            ) from error
        try:
            return mirror.journal.append_verified(part, mirror.max_entry_bytes)
        except DamagedHeadError:  # Our own entry is damaged, not the downloaded one.
            raise
        except ChainError as error:
            if is_whole or isinstance(error, ForkError):
                raise type(error)(_quarantine(mirror, number, part, etag, error, known)) from error
        finally:
            part.unlink(missing_ok=True)
    raise AssertionError("the second download is a whole one")


def _is_still_refused(mirror: Mirror, refused: RefusedEntry, address: str) -> bool:
    """Return whether the origin still serves a refused file, by a request for its first byte."""
    if not refused.etag or not (mirror.data / refused.file).exists():
        return False
    reply = mirror.client.get_range(address, range(1), refused.etag)
    return bool(reply.headers.get("etag") == refused.etag)


def _quarantine(
    mirror: Mirror, number: int, part: Path, etag: str | None, error: ChainError, known: Origin
) -> str:
    """Move a refused entry's file into quarantine and record it; return the reason."""
    file = Path("mirror") / REFUSED / part.name
    reason = f"{mirror.url}: {error}; it was refused and moved to {file}, and the entries before it stay available"
    (mirror.data / file).parent.mkdir(exist_ok=True)
    part.replace(mirror.data / file)
    refused = RefusedEntry(number, reason, _timestamp(mirror), str(file), etag)
    write_origin(mirror.journal.folder, replace(known, error=reason, refused=refused))
    log.error(
        "journal entry refused",
        number=number,
        origin=mirror.url,
        file=str(mirror.data / file),
        reason=str(error),
    )
    return reason


def _clear_quarantine(mirror: Mirror, known: Origin) -> Origin:
    """Delete a refused entry's file once the journal has that number; return the updated origin."""
    head = mirror.journal.head
    if known.refused is None or head is None or head.number < known.refused.number:
        return known
    (mirror.data / known.refused.file).unlink(missing_ok=True)
    known = replace(known, error="", refused=None)
    write_origin(mirror.journal.folder, known)
    return known


def _download_status(mirror: Mirror, base: str) -> None:
    """Download the status of the origin's sources, which is in no entry; on failure the last one
    stays.
    """
    file = mirror.data / "status.nq"
    try:
        reply = mirror.client.get(
            f"{mirror.url}status", {"format": "nt"}, accept="application/n-triples"
        )
        text = call_bounded(status_quads, reply.content, reply.url, base, limits=UPLOAD_LIMITS)
    except HarvestError as error:
        log.warning("origin status not fetched", origin=mirror.url, reason=str(error))
        return
    if not file.exists() or file.read_bytes() != text:
        replace_file(file, text)


def status_quads(content: bytes, url: str, base: str) -> bytes:
    """Return an origin's status as N-Quads; raise ParseError if it is not what a Stocktake serves."""
    # This parser refuses deep nesting, which crashes the strict one.
    for _ in parse_quads(content, RdfFormat.N_TRIPLES, url):
        pass
    with parser_errors(url):
        quads = list(parse(content, RdfFormat.N_TRIPLES))
        if any(
            isinstance(term, BlankNode) for quad in quads for term in (quad.subject, quad.object)
        ):
            raise ParseError(f"{url}: has blank nodes")
        _check_status(quads, Iris(base).operations)
    graph = Iris(base).status
    return "".join(sorted(f"{quad.triple} <{graph}> .\n" for quad in quads)).encode()


def _check_status(quads: Iterable[Quad], ns: str) -> None:
    """Raise ValueError if a source's status has a time or a number that pages cannot parse."""
    statements = (
        (str(quad.subject), quad.predicate.value, quad.object.value)
        for quad in quads
        if isinstance(quad.object, Literal)
    )
    for values in terms_by_subject(statements, ns).values():
        check_source_status(values)


# ---- large files, in ranges: memory stays flat, and interrupted downloads resume

PIECE = 16 << 20  # Bytes that are requested at once.
_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})\Z", re.ASCII)


def download_resumable(client: Fetch, url: str, path: Path, max_bytes: int) -> str | None:
    """Download the file at *url* to *path*, at most *max_bytes*, behind what an interrupted download
    left there; return its ETag, None if the server sends none.

    Raises FetchError, ParseError if ranges do not fit together, and MirrorError if the disk is
    full.
    """
    # The last byte is requested again, since the range behind a complete file is an error.
    received = max(path.stat().st_size - 1, 0) if path.exists() else 0
    etag: str | None = None
    total = received + 1
    while received < total:
        try:
            reply = client.get_range(url, range(received, received + PIECE), etag)
        except UnexpectedStatusError:  # such as 416: the file is shorter now
            path.unlink(missing_ok=True)
            raise
        match = _RANGE.match(reply.headers.get("content-range", ""))
        is_same = etag in (None, reply.headers.get("etag"))
        if reply.status == 200:
            received, total = 0, len(reply.content)
        elif match and int(match[1]) == received and reply.content and is_same:
            total = int(match[2])
        else:
            path.unlink(missing_ok=True)
            raise ParseError(
                "%(url)s: its ranges do not fit together; the next attempt starts again", url=url
            )
        _check(url, path, total, max_bytes)
        try:
            with path.open("r+b" if received else "wb") as file:
                file.seek(received)
                file.write(reply.content)
        except OSError as error:
            raise MirrorError(f"{path} cannot be written: {error}") from error
        etag, received = reply.headers.get("etag"), received + len(reply.content)
    return etag


def _check(url: str, path: Path, total: int, max_bytes: int) -> None:
    if total > max_bytes:
        raise TooLargeError(
            "%(url)s: has %(size)s bytes, more than the limit of %(limit)s; raise --largest if "
            "you trust it",
            url=url,
            size=total,
            limit=max_bytes,
        )
    if total > (free := shutil.disk_usage(path.parent).free):
        raise MirrorError(f"{url}: has {total} bytes, but only {free} are free in {path.parent}")
