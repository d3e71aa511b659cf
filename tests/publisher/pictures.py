"""Take pictures of every kind of page for a person to look at: in three sizes, light and dark, in
English and Arabic.

``python tests/publisher/pictures.py http://127.0.0.1:8000 FOLDER [NAME...]`` takes them from a
running portal.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from browser import browsing

SIZES = {"telephone": 390, "tablet": 820, "desktop": 1280}  # The widths are in pixels.
PAGES = {
    "home": "/", "search": "/search?q=health&goal=3", "map": "/map", "matrix": "/matrix", "trends": "/trends", "gaps": "/gaps",
    "events": "/events", "documents": "/documents", "prizes": "/prizes", "registries": "/sources", "source": "/source/demo-projects",
    "goal": "/concept?iri=http://metadata.un.org/sdg/4", "line": "/scheme/action-line/C4", "scheme": "/scheme/action-line",
    "join": "/join?kind=json&title=A&url=http://127.0.0.1/x&licence=https://x.example/l&key=id&name=name", "sparql": "/sparql",
    "examples": "/examples", "api": "/docs/api", "releases": "/releases/", "release": "/release/1", "dumps": "/dumps/",
    "status": "/status", "journal": "/journal/", "catalog": "/catalog", "reports": "/reports/", "missing": "/nowhere",
}  # fmt: skip


def take(host: str, folder: Path, names: list[str]) -> None:
    """Take the pictures of the named pages, or of all pages if none is named."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as profile, browsing(Path(profile)) as browser:
        for name, (size, width), dark, language in itertools.product(
            names or PAGES, SIZES.items(), (False, True), ("en", "ar")
        ):
            path = PAGES.get(name, name)
            browser.open(
                f"{host}{path}{'&' if '?' in path else '?'}lang={language}", width, dark=dark
            )
            browser.picture(
                folder
                / f"{name.strip('/').replace('/', '-')}-{size}-{'dark' if dark else 'light'}-{language}.png"
            )


if __name__ == "__main__":
    take(sys.argv[1].rstrip("/"), Path(sys.argv[2]), sys.argv[3:])
