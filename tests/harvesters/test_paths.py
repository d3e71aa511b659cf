from __future__ import annotations

import pytest

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.page_model import Payload
from harvesters.payloads.paths import compile_jmespath, compile_path
from harvesters.payloads.value_parsing import as_list
from harvesters.reasons import Reason


@pytest.mark.parametrize(
    ("text", "error"),
    [("a..b", "parse error"), ("(" * 3000 + "a" + ")" * 3000, "recursion")],
    ids=["syntax", "depth"],
)
def test_what_is_no_path_is_refused(text: str, error: str) -> None:
    with pytest.raises(SourceDefinitionError, match=rf"(?i)here: '.*' is no JMESPath: .*{error}"):
        compile_jmespath(text, "here")


@pytest.mark.parametrize("text", ["length(a)", "sort_by(@, &b)", "no_function(a)"])
def test_a_function_that_does_not_take_the_value_is_a_fault_of_the_record(text: str) -> None:
    find = compile_jmespath(text, "here")

    with pytest.raises(ParseError, match=r"here: '.*' does not fit the record: "):
        find({"a": None})


@pytest.mark.parametrize("path", ["a", "a.b", "a[0]", "a[1].b", "a.b[0]"])
def test_names_and_indexes_are_followed_as_jmespath_does(path: str) -> None:
    values = (None, "text", [1], [1, {"b": [2]}], {"b": [3]}, {"b": {"0": 4}})
    rows = [{}, *({"a": value} for value in values)]
    find, expected = compile_path(path, Reason("here"), Payload.ROW, {}), compile_jmespath(path)

    assert [find(row) for row in rows] == [as_list(expected(row)) for row in rows]
