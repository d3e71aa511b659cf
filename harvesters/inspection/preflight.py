"""Check a feed: read it as a harvest would, with a temporary ledger, and report its faults and the
changes that a harvest would make, as text, JSON, SARIF 2.1.0 or JUnit XML.
"""

from __future__ import annotations

import csv
import io
import mimetypes
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import sqlalchemy as sa

from harvesters.archive import Archive
from harvesters.errors import CheckTimeoutError, HarvestError, NotFoundError
from harvesters.inspection import findings as of_feed
from harvesters.inspection.findings import (
    FieldSample,
    Finding,
    Level,
    PlannedChanges,
    PreflightReport,
    missing_fields,
)
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import SEEN, Outcome, Run
from harvesters.network.fetch import NetworkSettings, RetryPolicy
from harvesters.pipeline.processes import ChildProcesses, ProcessLimits, call_bounded
from harvesters.pipeline.record_processor import ProcessingTask, check_compatible
from harvesters.protocols.spreadsheet import read_sheet
from harvesters.reasons import other
from harvesters.runs.collect import (
    ProgressCallback,
    collect,
    last_rules_digest,
    open_client,
    open_queue,
    read_pages,
    rules_digest,
)
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.plan import Plan
from harvesters.runs.run import plan_run
from harvesters.source import Source
from shapes.validate import EngineName

_TYPES = {".csv": "text/csv", ".json": "application/json", ".xml": "application/xml", ".ttl": "text/turtle", ".ics": "text/calendar",
          ".nt": "application/n-triples", ".nq": "application/n-quads", ".trig": "application/trig", ".jsonld": "application/ld+json",
          ".rdf": "application/rdf+xml", ".atom": "application/atom+xml", ".rss": "application/rss+xml"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to check: its *name*, which decides its media type, and its bytes."""

    name: str
    content: bytes

    @property
    def media_type(self) -> str:
        """Return the media type of the file's name, "" if its extension is unknown.

        >>> Upload("feed.ttl", b"").media_type, Upload("feed", b"").media_type
        ('text/turtle', '')
        """
        suffix = f".{self.name.rpartition('.')[2].lower()}" if "." in self.name else ""
        return _TYPES.get(suffix) or mimetypes.guess_type(self.name)[0] or ""


@dataclass(slots=True)
class UploadTransport(httpx.BaseTransport):
    """Answers requests of the first address with *upload*, and of every other with 404: an upload is
    one page of a source, and a protocol which looks elsewhere after an error ends with that error.
    """

    upload: Upload
    _address: str = field(default="", init=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the upload, or 404 for another address."""
        self._address = self._address or str(request.url)
        if self._address != str(request.url):
            return httpx.Response(404)
        headers = {"Content-Type": self.upload.media_type} if self.upload.media_type else {}
        return httpx.Response(200, headers=headers, content=self.upload.content)


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
    network = replace(network, retry_policy=limits.retry_policy)
    with (
        TemporaryDirectory(prefix="stocktake-preflight-") as folder,
        open_context(
            Path(folder),
            f"sqlite:///{folder}/ledger.sqlite",
            base,
            network,
            engine,
            workers=0,
            children=ChildProcesses(limits.process),
        ) as context,
    ):
        if ledger is not None:
            _copy_source(ledger, context.ledger, source.name)
        run, failed = _collect(source, context, upload, _deadline(clock, limits.seconds))
        plan, _ = plan_run(source, context, run)
        sample = FieldSample()
        if plan.fetched:
            archive = context.data / "archive"
            sample = of_feed.sample_fields(source, run, base, engine, archive, limits.process)
        findings = _findings(source, context, plan, sample, upload, failed)
        changes = _changes(plan, context) if ledger is not None else None
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
            raise CheckTimeoutError(_TOO_LONG % f"{seconds:g}")

    return check


def _collect(
    source: Source,
    context: HarvestContext,
    upload: Upload | None,
    check_time: Callable[[], None],
) -> tuple[Run, Finding | None]:
    """Stage the records of a feed; return the run, and the finding that ended it early."""
    started = max(filter(None, (context.now(), context.ledger.latest_time(source.name))))
    run = context.ledger.create_run(
        source.name, started, rules_digest(source, context), is_full=True
    )
    timed, failed = replace(context, check_lock=check_time), None
    try:
        run = collect(_collect_feed, timed, run, lambda _: None, source, upload)
    except HarvestError as error:
        run = context.ledger.run(run.id) or run
        failed = _early_end(error, upload, run)
        run = replace(run, incomplete_reason=other(failed.message))
    context.ledger.save(run)
    return run, failed


def _collect_feed(
    context: HarvestContext,
    run: Run,
    watch: ProgressCallback,
    source: Source,
    upload: Upload | None,
) -> Run:
    archive = Archive(context.data / "archive", source.name, run.id, run.archived)
    transport = UploadTransport(upload) if upload else None
    client = open_client(source, context, archive, transport=transport)
    unchanged = run.rules == last_rules_digest(source, context)
    task = ProcessingTask(run, source, context.iris.base, context.pool.name, unchanged)
    queue = open_queue(context, task, watch)
    with closing(archive), client:
        read_pages(context, client, None, queue)
    return queue.run


def _early_end(error: HarvestError, upload: Upload | None, run: Run) -> Finding:
    if isinstance(error, CheckTimeoutError):
        return Finding(
            "feed-partly-read",
            Level.NOTE,
            str(error),
            "Check a smaller feed, or raise the limit of time.",
        )
    if upload and run.pages and isinstance(error, NotFoundError):
        return Finding(
            "feed-partly-read",
            Level.NOTE,
            f"The source continues, and only the uploaded page was read: {error}",
            "Name the address instead of a file to have all pages read.",
        )
    return of_feed.failure(error, upload.name if upload else "")


def _findings(
    source: Source,
    context: HarvestContext,
    plan: Plan,
    sample: FieldSample,
    upload: Upload | None,
    failed: Finding | None,
) -> of_feed.Findings:
    names = of_feed.names_by_property(sample.uses)
    findings = of_feed.Findings(context.iris.base, upload.content if upload else b"", names)
    if failed:
        findings.add(failed)
    elif not plan.fetched:
        findings.add(_EMPTY)
    if sample.guessed_charset:
        findings.add(of_feed.guessed_charset(sample.guessed_charset))
    for missing in missing_fields(source, sample):
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


def _changes(plan: Plan, context: HarvestContext) -> PlannedChanges:
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
        tuple(reason.text for reason in plan.hold_reasons),
        plan.run.incomplete_reason.text if plan.run.incomplete_reason else "",
    )


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


_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_failure(report: PreflightReport, *, strict: bool = False) -> bool:
    """Return whether a registry should correct the feed before it is published: with an error, or
    if its plan would be held.

    With *strict* a warning counts too.
    """
    is_held = report.plan is not None and bool(report.plan.hold_reasons)
    return is_held or report.level is Level.ERROR or (strict and report.level is Level.WARNING)


def as_json(report: PreflightReport, strict: bool) -> bytes:
    """Write the report with all its parts."""
    return (
        orjson.dumps(
            {**asdict(report), "passed": not is_failure(report, strict=strict)},
            option=orjson.OPT_INDENT_2,
        )
        + b"\n"
    )


def _values(report: PreflightReport, strict: bool) -> dict[str, Any]:
    """Return what the templates of a report need: *failing* has the levels that fail a rule."""
    failing = {Level.ERROR, Level.WARNING} if strict else {Level.ERROR}
    return {"report": report, "failing": failing, "failed": is_failure(report, strict=strict)}


def as_text(report: PreflightReport, strict: bool) -> bytes:
    """Write the report for a terminal."""
    return of_feed.render("report.txt", **_values(report, strict))


def as_junit(report: PreflightReport, strict: bool) -> bytes:
    """Write a test case for each rule with a finding, for reading, and for the plan, as JUnit XML,
    which CI systems show.
    """
    text = of_feed.render("report.xml", **_values(report, strict)).decode()
    return _FORBIDDEN.sub("\ufffd", text).encode()


def as_sarif(report: PreflightReport, strict: bool) -> bytes:
    """Write the findings as SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/), as code
    scanning reads it. The reasons for which the plan would be held are findings, too.
    """
    reasons = report.plan.hold_reasons if report.plan else ()
    waits = [Finding("plan-held", Level.ERROR, reason, "") for reason in reasons]
    # The characters that the address of a feed may have.
    feed = quote(report.feed, safe="/:?=&%#+@,;~")
    more = {"waits": waits, "feed": feed, "version": version("stocktake")}
    document = orjson.loads(of_feed.render("report.sarif", **_values(report, strict), **more))
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


WRITERS: Mapping[str, Callable[[PreflightReport, bool], bytes]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "junit": as_junit,
}
