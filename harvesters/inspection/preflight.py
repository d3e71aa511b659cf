"""Check a feed: read it as a harvest would, with a temporary ledger, and report its faults and the
changes that a harvest would make.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from harvesters.archive import Archive
from harvesters.compatibility import check_compatible
from harvesters.errors import HarvestError
from harvesters.inspection import findings as of_feed
from harvesters.inspection.findings import (
    FieldSample,
    Finding,
    Level,
    Locator,
    PlannedChanges,
    PreflightReport,
    missing_fields,
)
from harvesters.inspection.upload import Upload, UploadTransport
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import SEEN, Outcome, Run
from harvesters.network.fetch import Fetch
from harvesters.network.settings import NetworkSettings, RetryPolicy
from harvesters.pipeline.processes import ChildProcesses, ProcessLimits, call_bounded
from harvesters.pipeline.record_processor import ProcessingTask
from harvesters.protocols.spreadsheet import read_sheet
from harvesters.reasons import other
from harvesters.runs.child import collect
from harvesters.runs.collect import (
    ProgressCallback,
    last_rules_digest,
    open_queue,
    read_pages,
    rules_digest,
)
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.plan import GuardResult, Plan
from harvesters.runs.run import plan_run
from harvesters.source import Source
from shapes.validate import EngineName

_SAMPLE_ROWS = 200  # rows of a sheet from which its fields are recognized
_ROWS = 500  # rows copied at once
_SHOWN = 20  # keys of a plan that are listed for an outcome
_TOO_LONG = "The check stopped after %s seconds; the rest of the feed was not read"
_EMPTY = Finding(
    "feed-empty",
    Level.ERROR,
    "No record was found.",
    "Check that this is the feed, and that its definition says where its records are.",
    line=1,
)


@dataclass(frozen=True, slots=True)
class PreflightLimits:
    """The limits of a preflight: *max_bytes* of a response, *seconds* after which no further page is
    read, and those of each *process* that reads responses.
    """

    max_bytes: int = 64 << 20
    seconds: float = 600.0
    process: ProcessLimits = field(default_factory=ProcessLimits)

    @property
    def retry_policy(self) -> RetryPolicy:
        """Return the limits of requests: one attempt each."""
        return RetryPolicy(
            max_bytes=self.max_bytes,
            max_file_bytes=self.max_bytes,
            file_timeout=min(self.seconds, 120),
            response_timeout=min(self.seconds, 120),
            max_attempts=1,
            max_retry_after=0,
        )


class _TimeIsUpError(HarvestError):
    """The time of a preflight is used up."""


def check_feed(
    source: Source,
    upload: Upload | None,
    base: str,
    network: NetworkSettings,
    *,
    engine: EngineName = "rust",
    ledger: Ledger | None = None,
    limits: PreflightLimits | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> PreflightReport:
    """Return the faults of a feed, and the changes that a harvest of it would make.

    The feed is *upload*, or that at the address of *source*, requested as a harvest does. With
    *ledger*, the plan is computed against its records of the source. Nothing is stored. Raises
    SourceDefinitionError if the definition is invalid; errors while reading are findings.
    """
    source = _as_file(source, upload)
    check_compatible(source)
    limits = limits or PreflightLimits()
    transport = UploadTransport(upload) if upload else None
    network = replace(network, retry_policy=limits.retry_policy)
    with _temporary_context(base, engine, network, limits.process) as context:
        if ledger is not None:
            _copy_source(ledger, context.ledger, source.name)
        run, failed = _collect(source, context, transport, _deadline(clock, limits.seconds))
        plan, result = plan_run(source, context, run)
        sample = FieldSample()
        if plan.fetched:
            archive = context.data / "archive"
            sample = of_feed.sample_fields(source, run, base, engine, archive, limits.process)
        findings = _findings(source, context, plan, sample, upload, failed)
        changes = _changes(plan, result, context) if ledger is not None else None
    name, results = upload.name if upload else source.url, of_feed.count_results(plan.outcomes)
    return PreflightReport(
        name,
        source.protocol,
        source.mapping,
        results,
        sample.uses,
        findings.counts,
        tuple(findings.listed),
        changes,
    )


def sample_of(upload: Upload, protocol: str, limits: ProcessLimits) -> bytes:
    """Return the bytes of an upload, or the beginning of a workbook's first sheet as CSV.

    Raises HarvestError if it is no workbook, or needs more than *limits*.
    """
    if protocol != "spreadsheet":
        return upload.content
    return call_bounded(_first_rows, upload.content, upload.name, limits=limits)


def _first_rows(content: bytes, name: str) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(islice(read_sheet(content, name), _SAMPLE_ROWS))
    return text.getvalue().encode()


def _as_file(source: Source, upload: Upload | None) -> Source:
    """Return *source*; one of IATI as a single file if *upload* is a file, not the registry's list."""
    if upload is None or source.protocol != "iati" or upload.content.lstrip()[:1] in b"{[":
        return source
    return replace(source, options={**source.options, "file": True})


def _deadline(clock: Callable[[], float], seconds: float) -> Callable[[], None]:
    end = clock() + seconds

    def check() -> None:
        if clock() > end:
            raise _TimeIsUpError(_TOO_LONG % f"{seconds:g}")

    return check


def _collect(
    source: Source,
    context: HarvestContext,
    transport: UploadTransport | None,
    check_time: Callable[[], None],
) -> tuple[Run, Finding | None]:
    """Stage the records of a feed; return the run, and the finding that ended it early."""
    started = max(filter(None, (context.now(), context.ledger.latest_time(source.name))))
    run = context.ledger.create_run(
        source.name, started, rules_digest(source, context), is_full=True
    )
    timed = replace(context, check_lock=check_time)
    try:
        run, failed = collect(_collect_feed, timed, run, lambda _: None, source, transport)
    except HarvestError as error:
        run = context.ledger.run(run.id) or run
        failed = _early_end(error, transport, run)
    if failed:
        run = replace(run, incomplete_reason=other(failed.message))
    context.ledger.save(run)
    return run, failed


def _collect_feed(
    context: HarvestContext,
    run: Run,
    watch: ProgressCallback,
    source: Source,
    transport: UploadTransport | None,
) -> tuple[Run, Finding | None]:
    archive = Archive(context.data / "archive", source.name, run.id, run.archived)
    live, steps = transport is None, context.pool.steps
    client = Fetch(
        replace(context.network, transport=transport),
        source.pause if live else 0.0,
        archive,
        robots=live,
        robots_override=source.grant,
        quiet_hours=source.quiet if live else None,
        base=context.iris.base,
        stored=archive.find,
        observe=steps.observe,
    )
    unchanged = run.rules == last_rules_digest(source, context)
    task = ProcessingTask(run, source, context.iris.base, context.pool.name, unchanged)
    queue = open_queue(context, task, watch)

    def page() -> tuple[int, Mapping[str, int], Mapping[str, int]]:
        context.check_lock()
        return archive.length, client.outcome_counts, client.responses

    with closing(archive), client:
        try:
            read_pages(client, None, queue, page)
        except HarvestError as error:
            return queue.run, _early_end(error, transport, queue.run)
    return queue.run, None


def _early_end(error: HarvestError, transport: UploadTransport | None, run: Run) -> Finding:
    if isinstance(error, _TimeIsUpError):
        return Finding(
            "feed-partly-read",
            Level.NOTE,
            str(error),
            "Check a smaller feed, or raise the limit of time.",
        )
    if transport and transport.further and run.pages:
        message = f"The source continues at {transport.further}; only the uploaded page was read"
        return Finding(
            "feed-partly-read",
            Level.NOTE,
            message,
            "Name the address instead of a file to have all pages read.",
        )
    return of_feed.failure(error, transport.upload.name if transport else "")


def _findings(
    source: Source,
    context: HarvestContext,
    plan: Plan,
    sample: FieldSample,
    upload: Upload | None,
    failed: Finding | None,
) -> of_feed.Findings:
    names = of_feed.names_by_property((use.name, use.properties) for use in sample.uses)
    findings = of_feed.Findings(
        context.iris.base, Locator(upload.content) if upload else None, names
    )
    if failed:
        findings.add(failed)
    elif not plan.fetched:
        findings.add(_EMPTY)
    if sample.guessed_charset:
        findings.add(of_feed.guessed_charset(sample.guessed_charset))
    for missing in missing_fields(source, sample.uses):
        findings.add(missing)
    seen = [outcome for outcome in SEEN if outcome is not Outcome.UNCHANGED]
    for diff in context.ledger.changes(plan.run, seen):
        findings.add_record(diff.staged, diff.staged.description or diff.previous, diff.seq + 1)
    unchanged = [Outcome.UNCHANGED]
    for record, description in context.ledger.described(
        source.name, context.ledger.staged_records(plan.run, unchanged)
    ):
        findings.add_record(record, description, 0)
    return findings


def _changes(plan: Plan, result: GuardResult, context: HarvestContext) -> PlannedChanges:
    def keys(*outcomes: Outcome) -> tuple[tuple[str, str], ...]:
        staged = islice(context.ledger.staged_records(plan.run, outcomes), _SHOWN)
        return tuple((record.key or "", record.other or "") for record in staged)

    return PlannedChanges(
        plan.run.source,
        plan.published_before,
        plan.published_after,
        {outcome.value: number for outcome, number in plan.outcomes.items() if number},
        keys(Outcome.REPLACED),
        tuple(key for key, _ in keys(Outcome.VANISHED, Outcome.MISSING, Outcome.LOST)),
        tuple(reason.text for reason in result.hold_reasons),
        plan.run.incomplete_reason.text if plan.run.incomplete_reason else "",
    )


@contextmanager
def _temporary_context(
    base: str,
    engine: EngineName,
    network: NetworkSettings,
    limits: ProcessLimits,
) -> Iterator[HarvestContext]:
    """Open a context of runs in a temporary folder. Responses are read, and records mapped, in
    processes with *limits*.
    """
    with TemporaryDirectory(prefix="stocktake-preflight-") as folder:
        url, children = f"sqlite:///{folder}/ledger.sqlite", ChildProcesses(limits)
        with open_context(
            Path(folder), url, base, network, engine, workers=0, children=children
        ) as context:
            yield context


def _copy_source(ledger: Ledger, scratch: Ledger, source: str) -> None:
    """Copy the rows of a source: its runs, its records with their descriptions, hold and overrides."""
    described = t.description.join(
        t.record,
        sa.and_(t.record.c.run == t.description.c.run, t.record.c.seq == t.description.c.seq),
    )
    queries: dict[sa.Table, sa.Select[Any]] = {
        table: sa.select(table).where(table.c.source == source)
        for table in (t.run, t.record, t.hold, t.override)
    }
    queries[t.description] = (
        sa.select(t.description).select_from(described).where(t.record.c.source == source)
    )
    for table, query in queries.items():
        with ledger.transaction() as reading, scratch.transaction() as writing:
            rows = reading.execution_options(yield_per=_ROWS).execute(query).mappings()
            for batch in rows.partitions(_ROWS):
                writing.execute(sa.insert(table), [dict(row) for row in batch])
