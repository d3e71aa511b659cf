"""Releases as datasets or, before the first release, dumps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from publisher.linked_data.catalog.dataset import TITLE, Dataset, DatasetKind, Distribution
from publisher.releases import citation
from publisher.releases.dump_index import NAME, DumpFile, list_dumps
from publisher.store.releases.manifest import Release
from publisher.store.releases.manifest import list_releases as releases
from vocab.iris import Iris, is_web

_GZIP = "application/gzip"
# Media types of compressed files, by the suffix before that of the compression.
_MEDIA = {
    "nq": "application/n-quads",
    "nt": "application/n-triples",
    "ttl": "text/turtle",
    "jsonld": "application/ld+json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
}


def release_datasets(
    data: Path, iris: Iris, started: str, licence: str | None
) -> tuple[Dataset, ...]:
    """Return the releases, or the dumps, newest first; the journal began at *begun*, *licence* is
    that of all sources or None.
    """
    available = [release for release in releases(data / "releases") if release.withdrawn is None]
    return tuple(release_dataset(release, iris, started) for release in available) or tuple(
        _dump_datasets(data / "dumps", iris, started, licence)
    )


def release_dataset(release: Release, iris: Iris, started: str = "") -> Dataset:
    """Return a release as a dataset. *begun* is the time of the first journal entry, "" to leave it
    out.
    """
    base = iris.base
    licences = [licence for licence in citation.licences(release) if is_web(licence)]
    copies = tuple(
        Distribution(
            file.name,
            file.says or file.name,
            f"{base}releases/{release.number}/{file.name}",
            *_kinds(file.name, file.media),
            is_download=True,
            bytes=file.bytes,
            sha256=file.sha256,
        )
        for file in release.files
    )
    return Dataset(
        DatasetKind.RELEASE,
        f"wsis-stocktaking-release-{release.number}",
        release.iri,
        citation.title(release),
        f"{citation.abstract(release)} A snapshot of the whole database of {release.day}, after journal entry {release.position}.",
        f"{base}releases/{release.number}/",
        release.issued,
        release.issued,
        () if release.withdrawn else copies,
        started,
        licence=licences[0] if len(licences) == 1 else None,
        version=str(release.number),
        previous=iris.release(release.previous) if release.previous is not None else None,
        sources=tuple(iris.source(source.name) for source in release.sources),
    )


def _dump_datasets(
    folder: Path, iris: Iris, started: str, licence: str | None
) -> Iterator[Dataset]:
    files = list_dumps(folder) if folder.is_dir() else []
    for number in dict.fromkeys(match[1] for file in files if (match := NAME.match(file.name))):
        own = [file for file in files if file.name.startswith(f"stocktake-{number}.")]
        issued = max(file.created for file in own)
        yield Dataset(
            DatasetKind.DUMP,
            f"wsis-stocktaking-dump-{number}",
            f"{iris.base}catalog#dump-{number}",
            f"{TITLE}, dump of journal entry {number}",
            f"The whole database after journal entry {number}.",
            f"{iris.base}dumps/",
            issued,
            issued,
            tuple(_copy(file, iris) for file in own),
            started,
            licence=licence,
            version=number,
        )


def _copy(file: DumpFile, iris: Iris) -> Distribution:
    return Distribution(
        file.name,
        file.name,
        f"{iris.base}dumps/{file.name}",
        *_kinds(file.name, ""),
        True,
        file.size,
        file.digest,
    )


def _kinds(name: str, media: str) -> tuple[str, str]:
    """Return the media types of a file's content and of its packing, "" for none.

    >>> _kinds("stocktake-3.gone.csv.gz", ""), _kinds("CITATION.cff", "application/yaml")
    (('text/csv', 'application/gzip'), ('application/yaml', ''))
    """
    bare = name.removesuffix(".gz")
    known = (
        media
        if media and media != _GZIP
        else _MEDIA.get(bare.rpartition(".")[2], "application/octet-stream")
    )
    return known, _GZIP if bare != name else ""
