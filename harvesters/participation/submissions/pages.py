"""The templates of the pages below /submit."""

from __future__ import annotations

from pathlib import Path

from harvesters.admin.pages import POLICY as ADMIN_POLICY
from harvesters.admin.pages import Pages

PACKAGE_DIR = Path(__file__).parent
STYLE = PACKAGE_DIR / "static" / "submit.css"
SCRIPT = PACKAGE_DIR / "static" / "form.js"
POLICY = f"{ADMIN_POLICY}; script-src 'self'; connect-src 'self'"  # one script, of this site


def submission_pages(*, demo: bool, provider: str = "") -> Pages:
    """Return the templates; with *demo* each page says that its data are made up. *provider* is the
    host that persons may sign in with.
    """
    return Pages(demo=demo, folder=PACKAGE_DIR / "templates", root="/submit", provider=provider)
