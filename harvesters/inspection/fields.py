"""Find the fields of a feed that a mapping reads, and the properties that it makes of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from harvesters.archive import Replay
from harvesters.errors import HarvestError, ParseError
from harvesters.inspection.report import FieldUse, Finding, Level
from harvesters.ledger.models import Run
from harvesters.page_model import Page, Record
from harvesters.pipeline.field_tracing import FieldTrace, trace_fields
from harvesters.pipeline.page_processor import archived_pages
from harvesters.pipeline.record_processor import MAPPING_ERRORS, ProcessingTask, create_processor
from harvesters.source import Source
from shapes.validate import EngineName

SAMPLE = 20  # records of a feed whose fields are left out one by one
_MAX_PAGES = 3  # pages that are read for the sample
_NAME = re.compile(r'([^\W\d]\w*)\Z|"([^"\\]+)"\Z')  # a field's name, plain or quoted (JMESPath)
_PREDICATE = re.compile(r"^\S+ <([^>]+)> ")


class FieldSample(NamedTuple):
    """The uses of the fields of a feed's first records, and the charset that was guessed from the
    text, "" if it is stated.
    """

    uses: tuple[FieldUse, ...] = ()
    guessed_charset: str = ""


def traced_fields(
    source: Source, run: Run, base: str, engine: EngineName, archive: Path
) -> FieldSample:
    """Return how the fields of the first records of *run* are used; its responses are read from
    *archive* again.
    """
    pages = list(_pages(source, run, base, archive))
    records = (item for page in pages for item in page.items if isinstance(item, Record))
    traces: list[tuple[str, list[FieldTrace]]] = []
    processor = create_processor(ProcessingTask(run, source, base, engine, rules_unchanged=False))
    errors = (*MAPPING_ERRORS, ParseError)
    for record in islice(records, SAMPLE):
        try:
            traces.append((record.key, trace_fields(record, processor.statements, errors)))
        except errors:
            continue  # The run has a finding of this record already.
    return FieldSample(_merge(traces), next((page.guessed_charset for page in pages), ""))


def missing_fields(source: Source, uses: Sequence[FieldUse]) -> Iterator[Finding]:
    """Yield a finding for each field of the source definition that no record of the sample has:
    often it was renamed.

    Only fields that are named as such are looked for, not expressions.
    """
    if source.mapping != "fields" or not uses:
        return
    names = {part for use in uses for part in (use.name, re.split(r"[.\[]", use.name)[0])}
    dropped = [use.name for use in uses if not use.is_read]
    for ours, expression in source.fields.items():
        match = _NAME.match(expression)
        if match is None or (name := match.group(1) or match.group(2)) in names:
            continue
        similar = get_close_matches(name, dropped, n=1, cutoff=0.5) or (
            dropped if len(dropped) == 1 else []
        )
        question = f" Was it renamed to {similar[0]}?" if similar else ""
        message = f"No record of the sample has the field {name}, which is read as {ours}."
        remedy = f"Keep the field's name, or correct the source definition.{question}"
        yield Finding("field-missing", Level.WARNING, message, remedy, line=1, field=name)


def _pages(source: Source, run: Run, base: str, archive: Path) -> Iterator[Page[Any]]:
    """Yield the first pages of a run's archived responses, until they have enough records."""
    replay = Replay(archive, f"{source.name}/{run.id}.warc.gz", is_complete=False)
    count = 0
    try:
        for page in islice(archived_pages(source, base, replay.find), _MAX_PAGES):
            yield page
            count += sum(isinstance(item, Record) for item in page.items)
            if count >= SAMPLE:
                return
    except HarvestError:
        return  # The error that ended the run is a finding already.


def _merge(traces: list[tuple[str, list[FieldTrace]]]) -> tuple[FieldUse, ...]:
    """Return the use of each field, from the keys and traces of records. The protocol reads a field
    that has the key.
    """
    records: Counter[str] = Counter()
    read: set[str] = set()
    examples: dict[str, str] = {}
    properties: dict[str, Counter[str]] = {}
    for key, fields in traces:
        for trace in fields:
            records[trace.name] += 1
            examples.setdefault(trace.name, trace.values[0] if trace.values else "")
            counts = properties.setdefault(trace.name, Counter())
            if trace.is_read or trace.values == (key,):
                read.add(trace.name)
            if not trace.is_required:
                counts.update(
                    {
                        match.group(1)
                        for line in trace.statements
                        if (match := _PREDICATE.match(line))
                    }
                )
    return tuple(
        FieldUse(
            name,
            records[name],
            name in read,
            tuple(iri for iri, _ in properties[name].most_common()),
            examples[name],
        )
        for name in records
    )
