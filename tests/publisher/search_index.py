"""A search index of entries, without a store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from publisher.store.search.index import SearchEntry, document, link_index, open_writer
from publisher.store.search.searcher import Searcher


def search_index(folder: Path, entries: Iterable[SearchEntry]) -> Searcher:
    """Add *entries* to the index in ``index`` below *folder*; return a searcher of the result."""
    writer = open_writer(folder / "index")
    for entry in entries:
        writer.add_document(document(entry))
    writer.commit()
    link_index(folder / "index", folder / "copy")
    writer.wait_merging_threads()  # else they would remove files of the next writer
    return Searcher(folder / "copy")
