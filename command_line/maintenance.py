"""Define the commands verify, upgrade and store, which check, repair and upgrade a data directory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import Json, print_json, print_note, print_some
from command_line.settings import Context, Settings
from command_line.workspace import harvest_context
from harvesters.archive import archive_faults
from harvesters.errors import HarvestError
from harvesters.ledger.database import MIGRATION, NEWEST, needs_migration
from harvesters.ledger.integrity import ledger_faults
from harvesters.ledger.ledger import Ledger
from harvesters.runs.status_file import write_status
from journal import data_format
from journal.journal import Fault, Journal, journal_faults
from journal.store import read_origin
from publisher.errors import PublisherError
from publisher.releases.dump import write_dumps
from publisher.releases.signature import dump_faults, key_faults, release_faults, report_faults
from publisher.store.changes import JournalReader
from publisher.store.external.follow import ExternalStore, open_external_runner
from publisher.store.follow import require_unlocked
from publisher.store.verification import (
    LocalStore,
    compare,
    rebuild_local,
    release_store_faults,
    repair_files,
    status_faults,
    store_faults,
)
from vocab.iris import Iris

_DUMP = re.compile(r"stocktake-(\d+)\.")
app = typer.Typer()
SHOWN = 20  # faults of a part that are listed as lines
_NOT_CHECKED = ("not checked, since the journal is damaged", "restore the journal first")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the data directory, the function that checks it, and the one that repairs it from
    the journal, None if that is not possible.
    """

    name: str
    check: Callable[[], Iterator[Fault]]
    repair: Callable[[list[Fault]], object] | None = None
    needs_journal: bool = False  # it is compared with the journal, which must be undamaged


@app.command()
def verify(
    context: Context,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Rebuild what can be rebuilt from the journal. Stop the server first."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check every file of the data directory for damage. Exit code 1 if damage remains."""
    faults: dict[str, list[Fault]] = {}
    parts = _parts(context.obj)
    for part in parts:
        print_note(f"Checking {part.name} ...", "dim")
        is_comparable = not (part.needs_journal and faults["journal"])
        faults[part.name] = (
            list(part.check()) if is_comparable else [Fault(part.name, *_NOT_CHECKED)]
        )
    states = {name: "damaged" if listed else "sound" for name, listed in faults.items()}
    for part in parts if repair and not faults["journal"] else ():
        if part.repair and faults[part.name] and _is_repaired(part, faults[part.name]):
            states[part.name] = "repaired"
    if as_json:
        document = {name: {"state": states[name], "faults": faults[name]} for name in faults}
        print_json(document, is_indented=True)
    else:
        for name, state in states.items():
            print(f"{name + ':':<16}{state}{' from the journal' if state == 'repaired' else ''}")
            lines = (
                f"  {fault.name}: {fault.problem}"
                + ("" if state == "repaired" else f"; {fault.remedy}")
                for fault in faults[name]
            )
            print_some([*lines], SHOWN, indent="  ")
    raise typer.Exit(int("damaged" in states.values()))


def _parts(settings: Settings) -> list[Part]:
    data, journal, iris = settings.data, Journal(settings.data / "journal"), Iris(settings.base)
    parts = [
        Part("journal", lambda: journal_faults(journal)),
        Part(
            "ledger",
            lambda: ledger_faults(settings.ledger, journal, settings.base),
            needs_journal=True,
        ),
        Part("status", lambda: status_faults(data, iris), lambda _: _repair_status(settings)),
        Part("archive", lambda: archive_faults(data / "archive")),
        Part(
            "release stores",
            lambda: release_store_faults(data),
            partial(repair_files, data, iris),
        ),
        Part("dumps", lambda: dump_faults(data / "dumps"), partial(_repair_dumps, data)),
        Part("releases", lambda: release_faults(data / "releases")),
        Part("signing key", lambda: key_faults(data / "signing")),
        Part("reports", lambda: report_faults(data / "reports")),
    ]
    if settings.elsewhere is None:  # stocktake store verify compares an external store
        repair = partial(repair_files, data, iris)
        parts.insert(4, Part("store", lambda: store_faults(data), repair))
    return parts


def _is_repaired(part: Part, faults: list[Fault]) -> bool:
    """Repair a part; return whether it is sound now."""
    print_note(f"Repairing {part.name} ...", "dim")
    try:
        assert part.repair
        part.repair(faults)
    except (PublisherError, HarvestError) as error:  # the other parts are still repaired
        print_note(str(error), "red")
    return not list(part.check())


def _repair_status(settings: Settings) -> None:
    """Rewrite the status of sources from the ledger. On a mirror, delete it: the mirror copies it
    from its origin again.
    """
    if read_origin(settings.data / "journal"):
        (settings.data / "status.nq").unlink()
        return
    with harvest_context(settings) as context:
        write_status(context)


def _repair_dumps(data: Path, faults: list[Fault]) -> None:
    """Rewrite the damaged dumps, each at the journal entry in its name."""
    names = {Path(fault.name).name.removesuffix(".sha256") for fault in faults}
    for name in names | {f"{name}.sha256" for name in names}:
        (data / "dumps" / name).unlink(missing_ok=True)
    for number in sorted({int(match[1]) for name in names if (match := _DUMP.match(name))}):
        write_dumps(Journal(data / "journal"), data / "dumps", number)


@app.command()
def upgrade(
    context: Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the steps; change nothing.")
    ] = False,
) -> None:
    """Upgrade the ledger and the data directory of an older version. An interrupted upgrade
    continues at its next step.
    """
    settings: Settings = context.obj
    is_outdated = needs_migration(settings.ledger)
    steps = [f"ledger {NEWEST}: {MIGRATION}"] * is_outdated
    if not data_format.are_recorded(settings.data):
        file = settings.data / data_format.FILE
        steps.append(f"data directory: record the formats of its folders in {file}")
    print("\n".join(steps) or "nothing to upgrade")
    if dry_run or not steps:
        return
    if is_outdated:
        Ledger(settings.ledger, migrate=True).close()
    settings.data.mkdir(parents=True, exist_ok=True)
    data_format.record_formats(settings.data)
    print(
        "upgraded; next: stocktake verify; what is built from the journal is rebuilt by `stocktake serve` if its format has changed"
    )


store = typer.Typer(no_args_is_help=True, help="Check or rebuild the RDF store.")


@store.command("verify")
def verify_store(context: Context, as_json: Json = False) -> None:
    """Compare the store with the journal, graph by graph. Exit code 1 if they differ."""
    _compare(context.obj, as_json=as_json)


@store.command()
def rebuild(context: Context, as_json: Json = False) -> None:
    """Delete the store and build it from the journal again, then compare them; an external store is
    emptied first. Exit code 1 if they differ.
    """
    settings: Settings = context.obj
    journal, iris = Journal(settings.data / "journal"), Iris(settings.base)
    if settings.elsewhere is None:
        rebuild_local(settings.data, iris)
    else:
        folder = settings.data / "store" / settings.elsewhere.folder
        require_unlocked(folder / "lock")
        with closing(ExternalStore(settings.elsewhere, journal, iris)) as external:
            external.empty()
        parts = JournalReader(journal, iris.base), folder, settings.data / "status.nq", iris.status
        with closing(open_external_runner(settings.elsewhere, *parts)) as runner:
            runner.finish()
    _compare(settings, as_json=as_json)


def _compare(settings: Settings, *, as_json: bool) -> None:
    """Print the graphs of the store that differ from the journal, "" for the merge of all graphs;
    exit with 1 if there are any.
    """
    journal, iris = Journal(settings.data / "journal"), Iris(settings.base)
    with (
        nullcontext(LocalStore(settings.data, iris))
        if settings.elsewhere is None
        else closing(ExternalStore(settings.elsewhere, journal, iris))
    ) as opened:
        position = opened.position
        graphs = compare(journal, opened, lambda step: print_note(f"{step} ...", "dim"))
    if as_json:
        print_json({"position": position, "graphs": graphs}, is_indented=True)
    else:
        print(f"Graphs that differ from the journal at entry {position}: {len(graphs)}")
        print_some([graph or "the merge of all graphs" for graph in graphs], SHOWN, indent="  ")
    raise typer.Exit(int(bool(graphs)))
