"""What the list of organizations shows beside a name: registry, type, countries and number of
initiatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from publisher.rdf.results import iri
from publisher.store.queries import query
from publisher.store.query_service import QueryService


@dataclass(frozen=True, slots=True)
class OrganizationDetails:
    """The registry's name, the IRIs of type (None if not stated) and countries, and the number of
    initiatives, None while it is not counted.
    """

    source: str
    classification: str | None
    countries: tuple[str, ...]
    initiatives: int | None


async def load_organization_details(
    initiatives: Mapping[str, int | None], service: QueryService
) -> dict[str, OrganizationDetails]:
    """Return the details of organizations by IRI; *initiatives* are their numbers of initiatives."""
    things = " ".join(map(iri, initiatives))
    rows = (
        await service.rows(query("organization-details").replace("THINGS", things))
        if things
        else []
    )
    result: dict[str, OrganizationDetails] = {}
    for row in sorted(
        rows,
        key=lambda row: tuple(
            row[name].value if name in row else "" for name in ("classification", "country")
        ),
    ):
        address = row["thing"].value
        known = result.get(address)
        countries = (
            *(known.countries if known else ()),
            *([row["country"].value] if "country" in row else []),
        )
        classification = row["classification"].value if "classification" in row else None
        result[address] = OrganizationDetails(
            address.partition("/id/organization/")[2].partition("/")[0],
            known.classification if known and known.classification else classification,
            tuple(dict.fromkeys(countries)),
            initiatives[address],
        )
    return result
