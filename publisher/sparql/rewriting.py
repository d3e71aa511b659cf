"""Rewriting: what is put in place of properties that the store does not hold, before a question is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from publisher.errors import NotReady
from publisher.search import rewriting as texts
from publisher.search.searcher import open_searcher
from publisher.store.query_service import PAUSE, QueryService
from publisher.store.snapshots import Snapshot
from publisher.store.workers.query_request import QueryRequest

TEXT_HEADER = "Stocktake-Text"


async def rewrite(service: QueryService, question: QueryRequest, shown: Snapshot | None = None) -> QueryRequest:
    """Give the question that is really asked of *shown*, or of what is shown now; *question* itself where nothing is to be put in.

    Answers are kept by what is given here, so it holds all that the answer depends on beside the snapshot. Raises
    QuerySyntaxError where a search is not written as it should be, NotReady while there is no index of texts.
    """
    if not texts.has_search(question.text):
        return question
    shown = shown or service.current
    done = await asyncio.to_thread(_rewritten, question.text, shown)
    if not done.inserted:
        return question
    return replace(question, text=done.text, inserted=done.inserted, note=_note(done, shown), snapshot=shown.path)


async def await_indexes(service: QueryService, question: QueryRequest) -> None:
    """Wait until all that the journal holds is shown, and where *question* searches texts until they are looked up too."""
    await service.wait_until_current()
    while texts.has_search(question.text) and service.current.text != service.current.position:
        await asyncio.sleep(PAUSE)


def _rewritten(text: str, shown: Snapshot) -> texts.Rewritten:
    search = open_searcher(shown.path)
    if search is None:
        raise NotReady("the index of texts is being made; ask again in a moment")
    return texts.rewrite(text, search)


def _note(done: texts.Rewritten, shown: Snapshot) -> str:
    """Write the header field that tells what a search did not do, a dictionary by https://www.rfc-editor.org/rfc/rfc9651."""
    told = [f"cut={texts.MAX_RESULTS}"] if done.truncated else []
    told += ["similar"] if done.fuzzy else []
    told += [f"position={shown.text}"] if shown.text != shown.position else []
    return ", ".join(told)
