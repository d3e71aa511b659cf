"""Delete the files of old releases. Their manifests stay, so that numbers and URLs remain valid."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from publisher.releases.builder import build_lock
from publisher.store.releases.manifest import MANIFEST, Release, list_releases, write_manifest

KEEP = 12  # releases: a year of monthly releases


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
