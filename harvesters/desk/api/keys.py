"""Keys: list, make, revoke; for administrators."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from harvesters.desk import deeds, keyring
from harvesters.desk.errors import Wrong
from harvesters.desk.gate import Administrator, Here
from harvesters.desk.keys import Scope, scope
from harvesters.desk.views import KeyView, NewKey, key_view

routes = APIRouter(tags=["keys"])


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Wanted:
    """A key to be made; it is good for *days*, or until it is revoked."""

    name: Annotated[str, Field(max_length=keyring.LONGEST, description="Whose it is, as acts will tell.")]
    scope: Annotated[str, Field(description=", ".join(it.word for it in Scope))]
    days: Annotated[int | None, Field(ge=1, le=deeds.DAYS)] = None


@routes.get("/keys")
def list_keys(key: Administrator, office: Here) -> list[KeyView]:
    """List the keys, also those that are no longer good; never what would open the door."""
    return [key_view(it, office.now()) for it in keyring.listed(office.ledger)]


@routes.post("/keys", status_code=HTTPStatus.CREATED)
def create_key(wanted: Wanted, key: Administrator, office: Here, response: Response) -> NewKey:
    """Make a key; the answer holds it, this once."""
    allowed = scope(wanted.scope)
    if allowed is None:
        raise Wrong(f"scope: use {', '.join(it.word for it in Scope)}")
    made, token = deeds.make_key(office, key, wanted.name, allowed, wanted.days)
    response.headers["Location"] = f"/desk/keys/{made.id}"
    return NewKey(made.id, made.name, made.scope.word, made.expires, token)


@routes.get("/keys/{id}")
def show_key(id: str, key: Administrator, office: Here) -> KeyView:
    """Show a key."""
    return key_view(keyring.get(office.ledger, id), office.now())


@routes.delete("/keys/{id}")
def revoke_key(id: str, key: Administrator, office: Here) -> KeyView:
    """Revoke a key for good, at once, with the sessions that it began."""
    return key_view(deeds.end_key(office, key, id), office.now())
