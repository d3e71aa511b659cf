"""Define the groups `sources`, `runs` and `plans`: a table of the commands of each, with its module and
the help that the group prints.
"""

from __future__ import annotations

import typer

from command_line.lazy_group import lazy_group

_SOURCES, _REMOVAL = "command_line.harvesting.sources", "command_line.harvesting.removal"
_RUNS, _PLANS = "command_line.harvesting.runs", "command_line.harvesting.plans"
SOURCES = {
    "list": (
        _SOURCES,
        "app",
        "list",
        "List sources: schedule, last run, published records and hold; with --json also the rest.",
    ),
    "check": (_SOURCES, "app", "check", "Check source definitions offline."),
    "preview": (
        _SOURCES,
        "app",
        "preview",
        "Fetch and validate a few records of a source without saving anything.",
    ),
    "report": (
        _SOURCES,
        "app",
        "report",
        "Report, as JSON, what the newest run of a source withheld and fixed, by rule and the publisher's own field.",
    ),
    "hold": (_SOURCES, "app", "hold", "Put a source on hold: its next plans need approval."),
    "release": (_SOURCES, "app", "release", "End a source's hold."),
    "clear": (_REMOVAL, "app", "clear", "Plan to remove all records of a source."),
    "retire": (
        _REMOVAL,
        "app",
        "retire",
        "Plan to retire a source: it is harvested no more, and its records stay as they are.",
    ),
    "resume": (
        _REMOVAL,
        "app",
        "resume",
        "Harvest a retired source again, from its next due time on.",
    ),
    "forget": (
        _REMOVAL,
        "app",
        "forget",
        "Plan to remove one record for good; after the approval, run it again: it erases the record, and lists where it remains.",
    ),
    "links": (
        "command_line.harvesting.links",
        "app",
        "links",
        "List the web pages that a source's records name, with their states and the history of these.",
    ),
}
RUNS = {
    "list": (_RUNS, "app", "list", "List runs, newest first, with counts and outcome."),
    "show": (
        _RUNS,
        "app",
        "show",
        "Show the statistics of a run and its records: all with one outcome, or some of each.",
    ),
    "log": (_RUNS, "app", "log", "Show the log of a run, also of one in progress."),
}
PLANS = {
    "list": (
        _PLANS,
        "app",
        "list",
        "List plans that await approval, oldest first, with the reasons.",
    ),
    "show": (
        _PLANS,
        "app",
        "show",
        "Show the changes of a plan: statistics, and each changed or unpublished record.",
    ),
    "approve": (_PLANS, "app", "approve", "Approve a plan and publish its changes."),
    "reject": (_PLANS, "app", "reject", "Reject a plan and keep the published data."),
    "undo": (
        _PLANS,
        "app",
        "undo",
        "Undo an approval, until the next run of the source: restore what was published before.",
    ),
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
