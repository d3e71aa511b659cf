"""The command line of Stocktake: its global options, and a table of its commands."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from command_line.commands import COMMANDS, is_help_wanted, lazy_group
from command_line.console import print_note
from command_line.settings import option
from harvesters.errors import HarvestError
from journal.errors import JournalError
from publisher.errors import PublisherError
from vocab.iris import BASE
from web.branding import NO_CONTACT

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Harvest registries and publish them as linked data.",
)


def _print_version(is_set: bool) -> None:
    if is_set:
        print(f"stocktake {import_module('importlib.metadata').version('stocktake')}")
        raise typer.Exit


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
    parent: Annotated[
        int,
        typer.Option(
            "--parent", help="Process id of the parent: exit when it exits; 0 = run on.", min=0
        ),
    ] = 0,
    log_format: Annotated[str, option("STOCKTAKE_LOG_FORMAT")] = "",
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Check the settings before any command runs; the help of a command needs none."""
    base_source = context.get_parameter_source("base")
    values = {**context.params, "data": data, "sources": sources}  # these two are Path, not str
    del values["parent"], values["show_version"]
    is_base_set = base_source is not None and base_source.name != "DEFAULT"

    def check() -> object:
        # It is imported late, since it imports most libraries.
        validation = import_module("command_line.validation")
        validation.prepare_process(parent, log_format)
        return validation.check_settings(is_base_set=is_base_set, **values)

    context.obj = check if is_help_wanted(context) else check()


def read_setting_files() -> None:
    """Set each setting whose variable ends with _FILE to the text of that file, without the last
    line end; exit with 2 if it cannot be read, or if the setting itself is set as well.
    """
    names = [
        name for name in os.environ if name.startswith("STOCKTAKE_") and name.endswith("_FILE")
    ]
    for name in names:
        setting, path = name.removesuffix("_FILE"), os.environ.pop(name)
        if setting in os.environ:
            _exit(f"{name}: {setting} is set as well; remove one of the two", 2)
        try:
            os.environ[setting] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or error
            _exit(f"{name}: {path} cannot be read ({problem})", 2)


def _exit(message: str, code: int) -> NoReturn:
    print_note(message, "red")
    sys.exit(code)


def main() -> None:
    """Run the command line. Exit with 1 after a known error, which is printed on one line, and with
    2 after a wrong setting or a permission error.
    """
    # An empty variable counts as not set, so that a compose file can list all of them.
    for name in [
        name for name, value in os.environ.items() if name.startswith("STOCKTAKE_") and not value
    ]:
        del os.environ[name]
    read_setting_files()
    # Looking for plugins of pydantic, of which there are none, takes a twentieth of the start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        app()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f"{error.filename}: " if error.filename else ""
            _exit(f"{where}{error.strerror}; free space, then run the command again", 1)
        if not isinstance(error, PermissionError) or error.filename is None:
            raise
        _exit(f"{error.filename}: {error.strerror}; run as its owner, or change the owner", 2)
    except (HarvestError, JournalError) as error:
        _exit(str(error), error.exit_code)
    except PublisherError as error:
        _exit(str(error), 1)


if __name__ == "__main__":
    main()
