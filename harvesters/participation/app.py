"""Build the application for contributions of the public: the API below /submissions and /inbox, and
the pages below /submit.
"""

from __future__ import annotations

from fastapi import FastAPI

from harvesters.participation.comments import page_routes as comment_pages
from harvesters.participation.inbox import receive as inbox
from harvesters.participation.prizes import api as prize_api
from harvesters.participation.prizes import page_routes as prize_pages
from harvesters.participation.submissions.documents import parse_members
from harvesters.participation.submissions.pictures import MAX_FILE as MAX_PICTURE
from harvesters.participation.submissions.pictures import encode_webp
from harvesters.participation.submissions.routes import api, drafts, own
from harvesters.participation.submissions.routes.visitor import MAX_BODY, POLICY, submission_pages
from harvesters.participation.submissions.submitters.identity import SubmissionContext
from harvesters.participation.submissions.tables import MAX_FILE, read_lines
from harvesters.pipeline.bounded_call import preload
from harvesters.problems import install_error_handlers
from web.middleware import RequestMiddleware, SecurityMiddleware

# The bytes that a form has besides its file; the form of a picture has a caption.
_FORM_AROUND_TABLE, _FORM_AROUND_PICTURE = 16_384, 65_536
UPLOADS = {
    api.UPLOAD_PATH: MAX_FILE,
    own.UPLOAD_PATH: MAX_FILE + _FORM_AROUND_TABLE,
    api.PICTURE_PATH: MAX_PICTURE,
    drafts.FORM_PATH: MAX_PICTURE + _FORM_AROUND_PICTURE,
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
        api.published_pictures,
        api.routes,
        own.routes,
        drafts.routes,
        drafts.checks,
    )
    for router in routers:
        app.router.routes.extend(router.routes)  # include_router() would build each route again
    install_error_handlers(app, app.state.pages)
    app.add_middleware(
        SecurityMiddleware,
        policy=POLICY,
        max_body=MAX_BODY,
        uploads=UPLOADS,
        private=True,
    )
    app.add_middleware(RequestMiddleware)
    return app
