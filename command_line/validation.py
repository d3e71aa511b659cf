"""Check the settings before a command runs. Each error is a typer.BadParameter that names the
setting and the remedy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import typer

from command_line.settings import SITE_URL, Settings, variable
from demo.source_definitions import is_demo
from harvesters.runs.run_log import record_line
from journal import store as shared
from journal.data_format import check_formats
from journal.errors import JournalError
from journal.processes import exit_with_parent
from journal.store import read_origin
from journal.tracing import configure_tracing
from publisher.logs import LOG_FORMATS, configure_logging
from vocab.iris import is_web
from web.branding import DEMO_NAME, NAME, check_logo

if TYPE_CHECKING:
    from publisher.store.external.client import StoreURLs

_MIN_SECRET = 16  # characters of the secret that signs webhooks
_LONGEST_NAME = 80  # characters of the name of an installation; every page title contains it
_STOP_TIMEOUT = 10.0  # seconds for a process to exit by itself after its parent exited
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+\Z|[0-9A-Fa-f:.]+\Z")  # a name, IPv4 or IPv6 address
_SCHEDULER_URL = re.compile(r"(?:tcp|tls)://[^\s/]+:\d{1,5}\Z")


def prepare_process(parent: int, log_format: str) -> None:
    """Configure logging and traces, and end this process when its *parent* ends, if that is not 0."""
    configure_logging(record_line, form=log_format if log_format in LOG_FORMATS else "")
    if reason := configure_tracing(os.environ):
        structlog.get_logger().warning("tracing disabled", reason=reason)
    if parent:
        exit_with_parent(parent, _STOP_TIMEOUT)


# By the name of an option: the check of its text, and the remedy.
_VALID: Mapping[str, tuple[Callable[[str], object], str]] = {
    "shapes_engine": (("rust", "reference").__contains__, "use rust or reference"),
    "base": (
        lambda text: is_web(text) and text[-1] in "/#",
        "use a URL that ends with a slash",
    ),
    "contact": (
        lambda text: text.isprintable() and text.isascii(),
        "use plain ASCII, e.g. an e-mail address",
    ),
    "name": (
        lambda text: text.isprintable() and len(text) <= _LONGEST_NAME,
        f"use at most {_LONGEST_NAME} printable characters",
    ),
    "dask": (_SCHEDULER_URL.match, "use the URL of a Dask scheduler, e.g. tcp://host:8786"),
    "public_url": (
        SITE_URL.match,
        "use a URL without a path, e.g. https://stocktaking.example",
    ),
    "comments": (("on", "off").__contains__, "use on or off"),
    "hub": (is_web, "use the URL of a WebSub hub"),
    "store": (lambda text: "://" in text, "use a URL such as s3://bucket/stocktake"),
    "webhook_secret": (
        lambda text: len(text) >= _MIN_SECRET,
        f"use {_MIN_SECRET} characters or more; make one with `openssl rand -hex 32`",
    ),
    "allow_hosts": (
        lambda text: all(map(_HOST_NAME.match, _parts(text))),
        "use host names or IP addresses, without scheme and port",
    ),
    "log_format": (LOG_FORMATS.__contains__, f"use {' or '.join(LOG_FORMATS)}"),
}


def _check_database(url: str) -> None:
    sqlalchemy = import_module("sqlalchemy")  # late: the process of `up` opens no database
    try:
        sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError as error:
        raise ValueError(
            "not a SQLAlchemy URL, e.g. postgresql+psycopg://user@host/name"
        ) from error


# By the name of an option: the function that reads its text, or raises an error that describes the
# fault. A module that few installations need is imported late.
_READ: Mapping[str, Callable[[str], object]] = {
    "limits": lambda text: import_module("publisher.limits").read(text),
    "logo": lambda path: check_logo(Path(path)),
    "proxies": lambda text: [ip_network(network, strict=False) for network in _parts(text)],
    "releases": lambda text: import_module("publisher.releases.schedule").trigger(text),
    "ledger": _check_database,
    "smtp": lambda url: import_module("harvesters.notifications.delivery").parse_mail_server(url),
    "oidc": lambda url: import_module("harvesters.participation.submitters").parse_provider(url),
}
_SECRET = ("ledger", "smtp", "oidc", "webhook_secret")  # texts that a message does not repeat


def _check_texts(values: Mapping[str, Any]) -> None:
    """Check the options that are texts, if they are set."""
    entered = {
        name: variable(name) + ("" if name in _SECRET else f" is {value!r}")
        for name, value in values.items()
    }
    for name, (is_valid, remedy) in _VALID.items():
        if values[name] and not is_valid(values[name]):
            raise typer.BadParameter(f"{entered[name]}; {remedy}")
    for name, read in _READ.items():
        try:
            if values[name]:
                read(values[name])
        except (ValueError, OSError) as error:
            raise typer.BadParameter(f"{entered[name]}: {error}") from error


def check_settings(*, is_base_set: bool, **values: Any) -> Settings:
    """Return the settings, from the values of the command line's options and of the environment as
    they were entered.
    """
    for name in sorted(os.environ):
        if name.startswith("STOCKTAKE_") and name not in Settings.VARIABLES:
            known = ", ".join(Settings.VARIABLES)
            raise typer.BadParameter(f"unknown setting {name}; known settings: {known}")
    _check_texts(values)
    data = writable_directory(values["data"])
    check_formats(data)
    demo, logo = is_demo(data, values["sources"]), values["logo"]
    urls = (
        values.pop("sparql_url"),
        values.pop("sparql_update_url"),
        values.pop("graph_store_url"),
    )
    return Settings(
        **values
        | {
            "base": _base(values["base"], data, is_set=is_base_set),
            "ledger": values["ledger"] or f"sqlite:///{data}/ledger.sqlite",
            "allow_hosts": frozenset(_parts(values["allow_hosts"])),
            "public_url": values["public_url"].rstrip("/"),
            "comments": values["comments"] == "on",
            "store": _store(values["store"], data),
            "elsewhere": _external_store(*urls),
            "is_base_set": is_base_set,
            "name": values["name"].strip() or (DEMO_NAME if demo else NAME),
            "logo": Path(logo).absolute() if logo else None,
            "demo": demo,
        }
    )


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def writable_directory(data: Path) -> Path:
    """Check that this user can write the data directory and its files."""
    existing = next(path for path in (data.absolute(), *data.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise typer.BadParameter(f"STOCKTAKE_DATA is {str(data)!r}, but {existing} is a file")
    files = sorted(data.iterdir()) if existing == data.absolute() else []
    for path in (existing, *filter(Path.exists, files)):
        if not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
            raise typer.BadParameter(
                f"STOCKTAKE_DATA is {str(data)!r}, but {path} is not writable; run as its owner, or use another directory (--data)"
            )
    return data


def _store(url: str, data: Path) -> str:
    """Record the object store in the data directory: later commands use it without the setting."""
    try:
        if url:
            shared.bind_replica(data / "journal", url)
    except JournalError as error:
        raise typer.BadParameter(f"STOCKTAKE_OBJECT_STORE_URL: {error}") from error
    return url


def _external_store(*urls: str) -> StoreURLs | None:
    if not any(urls):
        return None
    # It is imported late, since few commands need its HTTP client.
    client = import_module("publisher.store.external.client")
    try:
        parsed: StoreURLs = client.parse_settings(*urls)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return parsed


def _base(base: str, data: Path, *, is_set: bool) -> str:
    """Return the base. A mirror uses its origin's base, which need not be set."""
    origin = read_origin(data / "journal")
    if origin and is_set and origin.base != base:
        raise typer.BadParameter(
            f"STOCKTAKE_BASE is {base!r}, but {data} is a mirror of {origin.url}, whose IRIs begin with {origin.base}; remove the setting"
        )
    return origin.base if origin else base
