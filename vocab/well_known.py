"""Organizations that registries of many countries name: ``organizations.toml``, with the source of
each name.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class WellKnownOrganization(NamedTuple):
    """An organization: its org-id *identifier*, its *names*, its *acronyms* and its *page* on the
    web.
    """

    identifier: str
    names: tuple[str, ...]
    acronyms: tuple[str, ...]
    page: str


@cache
def well_known_organizations() -> tuple[WellKnownOrganization, ...]:
    """Return the organizations of the list.

    >>> next(item.acronyms for item in well_known_organizations() if item.identifier == "XM-DAC-41303")
    ('ITU', 'UIT')
    """
    with (files("vocab") / "organizations.toml").open("rb") as file:
        rows = tomllib.load(file)["organization"]
    return tuple(
        WellKnownOrganization(
            row["identifier"], tuple(row["names"]), tuple(row["acronyms"]), row["page"]
        )
        for row in rows
    )
