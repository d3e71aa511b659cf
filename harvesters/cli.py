"""The left wing's commands: sources, harvest, runs, schedule."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Annotated, Protocol

import orjson
import structlog
import typer
from rich.console import Console

from harvesters import report, words
from harvesters.errors import CardError, HarvestError
from harvesters.ledger.account import State
from harvesters.means import Means, opened
from harvesters.memory import calm
from harvesters.pairs import pair
from harvesters.plan import Plan
from harvesters.run import harvest as harvest_one
from harvesters.schedule import plan as plan_schedule
from harvesters.source import Source, load, load_all
from harvesters.status import write as write_status
from shapes.validate import Name

app = typer.Typer(no_args_is_help=True)
sources_app = typer.Typer(no_args_is_help=True, help="The cards of the registries.")
app.add_typer(sources_app, name="sources")
log = structlog.get_logger()
_out, _err = Console(), Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class Settings(Protocol):
    """What this wing needs of the front door's settings."""

    @property
    def data(self) -> Path: ...  # noqa: D102 - the front door's Settings say what each is
    @property
    def sources(self) -> Path: ...  # noqa: D102
    @property
    def base(self) -> str: ...  # noqa: D102
    @property
    def ledger(self) -> str: ...  # noqa: D102
    @property
    def contact(self) -> str: ...  # noqa: D102
    @property
    def allow_hosts(self) -> frozenset[str]: ...  # noqa: D102
    @property
    def shapes_engine(self) -> Name: ...  # noqa: D102


@sources_app.command("list")
def list_sources(context: typer.Context, json: Json = False) -> None:
    """List the registries: protocol, mapping, schedule and how the last run ended."""
    settings: Settings = context.obj
    with _means(settings) as means:
        rows = report.sources(_cards(settings), means.ledger)
    _print(rows, "Sources", json)


@sources_app.command("check")
def check_sources(
    context: typer.Context,
    cards: Annotated[list[Path] | None, typer.Argument(help="Cards to check; all of the folder where none is named.")] = None,
    json: Json = False,
) -> None:
    """Check cards without asking any registry; 1 where one is wrong."""
    settings: Settings = context.obj
    rows = [_checked(card) for card in cards or sorted(settings.sources.glob("*.toml"))]
    _print(rows, "Cards", json)
    if not rows:
        _err.print(f"no cards in {settings.sources}; set --sources or STOCKTAKE_SOURCES to a folder that has some")
        raise typer.Exit(2)
    raise typer.Exit(int(any(row["verdict"] != "good" for row in rows)))


@app.command()
def harvest(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Sources to harvest; all that are enabled where none is named.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Read all, not only what changed since the last run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute and print the plan; change nothing.")] = False,
    json: Json = False,
) -> None:
    """Harvest registries: collect, map, judge, plan, commit; 1 where a run failed, was held or is incomplete."""
    settings: Settings = context.obj
    chosen = _chosen(_cards(settings), names or [])
    with _means(settings) as means:
        plans = harvest_all(chosen, means, full=full, dry_run=dry_run, quiet=json)
        rows = [report.harvested(plan, means.ledger) if plan else report.failure(name, means.ledger) for name, plan in plans.items()]
    if json:
        print(orjson.dumps(rows).decode())
    raise typer.Exit(int(any(plan is None or plan.held or plan.run.state is State.INCOMPLETE for plan in plans.values())))


@app.command()
def runs(
    context: typer.Context,
    source: Annotated[str | None, typer.Argument(help="Only this source's runs.")] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1)] = 50,
    json: Json = False,
) -> None:
    """List the runs, newest first, with what each brought and how it ended."""
    settings: Settings = context.obj
    with _means(settings) as means:
        rows = [report.run(run) for run in means.ledger.runs(source, limit)]
    _print(rows, "Runs", json)


@app.command()
def schedule(context: typer.Context) -> None:
    """Harvest each source at its card's times until Ctrl-C."""
    settings: Settings = context.obj
    cards = _cards(settings)
    with _means(settings) as means:
        words.publish(means)

        def run(source: Source) -> None:
            _one(source, means, full=False, dry_run=False, bar=None)

        def refresh() -> None:
            try:
                write_status(means)
            except HarvestError as error:
                log.error("the status could not be told", reason=str(error))

        refresh()
        scheduler = plan_schedule(cards, run, refresh)

        def stop(_number: int, _frame: FrameType | None) -> None:
            scheduler.shutdown(wait=False)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        log.info("schedule began", sources=[card.name for card in cards if card.enabled])
        scheduler.start()


def harvest_all(sources: Sequence[Source], means: Means, *, full: bool, dry_run: bool, quiet: bool) -> dict[str, Plan | None]:
    """Harvest sources one after the other; a source whose run failed has None, and stops no other."""
    if not dry_run:
        words.publish(means)
    plans: dict[str, Plan | None] = {}
    with report.Bar(_err, quiet=quiet) as bar, calm():
        for source in sources:
            plans[source.name] = _one(source, means, full=full, dry_run=dry_run, bar=bar)
    if not quiet:
        _out.print(report.account(plans, dry_run=dry_run))
        for name, plan in plans.items():
            for line in report.reasons(name, plan, means.ledger):
                _out.print(line)
    return plans


def _one(source: Source, means: Means, *, full: bool, dry_run: bool, bar: report.Bar | None) -> Plan | None:
    told = log.debug if bar else log.info  # who watches the bar and the table needs no lines of the same
    told("run began", source=source.name, url=source.url)
    plan = None
    try:
        plan = harvest_one(source, means, full=full, dry_run=dry_run, watch=bar.show if bar else lambda _: None)
        told("run ended", source=source.name, run=plan.run.id, outcome=plan.run.state.value, held=plan.held, **plan.counts)
    except HarvestError as error:
        log.error("run failed", source=source.name, reason=str(error))
    except Exception:  # the one place: a fault of ours in one source's run must not stop the others
        log.exception("run failed by a fault of this program; please report it", source=source.name)
    finally:
        write_status(means)
    return plan


def _means(settings: Settings) -> AbstractContextManager[Means]:
    it = settings
    return opened(it.data, it.ledger, it.base, it.contact, it.allow_hosts, it.shapes_engine, it.sources)


def _cards(settings: Settings) -> list[Source]:
    try:
        cards = load_all(settings.sources)
        for card in cards:
            pair(card)
    except CardError as error:
        _err.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from error
    return cards


def _chosen(cards: list[Source], names: list[str]) -> list[Source]:
    known = {card.name: card for card in cards}
    for name in names:
        if name not in known:
            _err.print(f"[red]no source named {name!r}[/red]; there are: {', '.join(known) or 'none'}")
            raise typer.Exit(2)
    return [known[name] for name in names] or [card for card in cards if card.enabled]


def _checked(card: Path) -> dict[str, object]:
    try:
        source = load(card)
        pair(source)
    except CardError as error:
        return {"card": str(card), "verdict": str(error)}
    return {"card": str(card), "verdict": "good", "protocol": source.protocol, "mapping": source.mapping}


def _print(rows: list[dict[str, object]], title: str, json: bool) -> None:
    if json:
        print(orjson.dumps(rows).decode())
    else:
        _out.print(report.table(rows, title))
