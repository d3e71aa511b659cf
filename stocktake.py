"""The command line of Stocktake: its global options, and a table of its commands."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from command_line.lazy_group import is_help_wanted, lazy_group
from command_line.settings import option
from harvesters.errors import HarvestError
from journal.errors import JournalError
from vocab.iris import BASE
from web.branding import NO_CONTACT

_HARVESTERS, _SCHEDULE = "command_line.harvesting.harvest", "command_line.harvesting.schedule"
_GROUPS = "command_line.harvesting.groups"
_PUBLISHER, _SERVICES = "command_line.publishing.publish", "command_line.services"
# By name: the module, its app, the command in the app ("": the app itself), and the help that
# `stocktake --help` prints.
COMMANDS = {
    "serve": (
        _SERVICES,
        "app",
        "serve",
        "Serve the published data (SPARQL, pages, linked data, dumps) and the admin pages; to harvest on schedule too, run `stocktake up`.",
    ),
    "up": (
        _SERVICES,
        "app",
        "up",
        "Run the scheduler, the server and (if set) releases until Ctrl-C, restarting each process that exits.",
    ),
    "mirror": (
        _SERVICES,
        "app",
        "mirror",
        "Mirror another Stocktake: copy its journal into this data directory, checking the hash of each entry.",
    ),
    "demo": (
        _SERVICES,
        "app",
        "demo",
        "Run a demo: start the portal, harvest simulated registries and make a release.",
    ),
    "harvest": (_HARVESTERS, "app", "harvest", "Harvest registries and publish the changes."),
    "remap": (
        _HARVESTERS,
        "app",
        "remap",
        "Re-map archived data with today's mappings and rules, offline.",
    ),
    "schedule": (
        _SCHEDULE,
        "app",
        "schedule",
        "Harvest each source on its schedule until Ctrl-C.",
    ),
    "worker": (
        _SCHEDULE,
        "app",
        "worker",
        "Run harvests queued in the PostgreSQL ledger, on any number of machines, until Ctrl-C or SIGTERM.",
    ),
    "preflight": (
        "command_line.preflight",
        "app",
        "preflight",
        "Check a feed before it is published: what is understood, what is wrong and where, and what would change.",
    ),
    "explain": (
        "command_line.harvesting.explain",
        "app",
        "explain",
        "Explain the statements of a record: run, request, archived bytes, field and mapping of each, or that it is ours.",
    ),
    "sources": (
        _GROUPS,
        "sources",
        "",
        "Source definitions: list, check, preview, report, hold, clear, retire, forget.",
    ),
    "runs": (_GROUPS, "runs", "", "Runs and their results."),
    "archive": (
        "command_line.harvesting.archive",
        "app",
        "",
        "The archive of responses: prune by age and size.",
    ),
    "plans": (_GROUPS, "plans", "", "Plans that await approval."),
    "identity": (
        "command_line.harvesting.identity",
        "app",
        "",
        "One initiative, organization or document in several registries: match, decide, undo.",
    ),
    "inbox": (
        "command_line.harvesting.inbox",
        "app",
        "",
        "Notifications between installations: list, offer, announce, undo.",
    ),
    "prizes": (
        "command_line.harvesting.prizes",
        "app",
        "",
        "Contests for prizes: editions, experts, nominations and results.",
    ),
    "dump": (
        _PUBLISHER,
        "app",
        "dump",
        "Write complete dumps: N-Quads, Turtle, and a CSV of removed records (gzip), each with its SHA-256.",
    ),
    "release": (
        _PUBLISHER,
        "app",
        "release",
        "Make the next release: signed, numbered files of all published data.",
    ),
    "report": (
        _PUBLISHER,
        "app",
        "report",
        "Write the stocktaking report of a release as HTML and PDF.",
    ),
    "query": (
        _PUBLISHER,
        "app",
        "query",
        "Run a SPARQL query on the published data, without a server.",
    ),
    "diff": (
        "command_line.publishing.diff",
        "app",
        "diff",
        "Compare the records at two moments: counts, new, vanished, gone and changed, or one record field by field.",
    ),
    "export": (
        "command_line.publishing.editions",
        "app",
        "",
        "Write a release for use without a server: a static site, or a file for Kiwix.",
    ),
    "mcp": (
        _SERVICES,
        "app",
        "mcp",
        "Answer an AI assistant on standard input and output, by the Model Context Protocol, until the input ends.",
    ),
    "examples": ("command_line.publishing.examples", "app", "", "The example queries."),
    "store": (
        "command_line.publishing.store",
        "app",
        "",
        "Check or rebuild the RDF store.",
    ),
    "verify": (
        "command_line.verification",
        "app",
        "verify",
        "Check every file of the data directory for damage.",
    ),
    "backup": (
        "command_line.backup",
        "app",
        "backup",
        "Back up what cannot be made again.",
    ),
    "restore": (
        "command_line.backup",
        "app",
        "restore",
        "Restore a backup into an empty data directory, checking every file.",
    ),
    "upgrade": (
        "command_line.upgrade",
        "app",
        "upgrade",
        "Upgrade the ledger and the data directory of an older version.",
    ),
    "topics": (
        "command_line.harvesting.topics",
        "app",
        "",
        "Goals, targets and action lines suggested from texts.",
    ),
    "crosswalk": (
        "command_line.harvesting.crosswalk",
        "app",
        "",
        "Words that no crosswalk translates.",
    ),
    "keys": ("command_line.harvesting.keys", "app", "", "Keys of the admin pages and API."),
    "shapes": ("command_line.shapes", "app", "", "SHACL shapes that validate records."),
    "vocabulary": (
        "command_line.vocabulary",
        "app",
        "",
        "The vocabulary: ontology, concept schemes and crosswalks.",
    ),
}

# By heading of `stocktake --help`: its commands.
PANELS = {
    "Run": ("demo", "serve", "up", "schedule", "worker", "mirror", "mcp"),
    "Harvest": ("sources", "preflight", "harvest", "remap", "runs", "plans", "explain", "archive"),
    "Curate": ("identity", "topics", "crosswalk", "inbox", "prizes", "shapes", "vocabulary"),
    "Publish": ("release", "report", "dump", "export", "query", "diff", "examples"),
    "Maintain": ("keys", "verify", "store", "backup", "restore", "upgrade"),
}

_err = Console(stderr=True)
app = typer.Typer(
    cls=lazy_group(COMMANDS, PANELS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Harvest registries and publish them as linked data.",
)


def _print_version(is_set: bool) -> None:
    if is_set:
        print(f"stocktake {version('stocktake')}")
        raise typer.Exit


ShowVersion = Annotated[
    bool,
    typer.Option(
        "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
    ),
]
ParentProcess = Annotated[
    int,
    typer.Option(
        "--parent", help="Process id of the parent: exit when it exits; 0 = run on.", min=0
    ),
]


@app.callback()
def configure(
    context: typer.Context,
    data: Annotated[Path, option("STOCKTAKE_DATA")] = Path("data"),
    sources: Annotated[Path, option("STOCKTAKE_SOURCES")] = Path("sources"),
    base: Annotated[str, option("STOCKTAKE_BASE")] = BASE,
    ledger: Annotated[str, option("STOCKTAKE_LEDGER")] = "",
    allow_hosts: Annotated[str, option("STOCKTAKE_ALLOW_HOSTS")] = "",
    contact: Annotated[str, option("STOCKTAKE_CONTACT")] = NO_CONTACT,
    name: Annotated[str, option("STOCKTAKE_NAME")] = "",
    logo: Annotated[str, option("STOCKTAKE_LOGO")] = "",
    shapes_engine: Annotated[str, option("STOCKTAKE_SHAPES_ENGINE")] = "rust",
    processes: Annotated[int | None, option("STOCKTAKE_WORKER_PROCESSES", min=0, max=512)] = None,
    dask: Annotated[str, option("STOCKTAKE_DASK")] = "",
    limits: Annotated[str, option("STOCKTAKE_QUERY_LIMITS")] = "",
    sparql_url: Annotated[str, option("STOCKTAKE_SPARQL_URL")] = "",
    sparql_update_url: Annotated[str, option("STOCKTAKE_SPARQL_UPDATE_URL")] = "",
    graph_store_url: Annotated[str, option("STOCKTAKE_GRAPH_STORE_URL")] = "",
    proxies: Annotated[str, option("STOCKTAKE_TRUSTED_PROXIES")] = "",
    public_url: Annotated[str, option("STOCKTAKE_PUBLIC_URL")] = "",
    releases: Annotated[str, option("STOCKTAKE_RELEASES")] = "",
    comments: Annotated[str, option("STOCKTAKE_COMMENTS")] = "",
    hub: Annotated[str, option("STOCKTAKE_WEBSUB_HUB")] = "",
    smtp: Annotated[str, option("STOCKTAKE_SMTP_URL")] = "",
    oidc: Annotated[str, option("STOCKTAKE_OIDC_URL")] = "",
    webhook_secret: Annotated[str, option("STOCKTAKE_WEBHOOK_SECRET")] = "",
    store: Annotated[str, option("STOCKTAKE_OBJECT_STORE_URL")] = "",
    parent: ParentProcess = 0,
    log_format: Annotated[str, option("STOCKTAKE_LOG_FORMAT")] = "",
    show_version: ShowVersion = False,
) -> None:
    """Check the settings before any command runs; the help of a command needs none."""
    base_source = context.get_parameter_source("base")
    values = {**context.params, "data": data, "sources": sources}  # these two as Path, not str
    del values["parent"], values["show_version"]
    is_base_set = base_source is not None and base_source.name != "DEFAULT"

    def check() -> object:
        # late, since it imports most libraries
        validation = import_module("command_line.validation")
        validation.prepare_process(parent, log_format)
        return validation.check_settings(is_base_set=is_base_set, **values)

    context.obj = check if is_help_wanted(context) else check()


def read_setting_files() -> None:
    """Set each setting whose variable ends with _FILE to the text of that file, without the last
    line end; exit with 2 if it cannot be read, or if the setting itself is set as well.
    """
    for name in [name for name in os.environ if name.startswith("STOCKTAKE_")]:
        setting = name.removesuffix("_FILE")
        if setting == name:
            continue
        problem, path = "", os.environ.pop(name)
        try:
            text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            problem = f"{path} cannot be read ({getattr(error, 'strerror', None) or error})"
        else:
            if setting in os.environ:
                problem = f"{setting} is set as well; remove one of the two"
            os.environ[setting] = text
        if problem:
            _err.print(f"{name}: {problem}", style="red", markup=False, soft_wrap=True)
            sys.exit(2)


def main() -> None:
    """Run the command line. Exit with 1 after a known error, printed on one line, with 2 after a
    wrong setting or permission error.
    """
    for name in [
        name for name, value in os.environ.items() if name.startswith("STOCKTAKE_") and not value
    ]:
        # an empty variable counts as not set, so that a compose file can list all of them
        del os.environ[name]
    read_setting_files()
    try:
        app()
    except PermissionError as error:
        if error.filename is None:
            raise
        _err.print(
            f"{error.filename}: {error.strerror}; run as its owner, or change the owner",
            style="red",
            markup=False,
        )
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f"{error.filename}: " if error.filename else ""
        _err.print(
            f"{where}{error.strerror}; free space, then run the command again",
            style="red",
            markup=False,
        )
        sys.exit(1)
    except (HarvestError, JournalError) as error:
        _err.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
