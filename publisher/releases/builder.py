"""Build the next release from the journal. The folder gets its number when it is complete; a crash
leaves no release.

The status graph is not in it, because the journal does not contain it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from journal.entry import Entry
from journal.files import AlreadyLockedError, FileLock, describe_holder, sync
from journal.journal import Journal
from publisher.errors import ReleaseError
from publisher.rdf import namespaces
from publisher.releases.dump import (
    TEXT_FORMATS,
    canonical_quads,
    deletion_rows,
    gzip_writer,
    write_texts,
)
from publisher.releases.metadata import (
    VOID_FILE,
    add_metadata,
    count_void,
    describe_file,
    void_statements,
)
from publisher.releases.signature import SUMS, load_key, public_key_text, sign
from publisher.releases.tables import (
    TABLES,
    compute_tables,
    count_changes,
    count_tables,
    open_tables,
    read_gone,
    read_sources,
    write_table,
)
from publisher.store.descriptions import Description
from publisher.store.descriptions import serialize_description as write_turtle
from publisher.store.releases import (
    MANIFEST,
    Release,
    list_releases,
    newest_release,
    write_manifest,
)
from vocab.iris import Iris
from web.respond import GRAPHS, media_types

KEEP = 12  # releases whose files are kept: a year of monthly releases
Progress = Callable[[str], None]  # called before each step with a sentence about it


def build_release(
    data: Path,
    iris: Iris,
    now: datetime,
    report_step: Progress = lambda _: None,
    *,
    demo: bool = False,
) -> Release:
    """Build the next release of the journal under *data*, issued at *now*. With *demo* its title
    says that the data are simulated.

    Raises ReleaseError if the journal is empty or has no entry since the last release, or while
    another release is being built.
    """
    releases = data / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    with build_lock(releases):
        part, work = releases / ".part", releases / ".work"
        for leftover in (part, work):
            shutil.rmtree(leftover, ignore_errors=True)
            leftover.mkdir()
        journal = Journal(data / "journal")
        before, head = newest_release(releases), _head(journal, newest_release(releases))
        number = before.number + 1 if before else 1
        release = Release(
            number,
            iris.release(number),
            head.number,
            head.id,
            f"{now:%Y-%m-%dT%H:%M:%SZ}",
            before.number if before else None,
            {},
            {},
            demo=demo,
        )
        folder_before = releases / str(before.number) if before else None
        release = _export_data(release, folder_before, journal, iris, part, report_step)
        release = add_metadata(release, part, iris.base)
        _sign(release, data / "signing", part, report_step)
        shutil.rmtree(work)
        _publish(part, releases / str(number), report_step)
        return release


def _head(journal: Journal, before: Release | None) -> Entry:
    head = journal.head
    if head is None:
        raise ReleaseError("the journal is empty: there is nothing to release; harvest first")
    if before and (before.position, before.entry) == (head.number, head.id):
        raise ReleaseError(
            f"nothing to release: no changes since release {before.number} of {before.day} (journal entry {head.number})"
        )
    return head


def _export_data(
    release: Release,
    before: Path | None,
    journal: Journal,
    iris: Iris,
    part: Path,
    report_step: Progress,
) -> Release:
    """Write the files that contain the data of the journal; *before* is the folder of the last
    release.
    """
    name, work = f"stocktake-{release.number}", part.with_name(".work")
    quads = part / f"{name}.nq.gz"
    report_step("Writing the dumps")
    totals = write_texts(canonical_quads(journal, release.position, work), part, name)
    report_step("Writing the rows of the tables")
    with closing(open_tables(work / "tables", iris)) as tables:
        compute_tables(tables, work / "tables", quads, totals, iris)
        report_step("Writing the tables as CSV and Parquet")
        rows = {table.name: write_table(tables, table, part) for table in TABLES.values()}
        counts = {"statements": totals.quads, "triples": totals.triples}
        counts |= count_tables(tables, iris)
        sources = tuple(read_sources(tables, iris))
        void = tuple(void_statements(count_void(tables, iris), iris, namespaces(iris)))
        with gzip_writer(part / "gone.csv.gz") as gone:
            gone.writelines(deletion_rows(read_gone(tables)))
        report_step("Counting the changes since the previous release")
        changes = count_changes(tables, before)
    description = Description(iris.base, void, {}, namespaces(iris))
    (part / VOID_FILE).write_bytes(write_turtle(description, GRAPHS["ttl"]))
    without = "all statements without named graphs, without duplicates"
    described: Sequence[tuple[str, str, str, int | None]] = (
        (
            f"{name}.nq.gz",
            "application/n-quads",
            "all statements with named graphs, sorted by bytes, without duplicates",
            None,
        ),
        *((f"{name}.{end}.gz", media_types(GRAPHS[end])[0], without, None) for end in TEXT_FORMATS),
        *(
            (f"{table.name}.{end}", media, f"a row is {table.row}", rows[table.name])
            for table in TABLES.values()
            for end, media in (
                ("csv.gz", "text/csv"),
                ("parquet", "application/vnd.apache.parquet"),
            )
        ),
        (
            "gone.csv.gz",
            "text/csv",
            "removed records: delete these from your copy",
            counts["gone"],
        ),
        (VOID_FILE, "text/turtle", "statistics: classes, properties and links (VoID)", None),
    )
    files = tuple(
        describe_file(part / file, media, says, count) for file, media, says, count in described
    )
    return replace(release, counts=counts, changes=changes, sources=sources, files=files)


def _sign(release: Release, keys: Path, part: Path, report_step: Progress) -> None:
    """Write sums and manifest, and sign every file."""
    report_step("Signing the files")
    with load_key(keys) as secret:
        timestamp = f"timestamp:{int(datetime.fromisoformat(release.issued).timestamp())}"
        release = replace(release, key=public_key_text(secret.get_public_key()))
        (part / SUMS).write_text("".join(f"{file.sha256}  {file.name}\n" for file in release.files))
        write_manifest(part, release)
        for name in [*(file.name for file in release.files), SUMS, MANIFEST]:
            sign(part / name, secret, timestamp)


def _publish(part: Path, folder: Path, report_step: Progress) -> None:
    """Rename the folder of a release to its number once all files are on disk."""
    for path in [*part.iterdir(), part]:
        sync(path)
    report_step("Publishing the release")
    part.rename(folder)
    sync(folder.parent)


@contextmanager
def build_lock(releases: Path) -> Iterator[None]:
    """Hold the lock for building and removing releases. Raises ReleaseError if another process
    holds it.
    """
    try:
        lock = FileLock(releases / ".lock", wait=False)
    except AlreadyLockedError as error:
        holder = describe_holder(releases / ".lock")
        raise ReleaseError(
            f"another release is being built ({holder}); wait until it is complete"
        ) from error
    with lock:
        yield


def to_json(release: Release) -> str:
    """Return a release's manifest as JSON without its files."""
    names = ("number", "iri", "position", "entry", "issued", "previous", "counts", "changes")
    return json.dumps({name: getattr(release, name) for name in names}, ensure_ascii=False)


def apply_retention(releases: Path, keep: int, now: datetime) -> list[Release]:
    """Delete the files of all but the newest *keep* releases; return the withdrawn ones. After a
    crash, call it again.
    """
    removed = []
    with build_lock(releases):
        for release in list_releases(releases)[max(1, keep) :]:
            folder = releases / str(release.number)
            if release.withdrawn is None:
                release = replace(release, withdrawn=f"{now:%Y-%m-%dT%H:%M:%SZ}")
                write_manifest(folder, release)  # the manifest says so before the files are deleted
                removed.append(release)
            for path in folder.iterdir():
                if path.name != MANIFEST:
                    path.unlink()
    return removed
