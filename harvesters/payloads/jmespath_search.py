"""Search rows by the JMESPath expressions of source definitions.

Source: https://jmespath.org/specification.html
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

from harvesters.errors import SourceDefinitionError
from harvesters.options import located
from harvesters.parsing import with_parser_errors
from harvesters.reasons import Reason

Find: TypeAlias = Callable[[Any], Any]


class Functions(functions.Functions):
    """The functions of JMESPath and one of ours, which its library finds by its name."""

    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_without(self, text: str, phrases: list[str]) -> str:
        """Return a text without the phrases that it begins or ends with, in any case of letters."""
        for phrase in phrases:
            if text.lower().startswith(phrase.lower()):
                text = text[len(phrase) :]
            elif text.lower().endswith(phrase.lower()):
                text = text[: -len(phrase)]
        return text.strip(" -:,()")


# It keeps nothing of a search. ``search`` of the library makes one each time, for 3 us of 4.
_INTERPRETER = TreeInterpreter(jmespath.Options(custom_functions=Functions()))


def compile_jmespath(text: str, where: str | Reason = "") -> Find:
    """Compile *text*; raises SourceDefinitionError, whose message begins with *where*, if it is not
    JMESPath.

    The function returns what JMESPath returns, None if nothing matches; it raises ParseError where
    a function does not take the row's value. ``without(text, phrases)`` is a function of ours.


    >>> compile_jmespath("a.b[].c")({"a": {"b": [{"c": 1}, {"d": 2}]}})
    [1]
    >>> compile_jmespath("without(a, ['Additional Financing for'])")({"a": "Additional financing for Roads"})
    'Roads'
    """
    try:
        parsed = jmespath.compile(text).parsed
    except (JMESPathError, RecursionError) as error:
        fault = Reason(
            "%(text)s is no JMESPath: %(error)s",
            text=repr(text),
            error=" ".join(str(error).split()),
        )
        raise SourceDefinitionError(located(where, fault)) from error

    return with_parser_errors(
        partial(_INTERPRETER.visit, parsed), f"{where}: {text!r} does not fit the record"
    )
