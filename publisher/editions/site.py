"""Write the static edition of a release: the pages of the portal as files that work from any web
server, and from a disk without one.

What the search and the query page read in the browser are plain scripts, since pages that are
opened from a disk may not fetch files. An index of the search has a script with all documents, and
one script for the words that begin alike; a search loads those that it needs. The query page has the
statements of the release.
"""

from __future__ import annotations

import asyncio
import base64
import csv
import gzip
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain, pairwise, product
from pathlib import Path

import httpx
from fastapi import FastAPI

from journal.files import replace_file
from journal.journal import Journal
from languages.translations import LANGUAGES, RequestLocale, use_language
from publisher.app import SiteOptions, create_app
from publisher.editions.crawler import (
    FACETS,
    LOG,
    NEEDS_SERVER,
    QUERY,
    SEARCH,
    Addresses,
    Crawler,
    Progress,
    SearchDocument,
    Target,
    normalize_path,
    read_log,
    redirect_page,
    rewrite,
)
from publisher.errors import ReleaseError
from publisher.limits import Limits
from publisher.pages import BUNDLE_FOLDER, PACKAGE_FOLDER
from publisher.releases.signature import PUBLIC
from publisher.sparql.examples import examples
from publisher.store.query_service import QueryService
from publisher.store.releases import (
    Release,
    release_numbers,
)
from vocab.iris import Iris
from vocab.terms import DCT, SCHEMA
from web.branding import Branding

SHARDS = 64  # scripts of words
_COMMON = 0.5  # of the documents: a word in more of them is ignored, in an index of at least _FEW
_FEW = 100
# Facets of the search page, and the columns of the table of initiatives that have their codes.
_COLUMNS = {
    "source": "source", "line": "action_lines", "goal": "goals", "target": "targets", "country": "countries", "year": "start_year",
    "status": "status", "coverage": "coverage", "type": "activity_types",
}  # fmt: skip
EXAMPLES = (
    "initiatives-by-goal",
    "initiatives-by-action-line",
    "initiatives-by-country",
    "initiatives-by-year",
    "goals-of-an-action-line",
    "organizations",
    "languages",
    "itu-regions",
    "targets-with-goals",
    "claims-by-basis",
)
LARGEST = 4 << 20  # bytes of the file of statements: a browser takes some hundred times as much
_DESCRIPTION = f"<{DCT}description>".encode()  # the longest texts, which the pages have


def read_facets(release_folder: Path, iris: Iris) -> dict[str, dict[str, str]]:
    """Return the codes of each initiative and organization of a release by the path of its page and
    by facet, separated by spaces.
    """
    codes: dict[str, dict[str, str]] = {}
    for table, key in (("initiatives", "thing"), ("organizations", "organization")):
        for row in read_table(release_folder, table):
            path = normalize_path("/page/" + row[key].removeprefix(f"{iris.base}id/"))
            codes[path] = {
                facet: row[column] for facet, column in _COLUMNS.items() if column in row
            }
    return codes


def read_table(release_folder: Path, name: str) -> Iterator[dict[str, str]]:
    with gzip.open(release_folder / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def write_index(
    folder: Path, documents: Sequence[SearchDocument], codes: Mapping[str, Mapping[str, str]]
) -> None:
    """Write the index of *documents*, all of one language, into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_row(document, codes) for document in documents]
    words: dict[str, list[int]] = defaultdict(list)
    for number, document in enumerate(documents):
        for word in document["words"]:
            words[word].append(number)
    limit = len(documents) * _COMMON if len(documents) >= _FEW else len(documents)
    common = sorted(word for word, numbers in words.items() if len(numbers) > limit)
    columns = ["file", "title", *FACETS]
    _write(
        folder / "documents.js",
        "documents",
        {"columns": columns, "common": common, "shards": SHARDS, "rows": rows},
    )
    rare = sorted(words.keys() - set(common))
    for shard in range(SHARDS):
        # Each number is written as its difference from the one before: these are short texts.
        numbers = {
            word: [one - last for last, one in pairwise([0, *words[word]])]
            for word in rare
            if shard_of(word) == shard
        }
        _write(folder / f"words-{shard}.js", "words", {"shard": shard, "words": numbers})


def shard_of(word: str) -> int:
    """Return the number of the script of a word: of its first character, so that words of a prefix
    share a script.

    >>> shard_of("telemedicine") == shard_of("te")
    True
    """
    return ord(word[0]) % SHARDS


def _row(document: SearchDocument, codes: Mapping[str, Mapping[str, str]]) -> list[str]:
    kind, path = document["kind"], document["path"]
    source = path.split("/")[3] if kind != "topic" else ""
    values = {"kind": kind, "source": source, **codes.get(path, {})}
    return [document["file"], document["title"], *(values.get(facet, "") for facet in FACETS)]


def _write(path: Path, name: str, value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    path.write_text(f"stocktakeSearch.{name}({text});\n", encoding="utf-8")


def write_query_data(folder: Path, file: Path) -> int:
    """Write the N-Triples of the gzip file *file* without descriptions as a script; return their
    bytes, 0 if they are too many for a browser.
    """
    if file.stat().st_size > LARGEST:
        return 0
    with gzip.open(file) as lines:
        text = b"".join(line for line in lines if _DESCRIPTION not in line)
    folder.mkdir(parents=True, exist_ok=True)
    packed = base64.b64encode(gzip.compress(text, 9, mtime=0)).decode()
    (folder / "statements.js").write_text(f'stocktakeQuery.load("{packed}");\n')
    return len(text)


FORMAT = 1  # of the log of an unfinished edition
FINISHED = "edition.json"  # in the folder of an edition: what it is
ENGINE = "edition.js"  # Oxigraph, which hatch_build.py bundles
# Requests have this origin where no public URL is known (https://www.rfc-editor.org/rfc/rfc2606).
_NOWHERE = "http://edition.invalid"
_SECONDS = 600.0  # for a page and for a query
_MEGABYTE = 1_000_000
# Each file has a template, and the path in whose place the page is.
_OWN_PAGES = {
    SEARCH: ("edition_search.html", "/search"),
    QUERY: ("edition_query.html", "/sparql"),
    NEEDS_SERVER: ("edition_needs_server.html", "/"),
}


@dataclass(frozen=True, slots=True)
class Edition:
    """What to export: *release* of the data folder *data* in *languages*. *url* is the public URL
    of its site, "" if it has none.
    """

    data: Path
    iris: Iris
    release: Release
    languages: tuple[str, ...]
    branding: Branding
    url: str = ""

    def addresses(self, months: frozenset[str] = frozenset()) -> Addresses:
        """Return the addresses of the edition, with those of the *months* of events."""
        return Addresses(self.release.number, self.languages, self.url or _NOWHERE, months)

    @property
    def header(self) -> dict[str, object]:
        """Return what an interrupted export must have in common with this one to be continued."""
        release = {
            "release": self.release.number,
            "entry": self.release.entry,
            "languages": list(self.languages),
        }
        return {"format": FORMAT, "version": version("stocktake"), **release}


async def export_site(
    edition: Edition, folder: Path, step: Callable[[str], None], progress: Progress
) -> tuple[int, dict[str, int]]:
    """Write the static edition into *folder*, or continue an interrupted export; return how many
    files it has, and the addresses that answered with an error, with their status. Raises
    PublisherError.

    A folder that has this edition already stays as it is. *step* is called with a sentence before
    each step, *progress* with the numbers of finished and known files.
    """
    finished = folder / FINISHED
    if finished.is_file() and json.loads(finished.read_text()) == edition.header:
        return _count_files(folder), {}
    read_log(folder, edition.header)  # before the minutes that the data may take
    step("Preparing the data of the release")
    data = await asyncio.to_thread(link_release_data, edition.data, edition.release)
    limits = Limits(seconds=_SECONDS, wait=_SECONDS)
    async with QueryService(data, edition.iris, limits) as service:
        await service.wait_until_current(is_indexed=True)
        addresses = edition.addresses(await _months(service))
        app = create_app(service, site=SiteOptions(edition.branding, url=edition.url))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url=addresses.origin, timeout=_SECONDS
        ) as client:
            step("Writing the pages")
            crawler = Crawler(client, addresses, folder, edition.header, progress)
            await crawler.run(_first_pages(edition))
        step("Writing the search and the queries")
        await asyncio.to_thread(_write_own_pages, edition, folder, app)
    codes = read_facets(edition.data / "releases" / str(edition.release.number), edition.iris)
    for language in edition.languages:
        write_index(
            folder / language / "search",
            [item for item in crawler.documents if item["language"] == language],
            codes,
        )
    replace_file(finished, json.dumps(edition.header))
    (folder / LOG).unlink()
    await asyncio.to_thread(shutil.rmtree, data)
    return _count_files(folder), crawler.missing


def _count_files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file())


async def _months(service: QueryService) -> frozenset[str]:
    """Return the months in which events begin, as 2025-05."""
    query = f"SELECT DISTINCT (SUBSTR(STR(?start), 1, 7) AS ?month) {{ ?event a <{SCHEMA}Event> ; <{SCHEMA}startDate> ?start }}"
    return frozenset(str(row["month"]) for row in await service.rows(query))


def _first_pages(edition: Edition) -> Iterator[Target]:
    """Yield the pages from which all others are reached, and files that only our own pages use."""
    addresses, release = edition.addresses(), edition.release
    listed = (
        "/",
        "/organizations",
        "/events",
        "/documents",
        "/posts",
        "/prizes",
        f"/release/{release.number}",
        "/examples",
        "/status",
    )
    things = _things(edition.data / "releases" / str(release.number), edition.iris)
    for path, language in product(chain(listed, things), edition.languages):
        yield addresses.target(path, [], language)
    for file in release.files:
        yield addresses.target(f"/releases/{release.number}/{file.name}", [], "")


def _things(folder: Path, iris: Iris) -> Iterator[str]:
    """Yield the paths of the pages of all records, things and organizations of a release: not all
    are linked from another page.
    """
    for row in read_table(folder, "records"):
        yield normalize_path(f"/{row['record'].removeprefix(iris.base)}")
        if row["thing"] and row["state"] != "gone":
            yield normalize_path(f"/page/{row['thing'].removeprefix(f'{iris.base}id/')}")
    for row in read_table(folder, "organizations"):
        yield normalize_path(f"/page/{row['organization'].removeprefix(f'{iris.base}id/')}")


def _write_own_pages(edition: Edition, folder: Path, app: FastAPI) -> None:
    """Write the pages that only an edition has: search, query, what needs a server, and the choice
    of a language.
    """
    release, query, number = edition.release, folder / "query", edition.release.number
    statements = edition.data / "releases" / str(number) / f"stocktake-{number}.nt.gz"
    size = write_query_data(query, statements) if (BUNDLE_FOLDER / ENGINE).is_file() else 0
    files = [query / "statements.js", BUNDLE_FOLDER / ENGINE]
    values = {
        "release": release.number,
        "day": release.day,
        "site": edition.url,
        "size": -(-size // _MEGABYTE),
        "files": -(-sum(file.stat().st_size for file in files) // _MEGABYTE) if size else 0,
        "engine": f"query/{ENGINE}",
        "examples": [item for item in examples(edition.iris) if item.name in EXAMPLES],
    }
    static = Path("static", "edition")
    scripts = ("search.js", "query.js")
    copied = [(PACKAGE_FOLDER / static / name, folder / static / name) for name in scripts]
    copied += [(BUNDLE_FOLDER / name, query / name) for name in (ENGINE, "NOTICE.txt") if size]
    for source, path in copied:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
    for language, (file, (template, address)) in product(edition.languages, _OWN_PAGES.items()):
        with use_language(language, RequestLocale(path=address)):
            page = app.state.pages.page(template, **values)
            target = Target(address, language, f"{language}/{file}")
            content = rewrite(bytes(page.body), edition.addresses(), target)[0]
        (folder / target.file).write_bytes(content)
    _write_index_page(edition, folder)


def _write_index_page(edition: Edition, folder: Path) -> None:
    """Write the first page: it leads to the first language, and links to all."""
    first = edition.languages[0]
    links = "".join(
        f'<li><a href="{name}/index.html" lang="{name}">{LANGUAGES[name]}</a></li>'
        for name in edition.languages
    )
    page = (
        redirect_page(f"{first}/index.html", first)
        .decode()
        .replace("</body>", f"<ul>{links}</ul></body>")
    )
    replace_file(folder / "index.html", page)


def link_release_data(data: Path, release: Release) -> Path:
    """Return ``editions/N`` in the data folder: the journal up to *release*, and the releases and
    reports until then.

    The files are hard links, as those of snapshots are. A folder that an interrupted export left is
    used again.
    """
    folder = data / "editions" / str(release.number)
    journal = Journal(data / "journal")
    entry = journal.entry(release.position)
    if entry is None or entry.id != release.entry:
        raise ReleaseError(
            f"the journal no longer has entry {release.position} of release {release.number}; export a newer release"
        )
    numbers = [one for one in release_numbers(data / "releases") if one <= release.number]
    wanted = [
        *(item.path for item in journal.entries() if item.number <= release.position),
        *(data / name for name in ("status.nq", "format.json", f"signing/{PUBLIC}")),
        *(path for one in numbers for path in (data / "releases" / str(one)).rglob("*")),
        *(path for one in numbers for path in (data / "reports").glob(f"release-{one}.*/**/*")),
    ]
    for path in wanted:
        if path.is_file() and not (copy := folder / path.relative_to(data)).exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, copy)
    return folder


def check_languages(text: str) -> tuple[str, ...]:
    """Return the languages of a list with commas. Raises ValueError at an unknown one.

    >>> check_languages("en, fr")
    ('en', 'fr')
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names or ("",) if name not in LANGUAGES]:
        raise ValueError(f"unknown language {unknown[0]!r}; available: {', '.join(LANGUAGES)}")
    return names
