"""Compile property paths, by which a source definition selects values in an RDF graph, from the
record's subject on.

Of SPARQL's paths (https://www.w3.org/TR/sparql11-query/#propertypaths) `/` and `|` are supported;
`||` takes the first side with a result, `.` is the node itself, and 'text' in quotes is that text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from pyoxigraph import Literal, NamedNode

from harvesters.definition_faults import located
from harvesters.errors import SourceDefinitionError
from harvesters.payloads.graph import PREFIXES, TYPE, Graph, Term
from harvesters.reasons import Reason

Find = Callable[[Graph], list[Term]]
_Step = tuple[str, ...]  # IRIs of properties, any of them; empty for the node itself
_Path = tuple[_Step, ...]

_TOKEN = re.compile(
    r"\s*(?:'([^']*)'|<([^<>\s]+)>|([A-Za-z][\w.-]*):([\w.%-]+)|(a)\b|(\|\||[|/.()]))\s*"
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
    known = {**PREFIXES, **(prefixes or {})}
    choices = [_compile_choice(part, where, known) for part in _tokenize(text, where)]

    def find(graph: Graph) -> list[Term]:
        for choice in choices:
            if terms := choice(graph):
                return terms
        return []

    return find


def _tokenize(text: str, where: str | Reason) -> list[list[tuple[str, str]]]:
    """Split a path at its `||`, and each side into tokens: kind and text."""
    parts: list[list[tuple[str, str]]] = [[]]
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise SourceDefinitionError(
                located(
                    where, Reason("path_no_token", {"text": repr(text), "position": position + 1})
                )
            )
        position = match.end()
        quoted, full, prefix, local, kind, mark = match.groups()
        if mark == "||":
            parts.append([])
        elif quoted is not None:
            parts[-1].append(("text", quoted))
        elif mark is not None:
            parts[-1].append((mark, mark))
        else:
            parts[-1].append(
                ("iri", full) if full else ("a", TYPE) if kind else ("name", f"{prefix}:{local}")
            )
    return parts


def _compile_choice(
    tokens: Sequence[tuple[str, str]], where: str | Reason, prefixes: Mapping[str, str]
) -> Find:
    if [kind for kind, _ in tokens] == ["text"]:
        literal = Literal(tokens[0][1])
        return lambda graph: [literal]
    paths: list[_Path] = []
    rest = list(tokens)
    while True:
        path, rest = _parse_path(rest, where, prefixes)
        paths.append(path)
        if not rest:
            break
        rest = rest[1:]
    return lambda graph: list(
        dict.fromkeys(term for path in paths for term in _evaluate(graph, path))
    )


def _parse_path(
    tokens: list[tuple[str, str]], where: str | Reason, prefixes: Mapping[str, str]
) -> tuple[_Path, list[tuple[str, str]]]:
    """Parse steps up to a `|` or the end."""
    steps: list[_Step] = []
    while True:
        step, tokens = _parse_step(tokens, where, prefixes)
        steps.append(step)
        if not tokens or tokens[0][0] == "|":
            return tuple(steps), tokens
        if tokens[0][0] != "/":
            raise SourceDefinitionError(
                located(where, Reason("path_no_mark", {"text": repr(tokens[0][1])}))
            )
        tokens = tokens[1:]


def _parse_step(
    tokens: list[tuple[str, str]], where: str | Reason, prefixes: Mapping[str, str]
) -> tuple[_Step, list[tuple[str, str]]]:
    """Parse one step: a property, the node itself, or several properties in brackets."""
    kind, text = tokens[0] if tokens else ("", "")
    if kind == "(":
        end = next((number for number, (mark, _) in enumerate(tokens) if mark == ")"), None)
        if end is None or any(mark != "|" for mark, _ in tokens[2:end:2]):
            raise SourceDefinitionError(located(where, Reason("path_brackets")))
        names = tuple(_resolve_name(one, where, prefixes) for one in tokens[1:end:2])
        return names, tokens[end + 1 :]
    return (() if kind == "." else (_resolve_name((kind, text), where, prefixes),)), tokens[1:]


def _resolve_name(token: tuple[str, str], where: str | Reason, prefixes: Mapping[str, str]) -> str:
    kind, text = token
    if kind not in {"iri", "a", "name"}:
        fault = Reason("path_no_property", {"text": repr(text)}) if text else Reason("path_no_end")
        raise SourceDefinitionError(located(where, fault))
    prefix, _, local = text.partition(":")
    if kind == "name" and prefix not in prefixes:
        raise SourceDefinitionError(located(where, Reason("path_prefix", {"prefix": repr(prefix)})))
    return prefixes[prefix] + local if kind == "name" else text


def _evaluate(graph: Graph, path: _Path) -> list[Term]:
    nodes: list[Term] = [graph.subject]
    for step in path:
        if step:
            nodes = list(dict.fromkeys(term for node in nodes for term in graph.all(node, *step)))
    return [node for node in nodes if isinstance(node, NamedNode | Literal)]
