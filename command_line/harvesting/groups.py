"""Define the groups `sources`, `runs`, `plans` and `crosswalk`: a table of the commands of each, with its module."""

from __future__ import annotations

import typer

from command_line.lazy_group import lazy_group

SOURCES = {
    "list": "command_line.harvesting.sources:app.list",
    "check": "command_line.harvesting.sources:app.check",
    "preview": "command_line.harvesting.sources:app.preview",
    "report": "command_line.harvesting.explain:app.report",
    "hold": "harvesters.runs.operations:hold",
    "release": "harvesters.runs.operations:release",
    "clear": "harvesters.runs.operations:clear",
    "retire": "harvesters.runs.operations:retire",
    "resume": "harvesters.runs.operations:resume",
    "forget": "command_line.harvesting.explain:app.forget",
    "links": "command_line.harvesting.links:app.links",
}
RUNS = {
    "list": "command_line.harvesting.runs:app.list",
    "show": "command_line.harvesting.runs:app.show",
    "log": "command_line.harvesting.runs:app.log",
}
PLANS = {
    "list": "command_line.harvesting.plans:app.list",
    "show": "command_line.harvesting.plans:app.show",
    "approve": "harvesters.runs.operations:approve",
    "reject": "harvesters.runs.operations:reject",
    "undo": "harvesters.runs.operations:undo",
}

CROSSWALK = {
    "gaps": "command_line.harvesting.crosswalk:app.gaps",
    "add": "harvesters.runs.operations:translate",
}

sources = typer.Typer(
    cls=lazy_group(SOURCES, {"Commands": tuple(SOURCES)}),
    no_args_is_help=True,
    help="Source definitions: list, check, preview, report, hold, clear, retire, forget.",
)
runs = typer.Typer(
    cls=lazy_group(RUNS, {"Commands": tuple(RUNS)}, default="list"),
    help="Runs and their results. Default command: list.",
)
plans = typer.Typer(
    cls=lazy_group(PLANS, {"Commands": tuple(PLANS)}),
    no_args_is_help=True,
    help="Plans that await approval.",
)
crosswalk = typer.Typer(
    cls=lazy_group(CROSSWALK, {"Commands": tuple(CROSSWALK)}),
    no_args_is_help=True,
    help="Words that no crosswalk translates.",
)
