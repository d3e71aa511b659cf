from __future__ import annotations

from snippets import LANGUAGES, MARKS, PAGES, RUN, read_snippets

SNIPPETS = [snippet for page in PAGES for snippet in read_snippets(page)]


def test_every_block_names_its_language() -> None:
    unknown = [str(snippet) for snippet in SNIPPETS if snippet.language not in LANGUAGES]

    assert unknown == [], f"one of {', '.join(sorted(LANGUAGES))}"


def test_every_block_that_is_not_run_has_its_reason() -> None:
    unmarked = [
        str(snippet)
        for snippet in SNIPPETS
        if snippet.language in {"js", "nginx", "r"} and "not run" not in snippet.marks
    ]
    without_reason = [
        str(s)
        for s in SNIPPETS
        for mark, reason in s.marks.items()
        if mark not in {"background", "file"} and len(reason) < 15
    ]
    needless = [
        str(snippet)
        for snippet in SNIPPETS
        if "not run" in snippet.marks and snippet.language == "text"
    ]

    assert (unmarked, without_reason, needless) == ([], [], [])


def test_every_comment_before_a_block_is_known() -> None:
    unknown = [
        f"{snippet}: {mark}" for snippet in SNIPPETS for mark in snippet.marks if mark not in MARKS
    ]

    assert unknown == [], f"one of {', '.join(sorted(MARKS))}"


def test_most_blocks_are_run() -> None:
    snippets = [snippet for snippet in SNIPPETS if snippet.language in RUN]

    left_out = [str(snippet) for snippet in snippets if "not run" in snippet.marks]

    assert len(left_out) < len(snippets) / 2, left_out
