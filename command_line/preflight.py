"""The command that checks a feed before it is published."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import fail
from command_line.harvesting.terminal import load_source, network_settings
from command_line.settings import Context, Settings
from harvesters.errors import HarvestError, SourceDefinitionError
from harvesters.inspection.findings import Finding, Level, PreflightReport, RuleCount, failure
from harvesters.inspection.preflight import PreflightLimits, check_feed, sample_of
from harvesters.inspection.preflight_output import WRITERS, is_failure
from harvesters.inspection.upload import Upload
from harvesters.ledger.integrity import has_ledger
from harvesters.ledger.ledger import Ledger
from harvesters.network.fetch import Fetch
from harvesters.pipeline.processes import ProcessLimits
from harvesters.source import Source, load, parse
from publisher.portal.feed_samples import FORMATS, detect_format, suggest_fields
from publisher.portal.source_definition import WizardState, from_query, source_toml, with_suggestion
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
_Definition = Annotated[
    Path | None,
    typer.Option(help="Read it by this source definition.", exists=True, dir_okay=False),
]
_FormatOfFeed = Annotated[
    str,
    typer.Option("--as", help=f"Its format, where it is not recognized: {', '.join(FORMATS)}."),
]
_NameOfInput = Annotated[
    str,
    typer.Option(help="Name of a feed from standard input; its ending gives the media type."),
]
_MaxSize = Annotated[int, typer.Option(help="Largest response or file in MiB.", min=1, max=2048)]
_Seconds = Annotated[int, typer.Option(help="Seconds after which no further page is read.", min=1)]
_Memory = Annotated[
    int, typer.Option(help="Memory in MiB of a process that reads the feed.", min=256)
]


@app.command()
def preflight(
    context: Context,
    feed: Annotated[
        str, typer.Argument(help="File or address of the feed; - reads standard input.")
    ],
    source: Annotated[
        str, typer.Option(help="Read it as this source, and compare with what is published of it.")
    ] = "",
    definition: _Definition = None,
    kind: _FormatOfFeed = "",
    name: _NameOfInput = "feed",
    output: Annotated[
        str, typer.Option("--format", help=f"Format of the result: {', '.join(WRITERS)}.")
    ] = "text",
    strict: Annotated[bool, typer.Option("--strict", help="Fail for warnings too.")] = False,
    max_size: _MaxSize = 64,
    seconds: _Seconds = 600,
    memory: _Memory = 4096,
) -> None:
    """Check a feed before it is published: what is understood, what is wrong and where, and what
    would change. Nothing is written.

    Exit code 1 if a record or the change would be held back, 2 if the feed or the definition cannot
    be opened.
    """
    for text, known in ((output, WRITERS), (kind, FORMATS)):
        if text and text not in known:
            raise typer.BadParameter(f"unknown format {text!r}; known are {', '.join(known)}")
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
    sys.stdout.buffer.write(WRITERS[output](report, strict))
    sys.stdout.flush()
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
    try:
        upload = None if is_web(feed) and named else _read(settings, feed, name, limits)
    except HarvestError as error:
        return _single(feed, failure(error))
    try:
        chosen = named or _recognize(upload, feed, kind, settings.base, limits)
    except HarvestError as error:
        return _single(feed, failure(error, feed))
    if isinstance(chosen, Finding):
        return _single(upload.name if upload else feed, chosen)
    if is_web(feed):
        chosen = replace(chosen, url=feed)
    known = bool(source) and has_ledger(settings.ledger)
    arguments = (chosen, upload, settings.base, network_settings(settings))
    if not known:
        report = check_feed(*arguments, engine=settings.shapes_engine, limits=limits)
        note = f"plan for {source}: not known, since this machine has no ledger" if source else ""
        return replace(report, plan_note=note)
    with closing(Ledger(settings.ledger)) as ledger:
        return check_feed(*arguments, engine=settings.shapes_engine, ledger=ledger, limits=limits)


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
    """Return the definition that the page /join would write for a feed. Raises _UnrecognizedError,
    and HarvestError for a workbook that cannot be read.
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
        if missing:
            return _missing(missing, suggestion.paths)
    return parse("preflight", tomllib.loads(source_toml(state)), "feed")


def _missing(titles: list[str], names: Sequence[str]) -> Finding:
    """Return the finding that fields were not recognized among *names*."""
    if not names:
        return _NO_RECORDS
    needed, listed = " and no ".join(titles), ", ".join(names[:_MAX_NAMES])
    return Finding(
        "feed-fields",
        Level.ERROR,
        f"The feed has no {needed} that is recognized: which of these fields is it? {listed}",
        f"Write {' and '.join(f'`{title} = ...`' for title in titles)} below [fields] in a source "
        "definition, and name it with --definition; the page /join writes one.",
        line=1,
    )


def _single(feed: str, finding: Finding) -> PreflightReport:
    """Return the report of a feed that could not be read at all."""
    count = RuleCount(finding.rule, finding.level, finding.message, finding.remedy, 1)
    return PreflightReport(feed, "unknown", "unknown", rules=(count,), findings=(finding,))
