"""Check an answer of the form while a person types, and serve the script that asks for it. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, JSONResponse, Response

from harvesters.ledger.submissions import Content
from harvesters.submissions import drafts
from harvesters.submissions.check import MemberFinding, check
from harvesters.submissions.duplicates import DuplicateFinder
from harvesters.submissions.form_routes import ROOT, FormDep, find_question
from harvesters.submissions.identity import SubmissionContext, SubmissionContextDep, count, get_submission_context
from harvesters.submissions.members import InvalidMembersError
from harvesters.submissions.pages import SCRIPT
from harvesters.submissions.questions import Question, read_answer, without_internal
from shapes.result import Severity

routes = APIRouter(prefix=ROOT, include_in_schema=False)


def count_check(request: Request) -> None:
    """Count a check; raise RateLimited after too many from one network address."""
    count(get_submission_context(request).checks, request)


@routes.get("/form.js")
def script() -> Response:
    """Return the script of the form."""
    return FileResponse(SCRIPT, media_type="text/javascript")


@routes.post("/draft/{secret}/{name}/check", dependencies=[Depends(count_check)])
def check_answer(secret: str, name: str, form: FormDep, context: SubmissionContextDep) -> Response:
    """Return the messages for the fields of a question, as if this answer were sent."""
    draft = drafts.open_draft(context, secret)
    question = find_question(draft, name)
    sent = read_answer(form, question, draft.content, drafts.language_of(draft))
    try:
        content = drafts.merged(draft, sent, context.admin.base)
    except InvalidMembersError as error:
        findings = [MemberFinding(member, Severity.VIOLATION.value, text) for member, text in error.faults.items()]
    else:
        missing = [MemberFinding(member, Severity.VIOLATION.value, text) for member, text in drafts.missing(content, question).items()]
        findings = missing or list(_of_rules(context, without_internal(content)))
    return JSONResponse({"messages": list(_of_fields(findings, question))})


def _of_rules(context: SubmissionContext, content: Content) -> Iterator[MemberFinding]:
    if content.get("title"):  # before the title is known, every rule misses something
        yield from check(context.admin.ledger, content, "draft", context.source(), context.admin.base, DuplicateFinder()).findings


def _of_fields(findings: list[MemberFinding], question: Question) -> Iterator[dict[str, str]]:
    """Yield the messages for the members that the question asks for, each at the first field of its member."""
    names = {field.member: field.name for field in reversed(question.fields)}
    for finding in findings:
        if finding.member in names:
            yield {"field": names[finding.member], "severity": finding.severity, "text": finding.message}
