"""Take the README's screenshots from the running demo: the portal's front page and the query page
with a result.

``python tests/publisher/screenshots.py http://127.0.0.1:8000 docs/images``
"""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from browser import Browser, browsing

WIDTH = 1200  # The width is in pixels.
QUALITY = 70  # With this quality of WebP, text is sharp and a picture stays under LARGEST.
LARGEST = 120_000  # The size is in bytes.
PATIENCE = 30.0  # Seconds to wait for the rows of the query.
ROWS = "document.querySelectorAll('.yasr td').length > 10"
# Each picture has a path, a height in pixels and the condition to wait for.
PICTURES = {
    "portal": ("/", 800, "document.querySelector('.brand') !== null"),
    "query": ("/sparql?example=initiatives-by-goal", 1100, ROWS),
}


def take(host: str, folder: Path) -> None:
    """Write each picture to *folder* as WebP."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as profile, browsing(Path(profile)) as browser:
        for name, (path, height, ready) in PICTURES.items():
            browser.open(f"{host}{path}{'&' if '?' in path else '?'}lang=en", WIDTH, height)
            _await(browser, ready)
            result = browser.send_command("Page.captureScreenshot", format="webp", quality=QUALITY)
            content = base64.b64decode(result["data"])
            if len(content) > LARGEST:
                raise SystemExit(
                    f"{name}: {len(content)} bytes are more than {LARGEST}; lower QUALITY"
                )
            (folder / f"{name}.webp").write_bytes(content)


def _await(browser: Browser, condition: str) -> None:
    """Wait until *condition*, a JavaScript expression, is true in the page."""
    until = time.monotonic() + PATIENCE
    while not browser.run(condition):
        if time.monotonic() > until:
            raise SystemExit(f"the page was not ready within {PATIENCE:.0f} s: {condition}")
        time.sleep(0.1)


if __name__ == "__main__":
    take(sys.argv[1].rstrip("/"), Path(sys.argv[2]))
