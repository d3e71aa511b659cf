"""The pages `/problem` and `/problem/{number}`: report a problem with a record or a page, and see
what became of it.

The publisher itself stores no problems: the command line passes it a ``ProblemStore``.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Protocol
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from languages.translations import TranslatableText, current_locale
from publisher.pages import Pages, PagesDep
from publisher.portal.visitors import FieldsDep, first_fault, optional_store
from publisher.rdf import Term, namespaces
from publisher.store.descriptions import Description, Statement, serialize_description
from vocab.addresses import is_mail_address
from vocab.iris import Iris
from vocab.terms import DCT, PROV, RDF, SCHEMA, XSD
from web.endpoints import contents, get, problems
from web.middleware import client_key
from web.respond import (
    GRAPHS,
    HTML,
    JSON,
    NO_STORE,
    Format,
    GraphFormat,
    require,
    respond,
    respond_in,
)

OA = "http://www.w3.org/ns/oa#"
CATEGORIES = (
    *("title", "description", "dates", "place", "classification"),
    *("organization", "page", "duplicate", "personal", "other"),
)
MOST_CHARACTERS = 4000  # of the text of a problem
_MOST_ADDRESS = 254  # characters of a mail address (RFC 5321)
_FORMATS: dict[str, Format] = {
    "html": HTML,
    "json": JSON,
    "ttl": GRAPHS["ttl"],
    "jsonld": GRAPHS["jsonld"],
}
_PATH = re.compile(r"/(?!/)[^\s\x00-\x1f\x7f]*")
# The address of a record, or of the page of what the record is about.
_RECORD = re.compile(r"/(?:record|page/[a-z]+|id/[a-z]+)/(?P<source>[^/]+)/(?P<key>[^/]+)")
_SOURCE = re.compile(r"/source/(?P<source>[^/.]+)")

router = APIRouter()


@dataclass(frozen=True, slots=True)
class PublicProblem:
    """What everybody sees of a problem: no text and no address, since either may name a person.
    Times are ISO 8601 in UTC.

    *state* is open, sent, answered or fixed, *record* the IRI of the record, the source or the
    page. *run* is the id of the run that changed the record, "" if it is not fixed.
    """

    number: int
    record: str
    category: str
    state: str
    created: str
    changed: str
    run: str = ""


class ProblemStore(Protocol):
    """Where problems are stored. Its methods block."""

    def file(
        self, source: str, key: str, category: str, text: str, address: str, language: str
    ) -> int | None:
        """Store a problem with a record; without *key* with the source, without *source* with the
        page of ours at the path *key*.

        Return its number, None if there is no such record or source. Raises StoreBusy if too many
        wait, or none can be stored.
        """

    def find(self, number: int) -> PublicProblem | None:
        """Return what is public of a problem, None if there is none. Raises StoreBusy if it cannot
        be read.
        """


StoreDep = Annotated[
    ProblemStore,
    optional_store(
        "problem_store",
        TranslatableText(
            "This server takes no problems, as a mirror; report them where the data are harvested"
        ),
    ),
]


@get(router, "/problem", include_in_schema=False)
def problem_form(
    request: Request,
    pages: PagesDep,
    record: Annotated[
        str, Query(max_length=2000, description="Path or IRI of the record or page")
    ] = "",
) -> Response:
    return _form(request, pages, {"record": record})


@router.post("/problem", include_in_schema=False)
def file_problem(request: Request, pages: PagesDep, store: StoreDep, fields: FieldsDep) -> Response:
    target, address = _target(fields.get("record", ""), pages.iris.base), fields.get("address", "")
    is_mail = len(address) <= _MOST_ADDRESS and is_mail_address(address)
    error = first_fault(
        {
            "robot": not fields.get("website"),
            "category": fields.get("category") in CATEGORIES,
            "text": 1 <= len(fields.get("text", "")) <= MOST_CHARACTERS,
            "address": not address or is_mail,
            "record": target is not None,
        }
    )
    if error or target is None:
        return _form(request, pages, fields, error)
    request.app.state.problem_quota.admit(client_key(request.scope))
    language = current_locale().language
    number = store.file(*target, fields["category"], fields["text"], address, language)
    if number is None:
        return _form(request, pages, fields, "record")
    return RedirectResponse(f"/problem/{number}", HTTPStatus.SEE_OTHER, NO_STORE)


@get(
    router,
    "/problem/{number}",
    operation_id="problem",
    summary="Return the state of a reported problem, without personal data",
    tags=["read"],
    responses={
        **contents(*(item.media for item in _FORMATS.values())),
        **problems(400, 404, 406, 503),
    },
)
def problem_state(
    request: Request,
    pages: PagesDep,
    store: StoreDep,
    number: Annotated[int, Path(ge=1, le=1 << 31)],
) -> Response:
    """A page, JSON, or a Web Annotation in Turtle or JSON-LD."""
    problem = require(
        store.find(number),
        TranslatableText("There is no such problem; each page leads to the form for one"),
    )
    iri = f"{pages.iris.base}problem/{number}"
    return respond_in(
        request,
        {
            HTML: lambda: pages.page("problem_state.html", problem=problem, iri=iri),
            JSON: lambda: _as_json(problem, iri, pages.iris),
            **{
                item: partial(_as_annotation, problem, iri, pages.iris, item)
                for item in (GRAPHS["ttl"], GRAPHS["jsonld"])
            },
        },
        headers={"Cache-Control": "no-cache"},
    )


def _as_json(problem: PublicProblem, iri: str, iris: Iris) -> bytes:
    values = {"iri": iri, **asdict(problem), "run": iris.run(problem.run) if problem.run else None}
    return orjson.dumps({name: value for name, value in values.items() if name != "number"})


def _as_annotation(problem: PublicProblem, iri: str, iris: Iris, data_format: GraphFormat) -> bytes:
    """Write a problem as a Web Annotation (https://www.w3.org/TR/annotation-model/): its target is
    the record or page, its body the category.
    """
    body, time = f"{iri}#body", f"{XSD}dateTime"
    statements = (
        Statement(iri, f"{RDF}type", Term(f"{OA}Annotation")),
        Statement(iri, f"{OA}hasTarget", Term(problem.record)),
        Statement(iri, f"{OA}hasBody", Term(body)),
        Statement(iri, f"{OA}motivatedBy", Term(f"{OA}editing")),
        Statement(iri, f"{DCT}created", Term(problem.created, "literal", None, time)),
        Statement(iri, f"{DCT}modified", Term(problem.changed, "literal", None, time)),
        Statement(iri, f"{SCHEMA}creativeWorkStatus", Term(problem.state, "literal")),
        Statement(body, f"{RDF}type", Term(f"{OA}TextualBody")),
        Statement(body, f"{RDF}value", Term(problem.category, "literal")),
        Statement(body, f"{OA}hasPurpose", Term(f"{OA}tagging")),
        *(
            [Statement(iri, f"{PROV}wasInfluencedBy", Term(iris.run(problem.run)))]
            if problem.run
            else []
        ),
    )
    return serialize_description(Description(iri, statements, {}, namespaces(iris)), data_format)


def _target(text: str, base: str) -> tuple[str, str] | None:
    """Return source and key of what an IRI or a path of ours is about, None if it is neither.

    A source has no key. Another page has no source, and its path as key.
    """
    path = f"/{text.removeprefix(base)}" if text.startswith(base) else text
    if not _PATH.fullmatch(path):
        return None
    if match := _RECORD.fullmatch(path):
        return match["source"], unquote(match["key"])
    match = _SOURCE.match(path)
    return (match["source"], "") if match else ("", path)


def _form(request: Request, pages: Pages, fields: dict[str, str], error: str = "") -> Response:
    return respond(
        request,
        pages.page(
            "problem_form.html",
            fields=dict.fromkeys(("record", "category", "text", "address"), "") | fields,
            error=error,
            categories=CATEGORIES,
            most=MOST_CHARACTERS,
            can_report=request.app.state.problem_store is not None,
        ),
        HTML,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
        headers=NO_STORE,
    )
