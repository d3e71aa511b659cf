"""Build the application for contributions of the public: the API below /submissions and /inbox, and
the pages below /submit.
"""

from __future__ import annotations

from fastapi import FastAPI

from harvesters.participation import api, comments, draft_pages, inbox_api, pages, prize_routes
from harvesters.participation.drafts import PICTURE
from harvesters.participation.submitters import SubmissionContext
from harvesters.participation.tables import MAX_FILE
from harvesters.participation.uploads import MAX_PICTURE
from harvesters.participation.visitor import MAX_BODY, PACKAGE_DIR, POLICY, ROOT
from harvesters.site import install_error_handlers
from languages.translations import format_date
from web.middleware import RequestMiddleware, SecurityMiddleware
from web.templating import Pages

# The bytes that a form has besides its file; the form of a picture has a caption.
_FORM_AROUND_TABLE, _FORM_AROUND_PICTURE = 16_384, 65_536
UPLOADS = {
    api.UPLOAD_PATH: MAX_FILE,
    pages.UPLOAD_PATH: MAX_FILE + _FORM_AROUND_TABLE,
    api.PICTURE_PATH: MAX_PICTURE,
    f"{ROOT}/draft/*/{PICTURE}": MAX_PICTURE + _FORM_AROUND_PICTURE,
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
    app.state.context = context
    app.state.pages = Pages(
        [PACKAGE_DIR / "templates"],
        ROOT,
        demo=context.demo,
        provider=context.provider_name,
        text=prize_routes.text_of,
        day=format_date,
        day_names=prize_routes.DAYS,
        prizes=prize_routes.PATH,
    )
    routers = (
        prize_routes.api_routes,
        prize_routes.routes,
        comments.routes,
        inbox_api.routes,
        api.published_pictures,
        api.routes,
        pages.routes,
        draft_pages.routes,
        draft_pages.checks,
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
