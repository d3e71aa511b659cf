"""Fetch and validate a few records of a source. Nothing is planned, archived or stored."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from harvesters.errors import HarvestError
from harvesters.inspection.findings import described_rules, object_of
from harvesters.ledger.models import Outcome, Run, StagedRecord, State
from harvesters.mappings.fields import unmatched_fields
from harvesters.network.fetch import Fetch, NetworkSettings, RetryPolicy
from harvesters.page_model import Page
from harvesters.payloads.paths import Reads, fields_of, noting
from harvesters.pipeline.record_processor import (
    ProcessingTask,
    WorkerPool,
    check_compatible,
    create_processor,
)
from harvesters.reasons import Reason
from harvesters.runs.collect import PageProcessor, repeated
from harvesters.runs.plan import incompleteness_reasons
from harvesters.source import Source
from languages.translations import current_locale, format_number, gettext, isolate
from shapes.rules import translated_message
from shapes.validate import EngineName
from vocab.iris import Iris
from vocab.terms import DCT

DEFAULT_RECORDS = 10
TIME_LIMIT = 25.0  # seconds after which no further page is requested
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
MOST_FIELD_NAMES = 50  # field names in a note
_TITLE = f"<{DCT}title>"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RecordPreview:
    """The result for one record: *outcome* is published, withheld, unreadable, duplicate or deleted; *reason*
    is why it is not published, *mapped* the statements about what the record describes, without
    those about the record itself.
    """

    key: str
    outcome: str
    title: str = ""
    reason: str = ""
    warnings: tuple[str, ...] = ()
    statements: int = 0
    mapped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreviewResult:
    """The result of a preview. *error* and *error_kind* are empty unless it failed; *more* is
    whether the source has more records; *notes* are remarks on all records together.
    """

    records: tuple[RecordPreview, ...] = ()
    reported_total: int | None = None
    more: bool = False
    error_kind: str = ""
    error: str = ""
    notes: tuple[str, ...] = ()


def _describe(reason: Reason) -> str:
    return reason.with_rule_message(_translate_message).describe(gettext, format_number, isolate)


def _translate_message(english: str) -> str:
    return translated_message(english, current_locale().language)


def preview_source(
    source: Source,
    base: str,
    network: NetworkSettings,
    *,
    engine: EngineName = "rust",
    records: int = DEFAULT_RECORDS,
    clock: Callable[[], float] = time.monotonic,
) -> PreviewResult:
    """Fetch a few records of a source, map and validate them, and return a result for each, with
    texts in the language in use; faults of a definition and texts of other software are English.

    An error while fetching is part of the result, with the records fetched before it. The preview
    obeys robots.txt, the pause and the quiet hours as a harvest does. *clock* returns monotonic seconds. Raises
    SourceDefinitionError if the definition is invalid.
    """
    protocol, _ = check_compatible(source)
    run = Run("trial", source.name, 1, State.RUNNING, True, None, datetime.now(UTC), "")
    task = ProcessingTask(run, source, base, engine, rules_unchanged=False)
    deadline, error = clock() + TIME_LIMIT, None
    pages: list[Page[Any]] = []
    previewed: list[StagedRecord] = []
    others: list[StagedRecord] = []  # Of the records behind them only what is repeated is known.
    digests: dict[str, str | None] = {}  # of the first record of each key
    has_more = False
    try:
        with noting() as reads, _open_client(source, network) as client:
            processor = PageProcessor(create_processor(task), WorkerPool(base, engine, workers=0))
            for page in protocol.collect(source, client, None, None):
                first = replace(page, items=page.items[: records - len(previewed)])
                rest = page.items[len(first.items) :]
                pages.append(page)
                previewed += processor.results(processor.submit(first, {}, digests))
                for item in () if page.again else rest:
                    digest = processor.digest(item)
                    if result := repeated(item, digest, digests, page):
                        others.append(result)
                    elif item.key is not None:
                        digests[item.key] = digest
                has_more = bool(rest) or page.cursor is not None
                if len(previewed) >= records or clock() > deadline:
                    break
    except HarvestError as raised:
        error = raised
    reported = next(
        (p.reported_total for p in reversed(pages) if p.reported_total is not None), None
    )
    run = replace(
        run,
        reported_total=None if has_more else reported,
        fetched=sum(len(page.items) for page in pages),
        incomplete_reason=next(filter(None, (page.incomplete_reason for page in pages)), None),
    )
    charset = next(filter(None, (page.guessed_charset for page in pages)), "")
    return PreviewResult(
        tuple(_record_preview(staged, task) for staged in previewed),
        reported,
        has_more and not error,
        error.outcome if error else "",
        _describe(error.reason) if error else "",
        tuple(
            map(
                _describe,
                (
                    *(() if error else _field_notes(source, reads)),
                    *_run_notes(run, [*previewed, *others], charset),
                ),
            )
        ),
    )


def _run_notes(run: Run, results: Iterable[StagedRecord], charset: str) -> Iterator[Reason]:
    """Yield what a run would remark on all records: duplicates, an incomplete list, a *charset* that
    is stated nowhere.
    """
    duplicates = [item.reasons[0] for item in results if item.outcome is Outcome.DUPLICATE]
    by_text = {reason.text: reason for reason in duplicates}
    for text, count in Counter(reason.text for reason in duplicates).most_common():
        yield Reason(
            "%(count)s of the %(total)s records read would not be published: %(reason)s",
            count=count,
            total=run.fetched,
            reason=by_text[text],
        )
    for incomplete in incompleteness_reasons(run)[:1]:
        yield Reason("a run would be incomplete: %(reason)s", reason=incomplete)
    if charset:
        yield Reason(
            "The text states no charset and was read as %(charset)s. If letters are wrong, set "
            "the option 'charset' in the source definition.",
            charset=charset,
        )


def _open_client(source: Source, network: NetworkSettings) -> Fetch:
    return Fetch(
        replace(network, retry_policy=RETRY_POLICY),
        source.pause,
        robots_override=source.grant,
        quiet_hours=source.quiet,
    )


def _field_notes(source: Source, reads: Reads) -> Iterator[Reason]:
    """Yield a note that names the fields of the definition that match nothing in the records, and one
    that names the fields of the records that the mapping does not read. The protocol reads a
    field that has the key.
    """
    is_read: dict[str, bool] = {}
    for record in reads.records:
        for name, values in fields_of(record.payload).items():
            is_read[name] = is_read.get(name) or reads.has(name) or record.key in values
    unmatched = unmatched_fields(source, [record.payload for record in reads.records])
    if reads.records and unmatched:
        yield Reason(
            "these fields of the definition match nothing in the records: %(fields)s; the "
            "records have the fields %(names)s",
            fields=", ".join(f"{name} = {source.fields[name]!r}" for name in unmatched),
            names=", ".join(sorted(is_read)[:MOST_FIELD_NAMES]),
        )
    if unread := [name for name in is_read if not is_read[name]]:
        yield Reason(
            "the mapping does not read these fields of the records: %(names)s",
            names=", ".join(unread[:MOST_FIELD_NAMES]),
        )


def _record_preview(staged: StagedRecord, task: ProcessingTask) -> RecordPreview:
    key = staged.key or ""
    if not staged.description:
        # Nothing is stored here, so each deleted record is one that was never published.
        outcome = Outcome.DELETED if staged.outcome is Outcome.ABSENT else staged.outcome
        reason = gettext("; ").join(map(_describe, staged.reasons))
        return RecordPreview(key, outcome.value, reason=reason)
    lines, record = staged.description.split("\n"), Iris(task.base).record(task.source.name, key)
    mapped = tuple(line for line in lines if not line.startswith(f"<{record}"))
    titles = [object_of(line).value for line in mapped if line.split(" ", 2)[1] == _TITLE]
    warnings = {rule.message for rule, _ in described_rules(staged.description, task.base)}
    return RecordPreview(
        key,
        "published",
        next(iter(titles), ""),
        warnings=tuple(map(_translate_message, sorted(warnings))),
        statements=len(lines),
        mapped=mapped,
    )
