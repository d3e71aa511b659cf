"""Build the documentation site: ``make docs``. Every warning is an error, a link that leads nowhere too."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent

project = "Stocktake"
copyright = "the Stocktake contributors"
version = release = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser"]
exclude_patterns = ["clients", "images", "site", "Thumbs.db"]
nitpicky = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # answers and logs stand in blocks that name the language of their command

html_theme = "furo"
html_title = f"Stocktake {version}"
html_favicon = "../publisher/static/icon.svg"
html_static_path = ["site/static"]
html_css_files = ["code.css"]
templates_path = ["site/templates"]
html_copy_source = html_show_sourcelink = False
html_show_copyright = False
html_permalinks_icon = "#"

_DECISION = re.compile(r"# (\d+)\. (.+)\n+(\d{4}-\d\d-\d\d), (.+?)\.?\n")


def decisions() -> str:
    """Return the table of decision records: number, title, date and status."""
    rows = ["| number | title | date | status |", "|---|---|---|---|"]
    for file in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        match = _DECISION.match(file.read_text(encoding="utf-8"))
        if match is None:
            raise ValueError(f"{file}: begin with '# NUMBER. TITLE', an empty line, and 'YYYY-MM-DD, accepted'")
        number, title, date, status = match.groups()
        rows.append(f"| {number} | [{title}]({file.name}) | {date} | {status} |")
    return "\n".join(rows)


def _list_decisions(app: Sphinx, page: str, source: list[str]) -> None:
    if page == "decisions/index":
        source[0] = source[0].replace("<!-- decisions -->", decisions())


def setup(app: Sphinx) -> None:
    """Connect what is done before a page is read."""
    app.connect("source-read", _list_decisions)
