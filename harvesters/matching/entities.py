"""Read initiatives, organizations and documents with a DOI from published descriptions, in the form
in which they are compared.

They, and what is computed from them, are in temporary databases on disk, so that any number of
records needs the same memory. The last used entities are cached.
"""

from __future__ import annotations

import pickle
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Protocol, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from anyascii import anyascii
from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from vocab.identifiers import WellKnownOrganization, well_known_organizations
from vocab.iris import Iris
from vocab.terms import ADMS, DCT, FOAF, ORG, PROV, SCHEMA, SKOS

MAX_NAME = 300  # characters that are compared; longer names are cut
_ACRONYM = re.compile(r"[A-Z][A-Z0-9&.-]{1,9}\Z")
_PARENTHESIS = re.compile(r"\(([A-Z][A-Za-z0-9&.-]{1,9})\)")
_WORDS = re.compile(r"[a-z0-9]+")
# Words for kinds of legal persons, in the languages of the registries, without dots.
_LEGAL_WORDS = (
    "ab ag aisbl as asbl bv co company corp corporation eurl gie gmbh inc incorporated limited limitada llc llp lp ltd ltda nv oao ooo "
    "oy oyj pao plc pte pty pvt private sa sarl sas sasu scrl se sl spa sprl srl zao"
)
# Words that acronyms leave out and that do not distinguish names: English, French and Spanish.
_COMMON_WORDS = "a al and d da das de del der des di do dos du e el en et for in into l la las le les los of on para pour s the to und y"
_LEGAL_FORMS, STOP_WORDS = frozenset(_LEGAL_WORDS.split()), frozenset(_COMMON_WORDS.split())


@lru_cache(maxsize=1 << 16)
def name_words(name: str) -> tuple[str, ...]:
    """Return the words of a name in Latin letters, without legal forms and the words that every
    name has.

    Source of the transliteration: https://github.com/anyascii/anyascii

    >>> name_words("Kenya ICT Action Network, Ltd."), name_words("Министерство здравоохранения")
    (('kenya', 'ict', 'action', 'network'), ('ministerstvo', 'zdravookhraneniya'))
    """
    words = _WORDS.findall(anyascii(name[:MAX_NAME]).lower().replace("'", " ").replace(".", ""))
    content = [word for word in words if word not in STOP_WORDS]
    return (
        tuple(word for word in content if word not in _LEGAL_FORMS)
        or tuple(content)
        or tuple(words)
    )


def acronyms(name: str) -> frozenset[str]:
    """Return the acronyms of a name: itself if it is one, one in parentheses, and the initials of
    three words or more.

    >>> sorted(acronyms("International Telecommunication Union (ITU)")), sorted(acronyms("UNICEF"))
    (['itu', 'itui'], ['unicef'])
    """
    cut = name[:MAX_NAME].strip()
    keys = {match.lower() for match in _PARENTHESIS.findall(cut)}
    if _ACRONYM.match(cut):
        keys.add(re.sub(r"[^a-z0-9]", "", cut.lower()))
    words = name_words(cut)
    if len(words) > 2:
        keys.add("".join(word[0] for word in words))
    return frozenset(keys)


KINDS = ("organization", "initiative", "document")
_NEVER = datetime.max.replace(tzinfo=UTC)  # later than any record names an entity
_DOI = "DOI"  # Documents are compared by it alone, since titles do not identify them.
# Hosts on which many publish, so that a page there identifies no organization.
_SHARED = (
    "bitbucket.org docs.google.com drive.google.com en.wikipedia.org facebook.com github.com gitlab.com instagram.com linkedin.com "
    "medium.com play.google.com sites.google.com t.co twitter.com vimeo.com wikipedia.org wordpress.com x.com youtube.com"
)
SHARED_HOSTS = frozenset(_SHARED.split())


_Rows: TypeAlias = Sequence[tuple[str, NamedNode | Literal]]


@dataclass(slots=True)
class Entity:
    """An initiative, an organization or a document of one registry, by its *iri*, with what its
    records say of it.

    *first_seen* is when a record first named it. *identifiers* are pairs of scheme and value,
    *pages* addresses without scheme and ``www.``, *parties* the words of the names of organizations
    that take part, *origins* its own record and the records that this one copies.
    """

    iri: str
    kind: str
    source: str
    record: str = ""
    names: dict[str, None] = field(default_factory=dict)
    identifiers: set[tuple[str, str]] = field(default_factory=set)
    pages: set[str] = field(default_factory=set)
    countries: set[str] = field(default_factory=set)
    parties: set[tuple[str, ...]] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    origins: set[str] = field(default_factory=set)
    start: str = ""
    first_seen: datetime = _NEVER

    @property
    def key(self) -> str:
        """Return the key that its registry gives its record."""
        return unquote(self.record.rpartition("/")[2])

    @property
    def words(self) -> list[tuple[str, ...]]:
        return [words for words in map(name_words, self.names) if words]

    @property
    def acronyms(self) -> frozenset[str]:
        return frozenset(acronym for name in self.names for acronym in acronyms(name))

    @property
    def hosts(self) -> set[str]:
        """Return the hosts of its pages, except those on which many publish."""
        return {page.partition("/")[0] for page in self.pages} - SHARED_HOSTS


def normalize_page(address: str) -> str:
    """Return a web address as it is compared: without scheme, ``www.``, query, fragment and the
    last slash; "" if it is none.

    >>> normalize_page("https://www.Example.org/a/?b=1#c"), normalize_page("mailto:a@b.example")
    ('example.org/a', '')
    """
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return ""
    return f"{host}{parts.path}".rstrip("/") if parts.scheme in ("http", "https") and host else ""


def origin_keys(address: str) -> Iterator[str]:
    """Yield the names by which an origin is recognized: the base URL and the identifier of a
    GetRecord request (OAI-PMH), *address* for any other.

    An identifier that has the host of the repository is another name, since no other repository
    uses it: the record that was harvested there has it as its key, and our own records have it as
    their IRI.

    >>> list(origin_keys("https://oai.a.example/?verb=GetRecord&identifier=oai%3Aa.example%3A7&metadataPrefix=oai_dc"))
    ['oai.a.example oai:a.example:7', 'oai:a.example:7']
    >>> list(origin_keys("https://a.example/oai?verb=GetRecord&identifier=oai%3Alocalhost%3A7&metadataPrefix=oai_dc"))
    ['a.example/oai oai:localhost:7']
    """
    arguments = parse_qs(urlsplit(address).query)
    if arguments.get("verb") != ["GetRecord"] or "identifier" not in arguments:
        yield address
        return
    identifier, page = arguments["identifier"][0], normalize_page(address)
    yield f"{page} {identifier}"
    host = page.partition("/")[0]
    owner = (
        identifier.split(":")[1].lower()
        if identifier.startswith("oai:")
        else normalize_page(identifier).partition("/")[0]
    )
    if "." in owner and (host == owner or host.endswith(f".{owner}") or owner.endswith(f".{host}")):
        yield identifier


class Entities(Protocol):
    """Entities by IRI: a dictionary, or a store on disk."""

    def setdefault(self, iri: str, entity: Entity, /) -> Entity:
        """Return the stored entity of an IRI, or store and return *entity*; the caller adds to it."""
        ...


class EntityReader:
    """Collects the entities of descriptions in *entities*. An organization has the statements of all
    records of its registry.
    """

    def __init__(self, iris: Iris, entities: Entities) -> None:
        self._iris = iris
        self._prefixes = {kind: f"{iris.base}id/{kind}/" for kind in KINDS}
        self._entities = entities

    def read(
        self, record: str, statements: Iterable[str], first_seen: datetime = _NEVER
    ) -> list[str]:
        """Read the description of one record, N-Triples statements without their closing dots;
        return the IRIs of its entities.

        *first_seen* is in UTC, without a zone.
        """
        text = "".join(f"{statement} .\n" for statement in statements)
        about: dict[str, list[tuple[str, NamedNode | Literal]]] = {}
        for triple in parse(text, format=RdfFormat.N_TRIPLES):
            if isinstance(triple.subject, NamedNode) and isinstance(
                triple.object, NamedNode | Literal
            ):
                about.setdefault(triple.subject.value, []).append(
                    (triple.predicate.value, triple.object)
                )
        read = []
        for subject, rows in about.items():
            if kind := next(
                (kind for kind, prefix in self._prefixes.items() if subject.startswith(prefix)),
                None,
            ):
                if kind == "document" and not _has_doi(rows, about):
                    continue
                source = subject.removeprefix(self._prefixes[kind]).partition("/")[0]
                read.append(subject)
                entity = self._entities.setdefault(subject, Entity(subject, kind, source))
                entity.record = entity.record or record
                entity.first_seen = min(entity.first_seen, first_seen)
                self._read_rows(entity, rows, about)
                if kind == "initiative":
                    origins = (
                        value.value
                        for name, value in about.get(record, ())
                        if name == f"{PROV}wasDerivedFrom"
                    )
                    entity.origins |= {
                        record,
                        *(key for origin in origins for key in origin_keys(origin)),
                    }
        return read

    def _read_rows(
        self,
        entity: Entity,
        rows: Iterable[tuple[str, NamedNode | Literal]],
        about: dict[str, list[tuple[str, NamedNode | Literal]]],
    ) -> None:
        ns = self._iris.ns
        for name, value in rows:
            text = value.value
            if name in (f"{DCT}title", f"{SKOS}prefLabel"):
                entity.names[text] = None
            elif name in (f"{FOAF}page", f"{FOAF}homepage") and (page := normalize_page(text)):
                entity.pages.add(page)
            elif name == f"{DCT}spatial" and isinstance(value, NamedNode):
                entity.countries.add(text)
            elif name == f"{SCHEMA}startDate":
                entity.start = text[:10]
            elif name == f"{ORG}classification":
                entity.classes.add(text)
            elif name in (f"{DCT}publisher", f"{ns}partner", f"{SCHEMA}funder"):
                entity.parties |= {
                    name_words(label.value)
                    for part, label in about.get(text, ())
                    if part == f"{SKOS}prefLabel"
                }
            elif name == f"{ADMS}identifier":
                values = dict(about.get(text, ()))
                scheme, notation = values.get(f"{ADMS}schemaAgency"), values.get(f"{SKOS}notation")
                if scheme and notation:
                    entity.identifiers.add((scheme.value, notation.value))


def _has_doi(rows: _Rows, about: Mapping[str, _Rows]) -> bool:
    identifiers = (
        about.get(value.value, ()) for name, value in rows if name == f"{ADMS}identifier"
    )
    return any(
        (name, value.value) == (f"{ADMS}schemaAgency", _DOI)
        for identifier in identifiers
        for name, value in identifier
    )


def add_known_names(organization: Entity) -> bool:
    """Add the names and the org-id of the well-known organization that has one of its names or
    acronyms; return whether there is one.
    """
    known = next((_by_name()[words] for words in organization.words if words in _by_name()), None)
    if known is None:
        return False
    organization.names |= dict.fromkeys(known.names)
    organization.identifiers.add(("org-id", known.identifier))
    return True


@cache
def _by_name() -> dict[tuple[str, ...], WellKnownOrganization]:
    return {
        name_words(name): item
        for item in well_known_organizations()
        for name in (*item.names, *item.acronyms)
    }


_CACHE = 16 << 10  # KiB of pages in memory; other pages are on disk


class ScratchMapping(Mapping[str, str]):
    """A mapping of texts in a temporary *database*, which has the table of SCHEMA. It is iterated in
    the order of the keys; values may be replaced meanwhile.
    """

    SCHEMA = "CREATE TABLE mapping (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __getitem__(self, key: str) -> str:
        row = self._database.execute("SELECT value FROM mapping WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return str(row[0])

    def __setitem__(self, key: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO mapping VALUES (?, ?)", (key, value))

    def __iter__(self) -> Iterator[str]:
        last, text = "", "SELECT key FROM mapping WHERE key > ? ORDER BY key LIMIT ?"
        while keys := [key for (key,) in self._database.execute(text, (last, _FETCHED))]:
            yield from keys
            last = keys[-1]

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM mapping").fetchone()[0])


@contextmanager
def open_scratch(schema: str) -> Iterator[sqlite3.Connection]:
    """Open a database that only this process sees and that is gone when it is closed or the process
    ends; *schema* creates its tables.

    Its file is unlinked, in the folder for temporary files (SQLITE_TMPDIR or TMPDIR). Source:
    https://www.sqlite.org/inmemorydb.html
    """
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        for pragma in ("journal_mode = OFF", "temp_store = FILE", f"cache_size = -{_CACHE}"):
            database.execute(f"PRAGMA {pragma}")
        database.executescript(schema)
        database.execute("BEGIN")  # In one transaction, no page is written twice.
        yield database


_CACHED = 8_000  # entities in memory
_FETCHED = 1_000  # keys or entities that are read at once
_SCHEMA = """
CREATE TABLE entity (iri TEXT PRIMARY KEY, kind TEXT NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX entity_by_kind ON entity (kind);
CREATE TABLE changed (iri TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class EntityStore(Mapping[str, Entity]):
    """Entities by IRI. Store a changed entity again with ``entities[iri] = entity``, otherwise the
    change may be lost.

    An incremental matching compares the entities that ``mark_changed`` was called with. At most
    *cached* are in memory.
    """

    def __init__(self, database: sqlite3.Connection, cached: int = _CACHED) -> None:
        self._database = database
        self._cached = cached
        self._cache: dict[str, Entity] = {}
        self._unsaved: set[str] = set()

    def __getitem__(self, iri: str) -> Entity:
        if (entity := self._cache.get(iri)) is None:
            row = self._database.execute("SELECT data FROM entity WHERE iri = ?", (iri,)).fetchone()
            if row is None:
                raise KeyError(iri)
            entity = self._cache_entity(iri, pickle.loads(row[0]))
        return entity

    def __setitem__(self, iri: str, entity: Entity) -> None:
        self._cache_entity(iri, entity)
        self._unsaved.add(iri)

    def __contains__(self, iri: object) -> bool:
        if iri in self._cache:
            return True
        return (
            self._database.execute("SELECT 1 FROM entity WHERE iri = ?", (iri,)).fetchone()
            is not None
        )

    def __iter__(self) -> Iterator[str]:
        self._save()
        return (iri for (iri,) in self._database.execute("SELECT iri FROM entity ORDER BY iri"))

    def __len__(self) -> int:
        return sum(self.kinds().values())

    def setdefault(self, iri: str, entity: Entity) -> Entity:
        """Return the stored entity, or store and return *entity*; the caller may change it until it
        uses another one.
        """
        with suppress(KeyError):
            entity = self[iri]
        self[iri] = entity
        return entity

    def kinds(self) -> dict[str, int]:
        self._save()
        return dict(
            self._database.execute("SELECT kind, count(*) FROM entity GROUP BY kind ORDER BY kind")
        )

    def of_kind(self, kind: str) -> Iterator[Entity]:
        """Yield the entities of a kind in the order of their IRIs; each may be stored again
        meanwhile.
        """
        self._save()
        last = ""
        text = "SELECT iri, data FROM entity WHERE kind = ? AND iri > ? ORDER BY iri LIMIT ?"
        while rows := self._database.execute(text, (kind, last, _FETCHED)).fetchall():
            for _, data in rows:
                yield pickle.loads(data)
            last = rows[-1][0]

    def mark_changed(self, iris: Iterable[str]) -> None:
        self._database.executemany(
            "INSERT OR IGNORE INTO changed VALUES (?)", ((iri,) for iri in iris)
        )

    def is_changed(self, iri: str) -> bool:
        return (
            self._database.execute("SELECT 1 FROM changed WHERE iri = ?", (iri,)).fetchone()
            is not None
        )

    def count_changed(self) -> int:
        self._save()
        return int(
            self._database.execute(
                "SELECT count(*) FROM changed JOIN entity USING (iri)"
            ).fetchone()[0]
        )

    def _cache_entity(self, iri: str, entity: Entity) -> Entity:
        if len(self._cache) >= self._cached and iri not in self._cache:
            self._save()
            for oldest in list(self._cache)[: self._cached // 2]:
                del self._cache[oldest]
        self._cache[iri] = entity
        return entity

    def _save(self) -> None:
        rows = (
            (iri, self._cache[iri].kind, pickle.dumps(self._cache[iri]))
            for iri in sorted(self._unsaved)
        )
        self._database.executemany("INSERT OR REPLACE INTO entity VALUES (?, ?, ?)", rows)
        self._unsaved.clear()


@contextmanager
def open_entities(entities: Iterable[Entity] = (), cached: int = _CACHED) -> Iterator[EntityStore]:
    """Open a store with *entities*; at most *cached* are in memory. Closing the store deletes it."""
    with open_scratch(_SCHEMA) as database:
        store = EntityStore(database, cached)
        for entity in entities:
            store[entity.iri] = entity
        yield store
