"""Define the commands that inspect a source or a record: preflight, preview, report and explain."""

from __future__ import annotations

import resource
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from textwrap import shorten
from typing import Annotated

import typer

from command_line.console import (
    Json,
    choice_option,
    fail,
    print_json,
    print_lines,
    print_note,
    print_rows,
)
from command_line.runs import source_file
from command_line.settings import Context, Settings
from command_line.workspace import (
    current_user,
    harvest_context,
    load_source,
    network_settings,
    open_existing,
    print_runs,
)
from harvesters.errors import HarvestError, SourceDefinitionError
from harvesters.inspection.findings import Finding, Level, PreflightReport, RuleCount, failure
from harvesters.inspection.preflight import (
    WRITERS,
    PreflightLimits,
    Upload,
    check_feed,
    is_failure,
    sample_of,
)
from harvesters.inspection.preview import DEFAULT_RECORDS, PreviewResult, preview_source
from harvesters.inspection.source_report import report_source
from harvesters.inspection.trace import WRITERS as TRACE_WRITERS
from harvesters.inspection.trace import (
    ExplainError,
    check_property,
    explain,
    parse_iri,
    read_record,
)
from harvesters.ledger.integrity import has_ledger
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run
from harvesters.network.fetch import Fetch
from harvesters.pipeline.processes import ProcessLimits, call_bounded
from harvesters.runs import operations, run_report
from harvesters.source import Source, load, parse
from journal.journal import Journal
from languages.translations import LANGUAGES, use_language
from publisher.portal.feed_samples import FORMATS, detect_format, suggest_fields
from publisher.portal.wizard import WizardState, from_query, source_toml, with_suggestion
from vocab.field_changes import field_views
from vocab.iris import is_web

app = typer.Typer()
_STDIN = "-"
_UNKNOWN = Finding(
    "feed-format", Level.ERROR, "The format of this feed is not recognized.",
    f"Name it with --as ({', '.join(FORMATS)}), or name a source definition with --definition.", line=1,
)  # fmt: skip
_NO_RECORDS = Finding(
    "feed-fields", Level.ERROR, "No record was recognized: neither a list of objects nor a table with a header.",
    "Name a source definition that says where they are with --definition; the page /join writes one.", line=1,
)  # fmt: skip
_MAX_NAMES = 40  # columns or fields that a finding lists
# The fields that a record needs: the name in the form, and the name in a definition.
_NEEDED = {"key": "key", "name": "title"}
_MEBIBYTE = 1 << 20
_LONGEST_VALUE, _MOST_VALUES = 100, 5  # characters of a value, and values of a field, in a preview
_PREVIEW_OUTCOMES = {"published": "would be published", "withheld": "would be withheld"}


@app.command()
def preflight(
    context: Context,
    feed: Annotated[
        str, typer.Argument(help="File or address of the feed; - reads standard input.")
    ],
    source: Annotated[
        str, typer.Option(help="Read it as this source, and compare with what is published of it.")
    ] = "",
    definition: Annotated[
        Path | None,
        typer.Option(help="Read it by this source definition.", exists=True, dir_okay=False),
    ] = None,
    kind: Annotated[
        str, choice_option("--as", "Its format, where it is not recognized", FORMATS)
    ] = "",
    name: Annotated[
        str,
        typer.Option(help="Name of a feed from standard input; its ending gives the media type."),
    ] = "feed",
    output: Annotated[str, choice_option("--format", "Format of the result", WRITERS)] = "text",
    strict: Annotated[bool, typer.Option("--strict", help="Fail for warnings too.")] = False,
    max_size: Annotated[
        int, typer.Option(help="Largest response or file in MiB.", min=1, max=2048)
    ] = 64,
    seconds: Annotated[
        int, typer.Option(help="Seconds after which no further page is read.", min=1)
    ] = 600,
    memory: Annotated[
        int, typer.Option(help="Memory in MiB of a process that reads the feed.", min=256)
    ] = 4096,
) -> None:
    """Check a feed before it is published: what is understood, what is wrong and where, and what
    would change. Nothing is written.

    Exit code 1 if a record or the change would be held back, 2 if the feed or the definition cannot
    be opened.
    """
    if sum(map(bool, (source, definition, kind))) > 1:
        raise typer.BadParameter("--source, --definition and --as exclude each other")
    limits = PreflightLimits(
        max_size * _MEBIBYTE,
        seconds,
        ProcessLimits(memory * _MEBIBYTE, min(seconds, 60), seconds, crashes=5),
    )
    try:
        report = _report(context.obj, feed, source, definition, kind, name, limits)
    except SourceDefinitionError as error:
        fail(str(error), 2)
    typer.echo(WRITERS[output](report, strict), nl=False)
    raise typer.Exit(int(is_failure(report, strict=strict)))


def _report(
    settings: Settings,
    feed: str,
    source: str,
    definition: Path | None,
    kind: str,
    name: str,
    limits: PreflightLimits,
) -> PreflightReport:
    named = load_source(settings, source) if source else load(definition) if definition else None
    upload: Upload | None = None
    try:
        upload = None if is_web(feed) and named else _read(settings, feed, name, limits)
        chosen = named or _recognize(upload, feed, kind, settings.base, limits)
    except HarvestError as error:
        chosen = failure(error, feed)
    if isinstance(chosen, Finding):  # the feed could not be read at all
        count = RuleCount(chosen.rule, chosen.level, chosen.message, chosen.remedy, 1)
        title = upload.name if upload else feed
        return PreflightReport(title, "unknown", "unknown", rules=(count,), findings=(chosen,))
    is_known = bool(source) and has_ledger(settings.ledger)
    with closing(Ledger(settings.ledger)) if is_known else nullcontext() as ledger:
        report = check_feed(
            replace(chosen, url=feed) if is_web(feed) else chosen,
            upload,
            settings.base,
            network_settings(settings),
            engine=settings.shapes_engine,
            ledger=ledger,
            limits=limits,
        )
    note = f"plan for {source}: not known, since this machine has no ledger"
    return report if is_known or not source else replace(report, plan_note=note)


def _read(settings: Settings, feed: str, name: str, limits: PreflightLimits) -> Upload:
    """Return the feed as one file. Raises HarvestError where an address does not answer; exits with
    2 where a file cannot be read.
    """
    if is_web(feed):
        network = replace(network_settings(settings), retry_policy=limits.retry_policy)
        with Fetch(network) as client:
            return Upload(feed, client.get(feed).content)
    try:
        content = (
            sys.stdin.buffer.read(limits.max_bytes + 1)
            if feed == _STDIN
            else Path(feed).read_bytes()
        )
    except OSError as error:
        fail(f"{feed}: {error.strerror}; name a file, an http or https address, or -", 2)
    if len(content) > limits.max_bytes:
        fail(f"{feed}: larger than {limits.max_bytes // _MEBIBYTE} MiB; raise --max-size", 2)
    return Upload(name if feed == _STDIN else feed, content)


def _recognize(
    upload: Upload | None, feed: str, kind: str, base: str, limits: PreflightLimits
) -> Source | Finding:
    """Return the definition that the page /join would write for a feed. Raises
    HarvestError for a workbook that cannot be read.
    """
    assert upload is not None
    format_ = FORMATS[kind] if kind else detect_format(upload.content, base)
    if format_ is None:
        return _UNKNOWN
    address = feed if is_web(feed) else "https://registry.example/feed"
    state = WizardState(
        format_,
        {
            **from_query({}).values,
            "title": "preflight",
            "url": address,
            "licence": "https://unlicense.org/",
        },
    )
    if format_.fields:
        suggestion = suggest_fields(sample_of(upload, format_.protocol, limits.process))
        state = with_suggestion(state, suggestion)
        missing = [title for name, title in _NEEDED.items() if not state.values[name]]
        if missing and not suggestion.paths:
            return _NO_RECORDS
        if missing:
            needed, listed = " and no ".join(missing), ", ".join(suggestion.paths[:_MAX_NAMES])
            return Finding(
                "feed-fields",
                Level.ERROR,
                f"The feed has no {needed} that is recognized: which of these fields is it? {listed}",
                f"Write {' and '.join(f'`{title} = ...`' for title in missing)} below [fields] in a source "
                "definition, and name it with --definition; the page /join writes one.",
                line=1,
            )
    return parse("preflight", tomllib.loads(source_toml(state)), "feed")


@app.command("explain")
def explain_record(
    ctx: Context,
    iri: Annotated[
        str, typer.Argument(help="IRI of a record, of a thing, or the path of its page.")
    ],
    name: Annotated[
        str,
        typer.Argument(
            metavar="[PROPERTY]", help="End of a property's IRI, such as title; all by default."
        ),
    ] = "",
    output: Annotated[str, choice_option("--format", "Format", TRACE_WRITERS)] = "text",
) -> None:
    """Explain the statements of a record: run, request, archived bytes, field and mapping of each,
    or that Stocktake added it.

    Exit code 1 if there is no such record here, or it has no such property.
    """
    settings: Settings = ctx.obj
    source_name, key = parse_iri(iri, settings.base)
    with open_existing(settings) as ledger:
        described = read_record(ledger, source_name, key)
    check_property(described, name)
    source = load_source(settings, described.source)
    store = Journal(settings.data / "journal").store
    explanation = call_bounded(
        explain,
        described,
        source,
        settings.base,
        settings.data / "archive",
        settings.shapes_engine,
        store,
        name,
    )
    typer.echo(TRACE_WRITERS[output](explanation, settings.base), nl=False)


@app.command()
def report(ctx: Context, name: Annotated[str, typer.Argument(help="The source.")]) -> None:
    """Report, as JSON, what the newest run of a source withheld and fixed, by rule and the
    publisher's own field.

    Quality warnings of published records are at /source/NAME/report. Exit code 1 if there was no
    run, or if there is no ledger, as on a mirror.
    """
    settings = ctx.obj
    with open_existing(settings) as ledger:
        result = report_source(
            load_source(settings, name),
            ledger,
            Journal(settings.data / "journal"),
            settings.base,
            settings.data / "archive",
            settings.shapes_engine,
        )
    if result is None:
        fail(f"{name}: there is no run to report on; harvest it first")
    print_json(result, is_indented=True)


@app.command("preview")
def preview(
    ctx: Context,
    definition: Annotated[
        str,
        typer.Argument(help="Source name, path of a source definition, or - for standard input."),
    ],
    records: Annotated[
        int, typer.Option(help="Number of records to fetch.", min=1, max=1000)
    ] = DEFAULT_RECORDS,
    memory: Annotated[int, typer.Option(help="Memory limit in bytes; 0 = no limit.", min=0)] = 0,
    language: Annotated[
        str, typer.Option(help=f"Language of reasons: {', '.join(LANGUAGES)}.")
    ] = "en",
    json: Json = False,
) -> None:
    """Fetch and validate a few records of a source without saving anything. Exit code 1 on failure."""
    settings: Settings = ctx.obj
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    file = None if definition == "-" else source_file(settings.sources, definition)
    with use_language(language if language in LANGUAGES else "en"):
        try:
            source = load(file) if file else _read_source()
            result = preview_source(
                source,
                settings.base,
                network_settings(settings),
                engine=settings.shapes_engine,
                records=records,
            )
        except SourceDefinitionError as error:
            result = PreviewResult(error_kind="definition", error=str(error))
        _print_preview(result, settings.base, json)
    raise typer.Exit(int(bool(result.error)))


def _print_preview(result: PreviewResult, base: str, json: bool) -> None:
    if json:
        document = asdict(result)
        for record in document["records"]:
            record["mapped"] = [
                {"field": field.label, "values": field.added}
                for field in field_views((), record["mapped"], base, "en", str)
            ]
        print_json(document)
        return
    print_rows(preview_list(result, base), "Records", json)
    for note in result.notes:
        print_note(note, "yellow")
    if result.error:
        print_note(result.error, "red")


def preview_list(result: PreviewResult, base: str) -> list[dict[str, object]]:
    """Return a row for each record of a preview, with its mapped values, and the reason why it
    would be withheld or the warnings of its validation.
    """
    return [
        {
            "key": record.key,
            "outcome": _PREVIEW_OUTCOMES.get(record.outcome, record.outcome),
            "mapped values": "\n".join(_mapped_values(record.mapped, base)) or record.title or None,
            "reasons and warnings": "\n".join(filter(None, (record.reason, *record.warnings)))
            or None,
        }
        for record in result.records
    ]


def _mapped_values(statements: Sequence[str], base: str) -> Iterator[str]:
    """Yield a line for each field of a record: its name, and its first values."""
    for field in field_views((), statements, base, "en", str):
        values = [shorten(value, _LONGEST_VALUE, placeholder="...") for value in field.added]
        more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
        yield f"{field.label}: {'; '.join(values[:_MOST_VALUES])}{more}"


def _read_source() -> Source:
    """Read a source definition from standard input; the source is named registry."""
    try:
        return parse("registry", tomllib.loads(sys.stdin.read()), "source definition")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceDefinitionError(f"source definition: invalid TOML: {error}") from error


@app.command()
def forget(
    ctx: Context,
    iri: Annotated[
        str,
        typer.Argument(
            metavar="KEY",
            help="IRI of the record or its thing, the path of its page, or SOURCE/KEY.",
        ),
    ],
    json: Json = False,
) -> None:
    """Plan to remove one record for good; after the approval, run it again: it erases the record,
    and lists where it remains.
    """
    source_name, key = _parse_key(iri, ctx.obj.base)
    source = load_source(ctx.obj, source_name)
    with harvest_context(ctx.obj) as context:
        by, given = current_user(), operations.forget.input()
        result = operations.forget.perform(context, (source, key), by, given)
    if isinstance(result, Run):
        print_runs([run_report.run_row(result)], operations.forget.done, json)
        if not json:
            print_lines(f"after the approval: stocktake sources forget {iri}")
    elif json:
        print_json(result)
    else:
        print_lines(
            *(
                f"{title}: {', '.join(map(str, values)) or 'none'}"
                for title, values in [
                    ("erased in the archive", result.erased),
                    ("remains in journal entries, which are append-only", result.entries),
                    ("remains in releases", result.releases),
                    (
                        "may remain in older archive files, until `stocktake archive prune` deletes them",
                        result.files,
                    ),
                ]
            ),
            "remains in mirrors, backups and downloads made before; each mirror removes it from its pages with the next entry",
        )


def _parse_key(text: str, base: str) -> tuple[str, str]:
    """Return the source and key of a record: by an IRI, the path of a page, or SOURCE/KEY."""
    try:
        return parse_iri(text, base)
    except ExplainError as error:
        source, _, key = text.partition("/")
        if not key or ":" in source:
            raise typer.BadParameter(str(error)) from error
        return source, key
