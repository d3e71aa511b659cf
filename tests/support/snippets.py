"""The fenced blocks of README and documentation, with the comments before them that say how a test
runs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = ("sh", "python", "sparql", "sql")  # in the order of their page
PARSED = ("json", "toml", "turtle", "ini", "yaml")
LANGUAGES = {*RUN, *PARSED, "js", "nginx", "r", "text"}
MARKS = {"not run", "file", "background", "exit code 1", "may be empty"}
_FENCE = re.compile(r"^( *)```(\S*)(?: .*)?$")
_MARK = re.compile(r"^ *<!-- (.+?)(?:: (.+))? -->$")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A block of *language* that begins at *line* of a page. *marks* are the comments before it: a
    reason or a path by name.

    ``not run`` leaves the block out, ``file`` writes it to a path, and ``background`` starts it
    without waiting for its end. ``exit code 1`` is the expected result of its last command, and
    with ``may be empty`` its result may be. All but ``file`` and ``background`` have a reason.
    """

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_snippets(page: Path) -> Iterator[Snippet]:
    """Yield the blocks of a page, but not Sphinx's own directives."""
    marks: dict[str, str] = {}
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if mark := _MARK.match(line):
            marks[mark[1]] = mark[2] or ""
        elif fence := _FENCE.match(line):
            body = []
            for _, inner in lines:
                if inner == f"{fence[1]}```":
                    break
                body.append(inner.removeprefix(fence[1]))
            if not fence[2].startswith("{"):
                yield Snippet(page, number, fence[2], "\n".join(body) + "\n", marks)
            marks = {}
        elif line.strip():
            marks = {}
