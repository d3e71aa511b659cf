"""Comments of readers on posts: submissions that are shown below the post and never harvested. They
are off by default.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import unquote

from starlette.responses import Response

from harvesters.errors import LedgerError, require
from harvesters.ledger import submissions
from harvesters.ledger.prizes import published_statements
from harvesters.participation import drafts
from harvesters.participation.check import record_title
from harvesters.participation.drafts import POST, SUMMARY
from harvesters.participation.model import MAX_TITLE, normalize
from harvesters.participation.submitters import SubmissionContext, SubmissionContextDep
from harvesters.participation.visitor import (
    FormDep,
    Trap,
    Visitor,
    Writing,
    first,
    page_routes,
    redirect,
)
from harvesters.site import Closed, InvalidValue, NotFound
from languages.translations import current_locale
from vocab.iris import encode

MAX_TEXT = 2_000  # characters
SHOWN = 200  # comments below a post
routes = page_routes("/comments")


def find_post(context: SubmissionContext, path: str) -> tuple[str, str]:
    """Return the path of a published post, ``post/{source}/{key}`` as in the address of its page,
    and its title, "" without one. Raises NotFound if it is not one, and Closed if comments are off.
    """
    if not context.comments:
        raise Closed(
            "Nothing can be commented on here: the operators have not switched comments on."
        )
    parts = path.split("/", 2)
    source, key = (unquote(part) for part in parts[1:3]) if len(parts) == 3 else ("", "")
    statements = published_statements(context.ledger, source, key) if parts[0] == "post" else None
    if statements is None or not any(
        f"/id/post/{encode(source)}/{encode(key)}> " in line for line in statements
    ):
        raise NotFound("There is no post with this address.")
    return f"post/{encode(source)}/{encode(key)}", record_title(statements)


def shown_comments(context: SubmissionContext, post: str) -> list[tuple[datetime, str]] | None:
    """Return the time and the text of each accepted comment on a post; None if comments are off, or
    the ledger does not answer.
    """
    if not context.comments:
        return None
    try:
        listed = submissions.comments(context.ledger, post, SHOWN)
    except LedgerError:
        return None
    return [
        (item.created, text)
        for item in listed
        for text in (item.published or {}).get("content", {}).values()
    ]


@routes.post("", dependencies=[Writing, Trap])
def write(form: FormDep, visitor: Visitor, context: SubmissionContextDep) -> Response:
    """Begin a draft with the text that was written below a post; its summary asks for the author."""
    path, title = find_post(context, first(form, "about"))
    text, language = first(form, "text"), current_locale().language
    if len(text) > MAX_TEXT:
        raise InvalidValue(
            "It has %(count)s characters; at most %(limit)s are possible.",
            count=len(text),
            limit=MAX_TEXT,
        )
    sent = {"type": "Post", "title": {language: title[:MAX_TITLE]}, "content": {language: text}}
    content = normalize(sent, context.base, language)
    require(content.get("content"), InvalidValue("Write a comment."))
    return redirect("draft", drafts.begin(context, {**content, POST: path}, visitor), SUMMARY)
