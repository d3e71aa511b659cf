"""Define the settings; each is an option of the command line and an environment variable."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import typer
from typer.models import OptionInfo

from web.branding import NAME, NO_CONTACT, Branding

if TYPE_CHECKING:  # few commands need its HTTP client
    from publisher.store.external.client import StoreURLs

EngineName = Literal["rust", "reference"]


ALL_ADDRESSES = ("0.0.0.0", "::")  # all addresses of the machine
# The URL of a whole host.
SITE_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?\Z")
# The end of an option's variable, where it differs from the option's name.
_LONGER_NAMES = {
    "processes": "WORKER_PROCESSES",
    "limits": "QUERY_LIMITS",
    "proxies": "TRUSTED_PROXIES",
    "hub": "WEBSUB_HUB",
    "smtp": "SMTP_URL",
    "oidc": "OIDC_URL",
    "store": "OBJECT_STORE_URL",
}


def variable(name: str) -> str:
    """Return the environment variable of an option."""
    return f"STOCKTAKE_{_LONGER_NAMES.get(name, name.upper())}"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of all commands, checked by ``validation``."""

    VARIABLES: ClassVar[Mapping[str, str]] = {
        "STOCKTAKE_DATA": "Data directory: journal, archive, ledger, store and dumps.",
        "STOCKTAKE_SOURCES": "Directory of the source definitions (one TOML file per registry).",
        "STOCKTAKE_BASE": "Prefix of every IRI. Set it once: a change gives everything a new IRI.",
        "STOCKTAKE_LEDGER": "SQLAlchemy URL of the ledger (the state database). Default: SQLite in the data directory.",
        "STOCKTAKE_ALLOW_HOSTS": "Hosts on private networks that may be accessed (comma-separated).",
        "STOCKTAKE_CONTACT": "Contact address of the operator, shown on every page and sent in the User-Agent.",
        "STOCKTAKE_NAME": "Name of this installation, shown on pages and in feeds.",
        "STOCKTAKE_LOGO": "Logo file shown on pages: SVG, PNG, WebP or JPEG.",
        "STOCKTAKE_SHAPES_ENGINE": "SHACL engine for harvests: rust (fast) or reference (pyshacl).",
        "STOCKTAKE_WORKER_PROCESSES": "Worker processes for mapping and validating large sources. Default: cores - 1; 0 = none.",
        "STOCKTAKE_DASK": "Dask scheduler whose workers map and validate large sources instead, e.g. tcp://host:8786.",
        "STOCKTAKE_QUERY_LIMITS": "Query limits, e.g. seconds=30,memory=2GiB,budget=60. Limits that are not named keep their default.",
        "STOCKTAKE_RELEASES": "Cron line (UTC) of the releases that `up` makes. Default: no automatic releases.",
        "STOCKTAKE_OBJECT_STORE_URL": "URL of an object store shared by several machines, e.g. s3://bucket/stocktake.",
        "STOCKTAKE_SPARQL_URL": "URL of an external SPARQL endpoint to use instead of the embedded store.",
        "STOCKTAKE_SPARQL_UPDATE_URL": "URL for SPARQL updates of the external store, with user and password. Default: the SPARQL URL.",
        "STOCKTAKE_GRAPH_STORE_URL": "Graph Store Protocol URL of the external store, for bulk loads. Default: load with SPARQL updates.",
        "STOCKTAKE_TRUSTED_PROXIES": "Trusted reverse proxies: addresses or networks, comma-separated (their X-Forwarded-For is honoured).",
        "STOCKTAKE_PUBLIC_URL": "Public URL of this server, e.g. https://stocktaking.example. Absolute links begin with it.",
        "STOCKTAKE_COMMENTS": "on: readers may comment on posts, and moderators accept each comment before it is shown. Default: off.",
        "STOCKTAKE_WEBSUB_HUB": "URL of the WebSub hub to notify of each change.",
        "STOCKTAKE_SMTP_URL": "Mail server for alerts: smtp://USER:PASSWORD@HOST:PORT?from=ADDRESS (STARTTLS), or smtps:.",
        "STOCKTAKE_OIDC_URL": "OpenID Connect provider that submitters may sign in with: https://CLIENT:SECRET@HOST/PATH, its issuer.",
        "STOCKTAKE_LOG_FORMAT": "logfmt or json: the form of log lines on standard error. Default: prose on a terminal, else logfmt.",
        "STOCKTAKE_WEBHOOK_SECRET": "Secret that signs the webhooks of alerts.",
    }

    data: Path
    sources: Path
    base: str
    ledger: str
    allow_hosts: frozenset[str]
    contact: str
    shapes_engine: EngineName
    limits: str = ""
    proxies: str = ""
    releases: str = ""
    comments: bool = False
    hub: str = ""
    smtp: str = ""
    oidc: str = ""
    webhook_secret: str = ""
    log_format: str = ""
    store: str = ""
    processes: int | None = 0  # None: one less than the processors
    dask: str = ""
    public_url: str = ""  # without a slash at its end
    elsewhere: StoreURLs | None = None  # the external store, if one is set
    is_base_set: bool = False  # whether the base was set
    name: str = NAME
    logo: Path | None = None
    demo: bool = False  # whether the data directory holds demo data

    def program(self) -> str:
        """Return how the program is called in a terminal: on a demo's data, with its path and the
        data folder, since the demo's user has set neither.
        """
        return f"{program_path()} --data {self.data}" if self.demo else "stocktake"

    def branding(self, demo: bool) -> Branding:
        """Return what pages show of this installation, and whether their data are a demo's."""
        contact = self.contact if self.contact != NO_CONTACT else ""
        return Branding(self.name, contact, self.logo, demo)

    def environment(self) -> dict[str, str]:
        """Return the environment for a child process with the same settings."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["allow_hosts"] = ",".join(sorted(self.allow_hosts))
        values["comments"] = "on" if self.comments else ""
        variables = {
            variable(name): "" if value is None else str(value)
            for name, value in values.items()
            if variable(name) in Settings.VARIABLES
        }
        return {
            **os.environ,
            **variables,
            **(self.elsewhere.environment() if self.elsewhere else {}),
        }


class Context(typer.Context):
    """The context of a command; its object is the settings."""

    obj: Settings


def program_path() -> Path:
    """Return the path of the installed program, relative to the current folder if it lies in it."""
    path, folder = Path(sys.executable).with_name("stocktake"), Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def option(variable: str, min: int | None = None, max: int | None = None) -> OptionInfo:
    """Return the option of a setting; its flag is the name of the variable without its prefix."""
    flag = "--" + variable.removeprefix("STOCKTAKE_").lower().replace("_", "-")
    info: OptionInfo = typer.Option(
        flag, envvar=variable, help=Settings.VARIABLES[variable], min=min, max=max
    )
    return info
