"""Holdings: what can be had here as a whole, once for all that list it (DCAT, CKAN, data.json): the living dataset, the releases, and
each registry's share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from publisher.pages.standings import place, standings
from publisher.queries import query
from publisher.releases import release
from publisher.releases.dumpfiles import NAME, listed
from publisher.shelf.shelf import Shelf
from vocab.iris import Iris, is_web

TITLE = "WSIS Stocktaking"
KEYWORDS = ("WSIS", "action lines", "Sustainable Development Goals", "SDG", "digital development", "ICT for development", "linked data")
_GZIP, _ZSTD = "application/gzip", "application/zstd"
_PACKED = {".gz": _GZIP, ".zst": _ZSTD}
# What lies under the packing, by the suffix before it.
_MEDIA = {
    "nq": "application/n-quads",
    "nt": "application/n-triples",
    "ttl": "text/turtle",
    "jsonld": "application/ld+json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "xml": "application/xml",
}


class Kind(Enum):
    """What a holding is."""

    LIVING = "living"
    RELEASE = "release"
    SHARE = "share"


@dataclass(frozen=True, slots=True)
class Copy:
    """One way to have a holding: *media* is that of what is got, *packed* that of the packing around it, "" where there is none.

    *file* tells a download from a service; *bytes* and *sha256* (hexadecimal) are of the file as it lies.
    """

    name: str
    title: str
    url: str
    media: str
    packed: str = ""
    file: bool = False
    bytes: int | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Holding:
    """Something that can be had as a whole; times are UTC as xsd:dateTime, *licence* None where several hold within it."""

    kind: Kind
    name: str
    iri: str
    title: str
    about: str
    page: str
    issued: str
    modified: str
    copies: tuple[Copy, ...]
    publisher: str = TITLE
    licence: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A registry as it is listed; *endpoint* and *publisher* None where its card does not tell."""

    iri: str
    name: str
    title: str
    publisher: str | None
    licence: str | None
    endpoint: str | None
    records: int
    since: str
    changed: str


@dataclass(frozen=True, slots=True)
class Holdings:
    """All holdings, the registries behind them, and since when and until when there is something."""

    living: Holding
    releases: tuple[Holding, ...]
    shares: tuple[Holding, ...]
    sources: tuple[Source, ...]

    @property
    def all(self) -> tuple[Holding, ...]:
        """Give all, the living one first, the releases newest first, then the shares by name."""
        return (self.living, *self.releases, *self.shares)

    @property
    def licences(self) -> tuple[str, ...]:
        """Give the licences of the registries, each once."""
        return tuple(sorted({it.licence for it in self.sources if it.licence}))


async def holdings(shelf: Shelf) -> Holdings:
    """Draw up what can be had now."""
    sources = await _sources(shelf)
    common = {it.licence for it in sources}
    licence = next(iter(common)) if len(common) == 1 else None
    first = shelf.journal.entry(1)
    begun = f"{first.time:%Y-%m-%dT%H:%M:%SZ}" if first else _stamp(0)
    shown = place(shelf)
    living = _living(shelf.iris, begun, (shown.time if shown else None) or begun, licence)
    kept = await asyncio.to_thread(_kept, shelf.data, shelf.iris, licence)
    shares = tuple(_share(it, shelf.iris, begun) for it in sources)
    return Holdings(living, kept, shares, sources)


async def _sources(shelf: Shelf) -> tuple[Source, ...]:
    fare, counts = await standings(shelf), await shelf.rows(query("source-counts"))
    records = {row["source"].value: int(row["records"].value) for row in counts}
    found: dict[str, Source] = {}
    for row in await shelf.rows(query("catalogued")):
        iri, told = row["source"].value, {name: term.value for name, term in row.items()}
        name = iri.removeprefix(shelf.iris.source(""))
        standing = fare.get(name)
        changed = (standing.told.get("lastChange") or standing.told.get("lastSuccess") or "") if standing else ""
        licence = told.get("licence")
        found.setdefault(
            iri,
            Source(
                iri,
                name,
                told.get("title", name),
                told.get("publisher"),
                licence if licence and is_web(licence) else None,
                told.get("endpoint"),
                records.get(iri, 0),
                "",
                changed,
            ),
        )
    return tuple(found.values())


def _living(iris: Iris, begun: str, modified: str, licence: str | None) -> Holding:
    base = iris.base
    about = (
        "Initiatives, events, documents and posts from public registries of digital development, in one vocabulary, tied to the WSIS action "
        "lines and the Sustainable Development Goals: as it is now. Each record names its registry, whose licence it keeps."
    )
    copies = (
        Copy("sparql", "SPARQL endpoint", f"{base}sparql", "application/sparql-results+json"),
        Copy("journal", "Journal: all changes as RDF Patch", f"{base}journal/", "application/rdf-patch"),
    )
    return Holding(
        Kind.LIVING, "wsis-stocktaking", f"{base}.well-known/void#dataset", TITLE, about, base, begun, modified, copies, licence=licence
    )


def _kept(data: Path, iris: Iris, licence: str | None) -> tuple[Holding, ...]:
    """Give the releases whose files are there; before the first, the dumps."""
    found = [it for it in release.listed(data / "releases") if it.withdrawn is None]
    return tuple(_release(it, licence) for it in found) or tuple(_dumps(data / "dumps", iris, licence))


def _release(it: release.Release, licence: str | None) -> Holding:
    copies = tuple(
        Copy(file.name, file.says or file.name, f"{it.iri}/{quote(file.name)}", *_kinds(file.name, file.media), True, file.bytes, file.sha256)
        for file in it.files
        if file.name.rpartition(".")[2] not in ("minisig", "sig")
    )
    title, about = f"{TITLE}, release {it.number}", f"All that was published on {it.issued[:10]} (journal entry {it.position}), whole and for good."
    name = f"wsis-stocktaking-release-{it.number}"
    return Holding(
        Kind.RELEASE, name, it.iri, title, about, it.iri, it.issued, it.issued, copies, licence=licence, version=str(it.number)
    )


def _dumps(folder: Path, iris: Iris, licence: str | None) -> Iterator[Holding]:
    files = listed(folder) if folder.is_dir() else []
    for number in dict.fromkeys(match[1] for file in files if (match := NAME.match(file.name))):
        own = [file for file in files if file.name.startswith(f"stocktake-{number}.")]
        copies = tuple(
            Copy(file.name, file.name, f"{iris.base}dumps/{file.name}", *_kinds(file.name, ""), True, file.size, file.digest) for file in own
        )
        made, about = max(file.made for file in own), f"All that was published after journal entry {number}, whole."
        page, iri = f"{iris.base}dumps/", f"{iris.base}catalog#dump-{number}"
        title = f"{TITLE}, dump of journal entry {number}"
        yield Holding(
            Kind.RELEASE, f"wsis-stocktaking-dump-{number}", iri, title, about, page, made, made, copies, licence=licence, version=number
        )


def _share(it: Source, iris: Iris, begun: str) -> Holding:
    base, asked = iris.base, quote(query("share").replace("<ns#", f"<{iris.ns}").replace("<source>", f"<{it.iri}>"), safe="")
    copies = (
        Copy("csv", "Records as CSV", f"{base}sparql?query={asked}&format=csv", "text/csv", "", True),
        Copy("sparql", "SPARQL endpoint", f"{base}sparql", "application/sparql-results+json"),
    )
    about = f"What {it.title} publishes, harvested and translated: {it.records} records, tied to the WSIS action lines and the Sustainable Development Goals."
    name, page = f"wsis-stocktaking-source-{it.name}"[:100], it.iri
    return Holding(
        Kind.SHARE, name, f"{it.iri}#records", it.title, about, page, begun, it.changed or begun, copies, it.publisher or it.title, it.licence
    )


def _kinds(name: str, media: str) -> tuple[str, str]:
    """Give the media types of a file's content and of its packing, "" for none.

    >>> _kinds("stocktake-3.gone.csv.gz", "")
    ('text/csv', 'application/gzip')
    """
    stem, dot, last = name.rpartition(".")
    packed = _PACKED.get(dot + last, "")
    suffix = stem.rpartition(".")[2] if packed else last
    known = _MEDIA.get(suffix) or ("" if media in _PACKED.values() else media)
    return known or "application/octet-stream", packed


def _stamp(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
