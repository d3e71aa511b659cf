"""``/.well-known/void``: the VoID description of the dataset (https://www.w3.org/TR/void/), with
the numbers of the newest release.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import ServiceDep
from publisher.errors import LimitError
from publisher.rdf.results import Term
from publisher.releases.dump_index import list_dumps
from publisher.releases.void import TARGETS, VOID, VoidCounts, parse_statements, void_statements
from publisher.store.descriptions import Description, Statement, namespaces, serialize_description
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.releases.manifest import Release
from publisher.store.releases.manifest import list_releases as releases
from vocab.terms import DCT, FOAF
from web.endpoints import contents, get, problems
from web.formats import GRAPHS
from web.negotiation import best_match
from web.problems import HTTPProblem
from web.representation import Representation, build_response

NAME = "void.ttl"  # of the release's file
_FORMATS = "http://www.w3.org/ns/formats/"


router = APIRouter()


@get(
    router,
    "/.well-known/void",
    operation_id="void",
    summary="Describe the dataset: its size, vocabularies, links and dumps",
    tags=["have"],
    response_class=Response,
    response_description="A VoID description",
    responses=contents(*(graph_format.media for graph_format in GRAPHS.values())) | problems(503),
)
async def void(request: Request, service: ServiceDep) -> Response:
    """The numbers are those of the newest release, if there is one."""
    chosen_format = best_match(request.headers.get("accept"), GRAPHS.values()) or GRAPHS["ttl"]
    if not service.snapshot:
        raise HTTPProblem(HTTPStatus.SERVICE_UNAVAILABLE, "No snapshot is up yet")
    triples = await describe(service)
    return build_response(
        request,
        Representation(
            serialize_description(triples, chosen_format), chosen_format.media, negotiated=True
        ),
    )


async def describe(service: QueryService) -> Description:
    """Describe the dataset, with the counts of the newest release that has them, else those of the
    current snapshot.
    """
    dataset = f"{service.iris.base}.well-known/void#dataset"
    release = await asyncio.to_thread(_newest_release, service)
    triples = list(_dataset(service, dataset, release))
    if release:
        triples += parse_statements(
            (service.data / "releases" / str(release.number) / NAME).read_bytes()
        )
    else:
        triples += void_statements(await _count(service), service.iris, namespaces(service.iris))
    return Description(
        dataset,
        tuple(sorted(dict.fromkeys(triples), key=lambda triple: triple.subject != dataset)),
        {},
        namespaces(service.iris),
    )


def _newest_release(service: QueryService) -> Release | None:
    return next(
        (
            item
            for item in releases(service.data / "releases")
            if not item.withdrawn and item.file(NAME)
        ),
        None,
    )


async def _count(service: QueryService) -> VoidCounts:
    """Count the current snapshot; links are left out if counting them exceeds the time limit of a
    query.
    """
    properties, classes, kinds = await asyncio.gather(
        *(service.rows(query(item)) for item in ("void-properties", "void-classes", "kinds"))
    )
    numbers = VoidCounts(
        triples=sum(int(chosen_format["triples"].value) for chosen_format in properties),
        entities=sum(int(chosen_format["things"].value) for chosen_format in kinds),
        properties=Counter(
            {
                chosen_format["property"].value: int(chosen_format["triples"].value)
                for chosen_format in properties
            }
        ),
        classes=Counter(
            {
                chosen_format["class"].value: int(chosen_format["entities"].value)
                for chosen_format in classes
            }
        ),
    )
    try:
        links = await service.rows(
            query("void-links").replace("SPACES", " ".join(f'"{space}"' for space in TARGETS))
        )
    except LimitError:
        return numbers
    numbers.links = Counter(
        {
            (chosen_format["property"].value, chosen_format["space"].value): int(
                chosen_format["triples"].value
            )
            for chosen_format in links
        }
    )
    return _each_once(numbers)


def _each_once(numbers: VoidCounts) -> VoidCounts:
    """Count each link for the longest matching prefix: the IRIs of areas begin with that of the
    goals.
    """
    for (name, space), count in list(numbers.links.items()):
        for wider in TARGETS:
            if wider != space and space.startswith(wider):
                numbers.links[name, wider] -= count
    numbers.links = +numbers.links
    return numbers


def _dataset(service: QueryService, dataset: str, release: Release | None) -> Iterator[Statement]:
    base = service.iris.base
    yield Statement(dataset, f"{DCT}title", Term("WSIS Stocktaking", "literal", "en"))
    yield Statement(dataset, f"{FOAF}homepage", Term(base))
    yield Statement(dataset, f"{VOID}sparqlEndpoint", Term(f"{base}sparql"))
    yield Statement(dataset, f"{VOID}uriSpace", Term(base, "literal"))
    for namespace in (service.iris.ns, service.iris.operations):
        yield Statement(dataset, f"{VOID}vocabulary", Term(namespace))
    for name in ("Turtle", "N-Triples", "JSON-LD", "RDF_XML"):
        yield Statement(dataset, f"{VOID}feature", Term(_FORMATS + name))
    if release:
        yield Statement(dataset, f"{DCT}hasVersion", Term(release.iri))
        for file_entry in release.files:
            if file_entry.name.startswith("stocktake-"):
                yield Statement(
                    dataset,
                    f"{VOID}dataDump",
                    Term(f"{base}releases/{release.number}/{file_entry.name}"),
                )
    for file in (item for item in list_dumps(service.data / "dumps") if ".gone." not in item.name):
        yield Statement(dataset, f"{VOID}dataDump", Term(f"{base}dumps/{file.name}"))
