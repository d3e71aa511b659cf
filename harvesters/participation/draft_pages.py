"""The pages of a draft below /submit/draft: a page for each question, which saves the answer and
shows the findings of the rules beside the fields, and the summary, which sends the draft.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

from fastapi import APIRouter, Depends
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, JSONResponse, Response

from harvesters.errors import require
from harvesters.ledger import submissions
from harvesters.ledger.participation import Content, Submission
from harvesters.ledger.submissions import picture_of
from harvesters.participation import actions, drafts
from harvesters.participation.check import Check, differences, suggest_topics, violation
from harvesters.participation.drafts import (
    PICTURE,
    SUGGESTED,
    SUMMARY,
    Form,
    Question,
    fingerprint,
    match_names,
    questions_of,
    read_answer,
    rename,
    values_of,
    without_internal,
)
from harvesters.participation.model import (
    MEMBERS,
    Choice,
    Field,
    InvalidMembersError,
    choices,
    labels,
    labels_of,
    readable,
)
from harvesters.participation.submitters import (
    SubmissionContext,
    SubmissionContextDep,
    count_check,
    request_confirmation,
)
from harvesters.participation.uploads import encode_picture, picture_response
from harvesters.participation.visitor import (
    ROOT,
    SCRIPT,
    Draft,
    FileDep,
    FormDep,
    RendererDep,
    Trap,
    Visitor,
    Writing,
    first,
    page_routes,
    redirect,
)
from harvesters.site import InvalidValue, NotFound, RequestRefused, VersionConflict
from shapes.rules import Severity
from web.templating import PageRenderer

routes = page_routes()
checks = APIRouter(prefix=ROOT, include_in_schema=False)


# ---- the summary


@routes.get("/draft/{secret}/summary")
def summary(
    secret: str, draft: Draft, visitor: Visitor, context: SubmissionContextDep, show: RendererDep
) -> Response:
    """Show the answers, the findings of the rules about them, and records that may be the same."""
    return _summary(context, show, secret, draft, signed_in=visitor is not None)


@routes.post("/draft/{secret}/summary", dependencies=[Writing, Trap])
def send(
    secret: str, draft: Draft, form: FormDep, visitor: Visitor, context: SubmissionContextDep, show: RendererDep
) -> Response:  # fmt: skip
    """Send a draft: at once in a session, else when its author confirms an address."""
    mail = first(form, "mail")
    try:
        drafts.check_pace(context, draft)
        if visitor is None:
            link = request_confirmation(context, mail, draft.id)
            return show("sent.html", secret=secret, link=link)
        if first(form, "replace"):
            draft = drafts.rebase(context, visitor, draft)
        sent = drafts.send(context, visitor, draft)
    except VersionConflict as error:
        return _conflict(context, show, secret, draft, error)
    except InvalidValue as error:
        signed_in = visitor is not None
        return _summary(context, show, secret, draft, error.localized, mail, signed_in=signed_in)
    return redirect("mine", sent.id)


def _summary(
    context: SubmissionContext,
    show: PageRenderer,
    secret: str,
    draft: Submission,
    error: str = "",
    mail: str = "",
    *,
    signed_in: bool,
) -> Response:
    content = without_internal(draft.content)
    key = (draft.content.get(drafts.REPLACES) or {}).get("id", draft.id)
    checked = actions.check_content(context, content, key) if content.get("type") else None
    answers = [
        (
            question,
            [(field, _answer_texts(draft, field, context)) for field in question.fields],
            drafts.findings_of(checked, question) if checked else [],
        )
        for question in questions_of(draft.content)
    ]
    return show(
        "summary.html",
        answers=answers,
        checked=checked,
        labels=labels(),
        error=error,
        mail=mail,
        secret=secret,
        organizations=match_names(content, context.organizations),
        session=signed_in,
        licence=context.submission_source().licence,
        post=draft.content.get(drafts.POST),
    )


def _answer_texts(draft: Submission, field: Field, context: SubmissionContext) -> list[str]:
    """Return the answer of a field, with the labels of its choices."""
    values = values_of(draft.content, field, drafts.language_of(draft))
    if not field.choices or field.member == "why":
        return values
    return labels_of(values, field.choices, context.base)


def _conflict(
    context: SubmissionContext,
    show: PageRenderer,
    secret: str,
    draft: Submission,
    error: VersionConflict,
) -> Response:
    """Show what another person has changed since; the draft stays."""
    newest = require(
        submissions.find(context.ledger, draft.content[drafts.REPLACES]["id"]),
        NotFound("You have no submission with this identifier."),
    )
    changed = [
        (MEMBERS[name].title, readable(change["before"]), readable(change["after"]))
        for name, change in differences(newest.content, without_internal(draft.content)).items()
        if name in MEMBERS
    ]
    return show("conflict.html", error.status, changes=changed, secret=secret, why=error.localized)


@routes.post("/draft/{secret}/use-name", dependencies=[Writing])
def take_name(secret: str, draft: Draft, form: FormDep, context: SubmissionContextDep) -> Response:
    """Replace the name of an organization in the draft by that of the register; show the summary."""
    before, after = first(form, "before"), first(form, "after")
    if after not in [item["name"] for item in context.organizations(before)]:
        raise InvalidValue("The register has no such organization.")
    if not drafts.save(context, draft, rename(draft.content, before, after)):
        raise VersionConflict("Somebody else changed this meanwhile")
    return redirect("draft", secret, SUMMARY)


# ---- the picture


@routes.get("/draft/{secret}/picture.webp")
def show_picture(draft: Draft, context: SubmissionContextDep) -> Response:
    return picture_response(
        submissions.find_picture(context.ledger, picture_of(draft.content) or "")
    )


# ---- the questions: their routes follow those of pages that are not questions


@routes.get("/draft/{secret}/{name}")
def show_question(
    secret: str, name: str, draft: Draft, context: SubmissionContextDep, show: RendererDep
) -> Response:
    """Show a question with the answer so far."""
    return _question_page(context, show, secret, draft, find_question(draft, name), {})


@routes.post("/draft/{secret}/{name}", dependencies=[Writing])
def answer(
    secret: str, name: str, draft: Draft, form: FormDep, file: FileDep, context: SubmissionContextDep, show: RendererDep
) -> Response:  # fmt: skip
    """Save an answer, and go to the next question; show the page again with messages if it is not
    valid. A picture is saved before its caption is asked for, so that nobody chooses the file again.

    Warnings about a valid answer are shown once, unless the script of the page has shown them
    (field ``seen``).
    """
    question = find_question(draft, name)
    show_again = partial(_question_page, context, show, secret)
    if first(form, "was") != fingerprint(draft.content, question):
        return show_again(draft, question, {}, form, HTTPStatus.PRECONDITION_FAILED)
    if name == PICTURE and not first(form, "remove"):
        try:
            stored = _store_picture(context, file) if file else picture_of(draft.content)
        except RequestRefused as error:
            return show_again(draft, question, {PICTURE: error.localized}, form, error.status)
        form = {**form, PICTURE: [stored or ""]}
    content, faults = _merge(context, draft, question, form)
    if faults := faults or _violations(context, content, question):
        return show_again(draft, question, faults, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    if not drafts.save(context, draft, content):
        newest = drafts.open_draft(context, secret)
        return show_again(newest, question, {}, form, HTTPStatus.PRECONDITION_FAILED)
    if name == PICTURE and (faults := drafts.missing_caption(content)):
        saved = drafts.open_draft(context, secret)
        return show_again(saved, question, faults, None, HTTPStatus.UNPROCESSABLE_ENTITY)
    stays = not first(form, "seen") and _has_advice(context, draft, content, question)
    return redirect("draft", secret, name if stays else _next_page(content, question, form))


def _store_picture(context: SubmissionContext, file: UploadFile) -> str:
    picture = encode_picture(file.file.read())
    submissions.add_picture(context.ledger, picture, context.now())
    return picture.name


def _merge(
    context: SubmissionContext, draft: Submission, question: Question, form: Form
) -> tuple[Content, dict[str, str]]:
    """Return the content of a draft with the answer of a form, and the messages for what is missing
    or not valid in it, by member.
    """
    sent = read_answer(form, question, draft.content, drafts.language_of(draft))
    try:
        content = drafts.merge_answer(draft, sent, context.base)
    except InvalidMembersError as error:
        return draft.content, dict(error.faults)
    return content, drafts.find_missing(content, question)


def _next_page(content: Content, question: Question, form: Form) -> str:
    """Return the name of the page after a question: the next one, or the summary if asked for."""
    names = [*(item.name for item in questions_of(content)), SUMMARY]
    return SUMMARY if first(form, "then") == SUMMARY else names[names.index(question.name) + 1]


def _violations(context: SubmissionContext, content: Content, question: Question) -> dict[str, str]:
    """Return a message for each answered member that violates a rule; the summary reports those
    that are missing.
    """
    findings = drafts.check_answer(context, content, question)
    return {
        finding.member: finding.message
        for _, finding in reversed(findings)
        if finding.severity == Severity.VIOLATION.value
        and finding.member != PICTURE
        and content.get(finding.member)
    }


def _has_advice(
    context: SubmissionContext, draft: Submission, content: Content, question: Question
) -> bool:
    """Return whether the new answer has a warning that the former one did not have. Remarks of
    lower severity do not stop a person.
    """
    former, new = (
        {*drafts.check_answer(context, item, question)} for item in (draft.content, content)
    )
    return any(
        finding.severity != Severity.INFO.value and content.get(finding.member)
        for _, finding in new - former
    )


def find_question(draft: Submission, name: str) -> Question:
    named = (question for question in questions_of(draft.content) if question.name == name)
    return require(next(named, None), NotFound("There is no such question."))


def _question_page(
    context: SubmissionContext,
    show: PageRenderer,
    secret: str,
    draft: Submission,
    question: Question,
    faults: Mapping[str, str],
    form: Form | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    """Show a question with the stored answer and the findings of the rules; with *form*, the answer
    that was sent instead of the stored one.
    """
    names = [item.name for item in questions_of(draft.content)]
    position = names.index(question.name)
    return show(
        "question.html",
        status,
        question=question,
        fields=_fields(context, draft, question, faults, form),
        was=fingerprint(draft.content, question),
        secret=secret,
        position=position + 1,
        total=len(names) if draft.content.get("type") else 0,
        previous=names[position - 1] if position else None,
        conflict=status is HTTPStatus.PRECONDITION_FAILED,
        complete=bool(draft.content.get("title")),
        language=drafts.language_of(draft),
        address=f"{context.channels.public_url}{ROOT}/draft/{secret}/{question.name}",
    )


def _fields(
    context: SubmissionContext,
    draft: Submission,
    question: Question,
    faults: Mapping[str, str],
    form: Form | None,
) -> list[dict[str, object]]:
    language, base = drafts.language_of(draft), context.base
    texts = without_internal(draft.content)
    suggested = (
        suggest_topics(texts, context.submission_source(), base)
        if question.name in SUGGESTED
        else {}
    )
    # the first field of each member
    names = {field.member: field.name for field in reversed(question.fields)}
    is_answered = form is None and any(draft.content.get(field.member) for field in question.fields)
    findings = drafts.check_answer(context, draft.content, question) if is_answered else []
    return [
        {
            "field": field,
            "suggested": {code for code, _ in offered} & {*suggested.get(field.member, {})},
            "words": suggested.get(field.member, {}),
            "values": list(form.get(field.name, ()))
            if form is not None
            else values_of(draft.content, field, language),
            "stored": _answer_texts(draft, field, context),
            "choices": offered,
            "fault": faults.get(field.name)
            or (faults.get(field.member) if names[field.member] == field.name else None),
            "found": [finding for name, finding in findings if name == field.name],
        }
        for field in question.fields
        for offered in [_offered(field, draft.content, suggested.get(field.member, {}), base)]
    ]


def _offered(
    field: Field, content: Content, suggested: Mapping[str, str], base: str
) -> list[Choice]:
    """Return the choices of a field, those that the texts suggest first; of the targets, only those
    of the chosen goals.
    """
    goals = content.get("goal", ())
    offered = (
        choice
        for choice in (choices(field.choices, base) if field.choices else ())
        if field.choices != "target" or choice[0].partition(".")[0] in goals
    )
    return sorted(offered, key=lambda choice: choice[0] not in suggested)


# ---- while a person types


@checks.get("/form.js")
def script() -> Response:
    return FileResponse(SCRIPT, media_type="text/javascript")


@checks.post("/draft/{secret}/{name}/check", dependencies=[Depends(count_check)])
def check_answer(name: str, draft: Draft, form: FormDep, context: SubmissionContextDep) -> Response:
    """Return the messages for an answer, by field, without storing it."""
    question = find_question(draft, name)
    content, faults = _merge(context, draft, question, form)
    violations = tuple(violation(member, text) for member, text in faults.items())
    findings = (
        drafts.findings_of(Check(violations, ()), question)
        if violations
        else drafts.check_answer(context, content, question)
    )
    messages = [
        {"field": field, "severity": each.severity, "text": each.message}
        for field, each in findings
    ]
    return JSONResponse({"messages": messages})
