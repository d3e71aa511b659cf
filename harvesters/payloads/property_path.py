"""Compile property paths, by which a source definition selects values in an RDF graph, from the
record's subject on.

Of SPARQL's paths (https://www.w3.org/TR/sparql11-query/#propertypaths) `/` and `|` are supported;
`||` takes the first side with a result, `.` is the node itself, and 'text' in quotes is that text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pyoxigraph import Literal, NamedNode

from harvesters.errors import SourceDefinitionError
from harvesters.options import located
from harvesters.payloads.graph import PREFIXES, TYPE, Graph, Term
from harvesters.reasons import Reason, Value

Find = Callable[[Graph], list[Term]]
_Step = tuple[str, ...]  # IRIs of properties, any of them; empty for the node itself.
_Token = tuple[str, str]  # Its kind, that of its group in _TOKEN or the mark itself, and its text.

_TOKEN = re.compile(
    r"\s*(?:'(?P<text>[^']*)'|<(?P<iri>[^<>\s]+)>|(?P<name>[A-Za-z][\w.-]*:[\w.%-]+)|(?P<a>a)\b"
    r"|(?P<mark>\|\||[|/.()]))\s*"
)


def compile_path(
    text: str, where: str | Reason = "", prefixes: Mapping[str, str] | None = None
) -> Find:
    """Compile *text*; raises SourceDefinitionError, whose message begins with *where*, if it is not
    a supported path.

    Blank nodes at its end are left out, since they have no meaning by themselves. *prefixes* are
    the source's, before the built-in ones.


    >>> title = NamedNode("http://purl.org/dc/terms/title")
    >>> found = {NamedNode("urn:a"): {title.value: (Literal("Wells", language="en"),)}}
    >>> compile_path("dct:title | rdfs:label")(Graph(NamedNode("urn:a"), found))
    [<Literal value=Wells language=en>]
    """
    compiler, choices, position = (
        _Compiler(where, {**PREFIXES, **(prefixes or {})}),
        [list[_Token]()],
        0,
    )
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise compiler.fault(
                "%(text)s is no path at character %(position)s: write e.g. dct:title, or "
                "dct:publisher/foaf:name",
                text=repr(text),
                position=position + 1,
            )
        kind, value, position = match.lastgroup, match[match.lastgroup], match.end()
        if value == "||" and kind == "mark":
            choices.append([])
        else:
            choices[-1].append((value if kind == "mark" else kind, value))
    finds = [compiler.compile(tokens) for tokens in choices]
    return lambda graph: next((terms for find in finds if (terms := find(graph))), [])


class _Compiler:
    """Compiles the tokens of a path; *where* begins the messages."""

    def __init__(self, where: str | Reason, prefixes: Mapping[str, str]) -> None:
        self.where, self.prefixes = where, prefixes

    def fault(self, text: str, /, **values: Value) -> SourceDefinitionError:
        return SourceDefinitionError(located(self.where, Reason(text, **values)))

    def compile(self, tokens: list[_Token]) -> Find:
        """Return the function that finds the values of a path without `||`."""
        if [kind for kind, _ in tokens] == ["text"]:
            literal = Literal(tokens[0][1])
            return lambda graph: [literal]
        paths: list[list[_Step]] = [[]]
        while True:
            step, tokens = self.step(tokens)
            paths[-1].append(step)
            if not tokens:
                break
            mark, tokens = tokens[0], tokens[1:]
            if mark[0] == "|":
                paths.append([])
            elif mark[0] != "/":
                raise self.fault("a / or | is missing before %(text)s", text=repr(mark[1]))
        return lambda graph: list(
            dict.fromkeys(term for path in paths for term in _evaluate(graph, path))
        )

    def step(self, tokens: list[_Token]) -> tuple[_Step, list[_Token]]:
        """Return a step and the tokens after it: a property, the node itself, or several properties
        in brackets.
        """
        first = tokens[0] if tokens else ("", "")
        if first[0] == ".":
            return (), tokens[1:]
        if first[0] != "(":
            return (self.resolve(first),), tokens[1:]
        kinds = [kind for kind, _ in tokens]
        if ")" not in kinds or any(mark != "|" for mark in kinds[2 : kinds.index(")") : 2]):
            raise self.fault(
                "brackets hold properties with | between them, such as "
                "(dct:creator|dct:publisher)/foaf:name"
            )
        end = kinds.index(")")
        return tuple(map(self.resolve, tokens[1:end:2])), tokens[end + 1 :]

    def resolve(self, token: _Token) -> str:
        """Return the IRI of a property."""
        kind, text = token
        if kind in {"iri", "a"}:
            return TYPE if kind == "a" else text
        if kind != "name":
            raise (
                self.fault("a property is missing before %(text)s", text=repr(text))
                if text
                else self.fault("a property is missing at the end of the path")
            )
        prefix, _, local = text.partition(":")
        if prefix not in self.prefixes:
            raise self.fault(
                "the prefix %(prefix)s is not known; give its address in the option `namespaces`",
                prefix=repr(prefix),
            )
        return self.prefixes[prefix] + local


def _evaluate(graph: Graph, path: list[_Step]) -> list[Term]:
    nodes: list[Term] = [graph.subject]
    for step in path:
        if step:
            nodes = list(dict.fromkeys(term for node in nodes for term in graph.all(node, *step)))
    return [node for node in nodes if isinstance(node, NamedNode | Literal)]
