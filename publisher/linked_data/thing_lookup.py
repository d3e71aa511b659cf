"""Look up the thing of a request path, with or without a format suffix. A key may itself end like a
suffix.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from languages.translations import TranslatableText
from publisher.rdf.results import iri
from publisher.store.descriptions import Description, describe_graph, describe_thing
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from web.paths import parse_thing_path, split_suffix
from web.problems import HTTPProblem


@dataclass(frozen=True, slots=True)
class ThingDocument:
    """A thing: its IRI, the path after ``/id/``, and its record's IRI; None for organizations,
    which have no record of their own.
    """

    iri: str
    path: str
    record: str | None
    gone: bool

    @property
    def status(self) -> HTTPStatus:
        """Return the HTTP status: 410 for a deleted thing."""
        return HTTPStatus.GONE if self.gone else HTTPStatus.OK

    async def describe(self, service: QueryService) -> Description:
        """Return its description."""
        return await (
            describe_graph(service, self.record, self.iri)
            if self.record
            else describe_thing(service, self.iri)
        )

    async def licence(self, service: QueryService) -> str | None:
        """Return the licence of its registry as an IRI, None if it states none."""
        return await licence_of(service, self.path.split("/")[1])


async def licence_of(service: QueryService, source: str) -> str | None:
    """Return the licence of a registry as an IRI, None if it states none."""
    rows = await service.rows(query("sources"))
    named = (
        row["licence"]
        for row in rows
        if row["source"].value == service.iris.source(source) and "licence" in row
    )
    return next((term.value for term in named if term.is_iri), None)


async def find_thing(service: QueryService, parts: list[str]) -> tuple[ThingDocument, str | None]:
    """Return the thing of a path, else that without the suffix; raises HTTPProblem (404) if there
    is none.
    """
    if document := await _lookup(service, parts):
        return document, None
    *parents, last = parts
    key, suffix = split_suffix(last)
    if suffix and (document := await _lookup(service, [*parents, key])):
        return document, suffix
    raise _not_found(service, parts)


async def find_thing_by_suffix(
    service: QueryService, parts: list[str]
) -> tuple[ThingDocument, str | None]:
    """Return the thing of a path without the suffix, else that with it; raises HTTPProblem (404) if
    there is none.
    """
    parse_thing_path(parts)
    *parents, last = parts
    key, suffix = split_suffix(last)
    if suffix and (document := await _lookup(service, [*parents, key])):
        return document, suffix
    if document := await _lookup(service, parts):
        return document, None
    raise _not_found(service, parts)


def _not_found(service: QueryService, parts: list[str]) -> HTTPProblem:
    return HTTPProblem(
        HTTPStatus.NOT_FOUND,
        TranslatableText(
            "This record doesn't exist: {iri}", iri=f"{service.iris.base}id/{'/'.join(parts)}"
        ),
    )


async def _lookup(service: QueryService, parts: list[str]) -> ThingDocument | None:
    kind, source, key = parse_thing_path(parts)
    path = f"{kind}/{source}/{key}"
    iri_ = f"{service.iris.base}id/{path}"
    if kind == "organization":
        return (
            ThingDocument(iri_, path, None, False)
            if await service.rows(query("about"), {"subject": iri(iri_)})
            else None
        )
    record = f"{service.iris.base}record/{source}/{key}"
    state = await service.rows(query("state"), {"record": iri(record)})
    if not any("thing" not in row or row["thing"].value == iri_ for row in state):
        return None
    return ThingDocument(
        iri_,
        path,
        record,
        any(row["status"].value == f"{service.iris.operations}gone" for row in state),
    )
