"""List keys; for administrators."""

from __future__ import annotations

from fastapi import APIRouter

from harvesters.admin.access.auth import Administrator, ContextDep
from harvesters.admin.schemas import KeyView, key_view
from harvesters.ledger import keys as key_store
from harvesters.problems import ERROR_RESPONSES

routes = APIRouter(tags=["keys"], responses=ERROR_RESPONSES)


@routes.get("/keys")
def list_keys(key: Administrator, context: ContextDep) -> list[KeyView]:
    """List the keys, including revoked and expired ones, without their secrets."""
    return [
        key_view(stored_key, context.now()) for stored_key in key_store.list_keys(context.ledger)
    ]


@routes.get("/keys/{id}")
def show_key(id: str, key: Administrator, context: ContextDep) -> KeyView:
    """Show a key."""
    return key_view(key_store.get(context.ledger, id), context.now())
