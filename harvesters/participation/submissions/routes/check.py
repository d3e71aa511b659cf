"""Check an answer of the form while a person types, and serve the script that asks for it. Nothing
is stored.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, JSONResponse, Response

from harvesters.participation.submissions import drafts
from harvesters.participation.submissions.check import Check, MemberFinding
from harvesters.participation.submissions.model import InvalidMembersError
from harvesters.participation.submissions.pages import SCRIPT
from harvesters.participation.submissions.questions import read_answer
from harvesters.participation.submissions.routes.form import ROOT, FormDep
from harvesters.participation.submissions.routes.questions import find_question
from harvesters.participation.submissions.submitters.identity import (
    SubmissionContextDep,
    count,
    get_submission_context,
)
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
        content = drafts.merged(draft, sent, context.site.base)
        faults = drafts.missing(content, question)
    except InvalidMembersError as error:
        faults = dict(error.faults)
    if faults:
        violations = Check(
            tuple(
                MemberFinding(member, Severity.VIOLATION.value, text)
                for member, text in faults.items()
            ),
            (),
        )
        findings = drafts.findings_of(violations, question)
    else:
        findings = drafts.check_answer(context, content, question)
    messages = [
        {"field": name, "severity": each.severity, "text": each.message}
        for name, many in findings.items()
        for each in many
    ]
    return JSONResponse({"messages": messages})
