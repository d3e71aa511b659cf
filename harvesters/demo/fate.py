"""Fate: what befalls a record from version to version of its registry, and which faults it carries; and the truth to compare with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from harvesters.demo.generate import Project, dice, make

_FIRST = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())  # the oldest datestamp of the demo
_SPAN = 900 * 86400  # seconds in which the first version's records were last touched
_ODDS = 50  # one record in so many carries a fault of a kind, and as many are deleted at first
_UNREADABLE = ("2021-02-30", "31/12/2019", "0000-00-00", "soon", "2020-13-01")
_UNKNOWN = ("Atlantis", "Sub-region East", "Worldwide", "Country office", "n/a")


class Fault(StrEnum):
    """What can go wrong at a registry; the first six are on in the demo."""

    DATES = "dates"  # some start dates are none
    TITLES = "titles"  # some records have no title
    COUNTRIES = "countries"  # some countries are no country
    DELETIONS = "deletions"  # some records are deleted from the start
    SLOW = "slow"  # the second page of a registry comes late, once
    BUSY = "busy"  # the second request of a registry is answered 503 with Retry-After, once
    EXPIRED = "expired"  # the third OAI-PMH page's token has expired, once
    CUT = "cut"  # the second page ends in its middle, once
    EMPTY = "empty"  # lists are empty
    REPEAT = "repeat"  # each page is the first one again
    HTML = "html"  # a web page comes instead of data
    TWICE = "twice"  # each page begins with the last record of the page before
    SHRINK = "shrink"  # the total is smaller from the second page on
    TOKEN = "token"  # the second page's token comes again and again
    ENDLESS = "endless"  # behind the end come empty pages, each with a new token
    BOM = "bom"  # JSON begins with a byte order mark
    CLOCK = "clock"  # the registry's clock runs backwards
    FORBIDS = "forbids"  # robots.txt keeps us out
    MUTE = "mute"  # robots.txt is answered 503
    CRAWL = "crawl"  # robots.txt asks for 1.5 seconds between two requests
    # From here on: the second request is struck, or with ``stays`` each from the second on.
    LIMITED = "limited"  # 429 with Retry-After in seconds
    DATED = "dated"  # 503 with Retry-After as a date
    DOWN = "down"  # 503
    DENIED = "denied"  # 403, by the registry itself
    WALL = "wall"  # 403, by a bot wall
    INWARD = "inward"  # a redirect to a private address
    ROUND = "round"  # a redirect to itself
    CHARSET = "charset"  # Latin-1 that says it is UTF-8
    LORIS = "loris"  # headers that come byte by byte and do not end
    DRIP = "drip"  # a body that comes byte by byte
    STALL = "stall"  # a body that stops in its middle
    SHORT = "short"  # a body that ends before its Content-Length
    CHUNK = "chunk"  # a body whose chunks are broken
    BOMB = "bomb"  # a body that unfolds to gigabytes
    SCRAP = "scrap"  # a body that is no gzip and says that it is
    ALIEN = "alien"  # what comes is no HTTP


DEFAULT = frozenset({Fault.DATES, Fault.TITLES, Fault.COUNTRIES, Fault.DELETIONS, Fault.SLOW, Fault.BUSY})


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that the demo plays: its name, its seed and how many records its first version has."""

    name: str
    seed: int
    size: int


SHARES = {"oai": 30, "ckan": 25, "projects": 14, "csv": 14, "offset": 5, "cursor": 4, "next": 4, "all": 3, "files": 1}


def registries(size: int, seed: int, only: Collection[str] = ()) -> list[Registry]:
    """Share *size* records out to the registries, or to those named in *only*; each has one record at least.

    >>> [(it.name, it.size) for it in registries(100, 1, ["oai", "ckan"])]
    [('oai', 55), ('ckan', 45)]
    """
    for name in only:
        if name not in SHARES:
            raise ValueError(f"{name!r} is no registry of the demo; known are {', '.join(SHARES)}")
    chosen = [name for name in SHARES if not only or name in only]
    total = sum(SHARES[name] for name in chosen)
    sizes = {name: max(1, size * SHARES[name] // total) for name in chosen}
    sizes[chosen[0]] += max(0, size - sum(sizes.values()))
    return [Registry(name, seed * len(SHARES) + list(SHARES).index(name), sizes[name]) for name in chosen]


@dataclass(frozen=True, slots=True)
class Age:
    """How old the demo is: its *version*, its faults, and when versions came; one that is not in *came* has its own day.

    *stays* tells that faults which strike the second request of a registry strike all that follow it too.
    """

    version: int = 1
    faults: frozenset[Fault] = DEFAULT
    came: Mapping[int, datetime] = field(default_factory=dict)
    stays: bool = False

    def strikes(self, fault: Fault, nth: int) -> bool:
        """Tell whether *fault* strikes a registry's *nth* request."""
        return fault in self.faults and (nth == 2 or (self.stays and nth > 2))

    def start(self, version: int) -> datetime:
        """Tell when a version from 2 up came."""
        return self.came.get(version) or datetime(2025, 9, 1, tzinfo=UTC) + timedelta(days=30 * (version - 2))

    @property
    def now(self) -> datetime:
        """Tell the demo's time: after every datestamp and before the next version's."""
        if self.version in self.came:
            return self.came[self.version]
        return datetime(2025, 7, 1, tzinfo=UTC) if self.version < 2 else self.start(self.version) + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Fate:
    """A record at an age: deleted or not, how often revised, when last touched (seconds since 1970), and its faults."""

    number: int
    deleted: bool
    revision: int
    touched: int
    faults: frozenset[Fault]


def _touched(age: Age, version: int, throw: int) -> int:
    start = int(age.start(version).timestamp())
    return start if version in age.came else start + throw % 86400


def _carried(age: Age, d: tuple[int, ...]) -> frozenset[Fault]:
    kinds = (Fault.DATES, Fault.TITLES, Fault.COUNTRIES)
    return frozenset(kind for n, kind in enumerate(kinds) if d[40 + n] % _ODDS == 0 and kind in age.faults)


def _growth(size: int) -> int:
    return max(1, size // 50)


def fate(registry: Registry, number: int, age: Age) -> Fate:
    """Tell what has become of a record by *age*: a version changes about 5 % of the records and deletes about 1 %."""
    d = dice(registry.seed, number, "fate")
    born = 1 if number < registry.size else 2 + (number - registry.size) // _growth(registry.size)
    touched = _FIRST + (d[50] << 16 | d[51]) % _SPAN if born == 1 else _touched(age, born, d[50])
    deleted = born == 1 and Fault.DELETIONS in age.faults and d[43] % _ODDS == 0
    revision = 0
    for version in range(born + 1, age.version + 1):
        throw = d[(version - 2) % 40]
        if deleted or throw > 14:
            continue
        deleted = throw < 3  # 3 of 256
        revision += not deleted  # 12 of 256
        touched = _touched(age, version, d[50])
    return Fate(number, deleted, revision, touched, frozenset() if deleted else _carried(age, d))


def fates(registry: Registry, age: Age) -> Iterator[Fate]:
    """Walk through all records that the registry has ever had, by number."""
    for number in range(registry.size + (age.version - 1) * _growth(registry.size)):
        yield fate(registry, number, age)


def written(registry: Registry, it: Fate) -> Project:
    """Write a living record out, faults and all."""
    project = make(registry.seed, it.number, it.revision)
    project["updated"] = stamp(it.touched)
    if Fault.TITLES in it.faults:
        project["title"] = {}
    if Fault.DATES in it.faults:
        project["period"]["from"] = _UNREADABLE[it.number % len(_UNREADABLE)]
    if Fault.COUNTRIES in it.faults:
        project["countries"] = [_UNKNOWN[it.number % len(_UNKNOWN)]]
    return project


def stamp(seconds: int) -> str:
    """Write a time as UTC, whole seconds.

    >>> stamp(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Counts:
    """What is really there: living records, deleted ones, and how many of the living carry each fault."""

    records: int
    deleted: int
    untitled: int
    misdated: int
    misplaced: int


def truth(size: int, seed: int, version: int = 1, faults: Collection[Fault] = DEFAULT, only: Collection[str] = ()) -> dict[str, Counts]:
    """Count by registry what a complete harvest of the demo must find."""
    age = Age(version, frozenset(faults))
    return {registry.name: _count(list(fates(registry, age))) for registry in registries(size, seed, only)}


def _count(all_fates: list[Fate]) -> Counts:
    living = [it for it in all_fates if not it.deleted]
    kinds = (Fault.TITLES, Fault.DATES, Fault.COUNTRIES)
    return Counts(len(living), len(all_fates) - len(living), *(sum(kind in it.faults for it in living) for kind in kinds))
