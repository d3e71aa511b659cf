"""Build the documentation site: ``make docs``. Every warning is an error, a link that leads nowhere
too.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]  # `generated`, and the program that it imports

from generated import generate  # noqa: E402, the path comes first

project = "Stocktake"
copyright = "the Stocktake contributors"
version = release = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]["version"]

extensions = ["myst_parser", "sphinxext.rediraffe"]
exclude_patterns = ["clients", "images", "site"]
rediraffe_redirects = "redirects.txt"
rediraffe_template = "site/templates/redirect.html"  # without the scripts that our policy refuses
nitpicky = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # an example may be a part of a file

html_theme = "furo"
html_title = f"Stocktake {version}"
html_favicon = "../publisher/static/icon.svg"
html_static_path = ["site/static"]
html_css_files = ["code.css"]
templates_path = ["site/templates"]
html_copy_source = html_show_sourcelink = False
html_show_copyright = html_use_index = False
html_permalinks_icon = "#"


def _insert_tables(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = generate(page, source[0])


def setup(app: Sphinx) -> None:
    app.connect("source-read", _insert_tables)
