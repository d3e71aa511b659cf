"""Print the results and messages of commands, with few imports, so that commands start quickly."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, NoReturn

import orjson
import typer
from rich.console import Console

out, err = Console(), Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def print_json(value: object, *, is_indented: bool = False) -> None:
    """Print a value as JSON; dataclasses and times are written too."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2 * is_indented).decode())


def print_lines(*lines: str) -> None:
    """Print lines as they are, however long."""
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def check_choice(text: str, known: Collection[str], what: str = "format") -> None:
    """Exit with 2 if a text is not one of the known ones; "" is among them if it is the default."""
    if text not in known:
        names = ", ".join(filter(None, known))
        raise typer.BadParameter(f"unknown {what} {text!r}; known are {names}")


def print_some(lines: Sequence[str], most: int, indent: str = "") -> None:
    """Print at most *most* lines, and how many more there are."""
    more = [f"{indent}and {len(lines) - most} more; --json lists them all"]
    print_lines(*lines[:most], *(more if len(lines) > most else ()))


def print_note(text: str, style: str = "") -> None:
    """Print a message on standard error as it is."""
    err.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Print why a command ends, and end it with an exit code."""
    print_note(message, "red")
    raise typer.Exit(code)
