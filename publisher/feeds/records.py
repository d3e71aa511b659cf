"""Changed records as catalogues describe them, the iterator of changes that all feeds share, the sets
of records that have feeds, and the XML templates of ``publisher/templates/feeds``.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, lru_cache
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar, cast

from fastapi import Depends
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from pyoxigraph import NamedNode, Triple

from publisher.data.properties import PropertyTable, published_properties
from publisher.history.change_reader import Change, ChangeType, Watermark, open_history
from publisher.pages import PACKAGE_FOLDER, ServiceDep
from publisher.rdf import Term, from_node, namespaces
from publisher.store.descriptions import Description, Statement
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from vocab.lookup import AREA, SDG
from vocab.schemes import label
from web.respond import Link, typed_link

# https://www.w3.org/TR/xml/#charsets
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def render(template: str, **values: Any) -> bytes:
    """Render a document; values are escaped, and characters that XML does not allow are replaced."""
    return clean(_environment().get_template(template).render(values)).encode()


@cache
def macro(template: str, name: str) -> Callable[..., Markup]:
    """Return a macro of a template, whose output is to be handed to another template."""
    return cast(Callable[..., Markup], getattr(_environment().get_template(template).module, name))


def clean(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)


@lru_cache(1024)  # the records of an entry have one time
def instant(seconds: int) -> str:
    """Write seconds since 1970 as a time in UTC.

    >>> instant(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def period(text: str) -> tuple[datetime, datetime]:
    """Return the begin of a day, a month or a year, and that of the next. Raises ValueError, and
    OverflowError at the end of the calendar.

    >>> [f"{end:%Y-%m-%d}" for end in (*period("2026-12"), *period("2026-01-31"))]
    ['2026-12-01', '2027-01-01', '2026-01-31', '2026-02-01']
    """
    begin = datetime.fromisoformat(f"{text}-01-01"[:10]).replace(tzinfo=UTC)
    days = {len("2026"): 366, len("2026-01"): 31}.get(len(text), 1)
    end = begin + timedelta(days=days)
    return begin, end.replace(day=1) if days > 1 else end


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["instant"] = instant
    environment.globals["DELETED"] = ChangeType.DELETED
    return environment


def _read(name: str) -> str:
    """Return a template without its line breaks, which would be content of the elements."""
    text = (PACKAGE_FOLDER / "templates" / "feeds" / name).read_text(encoding="utf-8")
    return re.sub(r"\n\s*", "", text)


BATCH = 250  # records that are read at once
FEED_FAMILIES = ("line", "goal", "country", "source")  # the families of sets that have feeds
_TOP = {
    "line": "By action line",
    "goal": "By Sustainable Development Goal",
    "country": "By country",
    "source": "By registry",
    "kind": "By type",
}
BASIS_TITLES = {
    "declared": "stated by the registry",
    "crosswalked": "mapped from the registry's own codes",
}


_CONCEPTS = ("concepts", "countries")
_PARTIES = ("leads", "partners", "funders")
# Lists in which a text that names nothing known is left out.
_LINKS = (*_CONCEPTS, "pages", "places", "registrations", "event_statuses")


class RecordValue(NamedTuple):
    """A value of a property as a text: a literal, or the name of the concept or party *iri*, else
    that IRI.
    """

    text: str
    language: str | None = None
    iri: str = ""


class Place(NamedTuple):
    """A location: degrees in WGS 84, and its name if known."""

    latitude: str
    longitude: str
    name: str | None


@dataclass(frozen=True)
class ChangedRecord(Description):
    """A record after *change*: the description of its graph."""

    change: Change
    iris: Iris
    properties: PropertyTable

    @cached_property
    def topic(self) -> str:
        """Return what the record describes, or the record itself if that is unknown."""
        topic = self.one("foaf:primaryTopic", self.iri)
        return topic.value if topic else self.iri

    def all(self, name: str, subject: str | None = None) -> list[Term]:
        """Return the values of a property, of the record's thing or of *subject*."""
        return super().all(name, subject or self.topic)

    @cached_property
    def values(self) -> Mapping[str, list[RecordValue]]:
        """Return the values of the lists that ``properties.toml`` calls metadata, each once: action
        lines before goals and targets, each as the registry declares them before those from
        crosswalks.
        """
        values = defaultdict[str, list[RecordValue]](list)
        listed = (row for row in self.properties if row.metadata)
        for row in sorted(listed, key=lambda row: row.concept):
            name, terms = row.metadata, self.all(row.iri)
            if name == "titles" and not terms:  # those of a deleted record
                terms = self.all(row.iri, self.iri)
            for term in terms:
                value = self._value(name, term)
                if value and value not in values[name] and (value.iri or name not in _LINKS):
                    values[name].append(value)
        return values

    def _value(self, name: str, term: Term) -> RecordValue | None:
        if not term.is_iri:
            return RecordValue(term.value, term.language)
        if name in _PARTIES:
            title = preferred_text(self.all("skos:prefLabel", term.value))
            return RecordValue(title.value, title.language, term.value) if title else None
        text = label(term.value, "en", self.iris.base) if name in _CONCEPTS else None
        return RecordValue(text or term.value, None, term.value)

    def first(self, name: str) -> str | None:
        """Return the text of the first value of a list, None if it is empty."""
        return next((value.text for value in self.values[name]), None)

    def preferred(self, *names: str) -> RecordValue | None:
        """Return the value in English of the first of *names* that has values, else any of it."""
        return next(
            (preferred_text(self.values[name]) for name in names if self.values[name]), None
        )

    @property
    def source(self) -> str:
        return self.change.name.partition("/")[0]

    @property
    def places(self) -> list[Place]:
        """Return the locations with coordinates."""
        places = []
        for location in self.values["places"]:
            latitude, longitude = (self.one(f"wgs:{end}", location.iri) for end in ("lat", "long"))
            name = preferred_text(self.all("rdfs:label", location.iri))
            if latitude and longitude:
                places.append(Place(latitude.value, longitude.value, name.value if name else None))
        return places


class Text(Protocol):
    """A text in a language, None if that is unknown."""

    @property
    def language(self) -> str | None: ...


TextT = TypeVar("TextT", bound=Text)


def preferred_text(texts: Sequence[TextT]) -> TextT | None:
    """Return the text in English, else one without a language, else any."""
    ranks = {"en": 0, None: 1}
    return min(texts, key=lambda text: ranks.get(text.language, 2), default=None)


class Changes:
    """The changes of records that this server announces now, from the current snapshot."""

    def __init__(self, service: QueryService) -> None:
        """Raises NotReady without a snapshot."""
        self.service, self.iris, self.history = service, service.iris, open_history(service)

    @cached_property
    def watermark(self) -> Watermark:
        """Return the last change that is announced. Raises NotReady before the first."""
        return self.history.watermark(time.time())

    def states(self, changes: Sequence[Change]) -> Iterator[tuple[Change, Iterable[Triple]]]:
        """Yield each of *changes* with what the graph of its record stated after it, sorted."""
        for start in range(0, len(changes), BATCH):
            batch = changes[start : start + BATCH]
            versions = [(self.iris.base + change.graph, change.entry) for change in batch]
            yield from zip(batch, self.history.states(versions), strict=True)

    def records(self, changes: Sequence[Change]) -> Iterator[ChangedRecord]:
        """Yield the record of each of *changes*, in their order."""
        iris, properties, spaces = self.iris, published_properties(), namespaces(self.iris)
        for change, triples in self.states(changes):
            statements = tuple(  # No subject is a blank node.
                Statement(cast(NamedNode, t.subject).value, t.predicate.value, from_node(t.object))
                for t in triples
            )
            graph = iris.base + change.graph
            yield ChangedRecord(graph, statements, {}, spaces, change, iris, properties)


def get_changes(service: ServiceDep) -> Changes:
    return Changes(service)


ChangesDep = Annotated[Changes, Depends(get_changes)]


def _spaces(iris: Iris) -> dict[str, str]:
    """Return the beginning of the IRIs of concepts by family of sets; areas are below goals."""
    return {
        "country": AREA,
        "goal": SDG,
        "line": iris.concept("action-line", ""),
        "source": iris.source(""),
    }


def set_concept(name: str, iris: Iris) -> str | None:
    """Return the IRI of the concept, country or registry of a set, None if it has none.

    >>> set_concept("goal:3:declared", Iris()), set_concept("kind:event", Iris())
    ('http://metadata.un.org/sdg/3', None)
    """
    family, _, rest = name.partition(":")
    code, space = rest.partition(":")[0], _spaces(iris).get(family)
    return space + code if space and code else None


def set_title(name: str, iris: Iris) -> str:
    """Return the English title of a set.

    >>> set_title("goal:3:declared", Iris())
    'Goal 3: Ensure healthy lives and promote well-being for all at all ages (stated by the registry)'
    """
    family, code, basis, *_ = [*name.split(":"), "", ""]
    if not code:
        return _TOP.get(family, family)
    prefixes = {
        "goal": f"Goal {code}: ",
        "line": f"{code}: ",
        "source": "Registry ",
        "kind": "Type: ",
    }
    prefix = prefixes.get(family, "")
    title = label(set_concept(name, iris) or "", "en", iris.base) or code
    suffix = f" ({BASIS_TITLES[basis]})" if basis in BASIS_TITLES else ""
    return prefix + title.removeprefix(prefix).strip() + suffix


def feed_links(host: str, iri: str, iris: Iris) -> list[Link]:
    """Return the link to the feed of a concept, country, goal or registry, none if it has no feed.

    >>> [link.target for link in feed_links("", "http://metadata.un.org/sdg/codes/geoArea/404", Iris())]
    ['/feeds/country/404.atom']
    >>> feed_links("", "http://metadata.un.org/sdg/3.8", Iris())
    []
    """
    spaces = _spaces(iris)
    family = next((name for name, space in spaces.items() if iri.startswith(space)), "")
    code = iri.removeprefix(spaces.get(family, ""))
    is_numbered = family in ("country", "goal")
    if not family or not code or not (code.isdecimal() if is_numbered else "/" not in code):
        return []
    path = feed_path(f"{family}:{code}")
    return [typed_link("alternate", f"{host}{path}.atom", "application/atom+xml")]


def feed_path(name: str) -> str:
    """Return the path of a set's feed, without its suffix.

    >>> feed_path("all"), feed_path("goal:3")
    ('/feeds/all', '/feeds/goal/3')
    """
    return "/feeds/" + name.replace(":", "/")
