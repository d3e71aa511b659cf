"""Trials: a card is tried on a few records and judged; nothing is planned, archived or written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import httpx
import structlog
from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from harvesters.compatibility import check_compatible
from harvesters.errors import HarvestError
from harvesters.ledger.models import Outcome, Run, StagedRecord, State
from harvesters.network.fetch import Fetch
from harvesters.network.retry import RetryPolicy
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record
from harvesters.pipeline.record_processor import DIGEST_SIZE, ProcessingTask, RecordInput, create_processor
from harvesters.source import Source
from shapes.validate import EngineName

DEFAULT_RECORDS, TIME_LIMIT = 10, 25.0  # how many are judged, and the seconds after which no further page is asked for
RETRY_POLICY = RetryPolicy(
    read_timeout=10,
    connect_timeout=5,
    response_timeout=20,
    max_bytes=32 << 20,
    file_timeout=20,
    max_file_bytes=32 << 20,
    max_attempts=1,
    max_retry_after=0,
)
_TITLE = "http://purl.org/dc/terms/title"
_MESSAGE = "http://www.w3.org/ns/shacl#resultMessage"
_PRIMARY = "http://xmlns.com/foaf/0.1/primaryTopic"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RecordPreview:
    """What became of one record: *outcome* is published, withheld, unreadable or deleted; *reason* why it is not published."""

    key: str
    outcome: str
    title: str = ""
    reason: str = ""
    warnings: tuple[str, ...] = ()
    statements: int = 0


@dataclass(frozen=True, slots=True)
class PreviewResult:
    """How a trial ended: *fault* says why it could not go on, by the class of trouble *kind*; *claimed* is the source's own count."""

    records: tuple[RecordPreview, ...] = ()
    reported_total: int | None = None
    more: bool = False
    error_kind: str = ""
    error: str = ""


def preview_source(
    source: Source,
    base: str,
    contact: str,
    allow: frozenset[str] = frozenset(),
    *,
    engine: EngineName = "rust",
    records: int = DEFAULT_RECORDS,
    transport: httpx.BaseTransport | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> PreviewResult:
    """Ask a registry for a few records and judge them; raises SourceDefinitionError where the card is wrong.

    What goes wrong on the way is told in the trial, beside the verdicts on what had come. The manners are those of a harvest:
    robots.txt, the card's pause, quiet hours, and no address off the open internet but of the hosts in *allow*. *clock* gives
    seconds that only go on.
    """
    protocol, _ = check_compatible(source)
    now = datetime.now(UTC).replace(microsecond=0)
    craft = create_processor(
        ProcessingTask(Run("trial", source.name, 1, State.RUNNING, True, None, now, ""), source, base, engine, rules_unchanged=False)
    )
    verdicts: list[RecordPreview] = []
    claimed, until = None, clock() + TIME_LIMIT
    door = Fetch(
        contact, source.pause, allow, retry_policy=RETRY_POLICY, transport=transport, robots_override=source.grant, quiet_hours=source.quiet
    )
    try:
        with door:
            pages: Iterator[Page[Any]] = protocol.collect(source, door, None, None)
            for page in pages:
                claimed = page.claimed if page.claimed is not None else claimed
                wanted = page.items[: records - len(verdicts)]
                verdicts += _preview_items(wanted, craft.process)
                if len(verdicts) >= records or clock() > until:
                    rest = len(page.items) > len(wanted) or page.cursor is not None
                    return PreviewResult(tuple(verdicts), claimed, rest)
    except HarvestError as error:
        return PreviewResult(tuple(verdicts), claimed, error_kind=error.outcome, error=str(error))
    return PreviewResult(tuple(verdicts), claimed)


def _preview_items(
    items: tuple[Record[Any] | DeletedRecord | InvalidRecord, ...], work: Callable[[list[RecordInput]], list[StagedRecord]]
) -> list[RecordPreview]:
    """Judge the items of a page, in their order."""
    drafts = iter(work([RecordInput(item, _digest(item), None, None) for item in items if isinstance(item, Record)]))
    found = []
    for item in items:
        if isinstance(item, Record):
            found.append(_record_preview(next(drafts)))
        elif isinstance(item, DeletedRecord):
            found.append(RecordPreview(item.key, Outcome.DELETED.value))
        else:
            found.append(RecordPreview(item.key or "", Outcome.UNREADABLE.value, reason=item.reason))
    return found


def _digest(record: Record[Any]) -> str:
    return blake2b(record.raw, digest_size=DIGEST_SIZE).hexdigest()


def _record_preview(draft: StagedRecord) -> RecordPreview:
    if not draft.description:
        return RecordPreview(draft.key or "", draft.outcome.value, reason=draft.reason or "")
    told = list(parse("".join(f"{line} .\n" for line in draft.description.split("\n")).encode(), format=RdfFormat.N_TRIPLES))
    topic = next((it.object for it in told if it.predicate == NamedNode(_PRIMARY)), None)
    texts = [(it.predicate, it.subject, it.object) for it in told if isinstance(it.object, Literal)]
    title = next((text.value for name, of, text in texts if name == NamedNode(_TITLE) and of == topic), "")
    remarks = tuple(sorted({text.value for name, _, text in texts if name == NamedNode(_MESSAGE)}))
    return RecordPreview(draft.key or "", "published", title, warnings=remarks, statements=len(told))
