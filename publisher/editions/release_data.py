"""Make a data folder that ends with a release, so that the pages of a release show that release
alone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from journal.journal import Journal
from publisher.errors import ReleaseError, ReleaseNotFound
from publisher.releases.signature import PUBLIC
from publisher.store.releases.manifest import Release, get_release, newest_release, release_numbers


def find_release(data: Path, number: int | None) -> Release:
    """Return a release, the newest if *number* is None. Raises ReleaseNotFound, also for one whose
    files were removed.
    """
    releases = data / "releases"
    release = get_release(releases, number) if number else newest_release(releases)
    if release is None:
        known = (
            ", ".join(map(str, release_numbers(releases)))
            or "none; make one with `stocktake release`"
        )
        raise ReleaseNotFound(
            f"there is no release {number or ''}".rstrip() + f"; available: {known}"
        )
    if release.withdrawn:
        raise ReleaseNotFound(
            f"the files of release {release.number} were removed on {release.withdrawn[:10]}; choose a newer one"
        )
    return release


def link_release_data(data: Path, release: Release) -> Path:
    """Return ``editions/N`` in the data folder: the journal up to *release*, and the releases and
    reports until then.

    The files are hard links where the file system has them. A folder that an interrupted export
    left is used again.
    """
    folder = data / "editions" / str(release.number)
    journal = Journal(data / "journal")
    entry = journal.entry(release.position)
    if entry is None or entry.id != release.entry:
        raise ReleaseError(
            f"the journal no longer has entry {release.position} of release {release.number}; export a newer release"
        )
    (folder / "journal").mkdir(parents=True, exist_ok=True)
    for item in journal.entries():
        if item.number <= release.position:
            _link(item.path, folder / "journal" / item.path.name)
    for name in ("status.nq", "format.json"):
        if (data / name).is_file() and not (folder / name).exists():
            shutil.copy2(data / name, folder / name)
    numbers = [number for number in release_numbers(data / "releases") if number <= release.number]
    for number in numbers:
        _link_files(data / "releases" / str(number), folder / "releases" / str(number))
        for report in (data / "reports").glob(f"release-{number}.*"):
            _link_files(report, folder / "reports" / report.name)
    if (data / "signing" / PUBLIC).is_file():
        (folder / "signing").mkdir(exist_ok=True)
        _link(data / "signing" / PUBLIC, folder / "signing" / PUBLIC)
    return folder


def _link_files(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.is_file():
            _link(file, folder / file.name)


def _link(source: Path, path: Path) -> None:
    if path.exists():
        return
    try:
        os.link(source, path)
    except OSError:
        shutil.copy2(source, path)
