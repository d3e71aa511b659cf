"""Collect the pages of a run: fetch or replay them, map and validate their records, and stage them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any

import httpx
import orjson
import structlog

from harvesters.archive import Archive, Replay
from harvesters.errors import (
    CharsetError,
    CrashingReplyError,
    HarvestError,
    LockLostError,
    PaginationLoopError,
    QuietHoursError,
    RepeatedPageError,
)
from harvesters.ledger import graphs, operators, prizes, submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import SUCCESSFUL, Run
from harvesters.mappings.topics.suggest import method_versions
from harvesters.network.fetch import Fetch
from harvesters.network.reply import merge_responses
from harvesters.network.settings import NetworkSettings
from harvesters.pipeline.page_processor import (
    SOURCE_ERRORS,
    PageProcessor,
    ProgressCallback,
    StagingQueue,
    read_pages,
)
from harvesters.pipeline.record_processor import ProcessingTask, create_processor
from harvesters.reasons import Reason
from harvesters.runs.context import HarvestContext
from harvesters.runs.plan import READ_UP_TO
from harvesters.source import Source
from harvesters.stored_response import Validator
from shapes.rules import shapes_digest

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
        *method_versions(source),
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
        forgotten = operators.forgotten_keys(ledger, source.name)
        task = ProcessingTask(
            run, source, context.iris.base, context.pool.name, rules_unchanged, forgotten=forgotten
        )
        queue = open_queue(context, task, watch)
    client = _make_client(source, context, archive, known)
    with closing(archive), client:

        def page() -> tuple[int, Mapping[str, int], Mapping[str, int]]:
            context.check_lock()
            archive.publish_file()
            responses = merge_responses(run.responses, client.responses)
            return archive.length, client.outcome_counts, responses

        try:
            read_pages(client, run.since, queue, page)
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
    return graphs.validators(context.ledger, source.name)


def _make_client(
    source: Source, context: HarvestContext, archive: Archive, known: dict[str, Validator]
) -> Fetch:
    is_local, network = source.protocol == SUBMISSIONS, context.network
    if is_local:
        network = replace(
            network, transport=SubmissionTransport(context.ledger, source.name, context.now)
        )
    return Fetch(
        network,
        source.pause,
        archive,
        known,
        robots=not is_local,
        robots_override=source.grant,
        quiet_hours=source.quiet,
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
    ledger, iris = context.ledger, context.iris
    forgotten = operators.forgotten_keys(ledger, source.name)

    def page() -> tuple[int, Mapping[str, int], Mapping[str, int]]:
        context.check_lock()
        return 0, {}, {}

    for archived in archived_runs:
        log.debug("re-mapping the archived responses", source=source.name, run=archived.id)
        replay = Replay(
            context.data / "archive",
            f"{source.name}/{archived.id}.warc.gz",
            context.journal.store,
            is_complete=set(archived.network) <= _ARCHIVED_OUTCOMES,
        )
        task = ProcessingTask(
            run, source, iris.base, context.pool.name, False, is_remap=True, forgotten=forgotten
        )
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
                read_pages(client, archived.since, queue, page)
            except SOURCE_ERRORS:
                # The archived run ended early as well, since its source failed.
                early = archived.incomplete_reason
                if early is None or early.code != READ_UP_TO:
                    raise
        run = queue.run
    return run, graphs.validators(ledger, source.name)
