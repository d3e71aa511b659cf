"""Make commands from operations; and define the commands of keys."""

from __future__ import annotations

from dataclasses import asdict
from inspect import Parameter, Signature
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from typer.main import get_group

from command_line.console import Json, print_json, print_note, print_rows
from command_line.settings import Context, Settings
from command_line.workspace import (
    current_user,
    harvest_context,
    load_source,
    open_ledger,
    print_runs,
)
from harvesters.admin.actions import create_key
from harvesters.admin.schemas import key_view
from harvesters.errors import InvalidInputError
from harvesters.ledger import operators
from harvesters.ledger.models import Run
from harvesters.network.fetch import utc_now
from harvesters.runs import run_report
from harvesters.runs.operations import MAX_OVERRIDE_DAYS, Operation, OverrideRequest
from harvesters.source import Source

_ABOUT = {
    "name": Annotated[str, typer.Argument(help="The source.")],
    "source": Annotated[str, typer.Argument(help="The source.")],
    "edition": Annotated[
        str, typer.Argument(metavar="EDITION", help="Id of an edition, the stem of its file.")
    ],
    "key_id": Annotated[
        str, typer.Argument(metavar="ID", help="Id of the key; see `stocktake keys list`.")
    ],
    "pair": Annotated[
        str, typer.Argument(metavar="PAIR", help="Id of a pair, as `identity queue` lists it.")
    ],
    "id": Annotated[str, typer.Argument(metavar="ID", help="Plan id (the id of its run).")],
}


def make_command(operation: Operation[..., Any]) -> Any:
    """Return the command of an operation; with ``--json`` if it returns a run."""
    group, word = operation.command.split()
    known = [name for name in ("id", "edition", "pair", "key_id") if name in operation.about]
    about = known[0] if known else "name" if group == "sources" else "source"
    required = {name for name, field in operation.input.model_fields.items() if field.is_required()}

    def run(ctx: Context, **values: Any) -> None:
        run_operation(ctx.obj, operation, values.pop(about), values)

    parameters = [_parameter("ctx", Context), _parameter(about, _ABOUT[about])]
    for name, field in operation.input.model_fields.items():
        parameters += _parameters(name, field, is_argument=name in required)
    if operation.hints["return"] is Run:
        parameters.append(_parameter("json", Json, False))
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    single = typer.Typer()
    single.command(word, help=operation.function.__doc__)(run)
    return get_group(single).commands[word]


def run_operation(
    settings: Settings, operation: Operation[..., Any], about: str, values: dict[str, Any]
) -> Any:
    """Perform an operation for the person at the terminal, print what was done, and return it.

    *about* is the name of a source, or the id of a run; exit with 2 if the input is not valid.
    """
    as_json = values.pop("json", False)
    with harvest_context(settings) as context:
        objects: list[Source | str] = [about] * len(operation.about)
        if "id" in operation.about:
            objects[0] = load_source(settings, run_report.get_run(about, context.ledger).source)
        elif objects and operation.hints[operation.about[0]] is Source:
            objects[0] = load_source(settings, about)
        _parse_override(values)
        try:
            given = operation.input(**values)
        except ValidationError as error:
            first = error.errors()[0]
            raise typer.BadParameter(f"{first['loc'][0]}: {first['msg']}") from error
        result = operation.perform(context, tuple(objects), current_user(), given)
    if isinstance(result, Run):
        print_runs([run_report.run_row(result)], operation.done, as_json)
    elif operation.done:
        print_note(operation.done % {**values, "name": about, "result": result})
    return result


def _parameters(name: str, field: FieldInfo, *, is_argument: bool) -> list[Parameter]:
    if name == "override":
        return [
            _parameter(
                name,
                Annotated[
                    str | None,
                    typer.Option(
                        metavar="LIMIT=VALUE",
                        help="Let one later run exceed a limit: vanished=0.6.",
                    ),
                ],
                None,
            ),
            _parameter(
                "days",
                Annotated[
                    int,
                    typer.Option(
                        help="Days within which the override is used.", min=1, max=MAX_OVERRIDE_DAYS
                    ),
                ],
                7,
            ),
        ]
    if is_argument:
        kind: Any = Annotated[field.annotation, typer.Argument(help=field.description)]
        return [_parameter(name, kind)]
    flags = [f"--{name}"] if field.annotation is bool else []  # without --no-NAME
    kind = Annotated[field.annotation, typer.Option(*flags, help=field.description)]
    return [_parameter(name, kind, field.default)]


def _parameter(name: str, kind: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)


def _parse_override(values: dict[str, Any]) -> None:
    """Replace an override and its days by what the operation takes; exit with 2 if it is malformed."""
    days = values.pop("days") if "override" in values else 0
    if text := values.get("override"):
        limit, _, value = text.partition("=")
        try:
            values["override"] = OverrideRequest(limit, float(value), days)
        except ValueError as error:
            raise typer.BadParameter(
                f"--override is {text!r}; use a limit and its value, e.g. vanished=0.6"
            ) from error


app = typer.Typer()


@app.command()
def create(
    context: Context,
    name: Annotated[
        str,
        typer.Argument(help="Owner of the key, as the audit log shows it: a person or a program."),
    ],
    allowed: Annotated[
        str,
        typer.Option(
            "--scope",
            help="submit = submit records; read = also look; operate = also act; admin = also manage keys.",
        ),
    ],
    expires: Annotated[
        int | None,
        typer.Option(help="Expires after this many days (default: never).", min=1, max=36500),
    ] = None,
    json: Json = False,
) -> None:
    """Create a key and print it once: the ledger stores only its hash."""
    values = {"name": name, "scope": allowed, "days": expires}
    try:
        key, token = run_operation(context.obj, create_key, "", values)
    except InvalidInputError as error:
        raise typer.BadParameter(str(error)) from error
    if json:
        print_json({**asdict(key_view(key, utc_now())), "key": token})
        return
    print(token)
    print_note("Copy this key now; it will not be shown again. Store it like a password.")


@app.command("list")
def list_keys(context: Context, json: Json = False) -> None:
    """List the keys, including revoked and expired ones. The secrets are not shown."""
    with open_ledger(context.obj) as ledger:
        views = [key_view(key, utc_now()) for key in operators.list_keys(ledger)]
    columns, empty = (
        "id name scope state expires last_used",
        "none; create one: stocktake keys create",
    )
    print_rows(views, "Keys", json, columns, empty=empty)
