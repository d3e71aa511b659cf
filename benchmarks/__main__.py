"""Run benchmarks one after the other, each in its own process; `make bench` runs all but those that
need a data folder. Options after a single name are those of that benchmark: ``python -m benchmarks
portal --records 100000``.
"""

from __future__ import annotations

import subprocess
import sys

NAMES = ("end_to_end", "inventory", "columns", "portal", "feeds", "release", "structure")
OTHERS = ("crossings",)  # needs a published data folder


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all of NAMES; return 1 if one failed, 2 for an unknown name."""
    if arguments and arguments[0] not in NAMES + OTHERS:
        print(
            f"no benchmark {arguments[0]}; there are {', '.join(NAMES + OTHERS)}", file=sys.stderr
        )
        return 2
    is_single = len(arguments) > 1 and arguments[1] not in NAMES + OTHERS
    runs = [arguments] if is_single else [[name] for name in arguments or NAMES]
    commands = [[sys.executable, "-m", f"benchmarks.{name}", *more] for name, *more in runs]
    return int(any(subprocess.run(command, check=False).returncode for command in commands))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
