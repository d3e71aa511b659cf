"""The operations of the admin pages alone: keys, definitions, alerts, prizes; and the list of all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from harvesters.admin.context import AdminContext
from harvesters.errors import InvalidInputError, PrizeError, UnknownError, require
from harvesters.inspection.preview import PreviewResult, preview_source
from harvesters.ledger import operators, outbox, prizes
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Alert, Key, Scope
from harvesters.ledger.operators import MAX_NAME_LENGTH, parse_scope
from harvesters.ledger.participation import Edition, Stage
from harvesters.notifications.alerts import FILE, RulesError, load_rules, read_rules, write_messages
from harvesters.options import located
from harvesters.participation import contest
from harvesters.participation.contest import parse_edition
from harvesters.pipeline.record_processor import compatibility_faults
from harvesters.reasons import Reason
from harvesters.runs import operations
from harvesters.runs.context import HarvestContext
from harvesters.runs.operations import Note, Operation, audit, operation
from harvesters.site import DefinitionChanged, InvalidValue, KeyNotFound, NotFound
from harvesters.source import Source, read_text
from journal.files import replace_file
from vocab.addresses import is_mail_address

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
    if allowed is None:  # that of submissions is 0
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
    audit(context, by, "key created", note=note)
    return created


def get_key(ledger: Ledger, key_id: str) -> Key:
    """Return the key with this id; raise KeyNotFound, whose message does not repeat the id, since
    it may be a whole token.
    """
    return require(
        operators.find_key(ledger, key_id),
        KeyNotFound(
            "There is no key with that identifier. `stocktake keys list` shows the identifiers."
        ),
    )


@operation(
    Scope.ADMIN,
    "%(name)s is revoked",
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
    audit(context, by, "key revoked", note=revoked.display_name)
    return revoked


MAX_LENGTH = 20_000  # characters of a definition
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")


def digest(text: str) -> str:
    """Return the digest that identifies a text, empty for an empty one."""
    return sha256(text.encode()).hexdigest()[:32] if text else ""


def definition_file(context: AdminContext | HarvestContext, name: str) -> Path:
    """Return the file of a definition; raise NotFound if no source is named *name*."""
    require(_NAME.match(name), NotFound("Unknown source."))
    assert context.source_dir is not None
    return context.source_dir / f"{name}.toml"


def check_definition(name: str, text: str) -> tuple[Source | None, list[Reason]]:
    """Return the source that *text* defines and every fault in it; None if there is any fault."""
    if len(text) > MAX_LENGTH:
        return None, [
            located(
                name, Reason("a definition can have at most %(most)s characters", most=MAX_LENGTH)
            )
        ]
    source, faults = read_text(name, text)
    if source is not None and source.protocol and source.mapping:
        faults += compatibility_faults(source)
    return (None if faults else source), faults


@operation(Scope.ADMIN, form="/page/definition", changes_status=False)
def save_definition(
    context: HarvestContext,
    definition: str,
    *,
    by: str,
    text: str,
    before: str = "",
    note: Note = "",
) -> None:
    """Save a checked definition with its version; *before* is the digest of the text that was
    edited, empty for a new one.

    If the stored definition has ``second_approver``, the text is kept as a proposal that another
    person confirms. Raises DefinitionChanged if the file has changed since, and InvalidValue if it
    cannot be written.
    """
    current = _current_text(context, definition, before)
    stored, _ = check_definition(definition, current)
    if stored is None or not stored.second_approver:
        _write_definition(context, by, definition, text, current, note)
        return
    saved = (definition, text, by, context.now(), note or None)
    operators.save_definition(context.ledger, *saved, before)
    audit(context, by, "proposed a definition", definition, note=note)


@operation(Scope.ADMIN, form="/page/sources/{name}/proposal", changes_status=False)
def decide_proposal(
    context: HarvestContext, definition: str, *, by: str, do: Literal["confirm", "discard"]
) -> None:
    """Save the definition that another person proposed, or discard it; raise NotFound, InvalidValue
    or DefinitionChanged.
    """
    proposal = require(
        operators.proposed_definition(context.ledger, definition),
        NotFound("There is no proposed definition of this source."),
    )
    if do == "discard":
        operators.discard_proposal(context.ledger, definition)
        audit(context, by, "discarded a proposed definition", definition)
        return
    require(proposal.who != by, InvalidValue("Another person must confirm what you proposed."))
    current = _current_text(context, definition, proposal.before or "")
    both, note = f"{proposal.who}, {by}", proposal.note or ""
    _write_definition(context, both, definition, proposal.text, current, note)


def _current_text(context: HarvestContext, name: str, before: str) -> str:
    """Return the stored definition, empty if there is none; raise DefinitionChanged if its digest
    is not *before*.
    """
    file = definition_file(context, name)
    current = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    if digest(current) != before:
        raise DefinitionChanged(
            "Another person changed this definition meanwhile. Compare both, then save again."
        )
    return current


def _write_definition(
    context: HarvestContext, who: str, name: str, text: str, current: str, note: str
) -> None:
    ledger, now = context.ledger, context.now()
    versions = operators.definition_versions(ledger, name, 1)
    if current and (not versions or versions[0].text != current):
        operators.save_definition(ledger, name, current, "file", now, None)
    try:
        replace_file(definition_file(context, name), text)
    except OSError as error:
        raise InvalidValue(
            "The definition cannot be written: %(reason)s.", reason=error.strerror
        ) from error
    operators.save_definition(ledger, name, text, who, now, note or None)
    audit(context, who, "saved the definition", name, note=note)


@operation(
    Scope.OPERATE,
    command="sources preview",
    form="/page/sources/{name}/preview",
    changes_status=False,
)
def preview(context: AdminContext, source: Source, *, by: str) -> PreviewResult:
    """Fetch and validate a few records of a source; nothing is stored."""
    return preview_source(source, context.base, context.network)


@operation(Scope.OPERATE, command="remap", form="/page/sources/{name}/remap", changes_status=False)
def remap(
    context: AdminContext, source: Source, *, by: str, do: Literal["preview", "apply"] = "preview"
) -> Mapping[str, Any]:
    """Map the archived data of a source again: return what that would change, or publish it by a
    run with its plan. The result is a row of the run report, {} if that takes long.
    """
    if do == "apply":
        audit(context.reader(), by, "requested a run", source.name, note="remap")
    return context.remap(source.name, do == "preview")


@operation(Scope.ADMIN, form="/page/alerts/rules", changes_status=False)
def save_rules(context: HarvestContext, *, by: str, text: str, before: str = "") -> None:
    """Save checked rules of alerts; *before* is the digest of the text that was edited. Raises
    DefinitionChanged if another person changed them meanwhile.
    """
    if digest(read_rules(context.data)) != before:
        raise DefinitionChanged(
            "Another person changed these rules meanwhile. Load the page again."
        )
    try:
        replace_file(context.data / FILE, text.encode())
    except OSError as error:
        raise InvalidValue(
            "The rules cannot be written: %(reason)s.", reason=error.strerror
        ) from error
    audit(context, by, "saved the alert rules")


@operation(
    Scope.OPERATE,
    form="/page/alerts/test",
    back="/page/alerts#messages",
    changes_status=False,
)
def send_test(context: AdminContext, *, by: str, rule: str = "") -> None:
    """Queue a test message to every address of a rule; raise NotFound."""
    try:
        chosen = next(item for item in load_rules(context.data) if item.name == rule)
    except (StopIteration, RulesError) as error:
        raise NotFound("There is no rule with that name.") from error
    now = context.now()
    alert = Alert(0, rule, "", now, Reason("alert_test", by=by))
    outbox.queue_messages(context.ledger, write_messages(chosen, alert, context.channels, now), now)
    audit(context.reader(), by, "sent a test message", note=rule)


def find_prize_edition(ledger: Ledger, id: str) -> Edition:
    """Return an edition of the prizes, even one that is not announced yet; raise UnknownError."""
    if (edition := prizes.find_edition(ledger, id)) is None:
        known = ", ".join(item.id for item in prizes.editions(ledger)) or "-"
        raise UnknownError(
            Reason(
                "There is no edition %(id)s of the prizes; known are %(known)s.", id=id, known=known
            )
        )
    return edition


@operation(
    Scope.ADMIN,
    "%(result)s",
    command="prizes add",
    form="/page/prizes",
    back="/page/prizes/%(edition)s",
    changes_status=False,
)
def put_edition(context: HarvestContext, *, by: str, edition: str, text: str) -> str:
    """Add an edition, or replace it: days, categories, criteria and special prizes; return a line
    about it.
    """
    try:
        item = parse_edition(edition, text)
    except PrizeError as error:
        raise InvalidValue("The edition is not valid: %(reason)s", reason=str(error)) from error
    prizes.put_edition(context.ledger, item)
    audit(context, by, "prize edition added", prizes.SOURCE, note=item.id)
    return f"edition {item.id}: {len(item.categories)} categories, {item.opens} to {item.results}"


@operation(
    Scope.ADMIN,
    "%(result)s",
    command="prizes expert",
    form="/page/prizes/{edition}/experts",
    back="/page/prizes/%(edition)s",
    changes_status=False,
)
def change_expert(
    context: HarvestContext,
    edition: str,
    *,
    by: str,
    mail: Annotated[str, Field(description="Mail address of the expert.")],
    remove: Annotated[bool, Field(description="Remove the expert; reviews stay.")] = False,
) -> str:
    """Let a person score the nominations of an edition, after confirming this address at
    /submit/mine.
    """
    chosen, address = find_prize_edition(context.ledger, edition), mail.strip().lower()
    require(is_mail_address(address), InvalidValue("Write a mail address."))
    (prizes.remove_expert if remove else prizes.add_expert)(context.ledger, chosen.id, address)
    what = "removed" if remove else "added"
    audit(context, by, f"prize expert {what}", prizes.SOURCE, note=chosen.id)
    return f"edition {chosen.id}: expert {what}"


@operation(
    Scope.OPERATE,
    "%(result)s",
    command="prizes stage",
    form="/page/prizes/{edition}/stage",
    back="/page/prizes/%(edition)s",
    fault=Reason("Choose one of the stages."),
    changes_status=False,
)
def decide_stage(
    context: HarvestContext,
    edition: str,
    *,
    by: str,
    nomination: Annotated[str, Field(description="Id of a nomination, as `prizes show` lists it.")],
    stage: Annotated[Stage, Field(description="submitted, nominated, champion or winner.")],
    special: Annotated[
        str | None, Field(description="Code of a special prize of the edition.")
    ] = None,
) -> str:
    """Set the stage of a nomination. It is public from the edition's day on, after the next run of
    the source `prizes`.
    """
    chosen = find_prize_edition(context.ledger, edition)
    decided = contest.set_stage(
        context.ledger, chosen, nomination, stage, special, context.now(), context.iris.base
    )
    note = f"{chosen.id} {nomination}: {stage.value}"
    audit(context, by, "prize stage decided", prizes.SOURCE, note=note)
    return f"{decided.id} {decided.category}: {decided.stage.value}"


OPERATIONS: tuple[Operation[..., Any], ...] = (
    *(*operations.OPERATIONS, create_key, revoke_key),
    *(save_definition, decide_proposal, preview, remap, save_rules, send_test),
    *(put_edition, change_expert, decide_stage),
)
