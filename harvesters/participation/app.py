"""Build the application that the public contributes with: the API below /submissions and /inbox, and
the pages below /submit.
"""

from __future__ import annotations

from fastapi import FastAPI

from harvesters.participation.comments import page_routes as comment_pages
from harvesters.participation.inbox import receive as inbox
from harvesters.participation.prizes import api as prize_api
from harvesters.participation.prizes import page_routes as prize_pages
from harvesters.participation.submissions.documents import parse_members
from harvesters.participation.submissions.pages import POLICY, submission_pages
from harvesters.participation.submissions.pictures import encode_webp
from harvesters.participation.submissions.routes import api
from harvesters.participation.submissions.routes import check as check_routes
from harvesters.participation.submissions.routes import form as form_routes
from harvesters.participation.submissions.routes import pictures as picture_routes
from harvesters.participation.submissions.routes import questions as question_routes
from harvesters.participation.submissions.routes import reminders as reminder_routes
from harvesters.participation.submissions.routes import sign_in as sign_in_routes
from harvesters.participation.submissions.routes import transfers as transfer_routes
from harvesters.participation.submissions.routes import uploads as upload_routes
from harvesters.participation.submissions.submitters.identity import SubmissionContext
from harvesters.participation.submissions.tables import MAX_FILE, read_lines
from harvesters.pipeline.bounded_call import preload
from harvesters.problems import install_error_handlers
from web.middleware import RequestMiddleware, SecurityMiddleware

_FORM_AROUND_FILE = 16_384  # bytes of a form with a file that are not the file's
UPLOADS = {
    upload_routes.API_PATH: MAX_FILE,
    upload_routes.FORM_PATH: MAX_FILE + _FORM_AROUND_FILE,
    **picture_routes.UPLOADS,
}


def create_submissions(context: SubmissionContext) -> FastAPI:
    app = FastAPI(
        title="Stocktake submissions",
        description="Submit records and keep them up to date; see docs/reference/submissions.md.",
        version="1",
        openapi_url="/submissions/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    preload(parse_members, read_lines, encode_webp)
    app.state.context, app.state.submissions = context.site, context
    app.state.pages = submission_pages(demo=context.site.demo, provider=context.provider_name)
    routers = (
        prize_api.routes,
        prize_pages.routes,
        comment_pages.routes,
        inbox.routes,
        # before the routes of one submission, whose path may be any word
        upload_routes.routes,
        upload_routes.pages,
        picture_routes.routes,
        picture_routes.pages,
        transfer_routes.routes,
        transfer_routes.pages,
        api.routes,
        sign_in_routes.routes,
        form_routes.routes,
        question_routes.routes,  # after the pages whose names are no questions
        check_routes.routes,
        reminder_routes.routes,
    )
    for router in routers:
        app.router.routes.extend(router.routes)  # include_router() would build each route again
    install_error_handlers(app, app.state.pages)
    app.add_middleware(
        SecurityMiddleware,
        policy=POLICY,
        max_body=form_routes.MAX_BODY,
        uploads=UPLOADS,
        private=True,
    )
    app.add_middleware(RequestMiddleware)
    return app
