"""Operations of persons on sources and plans, each written once.

An operation is a function with its scope and its places. The admin API, the forms of its pages and
the commands are made from its signature: positional parameters name its objects, keywords are its
input. Each call is written to the audit log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, ParamSpec, TypeVar, get_type_hints

import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model
from pydantic.dataclasses import dataclass as checked

from harvesters.errors import (
    InvalidInputError,
    PlanError,
    SourceDefinitionError,
    UnknownError,
    require,
)
from harvesters.ledger import operators, outbox
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    MAX_NOTE_LENGTH,
    PUBLISHED_RUNS,
    AuditEntry,
    GrantedOverride,
    RemovalKind,
    Run,
    RunRequest,
    Scope,
    Silence,
    SourceHold,
    State,
    key_digest,
)
from harvesters.matching.match import (
    Decision,
    Judgement,
    add_decisions,
    current_decisions,
    find_pair,
    pair_id,
)
from harvesters.reasons import Reason, join_reasons, without_review
from harvesters.runs import publish_graphs
from harvesters.runs.commit import commit, finish_commit
from harvesters.runs.context import HarvestContext, source_lock
from harvesters.runs.plan import find_held_plan, load_plan
from harvesters.runs.removal import (
    Remaining,
    erase,
    find_undoable,
    plan_removal,
    restore,
    save_previous,
)
from harvesters.runs.reported_problems import close_problem, reported_problem
from harvesters.runs.status_file import update_status
from harvesters.source import SHARES, Source, add_decision, add_word
from vocab.curated import CuratedWord, TopicDecision, short_name

MAX_ANSWER_LENGTH = 4_000  # characters
MAX_SILENCE_HOURS = 24 * 31
# A limit that is to be raised for longer belongs in the source definition.
MAX_OVERRIDE_DAYS = 31
OVERRIDABLE_LIMITS = ("expect", *SHARES)
_STRICT = ConfigDict(extra="forbid")

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger(component="admin")


@dataclass(frozen=True)
class Operation(Generic[P, R]):
    """A function that a person may call with *scope*, and where: by a command, such as ``plans
    undo``; at an address of the API, such as ``POST /plans/{id}/undo``; with a form that is sent to
    a path of the admin pages.

    *done* is the message of a command, or the title above a run; *back* the page after the form; *model* names the input in the
    description of the API; *fault* is why a form is refused. *changes_status* is whether the status of sources is written after
    it; such an operation waits for the ledger while a harvest writes.
    """

    function: Callable[P, R]
    scope: Scope
    done: str = ""
    command: str = ""
    api: str = ""
    form: str = ""
    back: str = ""
    model: str = ""
    fault: Reason | None = None
    changes_status: bool = True

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    @property
    def name(self) -> str:
        return self.function.__name__

    @cached_property
    def hints(self) -> dict[str, Any]:
        """Return the types of the parameters and of what is returned."""
        return get_type_hints(self.function, include_extras=True)

    @cached_property
    def about(self) -> list[str]:
        """Return the names of the positional parameters after the context, such as a source and a run."""
        parameters = signature(self.function).parameters.values()
        return [item.name for item in parameters if item.kind is not Parameter.KEYWORD_ONLY][1:]

    @cached_property
    def input(self) -> type[BaseModel]:
        """Return the model of the input; it has no members if there is none."""
        parameters = signature(self.function).parameters.values()
        fields: dict[str, Any] = {
            item.name: (self.hints[item.name], ... if item.default is item.empty else item.default)
            for item in parameters
            if item.kind is Parameter.KEYWORD_ONLY and item.name != "by"
        }
        return create_model(self.model or self.name, __config__=_STRICT, **fields)

    def perform(
        self, context: Any, about: tuple[Source | str, ...], by: str, given: BaseModel
    ) -> R:
        """Call the function for the person *by* with a checked input, and write the status file.

        *context* is a HarvestContext, or that of the admin pages for an operation of theirs.
        """
        values: dict[str, Any] = {name: getattr(given, name) for name in type(given).model_fields}
        function: Callable[..., R] = self.function
        result: R = function(context, *about, by=by, **values)
        if self.changes_status:
            update_status(context)
        return result


def operation(
    scope: Scope, done: str = "", **places: Any
) -> Callable[[Callable[P, R]], Operation[P, R]]:
    """Return a decorator that makes an operation of a function; *places* are those of Operation."""
    return lambda function: Operation(function, scope, done, **places)


Note = Annotated[
    str,
    StringConstraints(max_length=MAX_NOTE_LENGTH, strip_whitespace=True),
    Field(description="Reason for the audit log."),
]


@checked(frozen=True, config=_STRICT)
class OverrideRequest:
    """A limit of the source to raise for one later run, which begins within so many *days*."""

    limit: Annotated[str, Field(description=", ".join(OVERRIDABLE_LIMITS))]
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    days: Annotated[int, Field(ge=1, le=MAX_OVERRIDE_DAYS)] = 7


def audit(
    context: HarvestContext,
    by: str,
    action: str,
    source: str | None = None,
    run: str | None = None,
    note: str = "",
) -> None:
    """Write what a person did to the audit log."""
    context.ledger.add(AuditEntry(context.now(), by, action, source, run, note or None))


@operation(
    Scope.OPERATE,
    "%(name)s is on hold; to end the hold: stocktake sources release %(name)s",
    command="sources hold",
    api="PUT /sources/{name}/hold",
    form="/page/sources/{name}/hold",
    model="HoldRequest",
)
def hold(context: HarvestContext, source: Source, *, by: str, reason: Note = "") -> None:
    """Put a source on hold: its next plans need approval."""
    new = SourceHold(source.name, context.now(), by, reason)
    audit(context, by, "held", source.name, note=reason)
    operators.hold(context.ledger, new)


@operation(
    Scope.OPERATE,
    "%(name)s is released",
    command="sources release",
    api="DELETE /sources/{name}/hold",
    form="/page/sources/{name}/release",
)
def release(context: HarvestContext, name: str, *, by: str) -> None:
    """End a source's hold. Plans that await approval stay open."""
    if not operators.release(context.ledger, name):
        raise PlanError(
            "%(source)s: not on hold; to list holds: `stocktake sources list`", source=name
        )
    audit(context, by, "released", name)


@operation(
    Scope.OPERATE,
    api="POST /sources/{name}/runs",
    form="/page/sources/{name}/runs",
    model="RunOptions",
    changes_status=False,
)
def request_run(
    context: HarvestContext,
    source: Source,
    *,
    by: str,
    full: bool = False,
    supersede: Annotated[str, Field(max_length=200)] = "",
) -> RunRequest:
    """Request a run; the scheduler claims it within seconds. The Location header names the request.

    409 if a plan of the source awaits approval that `supersede` does not name: the run would
    supersede it.
    """
    if not source.enabled:
        raise InvalidInputError(
            "%(source)s is disabled. Set enabled = true in its source definition.",
            source=source.name,
        )
    ledger, now = context.ledger, context.now()
    _check_supersede(ledger, source.name, supersede)
    number = operators.request_run(ledger, source.name, full, by, now)
    notes = ["full"] * full + [f"supersedes {supersede}"] * bool(supersede)
    audit(context, by, "requested a run", source.name, note=", ".join(notes))
    return RunRequest(number, source.name, full, now, by)


def _check_supersede(ledger: Ledger, source: str, plan: str) -> None:
    """Raise PlanError if a plan of *source* awaits approval and *plan* is not its id.

    A new run supersedes the held plan. A person who starts a run confirms that with the plan's id.
    """
    waiting = ledger.last_run(source, [State.HELD])
    if waiting and waiting.id != plan:
        raise PlanError(
            "%(source)s: the plan %(plan)s awaits approval, and a new run would supersede it: "
            "%(text)s; to run anyway, confirm with supersede=%(plan)s",
            source=source,
            plan=waiting.id,
            text=join_reasons(without_review(waiting.reasons)),
        )
    if plan and not waiting:
        raise PlanError(
            "%(source)s: no plan %(plan)s awaits approval; to list plans: `stocktake plans list`",
            source=source,
            plan=plan,
        )


@operation(
    Scope.OPERATE,
    "Approved",
    command="plans approve",
    api="POST /plans/{id}/approve",
    form="/page/plans/{id}/approve",
    model="Approval",
)
def approve(
    context: HarvestContext,
    source: Source,
    id: str,
    *,
    by: str,
    note: Note = "",
    override: OverrideRequest | None = None,
) -> Run:
    """Approve a plan and publish its changes, exactly as they were computed.

    If its source needs a second approver, the first approval leaves the plan waiting. An override
    raises a limit for the next run that needs it.
    """
    if override:
        _check_override(override)
    with source_lock(source.name, context) as context:
        started = context.ledger.run(id)
        # A crash interrupted the commit of an earlier approval.
        if started and started.state is State.COMMITTING and started.source == source.name:
            return finish_commit(started, source, context)
        waiting = find_held_plan(context.ledger, id, source.name)
        newer = context.ledger.last_run(source.name, PUBLISHED_RUNS)
        if newer and newer.number > waiting.number:
            raise PlanError(
                "%(run)s: %(newer)s has been committed since, so the plan no longer fits; "
                "`stocktake plans reject %(run)s`",
                run=id,
                newer=newer.id,
            )
        if source.second_approver and _is_first_approval(context, waiting, by, note):
            return waiting
        _record_approval(context, waiting, by, note, override)
        planned = operators.removal(context.ledger, id)
        if planned is None or planned.kind is not RemovalKind.FORGET:
            save_previous(context.ledger, waiting)
        return commit(load_plan(waiting, context.ledger), source, context)


def _is_first_approval(context: HarvestContext, waiting: Run, by: str, note: str) -> bool:
    """Return whether nobody has approved the plan yet, and record that *by* does now.

    Raises PlanError if the same person did.
    """
    approved = operators.endorsements(context.ledger, waiting.id)
    if by in approved:
        raise PlanError(
            "%(run)s: %(by)s approved it already; this source needs the approval of another "
            "person too",
            run=waiting.id,
            by=by,
        )
    if not approved:
        audit(context, by, "approved first", waiting.source, waiting.id, note)
    return not approved


def _record_approval(
    context: HarvestContext, waiting: Run, by: str, note: str, override: OverrideRequest | None
) -> None:
    """Write an approval to the audit log once, even if a crash made the person approve again."""
    ledger, now = context.ledger, context.now()
    notes = [note] if note else []
    if override:
        notes.append(f"{override.limit} up to {override.value:g} once, within {override.days} days")
    entry = AuditEntry(now, by, "approved", waiting.source, waiting.id, "; ".join(notes) or None)
    last = next(iter(operators.audit_entries(ledger, 1, waiting.source)), None)
    if last is None or replace(last, when=now) != entry:
        ledger.add(entry)
    if override and not any(
        (item.limit, item.value, item.by, item.used) == (override.limit, override.value, by, None)
        and item.until > now
        for item in ledger.overrides(waiting.source)
    ):
        until = now + timedelta(days=override.days)
        values = (override.limit, override.value, until, by, now, None)
        ledger.add(GrantedOverride(0, waiting.source, *values))


def _check_override(override: OverrideRequest) -> None:
    if override.limit not in OVERRIDABLE_LIMITS:
        known = ", ".join(OVERRIDABLE_LIMITS)
        raise InvalidInputError("Unknown limit. Use one of: %(known)s.", known=known)
    if override.limit in SHARES and override.value > 1:
        raise InvalidInputError(
            Reason("Use a share from 0 to 1, such as 0.6, or a number of records for expect.")
        )


@operation(
    Scope.OPERATE,
    "Rejected",
    command="plans reject",
    api="POST /plans/{id}/reject",
    form="/page/plans/{id}/reject",
    model="Rejection",
)
def reject(context: HarvestContext, source: Source, id: str, *, by: str, reason: Note = "") -> Run:
    """Reject a plan and keep the published data."""
    with source_lock(source.name, context) as context:
        waiting = find_held_plan(context.ledger, id, source.name)
        audit(context, by, "rejected", source.name, id, reason)
        text = "rejected by %(by)s: %(note)s" if reason else "rejected by %(by)s"
        reasons = (
            Reason(text, by=by, note=reason),
            Reason("the plan awaited approval"),
            *without_review(waiting.reasons),
        )
        ended = max(context.now(), waiting.started)
        decided = replace(waiting, state=State.REJECTED, ended=ended, reasons=reasons)
        context.ledger.discard_run(decided)
        return decided


@operation(
    Scope.OPERATE,
    "Restored",
    command="plans undo",
    api="POST /plans/{id}/undo",
    form="/page/plans/{id}/undo",
    model="Undoing",
)
def undo(context: HarvestContext, source: Source, id: str, *, by: str, reason: Note = "") -> Run:
    """Undo an approval, until the next run of the source: restore what was published before."""
    with source_lock(source.name, context) as context:
        approved = find_undoable(context.ledger, source.name)
        if approved is None or approved.id != id:
            raise PlanError(
                "%(run)s: only the newest run of a source can be undone, if a person approved it, "
                "until the next run; see `stocktake runs %(source)s`",
                run=id,
                source=source.name,
            )
        audit(context, by, "undone", source.name, id, reason)
        return restore(context, source, approved, by, reason)


@operation(Scope.OPERATE, "Plan", command="sources clear")
def clear(context: HarvestContext, source: Source, *, by: str, reason: Note = "") -> Run:
    """Plan to remove all records of a source. The next harvest after the approval publishes again
    what the source lists.
    """
    return plan_removal(source, context, RemovalKind.CLEAR, by=by, note=reason).run


@operation(Scope.OPERATE, "Plan", command="sources retire")
def retire(context: HarvestContext, source: Source, *, by: str, reason: Note = "") -> Run:
    """Plan to retire a source: it is no longer harvested, and its records stay as they are."""
    return plan_removal(source, context, RemovalKind.RETIRE, by=by, note=reason).run


@operation(
    Scope.OPERATE,
    "%(name)s is harvested again when it is due; now: stocktake harvest %(name)s",
    command="sources resume",
)
def resume(context: HarvestContext, name: str, *, by: str) -> None:
    """Harvest a retired source again, from its next due time on."""
    retired = [item.run for item in context.ledger.removals(name, RemovalKind.RETIRE)]
    if not context.ledger.update(t.removal, t.removal.c.run.in_(retired), ended=context.now()):
        raise PlanError(
            "%(source)s: not retired; to list sources: `stocktake sources list`", source=name
        )
    audit(context, by, "resumed a retired source", name)


@operation(Scope.OPERATE, "Plan", command="sources forget")
def forget(context: HarvestContext, source: Source, key: str, *, by: str) -> Run | Remaining:
    """Plan to remove one record for good; after the approval, run it again: it erases the record,
    and lists where it remains.
    """
    digest = key_digest(key)
    if digest not in context.ledger.forgotten_keys(source.name):
        return plan_removal(source, context, RemovalKind.FORGET, key, by=by).run
    remaining = erase(source.name, key, context)
    audit(context, by, "erased a removed record", source.name, note=f"SHA-256 of its key: {digest}")
    return remaining


Comment = Annotated[
    str,
    StringConstraints(max_length=MAX_NOTE_LENGTH, strip_whitespace=True),
    Field(description="The reason, for those who look later."),
]


@operation(
    Scope.OPERATE,
    "%(result)s: %(word)s is %(concept)s\nSee what it changes: stocktake remap %(name)s --dry-run",
    command="crosswalk add",
    form="/page/gaps",
    changes_status=False,
)
def translate(
    context: HarvestContext,
    source: Source,
    *,
    by: str,
    word: Annotated[str, Field(description="The word as the registry writes it.")],
    concept: Annotated[
        str,
        Field(
            description="sdg:4, sdg:4.4, area:404, action-line:C7-ehea, status:completed, or an IRI."
        ),
    ],
    comment: Comment = "",
) -> Path:
    """Choose the concept of a registry's word; `remap` applies it to the published records, with
    its plan.

    The choice is a line with author and date in `crosswalks/SOURCE.sssom.tsv` beside the source
    definitions, which you keep. An earlier choice for the word is replaced. Exit 0: stored; 1:
    unknown concept; 2: no such source, or a line of its table is wrong.
    """
    item = CuratedWord(word, concept, by, f"{context.now():%Y-%m-%d}", comment)
    file = add_word(_folder(context), source.name, item, context.iris.base)
    note = f"{word[:200]}: {short_name(concept, context.iris.base)}"
    audit(context, by, "chose the concept of a word", source.name, note=note)
    return file


@operation(
    Scope.OPERATE,
    form="/page/suggestions",
    back="/page/suggestions?source=%(source)s",
    changes_status=False,
)
def decide_topic(
    context: HarvestContext,
    source: Source,
    *,
    by: str,
    record: str,
    concept: str,
    decision: str,
    comment: Comment = "",
) -> Path:
    """Confirm or refuse a suggested topic of a record: its decision is a line of a table."""
    item = TopicDecision(record, concept, decision, by, f"{context.now():%Y-%m-%d}", comment)
    try:
        file = add_decision(_folder(context), source.name, item, context.iris.base)
    except SourceDefinitionError as error:
        raise InvalidInputError(
            "The decision cannot be stored: %(reason)s", reason=error.reason
        ) from error
    note = f"{record[:200]}: {concept}, {decision}"
    audit(context, by, "decided about a suggested topic", source.name, note=note)
    return file


def _folder(context: HarvestContext) -> Path:
    assert context.source_dir is not None
    return context.source_dir


@operation(
    Scope.OPERATE,
    "%(judgement)s: %(result)s",
    command="identity decide",
    form="/page/identity/pairs/{id}",
    back="/page/identity/next",
    fault=Reason("Choose whether the two are one thing."),
    changes_status=False,
)
def decide_pair(
    context: HarvestContext,
    pair: str,
    *,
    by: str,
    judgement: Annotated[
        Literal["positive", "negative", "unsure", "undo"],
        Field(
            description="positive: one thing; negative: two; unsure: it stays in the queue; undo: by the score again."
        ),
    ],
    reason: Note = "",
) -> str:
    """Decide whether a pair is one thing, or withdraw the decision. A later decision replaces an
    earlier one, which stays in the history.
    """
    if judgement == "undo":
        decided = current_decisions(context.ledger)
        both = require(
            next((key for key in decided if pair_id(key) == pair), None),
            UnknownError(Reason("No decision about this pair counts.")),
        )
    else:
        both = find_pair(context.ledger, pair).pair
    chosen = None if judgement == "undo" else Judgement(judgement)
    decide_pairs(context, [both], chosen, by=by, reason=reason)
    return " and ".join(both)


def decide_pairs(
    context: HarvestContext,
    pairs: Sequence[tuple[str, str]],
    judgement: Judgement | None,
    *,
    by: str,
    reason: str = "",
    note: str = "",
) -> None:
    """Decide whether pairs are one thing each, or take their decisions back; *note* names them in
    the audit log.
    """
    now = context.now()
    add_decisions(context.ledger, [Decision(pair, judgement, by, now, reason) for pair in pairs])
    note = note or ", ".join(map(pair_id, pairs))
    audit(
        context, by, "decided about a pair of records", note=f"{note}: {judgement or 'withdrawn'}"
    )


@operation(
    Scope.OPERATE,
    command="identity publish",
    form="/page/identity/publish",
    back="/page/identity/publish",
)
def publish_clusters(
    context: HarvestContext, *, by: str
) -> tuple[Run | None, list[dict[str, Any]]]:
    """Publish the sets of pairs and decisions as clusters, in one journal entry; return its run,
    None if nothing changed, and a row for each change of a cluster.
    """
    run, changes = publish_graphs.publish_clusters(context)
    rows = list(map(publish_graphs.change_row, changes))
    if run and rows:
        counts = Counter(row["change"] for row in rows)
        note = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
        audit(context, by, "published the clusters", note=note)
    return run, rows


@operation(
    Scope.OPERATE,
    form="/page/problems/{id}",
    back="/page/problems",
    fault=Reason("Write an answer of 1 to %(most)s characters.", most=MAX_ANSWER_LENGTH),
    changes_status=False,
)
def answer_problem(
    context: HarvestContext,
    number: str,
    *,
    by: str,
    answer: Annotated[str, StringConstraints(min_length=1, max_length=MAX_ANSWER_LENGTH)],
) -> None:
    """Close a reported problem with an answer, which is sent to the reader's address if there is
    one.
    """
    problem = reported_problem(context.ledger, int(number)) if number.isdecimal() else None
    if problem is None or not close_problem(context, problem, context.now(), answer):
        raise UnknownError(Reason("There is no open problem with this number."))
    audit(context, by, "answered a problem", problem.source, note=f"problem {problem.id}")


@operation(
    Scope.OPERATE,
    form="/page/alerts/silences",
    back="/page/alerts",
    fault=Reason("Choose 1 to %(longest)s hours.", longest=MAX_SILENCE_HOURS),
    changes_status=False,
)
def silence(
    context: HarvestContext,
    *,
    by: str,
    rule: str = "",
    source: str = "",
    hours: Annotated[int, Field(ge=1, le=MAX_SILENCE_HOURS)],
    reason: Annotated[str, StringConstraints(max_length=200, strip_whitespace=True)] = "",
) -> None:
    """Send no messages of a rule about a source for some hours; empty names stand for all."""
    context.ledger.add(Silence(0, rule, source, context.now() + timedelta(hours=hours), by, reason))
    note = " · ".join(filter(None, (rule, f"{hours} h", reason)))
    audit(context, by, "silenced alerts", source or None, note=note)


@operation(
    Scope.OPERATE,
    form="/page/alerts/silences/{id}/end",
    back="/page/alerts",
    changes_status=False,
)
def end_silence(context: HarvestContext, number: str, *, by: str) -> None:
    """End a silence."""
    if not (number.isdecimal() and outbox.end_silence(context.ledger, int(number))):
        raise UnknownError(Reason("There is no such silence. It may have ended."))
    audit(context, by, "ended a silence")


@operation(
    Scope.OPERATE,
    form="/page/alerts/messages/{id}/retry",
    back="/page/alerts#messages",
    changes_status=False,
)
def retry_message(context: HarvestContext, number: str, *, by: str) -> None:
    """Send an undelivered message again at once."""
    if not (
        number.isdecimal() and outbox.retry_message(context.ledger, int(number), context.now())
    ):
        raise UnknownError(Reason("There is no undelivered message with that number."))
    audit(context, by, "sent a message again", note=number)


OPERATIONS: tuple[Operation[..., Any], ...] = (
    *(hold, release, request_run, approve, reject, undo, clear, retire, resume, forget),
    *(translate, decide_topic, decide_pair, publish_clusters, answer_problem),
    *(silence, end_silence, retry_message),
)
