"""Typeset a document as tagged PDF with Typst (https://typst.app/docs/); the same document yields
the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from languages.unsafe_text import escape_unsafe_text
from publisher.errors import ReleaseError

DOCUMENT = "document.json"  # which a template reads


def typeset(
    template: Path,
    document: Mapping[str, object],
    issued: str,
    pictures: Mapping[str, bytes] | None = None,
    *,
    system_fonts: bool = False,
) -> bytes:
    """Return the PDF of *document*, dated *issued* (UTC); *pictures* are files beside the template,
    by name.

    Without *system_fonts* only Typst's own fonts are used, so that the bytes are the same on every
    machine; these have Latin, Greek and Cyrillic letters. Raises ReleaseError.
    """
    typst = import_module("typst")  # late: it maps 84 MB, and most commands typeset nothing
    with TemporaryDirectory(prefix="stocktake-typst-") as folder:
        work = Path(folder)
        for name, content in (pictures or {}).items():
            (work / name).write_bytes(content)
        (work / DOCUMENT).write_text(
            json.dumps(_make_visible(document), ensure_ascii=False), encoding="utf-8"
        )
        source = work / template.name
        source.write_bytes(template.read_bytes())
        timestamp = int(datetime.fromisoformat(issued).timestamp())
        try:
            pdf = typst.compile(
                source,
                root=work,
                format="pdf",
                ignore_system_fonts=not system_fonts,
                timestamp=timestamp,
            )
        except typst.TypstError as error:
            raise ReleaseError(f"{template.stem}.pdf could not be typeset: {error}") from error
    assert isinstance(pdf, bytes)
    return pdf


def _make_visible(value: object) -> object:
    """Escape invisible and bidirectional control characters, as pages do."""
    if isinstance(value, Mapping):
        return {name: _make_visible(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_make_visible(item) for item in value]
    return escape_unsafe_text(value) if isinstance(value, str) else value
