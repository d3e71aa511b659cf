"""Make the routes of the API and the handlers of the forms of pages from operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from http import HTTPStatus
from inspect import Parameter, Signature
from string import Formatter
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ValidationError

from harvesters.admin.actions import (
    CreatedKey,
    create_key,
    preview,
    remap,
    save_definition,
    save_rules,
)
from harvesters.admin.context import (
    AdminContext,
    Administrator,
    ContextDep,
    FormAdministrator,
    FormFields,
    FormOperator,
    Operator,
    redirect,
)
from harvesters.admin.schemas import (
    KeyView,
    NewKey,
    RunView,
    SourceView,
    get_run,
    key_view,
    run_view,
    source_view,
)
from harvesters.ledger.models import Key, Run, RunRequest, Scope
from harvesters.runs.operations import Operation, OverrideRequest, translate
from harvesters.site import ERROR_RESPONSES, InvalidValue, render_errors_as_pages
from harvesters.source import SHARES, Source

AnyOperation = Operation[..., Any]
# The key of a request to the API, and the user of a form, that have a scope.
_KEYS = {Scope.OPERATE: Operator, Scope.ADMIN: Administrator}
_USERS = {Scope.OPERATE: FormOperator, Scope.ADMIN: FormAdministrator}
# The handlers of these forms show a page of their own instead of a redirect.
_OWN_PAGES: tuple[AnyOperation, ...] = (
    *(translate, create_key, save_definition, preview, remap, save_rules),
)
log = structlog.get_logger(component="admin")


def perform(
    context: AdminContext, operation: AnyOperation, key: Key, about: str, given: BaseModel
) -> Any:
    """Perform an operation about a source or a run, whose name or id is *about*; raise NotFound."""
    objects = _objects(context, operation, about)
    if operation.hints["context"] is AdminContext:
        opened: Any = nullcontext(context)
    else:
        opened = context.writer() if operation.changes_status else nullcontext(context.reader())
    with opened as used:
        result = operation.perform(used, objects, key.display_name, given)
    log.info(operation.name, who=key.display_name, about=about)
    return result


def _objects(
    context: AdminContext, operation: AnyOperation, about: str
) -> tuple[Source | str, ...]:
    kinds = [operation.hints[name] for name in operation.about]
    if kinds == [Source, str]:
        run = get_run(context.ledger, about)
        return context.source(run.source), run.id
    if kinds and (kinds[0] is Source or operation.about[0] == "name"):
        source = context.source(about)
        return (source,) if kinds[0] is Source else (source.name,)
    return (about,) * len(kinds)


def _show_request(
    context: AdminContext, about: str, request: RunRequest, response: Response
) -> RunRequest:
    response.headers["Location"] = f"/admin/run-requests/{request.id}"
    return request


def _show_token(
    context: AdminContext, about: str, created: CreatedKey, response: Response
) -> NewKey:
    key, token = created
    response.headers["Location"] = f"/admin/keys/{key.id}"
    return NewKey(**asdict(key_view(key, context.now())), key=token)


# The response of the API, by the type that an operation returns.
_ANSWERS: Mapping[Any, tuple[type, HTTPStatus, Callable[..., Any]]] = {
    Run: (RunView, HTTPStatus.OK, lambda context, about, run, _: run_view(run)),
    RunRequest: (RunRequest, HTTPStatus.ACCEPTED, _show_request),
    Key: (KeyView, HTTPStatus.OK, lambda context, about, key, _: key_view(key, context.now())),
    CreatedKey: (NewKey, HTTPStatus.CREATED, _show_token),
    type(None): (
        SourceView,
        HTTPStatus.OK,
        lambda context, about, done, _: source_view(context, about),
    ),
}


def operation_routes(operations: Iterable[AnyOperation]) -> APIRouter:
    """Return the route of the API and the handler of the form of each operation that has one."""
    router = APIRouter()
    for operation in operations:
        if operation.api:
            _add_api_route(router, operation)
        if operation.form and operation not in _OWN_PAGES:
            _add_form(router, operation)
    return router


def _add_api_route(router: APIRouter, operation: AnyOperation) -> None:
    method, _, path = operation.api.partition(" ")
    model, status, show = _ANSWERS[operation.hints["return"]]

    def handle(
        key: Key,
        context: AdminContext,
        response: Response,
        given: BaseModel | None = None,
        **about: str,
    ) -> Any:
        name = next(iter(about.values()), "")
        result = perform(context, operation, key, name, given or operation.input())
        return show(context, name, result, response)

    parameters: dict[str, Any] = {
        **_path_parameters(path),
        "key": _KEYS[operation.scope],
        "context": ContextDep,
        "response": Response,
    }
    members = operation.input.model_fields.values()
    optional: dict[str, Any] = {}
    if any(member.is_required() for member in members):
        parameters["given"] = operation.input
    elif members:
        optional["given"] = operation.input | None
    _set_signature(handle, parameters, optional)
    router.add_api_route(
        path,
        handle,
        methods=[method],
        response_model=model,
        status_code=status,
        name=operation.name,
        description=operation.function.__doc__,
        tags=[path.split("/")[1]],
        responses=ERROR_RESPONSES,
    )


def _add_form(router: APIRouter, operation: AnyOperation) -> None:
    page = "/page/runs/%s" if "id" in operation.about else "/page/sources/%s"

    def handle(form: Mapping[str, str], user: Any, context: AdminContext, **about: str) -> Response:
        name = next(iter(about.values()), form.get("source", ""))
        perform(context, operation, user.key, name, read_input(operation, form))
        return redirect(
            operation.back % {**form, **about} if operation.back else page % quote(name, safe="")
        )

    user = _USERS[operation.scope]
    parameters: dict[str, Any] = {"form": FormFields, "user": user, "context": ContextDep}
    _set_signature(handle, {**_path_parameters(operation.form), **parameters})
    router.add_api_route(
        operation.form,
        handle,
        methods=["POST"],
        name=operation.name,
        include_in_schema=False,
        dependencies=[Depends(render_errors_as_pages)],
    )


def read_input(operation: AnyOperation, form: Mapping[str, str]) -> BaseModel:
    """Return the checked input of a form; raise InvalidValue."""
    fields = operation.input.model_fields
    values: dict[str, object] = {name: form[name].strip() for name in fields if form.get(name)}
    if "override" in fields and form.get("limit"):
        values["override"] = _parse_override(form)
    try:
        return operation.input(**values)
    except ValidationError as error:
        raise _invalid_value(operation, error) from error


def _invalid_value(operation: AnyOperation, error: ValidationError) -> InvalidValue:
    first = error.errors()[0]
    if first["type"] == "string_too_long" and operation.fault is None:
        return InvalidValue(
            "A comment can have at most %(longest)s characters; this one has %(length)s.",
            longest=f"{first['ctx']['max_length']:,}",
            length=f"{len(first['input']):,}",
        )
    return InvalidValue(operation.fault or "The request body is not a valid form.")


def _parse_override(form: Mapping[str, str]) -> OverrideRequest:
    """Return the override in the form: a limit, its value, and the days it is valid."""
    limit = form["limit"]
    try:
        value, days = float(form.get("value", "")), int(form.get("days", ""))
        value = value / 100 if limit in SHARES else value  # the form has percentages
        return OverrideRequest(limit, value, days)
    except ValueError as error:
        raise InvalidValue("Choose a limit, its new value and a number of days.") from error


def _path_parameters(path: str) -> dict[str, Any]:
    return {name: str for _, name, _, _ in Formatter().parse(path) if name}


def _set_signature(
    function: Any, required: Mapping[str, Any], optional: Mapping[str, Any] | None = None
) -> None:
    """Set the parameters that FastAPI reads, each a type by its name."""
    function.__signature__ = Signature(
        [
            Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for names, default in ((required, Parameter.empty), (optional or {}, None))
            for name, kind in names.items()
        ]
    )
