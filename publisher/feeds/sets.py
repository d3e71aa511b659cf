"""Titles, concepts and feed addresses of the sets of records."""

from __future__ import annotations

from vocab.iris import Iris
from vocab.schemes import label
from web.links import Link, typed_link

_AREA, _GOAL = "http://metadata.un.org/sdg/codes/geoArea/", "http://metadata.un.org/sdg/"
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


def set_concept(name: str, iris: Iris) -> str | None:
    """Return the IRI of the concept, country or registry of a set, None if it has none.

    >>> set_concept("goal:3:declared", Iris()), set_concept("kind:event", Iris())
    ('http://metadata.un.org/sdg/3', None)
    """
    family, _, rest = name.partition(":")
    code = rest.partition(":")[0]
    concepts = {
        "line": iris.concept("action-line", code),
        "goal": _GOAL + code,
        "country": _AREA + code,
        "source": iris.source(code),
    }
    return concepts.get(family) if code else None


def set_title(name: str, iris: Iris) -> str:
    """Return the English title of a set.

    >>> set_title("goal:3:declared", Iris())
    'Goal 3: Ensure healthy lives and promote well-being for all at all ages (stated by the registry)'
    """
    family, _, rest = name.partition(":")
    code, _, basis = rest.partition(":")
    if not code:
        return _TOP.get(family, family)
    named = label(set_concept(name, iris) or "", "en", iris.base) or code
    prefix = {
        "goal": f"Goal {code}: ",
        "line": f"{code}: ",
        "source": "Registry ",
        "kind": "Type: ",
    }.get(family, "")
    return (
        prefix
        + named.removeprefix(prefix).strip()
        + (f" ({BASIS_TITLES[basis]})" if basis in BASIS_TITLES else "")
    )


def about(iri: str, iris: Iris) -> str | None:
    """Return the set of the records with a concept, country or goal, or of a registry; None if it
    has no feed.

    >>> about("http://metadata.un.org/sdg/codes/geoArea/404", Iris()), about("http://metadata.un.org/sdg/3.8", Iris())
    ('country:404', None)
    """
    spaces = {
        "country": _AREA,
        "goal": _GOAL,
        "line": iris.concept("action-line", ""),
        "source": iris.source(""),
    }
    family = next((name for name, space in spaces.items() if iri.startswith(space)), None)
    code = iri.removeprefix(spaces[family]) if family else ""
    return (
        f"{family}:{code}"
        if code and (code.isdecimal() if family in ("country", "goal") else "/" not in code)
        else None
    )


def links(host: str, iri: str, iris: Iris) -> list[Link]:
    """Return the link from the page of *iri* to its feed, if it has one."""
    concepts = about(iri, iris)
    return (
        [typed_link("alternate", f"{host}{feed_path(concepts)}.atom", "application/atom+xml")]
        if concepts
        else []
    )


def feed_path(name: str) -> str:
    """Return the path of a set's feed, without its suffix.

    >>> feed_path("all"), feed_path("goal:3")
    ('/feeds/all', '/feeds/goal/3')
    """
    return "/feeds/" + name.replace(":", "/")
