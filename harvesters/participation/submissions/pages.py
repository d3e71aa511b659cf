"""The templates of the pages below /submit."""

from __future__ import annotations

from pathlib import Path

from web.templating import POLICY as BASE_POLICY
from web.templating import Pages

PACKAGE_DIR = Path(__file__).parent
STYLE = PACKAGE_DIR / "static" / "submit.css"
SCRIPT = PACKAGE_DIR / "static" / "form.js"
POLICY = f"{BASE_POLICY}; script-src 'self'; connect-src 'self'"  # one script, of this site


def submission_pages(*, demo: bool, provider: str = "") -> Pages:
    """Return the templates; with *demo* each page says that its data are made up. *provider* is the
    host that persons may sign in with.
    """
    folders = (
        PACKAGE_DIR.parent / name / "templates" for name in ("submissions", "prizes", "comments")
    )
    return Pages(folders, "/submit", demo=demo, provider=provider)
