"""Find the organizations of the register that the names in a draft may mean, so that a person can
take over the register's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harvesters.ledger.participation.models import Content
from vocab.normalization import fold

MEMBERS = ("publisher", "partner", "funder")
_NAMES = 20  # names of a draft that are looked up
_SHOWN = 3  # organizations for one name


@dataclass(frozen=True, slots=True)
class KnownOrganization:
    """An organization of the register: its *iri* and its *name*."""

    iri: str
    name: str


# Returns the organizations that a name may mean, the likeliest first.
FindOrganizations = Callable[[str], Sequence[KnownOrganization]]


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A *name* in a draft with the organizations that it may mean; *is_same* is whether these have
    the same name.
    """

    name: str
    known: tuple[KnownOrganization, ...]
    is_same: bool


def match_names(content: Content, find: FindOrganizations) -> list[NameMatch]:
    """Return each name of an organization in a draft that equals or resembles one of the register."""
    matches = []
    for name in list(dict.fromkeys(_names(content)))[:_NAMES]:
        # Of organizations with the same name, the likeliest one is offered.
        known = tuple({fold(item.name): item for item in reversed(find(name))}.values())[::-1][
            :_SHOWN
        ]
        same = tuple(item for item in known if fold(item.name) == fold(name))
        if known:
            matches.append(NameMatch(name, same or known, bool(same)))
    return matches


def rename(content: Content, before: str, after: str) -> dict[str, Any]:
    """Return a draft in which each organization named *before* is named *after*.

    >>> rename({"partner": [{"name": "UNESCO"}, {"name": "FAO"}]}, "UNESCO", "United Nations Educational Organization")
    {'partner': [{'name': 'United Nations Educational Organization'}, {'name': 'FAO'}]}
    """
    renamed = dict(content)
    for member in MEMBERS:
        value = content.get(member)
        if isinstance(value, list):
            renamed[member] = [_renamed(party, before, after) for party in value]
        elif value:
            renamed[member] = _renamed(value, before, after)
    return renamed


def _renamed(party: Any, before: str, after: str) -> Any:
    return (
        {**party, "name": after}
        if isinstance(party, Mapping) and party.get("name") == before
        else party
    )


def _names(content: Content) -> Iterator[str]:
    for member in MEMBERS:
        value = content.get(member) or []
        for party in value if isinstance(value, list) else [value]:
            if isinstance(party, Mapping) and party.get("name"):
                yield str(party["name"])
