"""Check the settings before a command runs. Each error is a typer.BadParameter that names the
setting and what to use instead.
"""

from __future__ import annotations

import os
import pwd
import re
from importlib import import_module
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import typer
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from command_line.settings import Settings
from demo.folder import is_demo
from harvesters.network.settings import install_retry_logging
from harvesters.notifications.mail import parse_mail_server
from harvesters.participation.submissions.submitters.provider import parse_provider
from harvesters.pipeline.process_limits import DEFAULT_WORKERS
from harvesters.runs.run_log import record_line
from journal import mirror_origin
from journal import store as shared
from journal.data_format import check_formats
from journal.errors import JournalError
from journal.tracing import configure_tracing
from publisher.limits import read as read_limits
from publisher.logs import LOG_FORMATS, configure_logging
from publisher.releases.schedule import trigger
from publisher.store.process import exit_with_parent
from vocab.iris import is_web
from web.branding import DEMO_NAME, NAME, check_logo

if TYPE_CHECKING:
    from publisher.store.external.client import StoreURLs

_MIN_SECRET = 16  # characters of the secret that signs webhooks
_LONGEST_NAME = 80  # characters of the name of an installation; every page title contains it
_STOP_TIMEOUT = 10.0  # seconds for a process to exit by itself after its parent exited
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+\Z|[0-9A-Fa-f:.]+\Z")  # a name, IPv4 or IPv6 address
# a whole host
_SITE_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?\Z")
_SCHEDULER_URL = re.compile(r"(?:tcp|tls)://[^\s/]+:\d{1,5}\Z")


def prepare_process(parent: int, log_format: str) -> None:
    """Configure logging and traces, and end this process when its *parent* ends, if that is not 0."""
    if log_format not in ("", *LOG_FORMATS):
        raise typer.BadParameter(
            f"STOCKTAKE_LOG_FORMAT is {log_format!r}; use {' or '.join(LOG_FORMATS)}"
        )
    configure_logging(record_line, form=log_format)
    if reason := configure_tracing(os.environ):
        structlog.get_logger().warning("tracing disabled", reason=reason)
    install_retry_logging()
    if parent:
        exit_with_parent(parent, _STOP_TIMEOUT)


def check_settings(*, is_base_set: bool, **values: Any) -> Settings:
    """Return the settings, from the values of the command line's options and of the environment as
    they were entered.
    """
    for variable in sorted(os.environ):
        if variable.startswith("STOCKTAKE_") and variable not in Settings.VARIABLES:
            known = ", ".join(Settings.VARIABLES)
            raise typer.BadParameter(f"unknown setting {variable}; known settings: {known}")
    engine, processes, sources = values["shapes_engine"], values["processes"], values["sources"]
    if engine not in ("rust", "reference"):
        raise typer.BadParameter(f"STOCKTAKE_SHAPES_ENGINE is {engine!r}; use rust or reference")
    data = writable_directory(values["data"])
    check_formats(data)
    demo = is_demo(data, sources)
    return Settings(
        data=data,
        sources=sources,
        base=_base(values["base"], data, is_set=is_base_set),
        ledger=_ledger(values["ledger"], data),
        allow_hosts=_hosts(values["allow_hosts"]),
        contact=_contact(values["contact"]),
        shapes_engine="reference" if engine == "reference" else "rust",
        processes=DEFAULT_WORKERS if processes is None else processes,
        dask=_dask(values["dask"]),
        limits=_limits(values["limits"]),
        proxies=_proxies(values["proxies"]),
        public_url=_public_url(values["public_url"]),
        releases=_releases(values["releases"]),
        comments=_is_on("STOCKTAKE_COMMENTS", values["comments"]),
        hub=_hub(values["hub"]),
        smtp=_smtp(values["smtp"]),
        oidc=_oidc(values["oidc"]),
        webhook_secret=_webhook_secret(values["webhook_secret"]),
        log_format=values["log_format"],
        store=_store(values["store"], data),
        elsewhere=_external_store(
            values["sparql_url"], values["sparql_update_url"], values["graph_store_url"]
        ),
        is_base_set=is_base_set,
        name=_name(values["name"], demo=demo),
        logo=_logo(values["logo"]),
        demo=demo,
    )


def writable_directory(data: Path) -> Path:
    """Check that this user can write the data directory and its files."""
    existing = next(
        path for path in (data.absolute(), *data.absolute().parents) if os.path.exists(path)
    )
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise typer.BadParameter(
            f"STOCKTAKE_DATA is {str(data)!r}, but {existing} is not a writable directory{_owner(existing)}"
        )
    for path in sorted(existing.iterdir()) if existing == data.absolute() else []:
        if os.path.exists(path) and not os.access(
            path, os.W_OK | (os.X_OK if path.is_dir() else 0)
        ):
            raise typer.BadParameter(
                f"STOCKTAKE_DATA is {str(data)!r}, but {path.name} in it is not writable{_owner(path)}"
            )
    return data


def _owner(path: Path) -> str:
    """Return the owner of a file or directory and what to do, or "" if this user owns it."""
    if (number := path.stat().st_uid) == os.getuid():
        return ""
    try:
        owner = pwd.getpwuid(number).pw_name
    except KeyError:
        owner = f"user {number}"
    return f": it belongs to {owner}; run as {owner}, change the owner, or use another directory (--data)"


def _name(name: str, *, demo: bool) -> str:
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise typer.BadParameter(
            f"STOCKTAKE_NAME is {name!r}; use at most {_LONGEST_NAME} printable characters"
        )
    return name.strip() or (DEMO_NAME if demo else NAME)


def _logo(path: str) -> Path | None:
    try:
        if path:
            check_logo(Path(path))
    except (ValueError, OSError) as error:
        raise typer.BadParameter(f"STOCKTAKE_LOGO is {path!r}: {error}") from error
    return Path(path).absolute() if path else None


def _store(url: str, data: Path) -> str:
    """Record the object store in the data directory, so that later commands use it without the
    setting.
    """
    if url:
        if "://" not in url:
            raise typer.BadParameter(
                f"STOCKTAKE_OBJECT_STORE_URL is {url!r}; use a URL such as s3://bucket/stocktake"
            )
        try:
            shared.bind_replica(data / "journal", url)
        except JournalError as error:
            raise typer.BadParameter(f"STOCKTAKE_OBJECT_STORE_URL: {error}") from error
    return url


def _limits(text: str) -> str:
    try:
        read_limits(text)
    except ValueError as error:
        raise typer.BadParameter(f"STOCKTAKE_QUERY_LIMITS is {text!r}: {error}") from error
    return text


def _dask(url: str) -> str:
    if url and not _SCHEDULER_URL.match(url):
        raise typer.BadParameter(
            f"STOCKTAKE_DASK is {url!r}; use the URL of a Dask scheduler, e.g. tcp://host:8786"
        )
    return url


def _proxies(text: str) -> str:
    for network in filter(None, (part.strip() for part in text.split(","))):
        try:
            ip_network(network, strict=False)
        except ValueError as error:
            raise typer.BadParameter(
                f"STOCKTAKE_TRUSTED_PROXIES contains {network!r}; use addresses and networks (10.0.0.0/8)"
            ) from error
    return text


def _public_url(url: str) -> str:
    """Check the public address; return it without a slash at its end."""
    if url and not _SITE_URL.match(url):
        raise typer.BadParameter(
            f"STOCKTAKE_PUBLIC_URL is {url!r}; use a URL without a path, e.g. https://stocktaking.example"
        )
    return url.rstrip("/")


def _releases(text: str) -> str:
    try:
        return text and str(trigger(text)) and text
    except ValueError as error:
        raise typer.BadParameter(
            f"STOCKTAKE_RELEASES is {text!r}, which is not a cron line of five fields: {error}"
        ) from error


def _is_on(variable: str, value: str) -> bool:
    if value not in ("", "on", "off"):
        raise typer.BadParameter(f"{variable} is {value!r}; use on or off")
    return value == "on"


def _hub(url: str) -> str:
    if url and not is_web(url):
        raise typer.BadParameter(f"STOCKTAKE_WEBSUB_HUB is {url!r}; use the URL of a WebSub hub")
    return url


def _smtp(url: str) -> str:
    try:
        if url:
            parse_mail_server(url)
    except ValueError as error:  # the URL may hold a password: it is not repeated
        raise typer.BadParameter(f"STOCKTAKE_SMTP_URL: {error}") from error
    return url


def _oidc(url: str) -> str:
    try:
        if url:
            parse_provider(url)
    except ValueError as error:  # the URL holds a secret: it is not repeated
        raise typer.BadParameter(f"STOCKTAKE_OIDC_URL: {error}") from error
    return url


def _webhook_secret(secret: str) -> str:
    if secret and len(secret) < _MIN_SECRET:
        raise typer.BadParameter(
            f"STOCKTAKE_WEBHOOK_SECRET has fewer than {_MIN_SECRET} characters; make one with `openssl rand -hex 32`"
        )
    return secret


def _external_store(sparql_url: str, update: str, graphs: str) -> StoreURLs | None:
    if not (sparql_url or update or graphs):
        return None
    # late, since it loads an HTTP client, which few commands need
    client = import_module("publisher.store.external.client")
    try:
        urls: StoreURLs = client.parse_settings(sparql_url, update, graphs)
        return urls
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _hosts(text: str) -> frozenset[str]:
    hosts = frozenset(host.strip() for host in text.split(",") if host.strip())
    for host in sorted(hosts):
        if not _HOST_NAME.match(host):
            raise typer.BadParameter(
                f"STOCKTAKE_ALLOW_HOSTS contains {host!r}; use host names or IP addresses, without scheme and port"
            )
    return hosts


def _base(base: str, data: Path, *, is_set: bool) -> str:
    """Check the base. A mirror uses its origin's base, which need not be set."""
    if not is_web(base) or base[-1] not in "/#":
        raise typer.BadParameter(f"STOCKTAKE_BASE is {base!r}; use a URL that ends with a slash")
    origin = mirror_origin.read(data / "journal")
    if origin and is_set and origin.base != base:
        problem = f"but {data} is a mirror of {origin.url}, whose IRIs begin with {origin.base}; remove the setting"
        raise typer.BadParameter(f"STOCKTAKE_BASE is {base!r}, {problem}")
    return origin.base if origin else base


def _ledger(url: str, data: Path) -> str:
    if not url:
        return f"sqlite:///{data}/ledger.sqlite"
    try:
        make_url(url)
    except ArgumentError as error:
        raise typer.BadParameter(
            "STOCKTAKE_LEDGER is not a SQLAlchemy URL, e.g. postgresql+psycopg://user@host/name"
        ) from error
    return url


def _contact(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise typer.BadParameter(
            f"STOCKTAKE_CONTACT is {text!r}; use plain ASCII, e.g. an e-mail address"
        )
    return text
