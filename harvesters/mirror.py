"""Follow another Stocktake's journal into one of our own; each entry is checked before it is moved into place.

An entry that fails a check is quarantined, and reported in ``journal/origin.json`` to all that serve the mirror.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pyoxigraph import BlankNode, Literal, Quad, RdfFormat, parse

from harvesters.errors import HarvestError, MirrorError, NotFoundError, ParseError, SourceLockedError
from harvesters.network.download import discard, download_resumable, is_unchanged, stored_etag
from harvesters.network.fetch import Fetch, Validator
from harvesters.network.response_parsing import load_json
from harvesters.payloads.rdf_parser import parse_quads
from journal import mirror_origin
from journal.entry import SUFFIX, Entry
from journal.errors import ChainError, ForkError, JournalError
from journal.journal import Journal
from journal.mirror_origin import Origin, RefusedEntry
from journal.outage import Outage
from vocab.iris import Iris, is_web
from vocab.provenance import check_source_status

LARGEST = 64 << 30  # bytes of an entry when unpacked: the first harvest of ten million records has about that
REFUSED = "refused"  # the folder of quarantined entries, in the mirror's own
_ID = re.compile(r"[0-9a-f]{64}\Z")
log = structlog.get_logger(room="mirror")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RemoteHead:
    """The origin's newest entry, number 0 and id None while it has none, and the base of its IRIs."""

    base: str
    number: int
    id: str | None


@dataclass(slots=True)
class Mirror:
    """The Stocktake at *url*, which ends with a slash, followed into the data folder *data*.

    *base* is what IRIs must begin with, None to take the origin's. *largest* bounds an entry when unpacked, in bytes. *validators*
    are those that *door* asks with, so that an origin without news answers in a few bytes.
    """

    data: Path
    url: str
    client: Fetch
    base: str | None = None
    max_entry_bytes: int = LARGEST
    now: Callable[[], datetime] = _now
    validators: dict[str, Validator] = field(default_factory=dict)
    remote_head: RemoteHead | None = None

    @property
    def journal(self) -> Journal:
        """Give the journal that is written."""
        return Journal(self.data / "journal")


def sync(it: Mirror) -> int:
    """Bring all entries that the origin has and we have not; give how many.

    Each is taken in whole or not at all, so this may be killed at any point and begun again. Raises MirrorError, ForkError or
    ChainError where the origin is not what we hold, and FetchError where it cannot be asked.
    """
    with _alone(it.data):
        known = _belongs(it)
        try:
            head = _meet(it)
            known = _origin(it, head, known)
            _compare(it, head)
            mirror_origin.write(it.journal.folder, known)
            held = it.journal.head
            first = held.number + 1 if held else 1
            for number in range(first, head.number + 1):
                entry = _take(it, number, known)
                log.info("entry imported", number=number, of=head.number, run=entry.run)
                known = _release(it, known)
            known = _release(it, known)
            _show_status(it, head.base)
        except (HarvestError, JournalError) as error:
            if known:
                before = mirror_origin.read(it.journal.folder)
                mirror_origin.write(it.journal.folder, replace(known, trouble=str(error), refused=before.refused if before else None))
            raise
        return head.number - first + 1


def handshake(it: Mirror) -> Origin:
    """Ask who the origin is and note it, without following it yet; raises as ``catch_up`` does."""
    with _alone(it.data):
        known = _belongs(it)
        known = _origin(it, _meet(it), known)
        mirror_origin.write(it.journal.folder, known)
        return known


def follow(it: Mirror, every: float, wait: Callable[[float], bool]) -> None:
    """Catch up every so many seconds until *wait* says that it is over; what goes wrong is told, and tried again."""
    outage = Outage("the mirror cannot follow; what it holds stays", "the mirror follows again")
    while True:
        try:
            sync(it)
            outage.over(origin=it.url)
        except (HarvestError, JournalError) as error:
            outage.failed(str(error), origin=it.url)
        if wait(every):
            return


def _origin(it: Mirror, head: RemoteHead, known: Origin | None) -> Origin:
    """Return what is known of the origin now; an entry that was refused stays so until another comes in its place."""
    refused = known.refused if known else None
    return Origin(it.url, head.base, head.number, _timestamp(it), refused.reason if refused else "", refused)


def _timestamp(it: Mirror) -> str:
    return f"{it.now():%Y-%m-%dT%H:%M:%SZ}"


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    folder = data / "mirror"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SourceLockedError(f"{data}: another process mirrors into it; wait for it, or end it") from error
        yield


def _belongs(it: Mirror) -> Origin | None:
    """Give the origin that the journal has been following; raise MirrorError where it is a journal of its own."""
    journal, known = it.journal, mirror_origin.read(it.journal.folder)
    if aside := journal.recover():
        log.warning("incomplete journal entry moved aside", file=str(aside), cure="none needed: it is fetched again")
    if known is None and (head := journal.head):
        raise MirrorError(f"{it.data} already contains data ({head.number} entries); use an empty directory for a mirror (--data)")
    return known


def _meet(it: Mirror) -> RemoteHead:
    """Ask for the origin's newest entry; raise where its base is not ours."""
    address = f"{it.url}journal/head"
    try:
        reply = it.client.get(address, accept="application/json", conditional=it.remote_head is not None)
    except NotFoundError as error:
        raise MirrorError(f"{address}: there is no journal; give the address of a Stocktake's front page") from error
    it.validators.update(it.client.seen)
    if not reply.not_modified or it.remote_head is None:
        it.remote_head = _head(load_json(reply), address)
    if it.base not in (None, it.remote_head.base):
        cure = "leave STOCKTAKE_BASE away, and the origin's is taken"
        raise MirrorError(f"{it.url}: its IRIs begin with {it.remote_head.base}, but STOCKTAKE_BASE is {it.base}; {cure}")
    if (known := mirror_origin.read(it.journal.folder)) and known.base != it.remote_head.base:
        cure = "give this Stocktake a data folder of its own"
        raise MirrorError(f"{it.url}: its IRIs begin with {it.remote_head.base}, but those that are held here with {known.base}; {cure}")
    return it.remote_head


def _head(told: object, address: str) -> RemoteHead:
    match told:
        case {"base": str(base), "number": 0, "id": None} if is_web(base) and base[-1] in "/#":
            return RemoteHead(base, 0, None)
        case {"base": str(base), "number": int(number), "id": str(name)} if is_web(base) and base[-1] in "/#" and number > 0:
            if _ID.match(name):
                return RemoteHead(base, number, name)
    raise ParseError(f"{address}: does not tell base, number and id of a newest entry")


def _compare(it: Mirror, head: RemoteHead) -> None:
    """Raise ForkError where what we hold cannot be what the origin had."""
    held = it.journal.head
    if held and held.number > head.number:
        told = "it was set back, or is another one; what is held here stays"
        raise ForkError(f"{it.url}: its journal ends with entry {head.number}, but {held.number} came from it; {told}")
    if held and held.number == head.number and held.id != head.id:
        raise ForkError(f"{it.url}: its entry {held.number} is {head.id}, but {held.id} came from it: the two journals have parted")


def _take(it: Mirror, number: int, known: Origin) -> Entry:
    """Download an entry and move it into place; one that was downloaded in two tries and fails a check is downloaded once more.

    Raises ChainError where the entry fails a check; its file is then in quarantine, and is not downloaded again while the origin
    serves the same one.
    """
    part, address = it.data / "mirror" / f"{number:09d}{SUFFIX}", f"{it.url}journal/{number}.gz"
    try:
        if (refused := known.refused) and refused.number == number and _is_still_refused(it, refused, address):
            raise ChainError(refused.reason)
        resumed = download_resumable(it.client, address, part, it.max_entry_bytes)
        try:
            entry = it.journal.append_verified(part, it.max_entry_bytes)
        except ForkError:
            raise
        except ChainError:
            if not resumed:
                raise
            discard(part)
            download_resumable(it.client, address, part, it.max_entry_bytes)
            entry = it.journal.append_verified(part, it.max_entry_bytes)
    except NotFoundError as error:
        raise MirrorError(f"{address}: is missing, though later entries are there: its journal has a gap") from error
    except ChainError as error:
        if not part.exists():
            raise
        raise type(error)(_quarantine(it, number, part, error, known)) from error
    discard(part)
    return entry


def _is_still_refused(it: Mirror, refused: RefusedEntry, address: str) -> bool:
    return bool((it.data / refused.file).exists() and refused.etag and is_unchanged(it.client, address, refused.etag))


def _quarantine(it: Mirror, number: int, part: Path, error: ChainError, known: Origin) -> str:
    """Move a refused entry's file aside and note it; return the reason."""
    etag, file = stored_etag(part), Path("mirror") / REFUSED / part.name
    reason = f"{it.url}: {error}; it is refused and kept as {file}, and what came before it is served on"
    (it.data / file).parent.mkdir(exist_ok=True)
    part.replace(it.data / file)
    discard(part)
    refused = RefusedEntry(number, reason, _timestamp(it), str(file), etag)
    mirror_origin.write(it.journal.folder, replace(known, trouble=reason, refused=refused))
    log.error("journal entry refused", number=number, origin=it.url, file=str(it.data / file), reason=str(error))
    return reason


def _release(it: Mirror, known: Origin) -> Origin:
    """Remove a refused entry from quarantine once the journal has that number; return what is then known of the origin."""
    head = it.journal.head
    if known.refused is None or head is None or head.number < known.refused.number:
        return known
    (it.data / known.refused.file).unlink(missing_ok=True)
    known = replace(known, trouble="", refused=None)
    mirror_origin.write(it.journal.folder, known)
    return known


def _show_status(it: Mirror, base: str) -> None:
    """Bring what the origin says of its sources, which is in no entry; where it cannot be had, the last word stays."""
    graph, file = Iris(base).status, it.data / "status.nq"
    try:
        reply = it.client.get(f"{it.url}status", {"format": "nt"}, accept="application/n-triples")
        for _ in parse_quads(reply.content, RdfFormat.N_TRIPLES, reply.url):  # refuses deep nesting, which crashes the strict parser
            pass
        quads = list(parse(reply.content, RdfFormat.N_TRIPLES))
        if any(isinstance(term, BlankNode) for quad in quads for term in (quad.subject, quad.object)):
            raise ParseError(f"{reply.url}: has blank nodes")
        _check_status(quads, Iris(base).ns)
    except (HarvestError, SyntaxError, ValueError) as error:
        log.warning("origin status not fetched", origin=it.url, reason=str(error))
        return
    text = "".join(sorted(f"{quad.triple} <{graph}> .\n" for quad in quads)).encode()
    if not file.exists() or file.read_bytes() != text:
        part = file.with_suffix(".part")
        part.write_bytes(text)
        part.replace(file)


def _check_status(quads: Iterable[Quad], ns: str) -> None:
    """Raise ValueError where the status of a source holds a time or a number that pages cannot read."""
    sources: dict[str, dict[str, str]] = {}
    for quad in quads:
        if quad.predicate.value.startswith(ns) and isinstance(quad.object, Literal):
            sources.setdefault(str(quad.subject), {})[quad.predicate.value.removeprefix(ns)] = quad.object.value
    for values in sources.values():
        check_source_status(values)
