"""Process: the report of a release is made by a process of its own, so that what it holds is gone when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from publisher.errors import PublisherError, ReportError
from publisher.portal.report.builder import build_report
from publisher.store.process import command, environment, exit_with_parent
from vocab.iris import Iris


def build_in_process(data: Path, base: str, number: int, language: str = "en") -> None:
    """Make the report of release *number* in a process, and wait for it; raises ReportError with what it said."""
    line = command("publisher.portal.report.process", str(data), base, str(number), language, str(os.getpid()))
    done = subprocess.run(line, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True)
    if done.returncode:
        raise ReportError(done.stderr.strip().rpartition("\n")[2] or f"its process ended with {done.returncode}")


def main() -> None:
    """Make a report: arguments are the data folder, our base, the release's number, the language and the parent's process id."""
    data, base, number, language, parent = sys.argv[1:]
    exit_with_parent(int(parent))
    try:
        build_report(Path(data), Iris(base), int(number), language, {})
    except (PublisherError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
