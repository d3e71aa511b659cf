"""Make commands from operations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from inspect import Parameter, Signature
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from typer.main import get_group

from command_line.harvesting.output import Json, current_user, err, print_runs
from command_line.harvesting.terminal import harvest_context, load_source
from command_line.settings import Context
from harvesters.ledger.models import Run
from harvesters.runs import run_report
from harvesters.runs.operations import Operation, OverrideRequest
from harvesters.source import Source

_ABOUT = {
    "name": Annotated[str, typer.Argument(help="The source.")],
    "id": Annotated[str, typer.Argument(metavar="ID", help="Plan id (the id of its run).")],
}
_OVERRIDE = Annotated[
    str | None,
    typer.Option(metavar="LIMIT=VALUE", help="Let one later run exceed a limit: vanished=0.6."),
]
_UNTIL = Annotated[str, typer.Option(help="End of the override: a date or number of days.")]


def make_command(operation: Operation[..., Any]) -> Any:
    """Return the command of an operation; with ``--json`` if it returns a run."""
    word = operation.command.split()[-1]
    returns_run = operation.hints["return"] is Run
    about = "id" if "id" in operation.about else "name"

    def run(ctx: Context, **values: Any) -> None:
        as_json, name = values.pop("json", False), values.pop(about)
        with harvest_context(ctx.obj) as context:
            objects = [name]
            if about == "id":
                source = run_report.get_run(name, context.ledger).source
                objects = [load_source(ctx.obj, source), name]
            elif operation.hints[operation.about[0]] is Source:
                objects = [load_source(ctx.obj, name)]
            _parse_values(values, context.now())
            try:
                given = operation.input(**values)
            except ValidationError as error:
                first = error.errors()[0]
                raise typer.BadParameter(f"--{first['loc'][0]}: {first['msg']}") from error
            result = operation.perform(context, tuple(objects), current_user(), given)
        if returns_run:
            print_runs([run_report.run_row(result)], operation.done, as_json)
        else:
            err.print(operation.done % {"name": name}, markup=False)

    parameters = [_parameter("ctx", typer.Context), _parameter(about, _ABOUT[about])]
    for field, info in operation.input.model_fields.items():
        parameters += _options(field, info)
    if returns_run:
        parameters.append(_parameter("json", Json, False))
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    app = typer.Typer()
    app.command(word, help=operation.function.__doc__)(run)
    return get_group(app).commands[word]


def _options(name: str, field: FieldInfo) -> list[Parameter]:
    if name == "override":
        return [_parameter(name, _OVERRIDE, None), _parameter("until", _UNTIL, "7")]
    kind = Annotated[field.annotation, typer.Option(help=field.description)]  # type: ignore[name-defined]
    return [_parameter(name, kind, field.default)]


def _parameter(name: str, kind: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)


def _parse_values(values: dict[str, Any], now: datetime) -> None:
    """Replace an override and its end by what the operation takes; exit with 2 if it is malformed."""
    until = values.pop("until", "")
    if text := values.get("override"):
        limit, _, value = text.partition("=")
        try:
            raised = float(value)
        except ValueError as error:
            raise typer.BadParameter(
                f"--override is {text!r}; use a limit and its value, e.g. vanished=0.6"
            ) from error
        values["override"] = OverrideRequest(limit, raised, _parse_until(until, now))


def _parse_until(text: str, now: datetime) -> datetime:
    """Parse a day (until its end), a time, or a number of days from *now*."""
    try:
        if text.isdigit():
            return now + timedelta(days=int(text))
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"--until is {text!r}; use a day such as 2026-03-31, or a number of days"
        ) from error
    end = time + timedelta(days=1) if len(text) <= len("2026-03-31") else time
    return end.replace(tzinfo=UTC) if end.tzinfo is None else end.astimezone(UTC)
