"""Declare endpoints: their parameters, responses and errors, from which FastAPI generates the
OpenAPI description. The raw path is read, so that percent-encoded slashes in keys survive.

Sources: https://spec.openapis.org/oas/v3.1.0, https://www.rfc-editor.org/rfc/rfc9457 (problem
details).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from difflib import get_close_matches
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator, Field, WithJsonSchema
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.routing import Match

from languages.translations import TranslatableText
from vocab.iris import KINDS
from web.respond import JSON, PROBLEM_MEDIA, Format, HTTPProblem, wants_html

EndpointT = TypeVar("EndpointT", bound=Callable[..., Any])
Documentation = dict[int | str, dict[str, Any]]

# Types of the JSON that we send. We write the values ourselves, so these types are for the
# description only.
Instant = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Count = Annotated[int, Field(ge=0)]

KindPath = Annotated[
    str, Path(description="The kind of the thing", json_schema_extra={"enum": list(KINDS)})
]
SourcePath = Annotated[
    str, Path(min_length=1, description="The registry's name", examples=["demo"])
]
KeyPath = Annotated[
    str, Path(min_length=1, description="The registry's own identifier, percent-encoded")
]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_PROBLEMS = {
    400: "The request is invalid; `detail` says what to change",
    401: "A key is required",
    403: "The key does not allow this",
    404: "There is nothing at this address",
    406: "No available format matches the request",
    409: "It is not finished",
    410: "It existed, and was withdrawn",
    413: "The body or the query is too long",
    415: "The body has an unsupported media type",
    422: "The query needs more memory or rows than allowed",
    429: "The quota of this client address is used up; retry after the seconds in Retry-After",
    501: "The format is not supported",
    503: "Not ready yet, or too busy; retry after the seconds in Retry-After",
    504: "The query exceeded its time limit",
}


class AnyPathConvertor(PathConvertor):
    """The rest of a path, any characters included: a registry's key may contain a percent-encoded
    line break.
    """

    regex = "(?s:.*)"


register_url_convertor("path", AnyPathConvertor())  # before any route is declared


def schema_of(name: str) -> dict[str, str]:
    """Return the reference to a schema of the OpenAPI description."""
    return {"$ref": f"#/components/schemas/{name}"}


def problems(*statuses: int) -> Documentation:
    content = {PROBLEM_MEDIA: {"schema": schema_of("Problem")}}
    return {status: {"description": _PROBLEMS[status], "content": content} for status in statuses}


def redirects(status: int) -> Documentation:
    return {status: {"description": "It is at the address in Location"}}


def contents(*media: str, json: str = "") -> Documentation:
    """Return the documentation of a successful response in one of the media types *media*, or in
    JSON by the schema *json* of the OpenAPI description.
    """
    names = [name.partition(";")[0] for name in media]
    schemas: dict[str, dict[str, str]] = {
        name: {} if name.endswith("json") else {"type": "string"} for name in names
    }
    schemas |= {JSON.media: schema_of(json)} if json else {}
    return {200: {"content": {name: {"schema": schema} for name, schema in schemas.items()}}}


def other_contents(formats: Iterable[Format], json: str = "") -> Documentation:
    """Return the documentation of a successful response in *formats*; JSON of ours has the schema
    *json*.
    """
    media = (data_format.media for data_format in formats if data_format.media != JSON.media)
    return contents(*media, json=json)


def format_parameter(formats: Iterable[str]) -> Any:
    """Return the declaration of the parameter ``format``. An unknown value is answered with 406, so
    it is not validated here.
    """
    return Query(
        description="The format; without it, the Accept header decides",
        json_schema_extra={"enum": list(formats)},
    )


def blank_as(default: object) -> BeforeValidator:
    """Return a validator that reads an empty value, which forms send for empty fields, as
    *default*.
    """
    return BeforeValidator(lambda value: default if value == "" else value)


def whole_number(default: int | None = None) -> BeforeValidator:
    """Return a validator that admits ASCII digits only, and reads an empty value as *default*."""

    def check(value: object) -> object:
        if not isinstance(value, str):
            return value
        text = value.strip()
        if text and not (text.isascii() and text.isdigit()):
            raise ValueError("input should be a whole number")
        return text or default

    return BeforeValidator(check)


def get(routes: APIRouter, path: str, **documentation: Any) -> Callable[[EndpointT], EndpointT]:
    """Register an endpoint for GET, described by *documentation*, and for HEAD."""

    def register(endpoint: EndpointT) -> EndpointT:
        if not documentation.get("include_in_schema", True):
            routes.add_api_route(path, endpoint, methods=["GET", "HEAD"], **documentation)
            return endpoint
        routes.add_api_route(path, endpoint, methods=["GET"], **documentation)
        head = copy(routes.routes[-1])
        head.methods, head.include_in_schema = {"HEAD"}, False  # type: ignore[attr-defined]
        routes.routes.append(head)
        return endpoint

    return register


def declared_parameters(request: Request) -> set[str]:
    """Return the names of the parameters that the route of *request* declares, and of those that
    every route has.
    """
    route = request.scope["route"]
    declared = get_flat_params(route.dependant)
    described = (route.openapi_extra or {}).get("parameters", ())
    return {
        "format",
        "lang",
        *(field.alias for field in declared),
        *(row["name"] for row in described),
    }


def known_parameters(request: Request) -> None:
    """Raise HTTPProblem if a request for data has a parameter that its route does not declare: it
    would be answered as if the parameter had not been sent. Pages ignore such parameters, since
    other sites add some to links.
    """
    sent, known = request.query_params.keys(), declared_parameters(request)
    is_page = "." not in request.scope["route"].path and "format" not in sent
    if is_page and wants_html(request.headers.get("accept"), (JSON,)):
        return
    for name in sorted(sent - known):
        near = get_close_matches(name, known, n=1)
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText(
                "There is no parameter {name}; did you mean {near}?", name=name[:40], near=near[0]
            )
            if near
            else TranslatableText(
                "There is no parameter {name}; there are {names}",
                name=name[:40],
                names=", ".join(sorted(known)),
            ),
        )


def allowed_methods(request: Request) -> list[str]:
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


# Texts of Pydantic and of our validators, in lower case, by type of error; the names in braces are
# those of the error's context.
PARAMETER_ERRORS = {
    "missing": "field required",
    "value_error": "input should be a whole number",
    "int_parsing": "input should be a valid integer, unable to parse string as an integer",
    "float_parsing": "input should be a valid number, unable to parse string as a number",
    "bool_parsing": "input should be a valid boolean, unable to interpret input",
    "greater_than_equal": "input should be greater than or equal to {ge}",
    "less_than_equal": "input should be less than or equal to {le}",
    "string_too_long": "string should have at most {max_length} characters",
    "string_too_short": "string should have at least {min_length} characters",
    "string_pattern_mismatch": "string should match pattern '{pattern}'",
    "enum": "input should be {expected}",
    "literal_error": "input should be {expected}",
}


def describe_validation_error(error: RequestValidationError) -> tuple[bool, TranslatableText]:
    """Return whether the path is invalid, and a message that names each invalid parameter and says
    what it must be.
    """
    items = error.errors()
    messages = [_describe_parameter_error(item) for item in items]
    combined = messages[0]
    for message in messages[1:]:
        combined = TranslatableText("{first}. {second}", first=combined, second=message)
    return any(item["loc"][0] == "path" for item in items), combined


def _describe_parameter_error(item: Mapping[str, Any]) -> TranslatableText:
    text = item["msg"].removeprefix("Value error, ")
    problem = f"{text[:1].lower()}{text[1:]}"
    template, context = PARAMETER_ERRORS.get(item["type"]), item.get("ctx", {})
    if (
        template
        and {*re.findall(r"{(\w+)}", template)} <= context.keys()
        and template.format(**context) == problem
    ):
        problem = TranslatableText(template, **context)
    name = item["loc"][-1]
    if item["type"] == "missing":
        return TranslatableText("The parameter {name}: {problem}", name=name, problem=problem)
    sent = repr(str(item["input"])[:80])
    return TranslatableText(
        "The parameter {name}: {problem}; the request has {value}",
        name=name,
        problem=problem,
        value=sent,
    )
