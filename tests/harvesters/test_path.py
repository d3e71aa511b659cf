"""Compiled paths find the same values as JMESPath."""

from __future__ import annotations

import jmespath
import pytest
from rows import each

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.payloads.jmespath_compiler import compile_jmespath

ROWS = [
    {}, {"a": None}, {"a": {"b": 1}}, {"a": {"b": {"c": "x"}}, "d": ""}, {"a": [{"b": 1}, {"b": [2, 3]}, {"c": 4}, 5, None]},
    {"a": [[1, 2], [3], 4, []], "d": False}, {"a": "text", "d": []}, {"a": 0, "d": {"e": "f"}, "two words": "y"}, [1, [2]], "text", None,
]  # fmt: skip
PATHS = ["a", "a.b", "a.b.c", "a[0]", "a[-1]", "a[5]", "a[0].b", "a[].b", "a[*].b", "a[]", "a[*]", "@", "d || a", "a.b || d.e || 'no'",
         "'text'", "`3`", '"two words"', "a[].b[]", "a[*].b[0]", "a[?b==`1`].b", "length(@)", "[a, d]", "{x: a}", "a | b", "*"]  # fmt: skip


@each("path", PATHS)
def test_a_compiled_path_finds_what_jmespath_finds(path: str) -> None:
    find = compile_jmespath(path)

    for row in ROWS:
        try:
            expected = jmespath.search(path, row)
        except jmespath.exceptions.JMESPathError:
            with pytest.raises(ParseError):
                find(row)
        else:
            assert find(row) == expected, row


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(SourceDefinitionError, match=r"here: 'a\.\.b' is no JMESPath"):
        compile_jmespath("a..b", "here")
