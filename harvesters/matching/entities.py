"""Read initiatives, organizations and documents with a DOI from published descriptions, in the form
in which they are compared.

They, and what a matching computes from them, are in a temporary database on disk, so that any number
of records needs the same memory. The last used entities are cached.
"""

from __future__ import annotations

import pickle
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import groupby
from operator import itemgetter
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
_LABEL = f"{SKOS}prefLabel"
_DOI = "DOI"  # Documents are compared by it alone, since titles do not identify them.
# Hosts on which many publish, so that a page there identifies no organization.
_SHARED = (
    "bitbucket.org docs.google.com drive.google.com en.wikipedia.org facebook.com github.com gitlab.com instagram.com linkedin.com "
    "medium.com play.google.com sites.google.com t.co twitter.com vimeo.com wikipedia.org wordpress.com x.com youtube.com"
)
SHARED_HOSTS = frozenset(_SHARED.split())


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


def parse_entities(
    record: str, statements: Iterable[str], iris: Iris, first_seen: datetime = _NEVER
) -> list[Entity]:
    """Return the entities of the description of one record, which are N-Triples statements without
    their closing dots; ``merge`` joins what several records say of one.

    *first_seen* is in UTC, without a zone.
    """
    about: dict[str, dict[str, list[NamedNode | Literal]]] = {}
    for triple in parse("".join(f"{line} .\n" for line in statements), format=RdfFormat.N_TRIPLES):
        subject, value = triple.subject, triple.object
        if isinstance(subject, NamedNode) and isinstance(value, NamedNode | Literal):
            about.setdefault(subject.value, {}).setdefault(triple.predicate.value, []).append(value)

    def values(subject: str, *names: str) -> list[str]:
        return [item.value for name in names for item in about.get(subject, {}).get(name, ())]

    entities, prefix = [], f"{iris.base}id/"
    for iri in about:
        kind, _, rest = iri.removeprefix(prefix).partition("/")
        if kind not in KINDS:
            continue
        identifiers = {
            (scheme, notation)
            for node in values(iri, f"{ADMS}identifier")
            for scheme in values(node, f"{ADMS}schemaAgency")
            for notation in values(node, f"{SKOS}notation")
        }
        if kind == "document" and _DOI not in dict(identifiers):
            continue
        copied = values(record, f"{PROV}wasDerivedFrom") if kind == "initiative" else []
        own = {record} if kind == "initiative" else set[str]()
        places = about[iri].get(f"{DCT}spatial", ())
        parties = values(iri, f"{DCT}publisher", f"{iris.ns}partner", f"{SCHEMA}funder")
        entity = Entity(
            iri,
            kind,
            rest.partition("/")[0],
            record,
            names=dict.fromkeys(values(iri, f"{DCT}title", f"{SKOS}prefLabel")),
            identifiers=identifiers,
            pages={*map(normalize_page, values(iri, f"{FOAF}page", f"{FOAF}homepage"))} - {""},
            countries={place.value for place in places if isinstance(place, NamedNode)},
            parties={name_words(name) for item in parties for name in values(item, _LABEL)},
            classes={*values(iri, f"{ORG}classification")},
            origins=own.union(*map(origin_keys, copied)),
            start=max(values(iri, f"{SCHEMA}startDate"), default="")[:10],
            first_seen=first_seen,
        )
        entities.append(entity)
    return entities


def merge(entities: Iterable[Entity]) -> Entity:
    """Return the first of *entities* with what the others say of the same thing."""
    remaining = iter(entities)
    merged = next(remaining)
    for other in remaining:
        for name in ("names", "identifiers", "pages", "countries", "parties", "classes", "origins"):
            getattr(merged, name).update(getattr(other, name))
        merged.start = other.start or merged.start
        merged.first_seen = min(merged.first_seen, other.first_seen)
    return merged


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
# What each record says of an entity, and the entities, numbered in the order of their IRIs. Of each
# kind, all different names, and in how many of them a word is. The rest is of a matching: blocks of
# entities by the digest of a key; the versions of records that are compared; the records whose
# version of the last matching is not published any more; the stored pairs, and the new ones.
_SCHEMA = """
CREATE TABLE piece (iri TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE entity (number INTEGER PRIMARY KEY, iri TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, countries TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE changed (iri TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE name (kind TEXT, words TEXT, PRIMARY KEY (kind, words)) WITHOUT ROWID;
CREATE TABLE word (kind TEXT, word TEXT, names INTEGER NOT NULL, PRIMARY KEY (kind, word)) WITHOUT ROWID;
CREATE TABLE block (key INTEGER NOT NULL, number INTEGER NOT NULL, changed INTEGER NOT NULL);
CREATE TABLE place (key INTEGER, place INTEGER, number INTEGER NOT NULL, changed INTEGER NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (key, place)) WITHOUT ROWID;
CREATE TABLE new (source TEXT, key TEXT, run TEXT, seq INTEGER);
CREATE TABLE outdated (source TEXT, key TEXT, record TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE known (first TEXT, second TEXT, first_record TEXT, second_record TEXT);
CREATE TABLE scored (data BLOB NOT NULL);
"""
_COUNT_WORDS = """
INSERT INTO word SELECT kind, value, count(DISTINCT words) FROM name, json_each('["' || replace(words, ' ', '","') || '"]')
GROUP BY kind, value
"""


class EntityStore(Mapping[str, Entity]):
    """Entities by IRI in a temporary *database*: those that ``merge`` made of what was added. At most
    _CACHED are in memory.

    A matching compares the entities that ``mark_changed`` was called with.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self.numbered = lru_cache(_CACHED)(self._load)

    def add(self, entities: Iterable[Entity]) -> None:
        rows = ((entity.iri, pickle.dumps(entity)) for entity in entities)
        self.database.executemany("INSERT INTO piece VALUES (?, ?)", rows)

    def mark_changed(self, iris: Iterable[str]) -> None:
        rows = ((iri,) for iri in iris)
        self.database.executemany("INSERT OR IGNORE INTO changed VALUES (?)", rows)

    def merge(self) -> None:
        """Merge what the records say of each entity, add the names of well-known organizations, and
        count the words of all names.
        """
        pieces = self.database.execute("SELECT iri, data FROM piece ORDER BY iri, rowid")
        insert = "INSERT INTO entity (iri, kind, countries, data) VALUES (?, ?, ?, ?)"
        for iri, rows in groupby(pieces, itemgetter(0)):
            entity = merge(pickle.loads(data) for _, data in rows)
            if entity.kind == "organization":
                add_known_names(entity)
            places = " ".join(sorted(entity.countries))
            self.database.execute(insert, (iri, entity.kind, places, pickle.dumps(entity)))
            names = ((entity.kind, " ".join(words)) for words in entity.words)
            self.database.executemany("INSERT OR IGNORE INTO name VALUES (?, ?)", names)
        self.database.execute(_COUNT_WORDS)

    def _load(self, number: int) -> Entity:
        text = "SELECT data FROM entity WHERE number = ?"
        entity: Entity = pickle.loads(self.database.execute(text, (number,)).fetchone()[0])
        return entity

    def __getitem__(self, iri: str) -> Entity:
        row = self.database.execute("SELECT number FROM entity WHERE iri = ?", (iri,)).fetchone()
        if row is None:
            raise KeyError(iri)
        return self.numbered(row[0])

    def __iter__(self) -> Iterator[str]:
        return (iri for (iri,) in self.database.execute("SELECT iri FROM entity ORDER BY number"))

    def __len__(self) -> int:
        return sum(self.kinds().values())

    def kinds(self) -> dict[str, int]:
        text = "SELECT kind, count(*) FROM entity GROUP BY kind ORDER BY kind"
        return dict(self.database.execute(text))


@contextmanager
def open_entities() -> Iterator[EntityStore]:
    """Open an empty store, which is deleted when it is closed."""
    with open_scratch(_SCHEMA) as database:
        yield EntityStore(database)
