"""Collect the pages of a run: fetch or replay them, compare their records with what is published, map
and validate the rest, and stage the results in order.

A run does this in a child process, within limits of memory and time. The child reaches network, archive and ledger. Its parent has
the lock of the source, the rate limiter, the clock and the progress, which the child calls through a pipe. A child that dies or
stalls is started again at the last staged page, and answers its requests from the archive first, so that no registry is asked twice.
Its marks say what it was doing: a record or a reply at which it died twice is unreadable from then on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import orjson
import structlog

from harvesters.archive import Archive, ArchivedResponse, Replay
from harvesters.errors import (
    CharsetError,
    CrashingReplyError,
    CrashLoopError,
    FetchError,
    HarvestError,
    LockLostError,
    PaginationLoopError,
    ParseError,
    QuietHoursError,
    RepeatedPageError,
)
from harvesters.ledger import prizes, submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    SUCCESSFUL,
    Outcome,
    RecordState,
    Run,
    StagedRecord,
    StoredRecord,
)
from harvesters.mappings.topics import method_versions
from harvesters.network.fetch import Fetch, NetworkSettings, install_retry_logging
from harvesters.network.reply import merge_responses
from harvesters.page_model import (
    DeletedRecord,
    InvalidRecord,
    Item,
    Page,
    Record,
    SourcePosition,
    Validator,
)
from harvesters.pipeline.processes import (
    BoundedCallError,
    Child,
    Marks,
    Parent,
    Phase,
    Steps,
    enable_reduced_gc,
    write_log_line,
)
from harvesters.pipeline.record_processor import (
    DIGEST_SIZE,
    UNCHANGED_OUTCOMES,
    PendingResults,
    ProcessingTask,
    RecordInput,
    RecordProcessor,
    WorkerPool,
    create_processor,
)
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.reasons import READ_UP_TO, Reason, as_reason, other
from harvesters.runs.context import HarvestContext, child_lock
from harvesters.source import NOTHING, Source
from journal.journal import Journal
from shapes.rules import shapes_digest
from vocab.iris import Iris

# Codes of faults of another Stocktake's journal, after which nothing of it is published.
_WHOLE_OR_NOTHING = {"journal_broken", "journal_gap", "wrong_entry_id"}
# Errors that the client did not count, since they are found in responses that it had counted.
_UNCOUNTED = (CharsetError, CrashingReplyError, RepeatedPageError, PaginationLoopError)

SUBMISSIONS = "submissions"  # the protocol of the inbox
# The version of the mapping code: raise it when the same record gets another description.
VERSION = "3"
# Maximum interval of full harvests of a source that is harvested incrementally.
FULL_HARVEST_INTERVAL = timedelta(days=7)
# Outcomes of requests. A run that has no others has each of its responses in the archive.
_ARCHIVED_OUTCOMES = {"sent", "answered", "unchanged", "redirected", "retried"}

log = structlog.get_logger()


def rules_digest(source: Source, context: HarvestContext) -> str:
    """Return a hexadecimal digest of everything that affects how this source's records are mapped
    and validated.
    """
    definition = (
        source.mapping,
        source.language,
        sorted(source.fields.items()),
        sorted(source.options.items()),
        *([source.words] if source.words else []),
        *([source.decisions] if source.decisions else []),
        *(() if source.suggest == NOTHING else method_versions(source)),
    )
    rules = repr((VERSION, definition, context.iris.base, shapes_digest(context.iris.base)))
    return blake2b(rules.encode(), digest_size=16).hexdigest()


def last_rules_digest(source: Source, context: HarvestContext) -> str | None:
    """Return the rules digest of the source's last successful run, or None if there is none."""
    last = context.ledger.last_run(source.name, SUCCESSFUL)
    return last.rules if last else None


def collect_pages(
    context: HarvestContext, run: Run, watch: ProgressCallback, source: Source, full: bool
) -> tuple[Run, dict[str, Validator]]:
    """Stage every page; return the run after the last one, and the validators for the next run."""
    if run.pages and run.cursor is None:
        return run, {}
    folder, ledger = context.data / "archive", context.ledger
    archive = Archive(folder, source.name, run.id, run.archived, context.journal.store)
    with ledger.one_transaction():
        rules_unchanged = run.rules == last_rules_digest(source, context)
        is_new = rules_unchanged and not run.pages and not full
        known = _validators(source, context, run) if is_new else {}
        forgotten = ledger.forgotten_keys(source.name)
        task = ProcessingTask(
            run, source, context.iris.base, context.pool.name, rules_unchanged, forgotten=forgotten
        )
        queue = open_queue(context, task, watch)
    client = open_client(source, context, archive, known)
    with closing(archive), client:
        try:
            read_pages(context, client, run.since, queue)
        except LockLostError:
            raise
        except HarvestError as error:
            counts = Counter(client.outcome_counts) + queue.irregularities
            return _end_early(run, error, counts, client, context), {}
    responses = merge_responses(run.responses, client.responses)
    return replace(queue.run, responses=responses), client.seen


def open_queue(
    context: HarvestContext, task: ProcessingTask, watch: ProgressCallback
) -> StagingQueue:
    """Return the queue in which the records of the task's run are processed and staged."""
    processor = PageProcessor(create_processor(task), context.pool)
    return StagingQueue(context.ledger, processor, task.run, watch)


class SubmissionTransport(httpx.BaseTransport):
    """Answer each request of the protocol ``submissions`` with the submissions that were accepted or
    withdrawn. Nothing goes to the network; the responses are archived and read like any others.

    The source ``prizes`` gets the editions and nominations that are public *now*.
    """

    def __init__(
        self,
        ledger: Ledger,
        source: str = SUBMISSIONS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger, self._source, self._now = ledger, source, now

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the published submissions, without their authors."""
        rows: list[tuple[str, Mapping[str, Any] | None]] = list(
            prizes.published(self._ledger, self._now())
            if self._source == prizes.SOURCE
            else submissions.published(self._ledger)
        )
        body = {
            "accepted": {key: content for key, content in rows if content is not None},
            "withdrawn": [key for key, content in rows if content is None],
        }
        return httpx.Response(
            200, headers={"Content-Type": "application/json"}, content=orjson.dumps(body)
        )


def _validators(source: Source, context: HarvestContext, run: Run) -> dict[str, Validator]:
    """Return the validators for conditional requests; none if a full harvest is due, since it must
    read everything.
    """
    full_harvest = context.ledger.last_run(source.name, SUCCESSFUL, full_only=True)
    if (
        full_harvest is None
        or run.started - full_harvest.started >= FULL_HARVEST_INTERVAL
        or context.ledger.count_missing(source.name)
    ):
        return {}
    return context.ledger.validators(source.name)


def open_client(
    source: Source,
    context: HarvestContext,
    archive: Archive,
    known: Mapping[str, Validator] | None = None,
    transport: httpx.BaseTransport | None = None,
) -> Fetch:
    """Open the client of a run, which archives each response. A *transport* that answers from here
    needs no pause, robots.txt or quiet hours.
    """
    if source.protocol == SUBMISSIONS:
        transport = SubmissionTransport(context.ledger, source.name, context.now)
    is_local = transport is not None
    return Fetch(
        replace(context.network, transport=transport) if is_local else context.network,
        0.0 if is_local else source.pause,
        archive,
        known or {},
        robots=not is_local,
        robots_override=source.grant,
        quiet_hours=None if is_local else source.quiet,
        base=context.iris.base,
        now=context.now,
        stored=archive.find,
        observe=context.pool.steps.observe,
    )


def _end_early(
    run: Run,
    error: HarvestError,
    outcome_counts: Counter[str],
    client: Fetch,
    context: HarvestContext,
) -> Run:
    """Store the outcomes, sizes and times of the run's requests. Return the run, incomplete, at its
    last checkpoint if the source failed behind good pages, which are published; raise *error* if not.
    """
    stored = context.ledger.run(run.id) or run
    if isinstance(error, _UNCOUNTED):
        outcome_counts[error.outcome] += 1
    stored = replace(
        stored,
        network=dict(Counter(run.network) + outcome_counts),
        responses=merge_responses(run.responses, client.responses),
    )
    context.ledger.save(stored)
    if (
        not stored.fetched
        or not isinstance(error, SOURCE_ERRORS)
        or isinstance(error, QuietHoursError)
        or error.reason.code in _WHOLE_OR_NOTHING
    ):
        raise error
    reason = Reason(
        READ_UP_TO,
        page=stored.pages,
        records=stored.fetched,
        key=context.ledger.last_key(stored) or "?",
        error=error.reason,
    )
    log.warning("list ended early", source=run.source, run=run.id, reason=reason.text)
    return replace(stored, incomplete_reason=reason)


def collect_archived_pages(
    context: HarvestContext,
    run: Run,
    watch: ProgressCallback,
    source: Source,
    archived_runs: Sequence[Run],
) -> tuple[Run, dict[str, Validator]]:
    """Stage every page of the archived runs, newest first, without requests to the registry; of
    each key only the first record counts. The source's validators stay as they are.

    Records that come out unchanged, or that are no longer at their source, are not touched.
    """
    forgotten = context.ledger.forgotten_keys(source.name)
    for archived in archived_runs:
        log.debug("re-mapping the archived responses", source=source.name, run=archived.id)
        replay = Replay(
            context.data / "archive",
            f"{source.name}/{archived.id}.warc.gz",
            context.journal.store,
            is_complete=set(archived.network) <= _ARCHIVED_OUTCOMES,
        )
        base, engine = context.iris.base, context.pool.name
        task = ProcessingTask(run, source, base, engine, False, is_remap=True, forgotten=forgotten)
        queue = open_queue(context, task, watch)
        client = Fetch(
            NetworkSettings.offline(max_attempts=3),
            0.0,
            robots=False,
            now=partial(
                max, [archived.started]
            ),  # Requests that name the date repeat that of the run.
            stored=replay.find,
            observe=context.pool.steps.observe,
        )
        with client:
            try:
                read_pages(context, client, archived.since, queue)
            except SOURCE_ERRORS:
                # The archived run ended early as well, since its source failed.
                early = archived.incomplete_reason
                if early is None or early.code != READ_UP_TO:
                    raise
        run = queue.run
    return run, context.ledger.validators(source.name)


# ---- the records of a page

# Errors of a registry, not of this program, its disk or its database.
SOURCE_ERRORS: tuple[type[HarvestError], ...] = (FetchError, ParseError)
# A run has these counts until it is planned: how often it was resumed since its last page, how many
# records were on two pages of a list that changed while it was read, and how many were dates of
# recurring events.
RESUMED, LISTED_TWICE, DATES = "resumed", "twice", "dates"
MAX_PART = 1000  # records staged at once, however many a page has
# Records read ahead of the first page for each worker: its current and its next chunk.
_PENDING_RECORDS = 400


@dataclass(frozen=True, slots=True)
class PageProcessor:
    """Processes one run's pages: *processor* maps and validates records, *pool* decides where."""

    processor: RecordProcessor
    pool: WorkerPool

    def submit(
        self,
        page: Page[Any],
        stored: Mapping[str, StoredRecord],
        seen_keys: dict[str, str | None],
        current_descriptions: Mapping[str, bytes] | None = None,
    ) -> PendingPage:
        """Decide at once on records that are known, and submit the others to the pool.

        The page's keys are added to *seen_keys*, those of the run so far, each with the digest of
        its first record. *current_descriptions* are those of published records, for a re-mapping.
        """
        staged: list[StagedRecord | None] = []
        inputs: list[RecordInput] = []
        listed_twice = (
            0
            if page.again
            else sum(item.key in seen_keys for item in page.items if item.key is not None)
        )
        is_repeat = 0 < listed_twice == len(page.items)
        for item in page.items:
            if page.again and item.key in seen_keys:
                continue
            digest = self.digest(item)
            result = repeated(item, digest, seen_keys, page) or self._classify(
                item, digest, stored, page.at, current_descriptions
            )
            if isinstance(result, RecordInput):
                inputs.append(result)
            if result is not None:
                staged.append(None if isinstance(result, RecordInput) else result)
            if item.key is not None:
                seen_keys.setdefault(item.key, digest)
        return PendingPage(
            page,
            staged,
            self.pool.submit(self.processor, inputs),
            is_repeat,
            listed_twice if page.unstable_list else 0,
        )

    def digest(self, item: Item[Any]) -> str | None:
        """Return the digest of a record's bytes under the run's rules; None if it is no record."""
        if not isinstance(item, Record):
            return None
        rules = self.processor.task.run.rules.encode()[:64]
        return blake2b(item.digested, key=rules, digest_size=DIGEST_SIZE).hexdigest()

    def _classify(
        self,
        item: Item[Any],
        digest: str | None,
        stored: Mapping[str, StoredRecord],
        position: SourcePosition | None,
        current_descriptions: Mapping[str, bytes] | None,
    ) -> StagedRecord | RecordInput | None:
        """Return the result for an item, or the input of a record that must be processed; None to
        leave the record as it is.
        """
        key, task = item.key, self.processor.task
        known = stored.get(key) if key is not None else None
        if task.is_remap and (
            isinstance(item, DeletedRecord) or (known and known.state is not RecordState.PUBLISHED)
        ):
            return None
        if isinstance(item, InvalidRecord):
            reasons = (as_reason(item.cause),)
            return StagedRecord(key, Outcome.UNREADABLE, reasons=reasons, position=position)
        if isinstance(item, DeletedRecord):
            outcome = (
                Outcome.DELETED if known is not None and not known.is_deleted else Outcome.ABSENT
            )
            return StagedRecord(
                key, outcome, first_seen=known.first_seen if known else None, position=position
            )
        assert digest is not None
        if known and known.digest == digest and not known.is_deleted and not task.is_remap:
            return StagedRecord(key, UNCHANGED_OUTCOMES[known.state], digest, position=position)
        if reason := self.pool.steps.rejected.get(digest):
            reasons = (other(reason),)
            return StagedRecord(key, Outcome.UNREADABLE, digest, reasons=reasons, position=position)
        return RecordInput(
            item, digest, known, position, (current_descriptions or {}).get(item.key)
        )

    def results(self, pending_page: PendingPage) -> list[StagedRecord]:
        """Wait for the pool and return the results for the page's records, in order."""
        processed = iter(pending_page.pending.results())
        return [record or next(processed) for record in pending_page.staged]


def repeated(
    item: Item[Any], digest: str | None, seen_keys: Mapping[str, str | None], page: Page[Any]
) -> StagedRecord | None:
    """Return the result for an item whose key was seen before in the run, None for any other;
    *seen_keys* has the digest of the first record of each key.
    """
    if item.key is None or item.key not in seen_keys:
        return None
    if isinstance(item, DeletedRecord) or (digest is not None and digest == seen_keys[item.key]):
        reason = Reason("the same record occurred before in this run")
    elif page.composed_key:
        reason = Reason("key_repeated_in_table", key=page.composed_key)
    else:
        reason = Reason("key_repeated")
    return StagedRecord(item.key, Outcome.DUPLICATE, reasons=(reason,), position=page.at)


@dataclass(frozen=True, slots=True)
class PendingPage:
    """A page whose records are being processed; in *staged*, None stands for a record whose result
    is pending.

    *is_repeat*: the run had seen all its records before. *listed_twice* counts those seen on
    earlier pages of a list that changes. Of a page in parts, the last has these values for the whole
    page, and *checkpoint*: the archive's length, the outcomes of requests and the responses up to
    it, as in ``Run``.
    """

    page: Page[Any]
    staged: list[StagedRecord | None]
    pending: PendingResults
    is_repeat: bool = False
    listed_twice: int = 0
    checkpoint: Mapping[str, Any] | None = None


# Called with the run after each page.
ProgressCallback = Callable[[Run], None]


@dataclass(slots=True)
class StagingQueue:
    """Holds a run's pages until they are processed, and stages them in order; *run* is the state at
    the last checkpoint.
    """

    ledger: Ledger
    processor: PageProcessor
    run: Run
    on_progress: ProgressCallback
    _pending: deque[PendingPage] = field(default_factory=deque)
    _staged_count: int = field(init=False)
    # Counts of repeated pages and decreased totals, by outcome.
    irregularities: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Go on behind the last checkpoint of an interrupted run."""
        self.ledger.discard_part(self.run)
        self._staged_count = self.run.fetched

    def submit_page(
        self,
        page: Page[Any],
        archived: int,
        network: Mapping[str, int],
        responses: Mapping[str, int],
    ) -> None:
        """Process a page, and stage the pages that are ready. The other arguments are the page's
        ``PendingPage.checkpoint``.
        """
        parts = [
            replace(page, items=page.items[first : first + MAX_PART])
            for first in range(0, len(page.items), MAX_PART)
        ] or [page]
        checkpoint = {"archived": archived, "network": Counter(network), "responses": {**responses}}
        is_repeat, listed_twice = True, 0
        for number, part in enumerate(parts, 1):
            pending = self._submit_part(part)
            is_repeat, listed_twice = (
                is_repeat and pending.is_repeat,
                listed_twice + pending.listed_twice,
            )
            pending = replace(pending, is_repeat=is_repeat, listed_twice=listed_twice)
            self._pending.append(
                replace(pending, checkpoint=checkpoint) if number == len(parts) else pending
            )
            while self._pending and (self._pending[0].pending.is_ready or self._is_full()):
                self._stage(self._pending.popleft())

    def _submit_part(self, page: Page[Any]) -> PendingPage:
        keys = [item.key for item in page.items if item.key is not None]
        is_remap = self.processor.processor.task.is_remap
        with self.ledger.one_transaction():
            seen_keys = self.ledger.already_staged(self.run, keys)
            stored = self.ledger.stored_records(self.run.source, keys)
            current = self.ledger.current_descriptions(self.run.source, keys) if is_remap else None
        wanted = set(keys)
        for pending in self._pending:
            for item in pending.page.items:
                if item.key is not None and item.key in wanted:
                    seen_keys.setdefault(item.key, self.processor.digest(item))
        return self.processor.submit(page, stored, seen_keys, current)

    def _is_full(self) -> bool:
        """Return whether reading must wait for the first page: those behind it are enough for the
        workers. A page that is ready is staged at once, as a checkpoint.
        """
        behind = sum(len(pending.staged) for pending in list(self._pending)[1:])
        return behind > _PENDING_RECORDS * self.processor.pool.concurrency

    def flush(self) -> None:
        """Stage all pending pages."""
        while self._pending:
            self._stage(self._pending.popleft())

    def _stage(self, pending: PendingPage) -> None:
        staged, page, run = self.processor.results(pending), pending.page, self.run
        first, self._staged_count = self._staged_count, self._staged_count + len(staged)
        if pending.checkpoint is None:
            self.ledger.stage(run, staged, first, is_checkpoint=False)
            return
        reported_total = max(
            (number for number in (page.reported_total, run.reported_total) if number is not None),
            default=None,
        )
        incomplete_reason = run.incomplete_reason or _incompleteness_reason(pending, run)
        self.irregularities += Counter(
            {"repeated": int(pending.is_repeat), "shrunk": int(_total_decreased(page, run))}
        )
        counts = {
            **run.counts,
            LISTED_TWICE: run.counts.get(LISTED_TWICE, 0) + pending.listed_twice,
            DATES: run.counts.get(DATES, 0) + page.dates,
            RESUMED: 0,
        }
        self.run = replace(
            run,
            # Requests of pages that were read ahead count when these are staged: a resumed run
            # counts the responses behind its checkpoint again.
            network=dict(
                Counter(self.processor.processor.task.run.network)
                + pending.checkpoint["network"]
                + self.irregularities
            ),
            responses=pending.checkpoint["responses"],
            # If the source reports no change, nothing is missing, but this is not a full harvest.
            is_full=run.is_full and not page.unchanged,
            cursor=page.cursor,
            pages=run.pages + 1,
            reported_total=reported_total,
            archived=pending.checkpoint["archived"],
            counts=counts,
            fetched=self._staged_count,
            incomplete_reason=incomplete_reason,
        )
        self.ledger.stage(self.run, staged, first)
        self.on_progress(self.run)


def archived_page(page: Page[Any]) -> Page[Any]:
    """Return a page read from the archive, without what its source then reported about the whole
    list.
    """
    return replace(
        page,
        cursor=None,
        reported_total=None,
        unchanged=False,
        again=True,
        incomplete_reason=None,
        unstable_list=False,
        dates=0,
    )


def _total_decreased(page: Page[Any], run: Run) -> bool:
    """Return whether a page reports a smaller total than earlier pages of the run."""
    return (
        page.reported_total is not None
        and run.reported_total is not None
        and page.reported_total < run.reported_total
    )


def _incompleteness_reason(pending: PendingPage, run: Run) -> Reason | None:
    """Return why a run with this page cannot be a complete full harvest, or None."""
    page, number = pending.page, run.pages + 1
    if page.incomplete_reason:
        return page.incomplete_reason
    if pending.is_repeat:
        return Reason("page %(page)s contains only records of earlier pages", page=number)
    if _total_decreased(page, run):
        return Reason(
            "the source reported %(before)s records, but %(now)s on page %(page)s",
            before=run.reported_total or 0,
            now=page.reported_total or 0,
            page=number,
        )
    return None


def read_pages(
    context: HarvestContext, client: Fetch, since: datetime | None, queue: StagingQueue
) -> None:
    """Read every page of the run, and stage its records. Raises HarvestError as the protocol does:
    the pages before an error of the source are staged.
    """
    task, steps = queue.processor.processor.task, queue.processor.pool.steps
    protocol = PROTOCOLS[task.source.protocol]
    steps.begin(Phase.READING)
    try:
        for page in protocol.collect(task.source, client, since, queue.run.cursor):
            steps.begin(Phase.OTHER)
            context.check_lock()
            if task.is_remap:
                queue.submit_page(archived_page(page), 0, {}, {})
            else:
                assert client.archive is not None
                client.archive.publish_file()
                responses = merge_responses(task.run.responses, client.responses)
                queue.submit_page(page, client.archive.length, client.outcome_counts, responses)
            steps.begin(Phase.READING)
    except SOURCE_ERRORS:
        steps.begin(Phase.OTHER)
        queue.flush()
        raise
    steps.begin(Phase.OTHER)
    queue.flush()


def archived_pages(
    source: Source, base: str, stored: Callable[[str], ArchivedResponse]
) -> Iterator[Page[Any]]:
    """Yield the pages of a source whose requests *stored* answers; nothing goes to the network."""
    offline = NetworkSettings.offline()
    with Fetch(offline, 0.0, robots=False, base=base, stored=stored) as client:
        yield from PROTOCOLS[source.protocol].collect(source, client, None, None)


# ---- the child process

T = TypeVar("T")
_MAX_DEATHS = 2  # deaths at one record or reply, after which it is rejected
_MAX_UNEXPLAINED = 3  # deaths in a row that no record or reply explains, without a page in between
_BATCH = "batch"  # in place of a digest: the child died while it validated several records


def collect(
    function: Callable[..., T],
    context: HarvestContext,
    run: Run,
    watch: ProgressCallback,
    *arguments: Any,
) -> T:
    """Return ``function(context, run, watch, *arguments)``, called in a child process if the
    context has the settings of one.

    Raises HarvestError as the function does, and CrashLoopError if the child exits too often.
    """
    if context.children is None:
        return function(context, run, watch, *arguments)
    pool, limits = context.pool, context.children.limits
    open_pool = partial(
        WorkerPool, pool.base, pool.name, pool.workers, pool.dask, pool.record_count
    )
    network = replace(context.network, rate_limiter=None)  # type: ignore[arg-type]
    settings = (context.data, context.ledger.url, context.iris, open_pool, network)
    calls: dict[str, Callable[..., Any]] = {
        "acquire": context.network.rate_limiter.acquire,
        "block_host": context.network.rate_limiter.block_host,
        "check_lock": context.check_lock,
        "log": write_log_line,
        "now": context.now,
        "watch": watch,
    }
    rejected, one_by_one = dict[str, str](), False
    deaths, unexplained = Counter[str](), 0
    while True:
        context.ledger.close()  # A fork must not inherit open connections.
        work = (function, arguments, settings, run, rejected, one_by_one)
        child = Child(limits, context.children.run or run_child, *work)
        try:
            return cast(T, child.serve(calls))
        except BoundedCallError as error:
            reason = str(error)
        finally:
            child.end()
        suspect, activity = _suspect(child.marks, one_by_one=one_by_one)
        deaths[suspect] += 1
        exits, pages, run = deaths.total(), run.pages, context.ledger.run(run.id) or run
        log.warning(
            "child process exited",
            source=run.source,
            busy=activity or "nothing",
            reason=reason,
            exits=exits,
        )
        unexplained = 0 if suspect or run.pages > pages else unexplained + 1
        if exits > limits.crashes or unexplained > _MAX_UNEXPLAINED:
            raise CrashLoopError(
                f"{run.source}: the process that reads its responses has exited {exits} times in this run; "
                f"the last time, {activity or 'its own work'} {reason}; the run ends here, the responses are archived"
            )
        if suspect and suspect != _BATCH and deaths[suspect] >= _MAX_DEATHS:
            where = f"{_address(child.marks)}: " if child.marks.phase == Phase.READING else ""
            rejected[suspect] = f"{where}{Phase(child.marks.phase).name.lower()} it {reason}"
        one_by_one = one_by_one or suspect == _BATCH


def _suspect(marks: Marks, *, one_by_one: bool) -> tuple[str, str]:
    """Return the digest of the record or reply at which a child died, and what it did with it; two
    empty texts if it died at neither.
    """
    match marks.phase:
        case Phase.READING if marks.reply:
            return marks.reply.decode(), f"reading {_address(marks)}"
        case Phase.MAPPING:
            return marks.record.decode(), "mapping a record"
        case Phase.VALIDATING if one_by_one:
            return marks.record.decode(), "validating a record"
        case Phase.VALIDATING:
            return _BATCH, "validating a batch of records"
    return "", ""


def _address(marks: Marks) -> str:
    return str(marks.address, errors="ignore")


def run_child(
    parent: Parent,
    steps: Steps,
    function: Callable[..., T],
    arguments: tuple[Any, ...],
    settings: tuple[Path, str, Iris, Callable[[Steps], WorkerPool], NetworkSettings],
    run: Run,
    rejected: Mapping[str, str],
    one_by_one: bool,
) -> T:
    """Return what *function* returns with a context of its own, for the parent."""
    data, url, iris, open_pool, network = settings
    enable_reduced_gc()
    install_retry_logging()
    steps.rejected, steps.one_by_one = rejected, one_by_one
    with (
        closing(Ledger(url)) as ledger,
        child_lock(run.source, data, ledger),
        open_pool(steps) as pool,
    ):
        context = HarvestContext(
            data,
            ledger,
            Journal(data / "journal"),
            iris,
            pool,
            replace(network, rate_limiter=parent),
            now=partial(parent.call, "now"),
            check_lock=partial(parent.call, "check_lock"),
        )
        return function(context, run, partial(parent.call, "watch"), *arguments)
