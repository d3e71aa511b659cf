"""Kept: the releases whose files are there, and before the first the dumps, as holdings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from publisher.catalog.dataset import TITLE, Dataset, DatasetKind, Distribution
from publisher.releases import citation
from publisher.releases.dump_index import NAME, DumpFile, list_dumps
from publisher.store.releases.manifest import Release
from publisher.store.releases.manifest import list_releases as releases
from vocab.iris import Iris, is_web

_GZIP = "application/gzip"
# What lies under the packing, by the suffix before it.
_MEDIA = {
    "nq": "application/n-quads",
    "nt": "application/n-triples",
    "ttl": "text/turtle",
    "jsonld": "application/ld+json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
}


def release_datasets(data: Path, iris: Iris, begun: str, licence: str | None) -> tuple[Dataset, ...]:
    """Give what is kept of all that was published since *begun*, the newest first; *licence* is that of all, if they share one."""
    found = [it for it in releases(data / "releases") if it.withdrawn is None]
    return tuple(release_dataset(it, iris, begun) for it in found) or tuple(_dump_datasets(data / "dumps", iris, begun, licence))


def release_dataset(it: Release, iris: Iris, begun: str = "") -> Dataset:
    """Give a release as a holding; it began with the first entry of the journal, at *begun*, "" where that is not asked."""
    base, licences = iris.base, [licence for licence in citation.licences(it) if is_web(licence)]
    copies = tuple(
        Distribution(
            file.name,
            file.says or file.name,
            f"{base}releases/{it.number}/{file.name}",
            *_kinds(file.name, file.media),
            file=True,
            bytes=file.bytes,
            sha256=file.sha256,
        )
        for file in it.files
    )
    return Dataset(
        DatasetKind.RELEASE,
        f"wsis-stocktaking-release-{it.number}",
        it.iri,
        citation.title(it),
        f"{citation.ABSTRACT} All that was published on {it.day}, after journal entry {it.position}.",
        f"{base}releases/{it.number}/",
        it.issued,
        it.issued,
        () if it.withdrawn else copies,
        begun,
        licence=licences[0] if len(licences) == 1 else None,
        version=str(it.number),
        previous=iris.release(it.previous) if it.previous is not None else None,
        sources=tuple(iris.source(source.name) for source in it.sources),
    )


def _dump_datasets(folder: Path, iris: Iris, begun: str, licence: str | None) -> Iterator[Dataset]:
    files = list_dumps(folder) if folder.is_dir() else []
    for number in dict.fromkeys(match[1] for file in files if (match := NAME.match(file.name))):
        own = [file for file in files if file.name.startswith(f"stocktake-{number}.")]
        made = max(file.created for file in own)
        yield Dataset(
            DatasetKind.DUMP,
            f"wsis-stocktaking-dump-{number}",
            f"{iris.base}catalog#dump-{number}",
            f"{TITLE}, dump of journal entry {number}",
            f"All that was published after journal entry {number}, whole.",
            f"{iris.base}dumps/",
            made,
            made,
            tuple(_copy(file, iris) for file in own),
            begun,
            licence=licence,
            version=number,
        )


def _copy(file: DumpFile, iris: Iris) -> Distribution:
    return Distribution(file.name, file.name, f"{iris.base}dumps/{file.name}", *_kinds(file.name, ""), True, file.size, file.digest)


def _kinds(name: str, media: str) -> tuple[str, str]:
    """Give the media types of a file's content and of its packing, "" for none.

    >>> _kinds("stocktake-3.gone.csv.gz", ""), _kinds("CITATION.cff", "application/yaml")
    (('text/csv', 'application/gzip'), ('application/yaml', ''))
    """
    bare = name.removesuffix(".gz")
    known = media if media and media != _GZIP else _MEDIA.get(bare.rpartition(".")[2], "application/octet-stream")
    return known, _GZIP if bare != name else ""
