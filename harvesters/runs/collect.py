"""Collect the pages of a run: fetch or replay them, map and validate their records, and stage them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import blake2b

import structlog

from harvesters.archive import Archive
from harvesters.errors import (
    CharsetError,
    CrashingReplyError,
    HarvestError,
    LockLostError,
    PaginationLoopError,
    QuietHoursError,
    RepeatedPageError,
)
from harvesters.ledger import graphs, operators
from harvesters.ledger.models import SUCCESSFUL, Run
from harvesters.mappings.topics.suggest import method_versions
from harvesters.network.fetch import Fetch
from harvesters.network.reply import merge_responses
from harvesters.network.settings import NetworkSettings
from harvesters.pipeline.isolation import IsolatedPageReader
from harvesters.pipeline.page_processor import (
    SOURCE_ERRORS,
    LocalPageReader,
    PageCallback,
    PageProcessor,
    PageReader,
    ProgressCallback,
    StagingQueue,
)
from harvesters.pipeline.record_processor import ProcessingTask, create_processor
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason, Value
from harvesters.replay import Replay
from harvesters.runs.context import HarvestContext
from harvesters.runs.plans.plan import READ_UP_TO
from harvesters.runs.submission_transport import PROTOCOL as SUBMISSIONS
from harvesters.runs.submission_transport import SubmissionTransport
from harvesters.source import Source
from harvesters.stored_response import Validator
from shapes.rules import shapes_digest

# Reasons why another Stocktake's journal is not what it says: nothing of it is published.
_WHOLE_OR_NOTHING = {"journal_broken", "journal_gap", "wrong_entry_id"}

VERSION = "3"  # of the mapping code: raise it if the same record gets another description
# Maximum interval of full harvests of a source that is harvested incrementally.
FULL_HARVEST_INTERVAL = timedelta(days=7)
# Outcomes of requests that all leave a response in the archive.
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
    source: Source,
    context: HarvestContext,
    protocol: Protocol,
    run: Run,
    watch: ProgressCallback,
    *,
    full: bool,
) -> tuple[Run, dict[str, Validator]]:
    """Stage every page; return the run after the last one, and the validators for the next run."""
    if run.pages and run.cursor is None:
        return run, {}
    archive = Archive(
        context.data / "archive", source.name, run.id, run.archived, context.journal.store
    )
    with context.ledger.one_transaction():
        rules_unchanged = run.rules == last_rules_digest(source, context)
        is_new = rules_unchanged and not run.pages and not full
        known = _validators(source, context, run) if is_new else {}
        forgotten = operators.forgotten_keys(context.ledger, source.name)
    client = _make_client(source, context, archive, known)
    with closing(archive), client:
        task = ProcessingTask(
            run, source, context.iris.base, context.pool.name, rules_unchanged, forgotten=forgotten
        )

        def page() -> tuple[int, Mapping[str, int], Mapping[str, int]]:
            context.check_lock()
            archive.publish_file()
            responses = merge_responses(run.responses, client.responses)
            return archive.length, client.outcome_counts, responses

        reader = page_reader(context, task, protocol, client, run.since, page, watch)
        try:
            reader.collect()
        except LockLostError:
            raise
        except HarvestError as error:
            counts = Counter(client.outcome_counts) + reader.irregularities
            stored = _save_network_counts(run, counts, error, client, context)
            return _end_early(stored, error, context), {}
    responses = merge_responses(run.responses, client.responses)
    return replace(reader.run, responses=responses), client.seen


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
    is_local = source.protocol == SUBMISSIONS
    network = context.network
    if is_local:
        inbox = SubmissionTransport(context.ledger, source.name, context.now)
        network = replace(network, transport=inbox)
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
    )


def _save_network_counts(
    run: Run,
    outcome_counts: Counter[str],
    error: HarvestError,
    client: Fetch,
    context: HarvestContext,
) -> Run:
    """Store the outcome counts of the run's requests, including the error that ended it, and the
    sizes and times of its responses; return the run at its last checkpoint.
    """
    stored = context.ledger.run(run.id) or run
    # the client counted all other errors
    if isinstance(
        error, CharsetError | CrashingReplyError | RepeatedPageError | PaginationLoopError
    ):
        outcome_counts[error.outcome] += 1
    network = dict(Counter(run.network) + outcome_counts)
    responses = merge_responses(run.responses, client.responses)
    stored = replace(stored, network=network, responses=responses)
    context.ledger.save(stored)
    return stored


def _is_behind_good_pages(run: Run, error: HarvestError) -> bool:
    """Return whether the source itself failed, after pages that are published all the same."""
    return (
        run.fetched > 0
        and isinstance(error, SOURCE_ERRORS)
        and not isinstance(error, QuietHoursError)
        and error.reason.code not in _WHOLE_OR_NOTHING
    )


def _end_early(run: Run, error: HarvestError, context: HarvestContext) -> Run:
    """Return the run that ends, incomplete, at its last checkpoint; raises *error* if it is not
    behind good pages.
    """
    if not _is_behind_good_pages(run, error):
        raise error
    values: dict[str, Value] = {
        "page": run.pages,
        "records": run.fetched,
        "key": context.ledger.last_key(run) or "?",
        "error": error.reason,
    }
    reason = Reason(READ_UP_TO, **values)
    log.warning("list ended early", source=run.source, run=run.id, reason=reason.text)
    return replace(run, incomplete_reason=reason)


def collect_archived_pages(
    source: Source,
    context: HarvestContext,
    protocol: Protocol,
    run: Run,
    archived_runs: Sequence[Run],
    watch: ProgressCallback,
) -> tuple[Run, dict[str, Validator]]:
    """Stage every page of the archived runs, newest first, without requests to the registry; of
    each key only the first record counts. The source's validators stay as they are.

    Records that come out unchanged, or that are no longer at their source, are not touched.
    """
    ledger, folder = context.ledger, context.data / "archive"
    forgotten = operators.forgotten_keys(ledger, source.name)

    def page() -> tuple[int, Mapping[str, int], Mapping[str, int]]:
        context.check_lock()
        return 0, {}, {}

    for archived in archived_runs:
        log.debug("re-mapping the archived responses", source=source.name, run=archived.id)
        is_complete = set(archived.network) <= _ARCHIVED_OUTCOMES
        name = f"{source.name}/{archived.id}.warc.gz"
        replay = Replay(folder, name, context.journal.store, is_complete)
        offline = NetworkSettings.offline(replay, max_attempts=3)
        clock = partial(max, [archived.started])  # stands still, for requests with the date
        with Fetch(offline, 0.0, replay, robots=False, now=clock) as client:
            task = ProcessingTask(
                run,
                source,
                context.iris.base,
                context.pool.name,
                rules_unchanged=False,
                is_remap=True,
                forgotten=forgotten,
            )
            reader = page_reader(context, task, protocol, client, archived.since, page, watch)
            try:
                reader.collect()
            except SOURCE_ERRORS:
                # A run whose source failed then ends where it ended.
                early = archived.incomplete_reason
                if early is None or early.code != READ_UP_TO:
                    raise
            run = reader.run
    return run, graphs.validators(ledger, source.name)


def page_reader(
    context: HarvestContext,
    task: ProcessingTask,
    protocol: Protocol,
    client: Fetch,
    since: datetime | None,
    page: PageCallback,
    watch: ProgressCallback,
) -> PageReader:
    """Return a reader that collects the pages of *task* with *client*, in a collector process if
    there are any.

    *page* is called before each page is staged. It returns the length of the archive in bytes, the
    outcome counts of the requests so far, and the run's responses so far.
    """
    if context.collectors:
        return IsolatedPageReader(
            context.collectors, context.pool, context.ledger, client, task, page, watch, since
        )
    processor = PageProcessor(create_processor(task), context.pool)
    return LocalPageReader(
        StagingQueue(context.ledger, processor, task.run, watch), protocol, client, since, page
    )
