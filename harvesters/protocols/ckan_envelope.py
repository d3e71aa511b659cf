"""Responses of the Action API, of portals and of registries like that of IATI."""

from __future__ import annotations

from typing import Any

from harvesters.errors import ParseError
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import load_json
from harvesters.reasons import Reason
from harvesters.source import Source


def unwrap_result(source: Source, reply: Reply) -> Any:
    """Return the result in CKAN's envelope; a document without an envelope is its own result. Raise
    ParseError if CKAN reports an error.
    """
    document = load_json(reply)
    if not isinstance(document, dict) or document.keys().isdisjoint(("success", "result")):
        return document
    if document.get("success") is not False:
        return document.get("result")
    error = document.get("error")
    if isinstance(error, dict):
        error = error.get("message") or error.get("__type") or error
    values = {"source": source.name, "url": reply.url, "message": str(error)[:300]}
    raise ParseError(Reason("%(source)s: %(url)s says: %(message)s", **values))
