"""Finding: which thing an address names, with the suffix of a format or without; a key may itself end like one."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from publisher.http.paths import parse_thing_path, split_suffix
from publisher.http.problems import HTTPProblem
from publisher.rdf.results import iri
from publisher.store.descriptions import Description, describe_graph, describe_thing
from publisher.store.queries import query
from publisher.store.query_service import QueryService


@dataclass(frozen=True, slots=True)
class ThingDocument:
    """A thing: its IRI, what follows ``/id/`` in it, and its record's IRI; None of an organization, which has no record of its own."""

    address: str
    path: str
    record: str | None
    gone: bool

    @property
    def status(self) -> HTTPStatus:
        """Give the status with which it is answered."""
        return HTTPStatus.GONE if self.gone else HTTPStatus.OK

    async def describe(self, service: QueryService) -> Description:
        """Describe it."""
        return await (describe_graph(service, self.record, self.address) if self.record else describe_thing(service, self.address))

    async def licence(self, service: QueryService) -> str | None:
        """Give the licence under which its registry gives what it has, as an IRI; None where it tells none."""
        return await licence_of(service, self.path.split("/")[1])


async def licence_of(service: QueryService, source: str) -> str | None:
    """Give the licence of a registry as an IRI, None where it tells none."""
    rows = await service.rows(query("sources"))
    named = (row["licence"] for row in rows if row["source"].value == service.iris.source(source) and "licence" in row)
    return next((term.value for term in named if term.is_iri), None)


async def find_thing(service: QueryService, parts: list[str]) -> tuple[ThingDocument, str | None]:
    """Find the thing of a path, as it is or else without its suffix; raise Refused (404) where there is none."""
    if found := await _lookup(service, parts):
        return found, None
    *before, last = parts
    key, suffix = split_suffix(last)
    if suffix and (found := await _lookup(service, [*before, key])):
        return found, suffix
    raise _not_found(service, parts)


async def find_thing_by_suffix(service: QueryService, parts: list[str]) -> tuple[ThingDocument, str | None]:
    """Find the thing of a path without its suffix, or else as it is; raise Refused (404) where there is none."""
    parse_thing_path(parts)
    *before, last = parts
    key, suffix = split_suffix(last)
    if suffix and (found := await _lookup(service, [*before, key])):
        return found, suffix
    if found := await _lookup(service, parts):
        return found, None
    raise _not_found(service, parts)


def _not_found(service: QueryService, parts: list[str]) -> HTTPProblem:
    return HTTPProblem(HTTPStatus.NOT_FOUND, f"This record doesn't exist: {service.iris.base}id/{'/'.join(parts)}")


async def _lookup(service: QueryService, parts: list[str]) -> ThingDocument | None:
    kind, source, key = parse_thing_path(parts)
    path = f"{kind}/{source}/{key}"
    address = f"{service.iris.base}id/{path}"
    if kind == "organization":
        return ThingDocument(address, path, None, False) if await service.rows(query("about"), {"subject": iri(address)}) else None
    record = f"{service.iris.base}record/{source}/{key}"
    state = await service.rows(query("state"), {"record": iri(record)})
    if not any("thing" not in row or row["thing"].value == address for row in state):
        return None
    return ThingDocument(address, path, record, any(row["status"].value == f"{service.iris.ns}gone" for row in state))
