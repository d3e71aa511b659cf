"""All benchmarks, one after the other, each in a process of its own; `make bench` runs this."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Any

import orjson
import typer

from benchmarks.result_table import Aim, Json, Line, show

NAMES = (
    "map",
    "validation",
    "pool",
    "isolation",
    "end_to_end",
    "sparql",
    "columns",
    "runaway_queries",
    "release",
    "feeds",
    "portal",
    "trust_limits",
    "memory",
    "inventory",
)
_OWN_TABLES = ("trust_limits", "columns")  # these print tables of their own, without pairs


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(help=f"Which to run: {', '.join(NAMES)}; all if none is named."),
    ] = None,
    json: Json = False,
) -> None:
    """Compare the cost of this program with its peers and list which aims are met; exit with 1 if a
    benchmark could not be run.

    Options after a single name are those of that benchmark: ``python -m benchmarks portal --records
    100000``.
    """
    if names and len(names) > 1 and names[1].startswith("-"):
        line = [
            sys.executable,
            "-m",
            f"benchmarks.{names[0]}",
            *names[1:],
            *(["--json"] if json else []),
        ]
        raise typer.Exit(subprocess.run(line, check=False).returncode)
    failed, rows = [], list[dict[str, Any]]()
    for name in names or NAMES:
        if name in _OWN_TABLES and not json:
            if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
                failed.append(name)
            continue
        process = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", "--json"],
            stdout=subprocess.PIPE,
            check=False,
        )
        if process.returncode:
            failed.append(name)
            continue
        result = orjson.loads(process.stdout)
        rows += result
        if not json:
            show(result[0]["benchmark"], [_line(row) for row in result], json=False)
    if json:
        print(orjson.dumps(rows).decode())
    elif rows:
        show("Summary", [_line(row) for row in rows if row["aim"]], json=False)
    if failed:
        print(f"not run: {', '.join(failed)}", file=sys.stderr)
    raise typer.Exit(int(bool(failed)))


def _line(row: dict[str, Any]) -> Line:
    values = {name: value for name, value in row.items() if name not in ("benchmark", "met", "aim")}
    return Line(**values, aim=Aim(**row["aim"]) if row["aim"] else None)


app = typer.Typer(add_completion=False)
app.command(context_settings={"ignore_unknown_options": True})(main)

if __name__ == "__main__":
    app()
