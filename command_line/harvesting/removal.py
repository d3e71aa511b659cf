"""Define the commands `sources clear`, `retire`, `resume` and `forget`."""

from __future__ import annotations

from dataclasses import asdict
from importlib import import_module
from typing import Annotated, Any

import orjson
import typer

from command_line.harvesting.output import Json, current_user, err, out, print_runs
from command_line.harvesting.terminal import harvest_context, load_source
from command_line.settings import Settings
from harvesters.errors import PlanError
from harvesters.ledger import operators
from harvesters.ledger.models import ActionType, AuditEntry, key_digest
from harvesters.reasons import Reason
from harvesters.runs import run_report
from harvesters.runs.status_file import update_status

app = typer.Typer()
_REMOVAL = "harvesters.runs.plans.removal"  # imported late, since it imports most libraries
_Name = Annotated[str, typer.Argument(help="The source.")]
_Note = Annotated[str, typer.Option("--reason", help="Reason, for the audit log.")]


@app.command()
def clear(ctx: typer.Context, name: _Name, reason: _Note = "", json: Json = False) -> None:
    """Plan to remove all records of a source. The next harvest after the approval publishes again
    what the source lists.
    """
    settings: Settings = ctx.obj
    source = load_source(settings, name)
    with harvest_context(settings) as context:
        plan = import_module(_REMOVAL).plan_clear(source, context, by=current_user(), note=reason)
        update_status(context)
    _print_plan(plan, json)


@app.command()
def retire(ctx: typer.Context, name: _Name, reason: _Note = "", json: Json = False) -> None:
    """Plan to retire a source: it is harvested no more, and its records stay as they are."""
    settings: Settings = ctx.obj
    source = load_source(settings, name)
    with harvest_context(settings) as context:
        plan = import_module(_REMOVAL).plan_retirement(
            source, context, by=current_user(), note=reason
        )
        update_status(context)
    _print_plan(plan, json)


@app.command()
def resume(ctx: typer.Context, name: _Name) -> None:
    """Harvest a retired source again, from its next due time on."""
    settings: Settings = ctx.obj
    with harvest_context(settings) as context:
        if not operators.resume_source(context.ledger, name, context.now()):
            raise PlanError(
                Reason(
                    "%(source)s: not retired; to list sources: `stocktake sources list`",
                    source=name,
                )
            )
        operators.record_audit_entry(
            context.ledger,
            AuditEntry(context.now(), current_user(), ActionType.RESUMED.value, name),
        )
        update_status(context)
    err.print(
        f"{name} is harvested again when it is due; now: stocktake harvest {name}", markup=False
    )


@app.command()
def forget(
    ctx: typer.Context,
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
    settings: Settings = ctx.obj
    source_name, key = _parse_key(iri, settings.base)
    source = load_source(settings, source_name)
    with harvest_context(settings) as context:
        if key_digest(key) not in operators.forgotten_keys(context.ledger, source.name):
            plan = import_module(_REMOVAL).plan_forgetting(source, key, context, by=current_user())
            update_status(context)
            _print_plan(plan, json)
            if not json:
                out.print(
                    f"after the approval: stocktake sources forget {iri}",
                    highlight=False,
                    markup=False,
                )
            return
        remaining = import_module(_REMOVAL).erase(source.name, key, context)
        note = f"SHA-256 of its key: {key_digest(key)}"
        entry = AuditEntry(
            context.now(), current_user(), ActionType.ERASED.value, source.name, note=note
        )
        operators.record_audit_entry(context.ledger, entry)
    if json:
        print(orjson.dumps(asdict(remaining)).decode())
    else:
        _print_remaining(remaining)


def _parse_key(text: str, base: str) -> tuple[str, str]:
    trace = import_module("harvesters.inspection.trace")
    try:
        source, key = trace.parse_iri(text, base)
    except trace.ExplainError as error:
        source, _, key = text.partition("/")
        if not key or ":" in source:
            raise typer.BadParameter(str(error)) from error
    return source, key


def _print_plan(plan: Any, json: bool) -> None:
    print_runs([run_report.run_row(plan.run)], "Plan", json)


def _print_remaining(remaining: Any) -> None:
    lines = [
        ("erased in the archive", remaining.erased),
        ("remains in journal entries, which are append-only", remaining.entries),
        ("remains in releases", remaining.releases),
        (
            "may remain in older archive files, until `stocktake archive prune` deletes them",
            remaining.files,
        ),
    ]
    for title, values in lines:
        out.print(
            f"{title}: {', '.join(map(str, values)) or 'none'}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    out.print(
        "remains in mirrors, backups and downloads made before; each mirror removes it from its pages with the next entry",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
