"""List, create and revoke keys; for administrators."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from harvesters.admin import actions
from harvesters.admin.access.auth import Administrator, ContextDep
from harvesters.admin.schemas import KeyView, NewKey, key_view
from harvesters.ledger import keys as key_store
from harvesters.ledger.keys import Scope, parse_scope
from harvesters.problems import ERROR_RESPONSES, InvalidValue

routes = APIRouter(tags=["keys"], responses=ERROR_RESPONSES)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class KeyRequest:
    """A key to create; it is valid for *days*, or until it is revoked."""

    name: Annotated[
        str,
        Field(
            max_length=key_store.MAX_NAME_LENGTH,
            description="Owner of the key, as the audit log shows it.",
        ),
    ]
    scope: Annotated[str, Field(description=", ".join(scope.label for scope in Scope))]
    days: Annotated[int | None, Field(ge=1, le=actions.MAX_KEY_DAYS)] = None


@routes.get("/keys")
def list_keys(key: Administrator, context: ContextDep) -> list[KeyView]:
    """List the keys, including revoked and expired ones, without their secrets."""
    return [
        key_view(stored_key, context.now()) for stored_key in key_store.list_keys(context.ledger)
    ]


@routes.post("/keys", status_code=HTTPStatus.CREATED)
def create_key(
    body: KeyRequest, key: Administrator, context: ContextDep, response: Response
) -> NewKey:
    """Create a key; the response holds its token, this once."""
    allowed = parse_scope(body.scope)
    if allowed is None:
        raise InvalidValue(
            "Unknown permission. Use one of: %(known)s.",
            known=", ".join(scope.label for scope in Scope),
        )
    created_key, token = actions.create_key(context, key, body.name, allowed, body.days)
    response.headers["Location"] = f"/admin/keys/{created_key.id}"
    return NewKey(
        created_key.id, created_key.name, created_key.scope.label, created_key.expires, token
    )


@routes.get("/keys/{id}")
def show_key(id: str, key: Administrator, context: ContextDep) -> KeyView:
    """Show a key."""
    return key_view(key_store.get(context.ledger, id), context.now())


@routes.delete("/keys/{id}")
def revoke_key(id: str, key: Administrator, context: ContextDep) -> KeyView:
    """Revoke a key immediately and for good, and end its sessions."""
    return key_view(actions.revoke_key(context, key, id), context.now())
