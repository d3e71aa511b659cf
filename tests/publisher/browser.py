"""A browser that tests drive: headless Chromium by its DevTools protocol over a pipe, which needs
no port and no other package.

Source: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import Process

FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--hide-scrollbars --remote-debugging-pipe"
)
PATIENCE = 180.0  # seconds for an answer, or for a page
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Browser:
    """One page of a browser; *request_log* has the addresses that it has asked for."""

    def __init__(self, folder: Path) -> None:
        command = shutil.which("chromium")
        if command is None:
            pytest.skip("no chromium")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        line = [
            "bash", "-c", f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"', "chromium", command, *FLAGS.split(),
            f"--user-data-dir={folder}",
        ]  # fmt: skip
        self._process = Process(line, pass_fds=(theirs_in, theirs_out))
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._rest, self._session, self.request_log = 0, b"", "", list[str]()
        target = self.send_command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send_command("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network"):
            self.send_command(f"{domain}.enable")

    def close(self) -> None:
        """End it."""
        self._process.discard()
        os.close(self._out)
        os.close(self._in)

    def send_command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | (
            {"sessionId": self._session} if self._session else {}
        )
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            result = self._next()
            if result.get("id") == self._number:
                assert "error" not in result, result["error"]
                answered: dict[str, Any] = result["result"]
                return answered

    def open(self, url: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Open a page at a size, light or dark, and wait until it is loaded."""
        self.resize(width, height)
        self.send_command(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self._loaded = False
        self.send_command("Page.navigate", url=url)
        self._wait_until_loaded(url)

    def resize(self, width: int, height: int = 900) -> None:
        """Let the window have a size; below 600 pixels it is a telephone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send_command("Emulation.setDeviceMetricsOverride", **size)

    def run(self, script: str) -> Any:
        """Run a script in the page and return its value; a promise is waited for."""
        result = self.send_command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def leave(self, script: str) -> None:
        """Run a script that leads to another page, and wait until that is loaded."""
        self._loaded = False
        self.run(f"{{ {script} }} 0")
        self._wait_until_loaded(script)

    def await_page(self, act: Callable[[], None]) -> None:
        """Do what leads to another page, and wait until that is loaded."""
        self._loaded = False
        act()
        self._wait_until_loaded("the next page")

    def faults(self, packages: Path) -> list[str]:
        """Return what axe-core, one of *packages*, finds against WCAG 2.2 AA in the page
        (https://github.com/dequelabs/axe-core).
        """
        self.run((packages / "axe-core" / "axe.min.js").read_text(encoding="utf-8") + ";0")
        output = self.run(
            f"axe.run(document, {{runOnly: {STANDARDS}, resultTypes: ['violations']}}).then((it) => it.violations)"
        )
        return [
            f"{fault['id']}: {node['target']} {node.get('failureSummary', '')}"
            for fault in output
            for node in fault["nodes"][:3]
        ]

    def picture(self, file: Path) -> None:
        """Take a picture of the whole page."""
        result = self.send_command("Page.getLayoutMetrics")
        size = result["cssContentSize"]
        # else it is shifted where text runs from right to left
        taller = size["height"] > result["cssLayoutViewport"]["clientHeight"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        result = self.send_command(
            "Page.captureScreenshot", format="png", captureBeyondViewport=taller, clip=clip
        )
        file.write_bytes(base64.b64decode(result["data"]))

    def _wait_until_loaded(self, what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self._loaded:
            assert time.monotonic() < end, (
                f"not loaded within {PATIENCE:g} seconds: {what}\n{self._process.output()}"
            )
            self._next()

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            assert ready, (
                f"the browser did not answer within {PATIENCE:g} seconds\n{self._process.output()}"
            )
            self._rest += os.read(self._in, 1 << 20)
        text, _, self._rest = self._rest.partition(b"\0")
        result: dict[str, Any] = json.loads(text)
        if result.get("method") == "Page.loadEventFired":
            self._loaded = True
        if result.get("method") == "Network.requestWillBeSent":
            self.request_log.append(result["params"]["request"]["url"])
        return result


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Open a browser whose profile lies in *folder*."""
    opened = Browser(folder)
    try:
        yield opened
    finally:
        opened.close()
