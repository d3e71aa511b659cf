"""Create and revoke keys, and list all operations."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import Field

from harvesters.errors import InvalidInputError
from harvesters.ledger import operators
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import ActionType
from harvesters.ledger.operators import MAX_NAME_LENGTH, Key, Scope, parse_scope
from harvesters.problems import KeyNotFound
from harvesters.reasons import Reason
from harvesters.runs import operations
from harvesters.runs.context import HarvestContext
from harvesters.runs.operations import Operation, audit, operation

MAX_KEY_DAYS = 36_500  # longest validity of a key
_SCOPES = ", ".join(scope.label for scope in Scope)


class CreatedKey(NamedTuple):
    """A key and its token, which is shown once."""

    key: Key
    token: str


@operation(
    Scope.ADMIN,
    command="keys create",
    api="POST /keys",
    form="/page/keys",
    model="KeyRequest",
    fault=Reason(
        "A key needs a permission, and expires after 1 to %(longest)s days or never.",
        longest=MAX_KEY_DAYS,
    ),
    changes_status=False,
)
def create_key(
    context: HarvestContext,
    *,
    by: str,
    name: Annotated[
        str,
        Field(
            max_length=MAX_NAME_LENGTH, description="Owner of the key, as the audit log shows it."
        ),
    ],
    scope: Annotated[str, Field(description=_SCOPES)],
    days: Annotated[int | None, Field(ge=1, le=MAX_KEY_DAYS)] = None,
) -> CreatedKey:
    """Create a key; only this response has its token."""
    allowed = parse_scope(scope)
    if allowed is None:
        raise InvalidInputError(Reason("Unknown permission. Use one of: %(known)s.", known=_SCOPES))
    if not operators.is_valid_name(name):
        raise InvalidInputError(
            Reason(
                "The owner's name needs 1 to %(longest)s visible characters.",
                longest=MAX_NAME_LENGTH,
            )
        )
    created = CreatedKey(*operators.create_key(context.ledger, name, allowed, context.now(), days))
    note = f"{created.key.display_name}, {allowed.label}"
    audit(context, by, ActionType.KEY_CREATED, note=note)
    return created


def get_key(ledger: Ledger, key_id: str) -> Key:
    """Return the key with this id; raise KeyNotFound, whose message does not repeat the id, since
    it may be a whole token.
    """
    key = operators.find_key(ledger, key_id)
    if key is None:
        raise KeyNotFound(
            "There is no key with that identifier. `stocktake keys list` shows the identifiers."
        )
    return key


@operation(
    Scope.ADMIN,
    command="keys revoke",
    api="DELETE /keys/{id}",
    form="/page/keys/{id}/revoke",
    back="/page/keys",
    changes_status=False,
)
def revoke_key(context: HarvestContext, key_id: str, *, by: str) -> Key:
    """Revoke a key immediately and for good, and end its sessions."""
    key = get_key(context.ledger, key_id)
    revoked = operators.revoke_key(context.ledger, key, context.now())
    audit(context, by, ActionType.KEY_REVOKED, note=revoked.display_name)
    return revoked


OPERATIONS: tuple[Operation[..., Any], ...] = (*operations.OPERATIONS, create_key, revoke_key)
