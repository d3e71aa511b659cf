"""Define the commands `store verify` and `store rebuild`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from command_line.console import Json, print_json, print_note
from command_line.settings import Context, Settings
from journal.journal import Journal
from publisher.projections.projection import JournalReader
from publisher.store.external.follow import ExternalStore, open_external_runner
from publisher.store.follow import require_unlocked
from publisher.store.verification import (
    AuditTarget,
    Difference,
    LocalStore,
    compare,
    rebuild_local,
    repair,
)
from vocab.iris import Iris

app = typer.Typer(no_args_is_help=True, help="Check or rebuild the RDF store.")
MAX_LISTED = 50  # differences that are printed without --json


@app.command()
def verify(context: Context, as_json: Json = False) -> None:
    """Compare the store with the journal, graph by graph. Exit code 1 if they differ."""
    with _open_store(context.obj) as store:
        position = store.position
        faults = compare(Journal(context.obj.data / "journal"), store, _progress)
    _print(position, faults, as_json=as_json)
    if faults:
        raise typer.Exit(1)


@app.command()
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
    with _open_store(settings) as store:
        position, faults = store.position, compare(journal, store, _progress)
        if faults:
            repair(journal, store, faults)
    remaining = faults
    if faults:
        with _open_store(settings) as store:
            position, remaining = store.position, compare(journal, store, _progress)
    _print(
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
        runner.step()


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


def _print(
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
