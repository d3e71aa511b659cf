"""Datasets and their distributions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

TITLE = "WSIS Stocktaking"
ABOUT = (
    "Initiatives, events, documents and posts from public registries of digital development, in one vocabulary, linked to the WSIS action "
    "lines and the Sustainable Development Goals: as it is now. Each record names its registry, whose licence it keeps."
)
KEYWORDS = (
    "WSIS",
    "action lines",
    "Sustainable Development Goals",
    "SDG",
    "digital development",
    "ICT for development",
    "linked data",
)


class DatasetKind(Enum):
    """The kind of a dataset: all current data, all data of a release or a dump, or the data of one
    registry.
    """

    CURRENT = "living"
    RELEASE = "release"
    DUMP = "dump"
    SOURCE = "share"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A way to get a dataset: *media* is the media type, *packed* that of the compression, "" for
    none.

    *file* is whether it is a download, not a service; *bytes* and *sha256* (hexadecimal) are those
    of the stored file.
    """

    name: str
    title: str
    url: str
    media: str
    compression: str = ""
    is_download: bool = False
    bytes: int | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset; times are UTC as xsd:dateTime, *licence* is None if its sources have several.

    *since* is when its oldest statement was first published, *previous* the IRI of the one before
    it, *sources* are those of its data.
    """

    kind: DatasetKind
    name: str
    iri: str
    title: str
    about: str
    page: str
    issued: str
    modified: str
    distributions: tuple[Distribution, ...]
    coverage_start: str
    publisher: str = TITLE
    licence: str | None = None
    version: str | None = None
    previous: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogSource:
    """A registry in the catalog; *publisher*, *licence* and *endpoint* are None if its source
    definition does not name them.

    *changed* is when its published data last changed, "" if unknown.
    """

    iri: str
    name: str
    title: str
    publisher: str | None
    licence: str | None
    endpoint: str | None
    records: int
    changed: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """All data sets and the registries behind them; *contact* is an e-mail address, "" if there is
    none.
    """

    current: Dataset
    snapshots: tuple[Dataset, ...]
    source_datasets: tuple[Dataset, ...]
    sources: tuple[CatalogSource, ...]
    contact: str = ""

    @property
    def all(self) -> tuple[Dataset, ...]:
        """Return all datasets: the current data, the releases or dumps (newest first), then the
        registries by name.
        """
        return (self.current, *self.snapshots, *self.source_datasets)

    @property
    def releases(self) -> tuple[Dataset, ...]:
        """Return the releases, the newest first."""
        return tuple(dataset for dataset in self.snapshots if dataset.kind is DatasetKind.RELEASE)
