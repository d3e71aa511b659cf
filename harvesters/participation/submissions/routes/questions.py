"""The pages of the questions below /submit/draft: each saves its answer, with the messages of the
rules beside the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter, Depends
from starlette.responses import Response

from harvesters.ledger.participation.models import Content, Submission
from harvesters.participation.submissions import drafts
from harvesters.participation.submissions.model import Choice, Field, InvalidMembersError, choices
from harvesters.participation.submissions.questions import (
    PICTURE,
    SUGGESTED,
    SUMMARY,
    Form,
    Question,
    fingerprint,
    questions_of,
    read_answer,
    values_of,
    without_internal,
)
from harvesters.participation.submissions.routes.form import (
    ROOT,
    FormDep,
    PagesDep,
    Writing,
    answer_texts,
    first,
    redirect,
)
from harvesters.participation.submissions.submitters.identity import (
    SubmissionContext,
    SubmissionContextDep,
)
from harvesters.participation.submissions.suggestions import suggest_topics
from harvesters.problems import NotFound
from harvesters.site import render_errors_as_pages
from shapes.result import Severity
from web.templating import Pages

routes = APIRouter(
    prefix=f"{ROOT}/draft/{{secret}}",
    include_in_schema=False,
    dependencies=[Depends(render_errors_as_pages)],
)


@routes.get("/{name}")
def show_question(
    secret: str, name: str, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Show a question with the answer so far."""
    draft = drafts.open_draft(context, secret)
    return question_page(context, pages, secret, draft, find_question(draft, name), {})


@routes.post("/{name}", dependencies=[Writing])
def answer(
    secret: str, name: str, form: FormDep, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Save an answer, and go to the next question; show the page again with messages if it is not
    valid.

    What the rules advise about a valid answer is shown once, unless the script of the page showed
    it (field ``seen``).
    """
    draft = drafts.open_draft(context, secret)
    question = find_question(draft, name)
    if name == PICTURE:
        raise NotFound("A picture is sent to another address.")
    sent = read_answer(form, question, draft.content, drafts.language_of(draft))
    if first(form, "was") != fingerprint(draft.content, question):
        return question_page(
            context, pages, secret, draft, question, {}, form, HTTPStatus.PRECONDITION_FAILED
        )
    try:
        content = drafts.merged(draft, sent, context.site.base)
        faults = drafts.missing(content, question) or _violations(context, content, question)
    except InvalidMembersError as error:
        content, faults = draft.content, dict(error.faults)
    if faults:
        return question_page(
            context, pages, secret, draft, question, faults, form, HTTPStatus.UNPROCESSABLE_ENTITY
        )
    if not drafts.save(context, draft, content):
        newest = drafts.open_draft(context, secret)
        return question_page(
            context, pages, secret, newest, question, {}, form, HTTPStatus.PRECONDITION_FAILED
        )
    following = (
        name
        if not first(form, "seen") and _has_advice(context, draft, content, question)
        else next_page(content, question, form)
    )
    return redirect(f"/draft/{quote(secret, safe='')}/{following}")


def next_page(content: Content, question: Question, form: Form) -> str:
    """Return the name of the page after a question: the summary if the person asks for it."""
    names = [item.name for item in questions_of(content)]
    return (
        next(iter(names[names.index(question.name) + 1 :]), SUMMARY)
        if first(form, "then") != SUMMARY
        else SUMMARY
    )


def _violations(context: SubmissionContext, content: Content, question: Question) -> dict[str, str]:
    """Return a message for each member that was answered and violates a rule; what is missing is
    asked for in the summary.
    """
    findings = drafts.check_answer(context, content, question)
    violations = [
        each
        for many in findings.values()
        for each in many
        if each.severity == Severity.VIOLATION.value
    ]
    return {each.member: each.message for each in reversed(violations) if content.get(each.member)}


def _has_advice(
    context: SubmissionContext, draft: Submission, content: Content, question: Question
) -> bool:
    """Return whether the rules warn of something in an answer that they did not find in the former
    one.
    """
    before, after = (
        drafts.check_answer(context, each, question) for each in (draft.content, content)
    )
    former = {finding for many in before.values() for finding in many}
    new = [
        finding
        for many in after.values()
        for finding in many
        if finding not in former and content.get(finding.member)
    ]
    # no remark stops a person
    return any(finding.severity != Severity.INFO.value for finding in new)


def find_question(draft: Submission, name: str) -> Question:
    """Return the question of a draft with this name; raise NotFound."""
    for question in questions_of(draft.content):
        if question.name == name:
            return question
    raise NotFound("There is no such question.")


def question_page(
    context: SubmissionContext,
    pages: Pages,
    secret: str,
    draft: Submission,
    question: Question,
    faults: Mapping[str, str],
    form: Form | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    """Show a question with what the rules find in the stored answer; with *form*, what was sent
    instead of what is stored.
    """
    names = [item.name for item in questions_of(draft.content)]
    position = names.index(question.name)
    values = {
        "question": question,
        "fields": _fields(context, draft, question, faults, form),
        "was": fingerprint(draft.content, question),
        "secret": secret,
        "position": position + 1,
        "total": len(names) if draft.content.get("type") else 0,
        "previous": names[position - 1] if position else None,
        "conflict": status is HTTPStatus.PRECONDITION_FAILED,
        "complete": bool(draft.content.get("title")),
        "language": drafts.language_of(draft),
        "address": f"{context.url}{ROOT}/draft/{secret}/{question.name}",
    }
    return pages.render("question.html", values, status)


def _fields(
    context: SubmissionContext,
    draft: Submission,
    question: Question,
    faults: Mapping[str, str],
    form: Form | None,
) -> list[dict[str, object]]:
    language, base = drafts.language_of(draft), context.site.base
    texts = without_internal(draft.content)
    suggested = suggest_topics(texts, context.source(), base) if question.name in SUGGESTED else {}
    # the first field of each member
    names = {field.member: field.name for field in reversed(question.fields)}
    is_answered = form is None and any(draft.content.get(field.member) for field in question.fields)
    findings = drafts.check_answer(context, draft.content, question) if is_answered else {}
    return [
        {
            "field": field,
            "suggested": {code for code, _ in offered} & {*suggested.get(field.member, {})},
            "words": suggested.get(field.member, {}),
            "values": list(form.get(field.name, ()))
            if form is not None
            else values_of(draft.content, field, language),
            "stored": answer_texts(draft.content, field, language, context),
            "choices": offered,
            "fault": faults.get(field.name)
            or (faults.get(field.member) if names[field.member] == field.name else None),
            "found": findings.get(field.name, []),
        }
        for field in question.fields
        for offered in [_offered(field, draft.content, suggested.get(field.member, {}), base)]
    ]


def _offered(
    field: Field, content: Content, suggested: Mapping[str, str], base: str
) -> list[Choice]:
    """Return what a field offers, what the texts speak of first; of the targets those of the goals
    that were chosen.
    """
    if not field.choices:
        return []
    offered = choices(field.choices, base)
    if field.choices == "target":
        goals = content.get("goal", ())
        offered = tuple(choice for choice in offered if choice[0].partition(".")[0] in goals)
    return sorted(offered, key=lambda choice: choice[0] not in suggested)
