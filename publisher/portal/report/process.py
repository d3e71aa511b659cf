"""Build the report of a release in a separate process, so that its memory is released at the end."""

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
    """Build the report of release *number* in a process and wait for it; raises ReportError with
    its output.
    """
    line = command(
        "publisher.portal.report.process", str(data), base, str(number), language, str(os.getpid())
    )
    process = subprocess.run(
        line,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    if process.returncode:
        raise ReportError(
            process.stderr.strip().rpartition("\n")[2]
            or f"its process ended with {process.returncode}"
        )


def main() -> None:
    """Build a report: the arguments are the data folder, our base, the release's number, the
    language and the parent's process id.
    """
    data, base, number, language, parent = sys.argv[1:]
    exit_with_parent(int(parent))
    try:
        build_report(Path(data), Iris(base), int(number), language, {})
    except (PublisherError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
