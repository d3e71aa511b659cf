"""Define the commands verify, upgrade and store, which check, repair and upgrade a data directory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import Json, print_json, print_note
from command_line.settings import Context, Settings
from command_line.workspace import harvest_context
from harvesters.archive import archive_faults
from harvesters.errors import HarvestError
from harvesters.ledger.database import Migration, pending_migrations
from harvesters.ledger.integrity import ledger_faults
from harvesters.ledger.ledger import Ledger
from harvesters.runs.status_file import write_status
from journal import data_format, mirror_origin
from journal.journal import Fault, Journal, journal_faults
from publisher.errors import PublisherError
from publisher.releases.dump import write_dumps
from publisher.releases.signature import dump_faults, key_faults, release_faults, report_faults
from publisher.store.changes import JournalReader
from publisher.store.external.follow import ExternalStore, open_external_runner
from publisher.store.follow import require_unlocked
from publisher.store.verification import (
    AuditTarget,
    Difference,
    LocalStore,
    compare,
    rebuild_local,
    release_store_faults,
    repair_files,
    status_faults,
    store_faults,
)
from publisher.store.verification import (
    repair as repair_store,
)
from vocab.iris import Iris

_DUMP = re.compile(r"stocktake-(\d+)\.")
app = typer.Typer()
SHOWN = 20  # faults of a part that are listed as lines
_NOT_CHECKED = ("not checked, since the journal is damaged", "restore the journal first")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the data directory, the function that checks it, and whether it can be repaired
    from the journal.
    """

    name: str
    check: Callable[[], Iterator[Fault]]
    is_derived: bool = False
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
    settings = context.obj
    faults: dict[str, list[Fault]] = {}
    for part in _parts(settings):
        print_note(f"Checking {part.name} ...", "dim")
        is_comparable = not (part.needs_journal and faults["journal"])
        faults[part.name] = (
            list(part.check()) if is_comparable else [Fault(part.name, *_NOT_CHECKED)]
        )
    repaired = _repair(settings, faults) if repair and not faults["journal"] else {}
    if as_json:
        print_json(
            {
                name: {"state": _state(name, faults, repaired, "repaired"), "faults": part_faults}
                for name, part_faults in faults.items()
            },
            is_indented=True,
        )
    else:
        _print(faults, repaired)
    if any(part_faults and name not in repaired for name, part_faults in faults.items()):
        raise typer.Exit(1)


def _state(
    name: str, faults: dict[str, list[Fault]], repaired: dict[str, list[Fault]], text: str
) -> str:
    return "sound" if not faults[name] else text if name in repaired else "damaged"


def _parts(settings: Settings) -> list[Part]:
    data, journal, iris = settings.data, Journal(settings.data / "journal"), Iris(settings.base)
    parts = [
        Part("journal", lambda: journal_faults(journal)),
        Part(
            "ledger",
            lambda: ledger_faults(settings.ledger, journal, settings.base),
            needs_journal=True,
        ),
        Part("status", lambda: status_faults(data, iris), is_derived=True),
        Part("archive", lambda: archive_faults(data / "archive")),
        Part("release stores", lambda: release_store_faults(data), is_derived=True),
        Part("dumps", lambda: dump_faults(data / "dumps"), is_derived=True),
        Part("releases", lambda: release_faults(data / "releases")),
        Part("signing key", lambda: key_faults(data / "signing")),
        Part("reports", lambda: report_faults(data / "reports")),
    ]
    if settings.elsewhere is None:  # stocktake store verify compares an external store
        parts.insert(4, Part("store", lambda: store_faults(data), is_derived=True))
    return parts


def _repair(settings: Settings, faults: dict[str, list[Fault]]) -> dict[str, list[Fault]]:
    """Rebuild the damaged parts that are derived; return the faults of those that are sound now."""
    damaged = {
        part.name: part for part in _parts(settings) if part.is_derived and faults[part.name]
    }
    if damaged:
        print_note(f"Repairing {', '.join(damaged)} ...", "dim")
    stores = [fault for name in damaged.keys() - {"dumps", "status"} for fault in faults[name]]
    repairs: list[tuple[object, Callable[[], None]]] = [
        (stores, lambda: repair_files(settings.data, Iris(settings.base), stores)),
        ("dumps" in damaged, lambda: _repair_dumps(settings.data, faults["dumps"])),
        ("status" in damaged, lambda: _repair_status(settings)),
    ]
    for is_needed, repair in repairs:
        try:
            if is_needed:
                repair()
        except (PublisherError, HarvestError) as error:  # the other parts are still repaired
            print_note(str(error), "red")
    return {name: faults[name] for name, part in damaged.items() if not list(part.check())}


def _repair_status(settings: Settings) -> None:
    """Rewrite the status of sources from the ledger. On a mirror, delete it: the mirror copies it
    from its origin again.
    """
    if mirror_origin.read(settings.data / "journal"):
        (settings.data / "status.nq").unlink()
        return
    with harvest_context(settings) as context:
        write_status(context)


def _repair_dumps(data: Path, faults: list[Fault]) -> None:
    """Rewrite the damaged dumps, each at the journal entry in its name."""
    names = [Path(fault.name).name.removesuffix(".sha256") for fault in faults]
    for name in names:
        for path in (data / "dumps" / name, data / "dumps" / f"{name}.sha256"):
            path.unlink(missing_ok=True)
    for number in sorted({int(match[1]) for name in names if (match := _DUMP.match(name))}):
        write_dumps(Journal(data / "journal"), data / "dumps", number)


def _print(faults: dict[str, list[Fault]], repaired: dict[str, list[Fault]]) -> None:
    for name, part_faults in faults.items():
        state = _state(name, faults, repaired, "repaired from the journal")
        print(f"{name + ':':<16}{state}")
        for fault in part_faults[:SHOWN]:
            remedy = "" if name in repaired else f"; {fault.remedy}"
            print(f"  {fault.name}: {fault.problem}{remedy}")
        if len(part_faults) > SHOWN:
            print(f"  and {len(part_faults) - SHOWN} more; --json lists them all")


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
    migrations = pending_migrations(settings.ledger)
    is_recorded = data_format.are_recorded(settings.data)
    if not migrations and is_recorded:
        print("nothing to upgrade")
        return
    if dry_run:
        for migration in migrations:
            print(f"ledger {migration.revision}: {migration.description}")
        if not is_recorded:
            file = settings.data / data_format.FILE
            print(f"data directory: record the formats of its folders in {file}")
        return
    numbers = count(1)

    def show(migration: Migration) -> None:
        step = f"Ledger step {next(numbers)} of {len(migrations)}"
        print_note(f"{step}: {migration.description}", "dim")

    if migrations:
        Ledger(settings.ledger, on_migration=show).close()
    if not is_recorded:
        settings.data.mkdir(parents=True, exist_ok=True)
        data_format.record_formats(settings.data)
    print(f"upgraded: ledger steps {len(migrations)}, data directory {settings.data}")
    print(
        "next: stocktake verify; what is built from the journal is rebuilt by `stocktake serve` if its format has changed"
    )


store = typer.Typer(no_args_is_help=True, help="Check or rebuild the RDF store.")
MAX_LISTED = 50  # differences that are printed without --json


@store.command("verify")
def verify_store(context: Context, as_json: Json = False) -> None:
    """Compare the store with the journal, graph by graph. Exit code 1 if they differ."""
    with _open_store(context.obj) as opened:
        position = opened.position
        faults = compare(Journal(context.obj.data / "journal"), opened, _progress)
    _print_differences(position, faults, as_json=as_json)
    if faults:
        raise typer.Exit(1)


@store.command()
def rebuild(
    context: Context,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Delete everything and rebuild; an external store is emptied first."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Repair graphs that differ from the journal, then compare again. Exit code 1 if differences
    remain.
    """
    settings: Settings = context.obj
    journal = Journal(settings.data / "journal")
    if whole or (
        settings.elsewhere is None and not (settings.data / "store" / "snapshots").exists()
    ):
        _rebuild_all(settings, journal)
    with _open_store(settings) as opened:
        position, faults = opened.position, compare(journal, opened, _progress)
        if faults:
            repair_store(journal, opened, faults)
    remaining = faults
    if faults:
        with _open_store(settings) as opened:
            position, remaining = opened.position, compare(journal, opened, _progress)
    _print_differences(
        position,
        remaining,
        as_json=as_json,
        repaired=[fault for fault in faults if fault not in remaining],
    )
    if remaining:
        raise typer.Exit(1)


def _rebuild_all(settings: Settings, journal: Journal) -> None:
    iris = Iris(settings.base)
    if settings.elsewhere is None:
        rebuild_local(settings.data, iris)
        return
    folder = settings.data / "store" / settings.elsewhere.folder
    require_unlocked(folder / "lock")
    store = ExternalStore(settings.elsewhere, journal, iris)
    store.empty()
    store.close()
    reader = JournalReader(journal, iris.base)
    with closing(
        open_external_runner(
            settings.elsewhere, reader, folder, settings.data / "status.nq", iris.status
        )
    ) as runner:
        runner.finish()


@contextmanager
def _open_store(settings: Settings) -> Iterator[AuditTarget]:
    iris = Iris(settings.base)
    if settings.elsewhere is None:
        yield LocalStore(settings.data, iris)
        return
    store = ExternalStore(settings.elsewhere, Journal(settings.data / "journal"), iris)
    try:
        yield store
    finally:
        store.close()


def _progress(step: str) -> None:
    print_note(f"{step} ...", "dim")


def _print_differences(
    position: int,
    faults: list[Difference],
    *,
    as_json: bool,
    repaired: list[Difference] | None = None,
) -> None:
    if as_json:
        report = {"position": position, "faults": faults}
        print_json(report | ({} if repaired is None else {"repaired": repaired}), is_indented=True)
        return
    for fault in repaired or ():
        print(
            f"repaired: {fault.graph or 'the merge of all graphs'}: {fault.missing} were missing, {fault.added} were too many"
        )
    for fault in faults[:MAX_LISTED]:
        print(
            f"{fault.graph or 'the merge of all graphs'}: {fault.missing} missing, {fault.added} too many"
        )
    if len(faults) > MAX_LISTED:
        print(f"and {len(faults) - MAX_LISTED} more; --json lists them all")
    result = f"{len(faults)} graphs differ from" if faults else "the store matches"
    print(f"{result} the journal at entry {position}")
