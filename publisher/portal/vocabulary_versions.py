"""Versions of the ontologies and the concept schemes: each is served by its owl:versionIRI, older
ones from the journal.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

from languages.translations import TranslatableText
from publisher.history.change_reader import GraphChange
from publisher.history.versions import read_history, read_version
from publisher.linked_data.document_lookup import Document
from publisher.store.descriptions import Description, describe_graph
from publisher.store.query_service import QueryService
from web.paths import split_suffix
from web.problems import HTTPProblem
from web.representation import ResourceURLs

_VERSION_IRI = "http://www.w3.org/2002/07/owl#versionIRI"


class Version(NamedTuple):
    """A version of an ontology or a scheme: its document, its IRI, and the graph that has it now,
    "" if a later version replaced it.
    """

    document: Document
    iri: str
    graph: str


class Versions(NamedTuple):
    """What a page says of versions: the IRIs of the *older* ones, the newest first, and whether the
    page shows one that was *replaced*.
    """

    older: list[str]
    replaced: bool


async def find_version(service: QueryService, whole: str, prefix: str, name: str) -> Version:
    """Return the version *name* (a number, with or without a suffix of a format) of *whole*, a path
    under the base.

    The IRI of a version is the base, *prefix* and the number. Raises HTTPProblem (404) if there is
    no such version.
    """
    number, suffix = split_suffix(name)
    graph, address = service.iris.base + whole, f"{service.iris.base}{prefix}/{number}"
    description = await describe_graph(service, graph)
    current = [term.value for term in description.all("owl:versionIRI")]
    if address not in current:
        former = former_versions(await read_history(service, graph), graph)
        if address not in former:
            available = ", ".join([*current, *former]) or "none"
            raise HTTPProblem(
                HTTPStatus.NOT_FOUND,
                TranslatableText(
                    "This version isn't served here. Available: {formats}", formats=available
                ),
            )
        description = await read_version(service, graph, former[address])
    document = Document(description, ResourceURLs(f"/{prefix}/{number}"), suffix)
    return Version(document, address, graph if address in current else "")


async def versions_of(service: QueryService, description: Description) -> Versions:
    """Return the other versions of the ontology or scheme that *description* describes, without
    those that its own IRI names.
    """
    former = former_versions(await read_history(service, description.iri), description.iri)
    own = {term.value for term in description.all("owl:versionIRI")}
    return Versions([version for version in former if version not in own], bool(own & set(former)))


def former_versions(changes: Iterable[GraphChange], whole: str) -> dict[str, int]:
    """Return the last journal entry of each version of *whole* that a later one replaced, by its
    owl:versionIRI, the newest first.
    """
    start = f"D <{whole}> <{_VERSION_IRI}> <"
    results = {
        row.removeprefix(start).rstrip(" .>"): change.entry - 1
        for change in changes
        for row in change.rows or ()
        if row.startswith(start)
    }
    return dict(sorted(results.items(), key=lambda item: -item[1]))
