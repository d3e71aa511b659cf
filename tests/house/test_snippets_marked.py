"""Each fenced block of README and documentation names its language, and each block that no test runs has its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from snippets import LANGUAGES, MARKS, PAGES, ROOT, RUN, read_snippets

ids = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_block_names_its_language(page: Path) -> None:
    unknown = [str(snippet) for snippet in read_snippets(page) if snippet.language not in LANGUAGES]

    assert unknown == [], f"one of {', '.join(sorted(LANGUAGES))}"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_block_that_is_not_run_has_its_reason(page: Path) -> None:
    snippets = [*read_snippets(page)]

    unmarked = [str(snippet) for snippet in snippets if snippet.language in {"js", "nginx", "r"} and "not run" not in snippet.marks]
    without_reason = [
        str(s) for s in snippets for mark, reason in s.marks.items() if mark not in {"background", "file"} and len(reason) < 15
    ]
    needless = [str(snippet) for snippet in snippets if "not run" in snippet.marks and snippet.language == "text"]

    assert (unmarked, without_reason, needless) == ([], [], [])


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_comment_before_a_block_is_known(page: Path) -> None:
    unknown = [f"{snippet}: {mark}" for snippet in read_snippets(page) for mark in snippet.marks if mark not in MARKS]

    assert unknown == [], f"one of {', '.join(sorted(MARKS))}"


def test_most_blocks_are_run() -> None:
    snippets = [snippet for page in PAGES for snippet in read_snippets(page) if snippet.language in RUN]

    left_out = [str(snippet) for snippet in snippets if "not run" in snippet.marks]

    assert len(left_out) < len(snippets) / 2, left_out
