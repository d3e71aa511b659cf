"""The applications that write to the ledger: the admin pages and the submissions.

The module is imported by the first request to one of them: it takes more than half a second, and
most requests are to the public portal.
"""

from __future__ import annotations

from fastapi import FastAPI

from harvesters.admin.app import create_admin
from harvesters.admin.context import AdminContext
from harvesters.participation.comments.actions import routes as comment_moderation
from harvesters.participation.comments.page_routes import routes as comment_pages
from harvesters.participation.inbox.receive import routes as inbox
from harvesters.participation.prizes.admin_routes import routes as prize_administration
from harvesters.participation.prizes.api import routes as prize_api
from harvesters.participation.prizes.page_routes import routes as prize_pages
from harvesters.participation.submissions.app import MODERATION, create_submissions
from harvesters.participation.submissions.submitters.identity import SubmissionContext


def admin_app(context: AdminContext) -> FastAPI:
    """Return the admin pages, with those of moderators."""
    return create_admin(context, (*MODERATION, comment_moderation, prize_administration))


def submissions_app(context: SubmissionContext) -> FastAPI:
    """Return the submissions, with prizes, comments and the inbox."""
    return create_submissions(context, (prize_api, prize_pages, comment_pages, inbox))
