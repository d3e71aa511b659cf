"""Compile the paths by which tables select values: JMESPath in rows, XPath in XML, and property paths
in RDF graphs.

Source: https://jmespath.org/specification.html, https://www.w3.org/TR/xpath-10/ and
https://www.w3.org/TR/sparql11-query/#propertypaths
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, cast

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter
from lxml import etree
from lxml.etree import _Element
from pyoxigraph import Literal, NamedNode

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.options import located
from harvesters.page_model import Payload, Record
from harvesters.parsing import with_parser_errors
from harvesters.payloads.graph import PREFIXES, TYPE, Graph, Term
from harvesters.payloads.value_parsing import as_list
from harvesters.reasons import Reason

Find = Callable[[Any], list[Any]]
Search = Callable[[Any], Any]  # It returns None where nothing matches.

XML_PREFIXES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "dct": "http://purl.org/dc/terms/",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xml": "http://www.w3.org/XML/1998/namespace",
    "xlink": "http://www.w3.org/1999/xlink",
    "mods": "http://www.loc.gov/mods/v3",
}
# Most paths are names, which need no interpreter of JMESPath or XPath: it takes most of the time.
_ATTRIBUTE = re.compile(r"@[A-Za-z_]\w*\Z", re.ASCII)
_MEMBER = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d{1,9}\])*\Z", re.ASCII)
_STEP = re.compile(r"\w+", re.ASCII)
_ANY_NAMESPACE = re.compile(r"\*:([\w.-]+)")
_PROPERTY = r"<[^<>\s]+>|[A-Za-z][\w.-]*:[\w.%-]+|a\b"
_TOKEN = re.compile(
    rf"\s*(?:'(?P<text>[^']*)'|(?P<property>{_PROPERTY})|(?P<group>\([^()]*\)?)|(?P<self>\.)"
    r"|(?P<mark>\|\||[|/)]))\s*"
)
_GROUP = re.compile(rf"\(\s*(?:{_PROPERTY})\s*(?:\|\s*(?:{_PROPERTY})\s*)*\)")


def compile_path(
    text: str, where: str | Reason, payload_type: Payload, prefixes: Mapping[str, str]
) -> Find:
    """Return the function that finds the values of a path in a record's payload. Raise
    SourceDefinitionError, whose message begins with *where*, at an invalid path.
    """
    if payload_type is Payload.GRAPH:
        return compile_property_path(text, where, prefixes)
    if payload_type is Payload.ROW:
        if _MEMBER.match(text):
            return _find_member(_STEP.findall(text))
        search = compile_jmespath(text, where)
    elif _ATTRIBUTE.match(text):
        name = text[1:]
        return lambda node: [] if (value := node.get(name)) is None else [value]
    else:
        search = _compile_xpath(text, where, prefixes)
    return lambda row: values if isinstance(values := search(row), list) else as_list(values)


def _find_member(steps: list[str]) -> Find:
    """Return the function that follows names and indexes from value to value, as JMESPath does."""
    if len(steps) == 1:
        name = steps[0]

        def find_one(row: Any) -> list[Any]:
            value = row.get(name) if isinstance(row, dict) else None
            return [] if value is None else value if isinstance(value, list) else [value]

        return find_one
    path = [int(step) if step.isdigit() else step for step in steps]

    def find(row: Any) -> list[Any]:
        value = row
        for step in path:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return []
        return value if isinstance(value, list) else [] if value is None else [value]

    return find


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


# It has no state. The library's ``search`` creates one each time, which takes 3 of 4 microseconds.
_INTERPRETER = TreeInterpreter(jmespath.Options(custom_functions=Functions()))


def compile_jmespath(text: str, where: str | Reason = "") -> Search:
    """Compile *text*. Raise SourceDefinitionError, whose message begins with *where*, if it is not
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
        message = " ".join(str(error).split())
        fault = Reason(
            "%(text)s is not a JMESPath expression: %(error)s", text=repr(text), error=message
        )
        raise SourceDefinitionError(located(where, fault)) from error
    search = partial(_INTERPRETER.visit, parsed)
    return with_parser_errors(search, f"{where}: {text!r} does not fit the record")


def _expand(text: str) -> str:
    """Return an XPath in which ``*:name``, an element of that name in any namespace, is written as
    XPath 1.0 has it.
    """
    return _ANY_NAMESPACE.sub(r"*[local-name()='\1']", text)


def find_elements(node: _Element, path: str) -> list[Any]:
    """Return what an XPath of a module of ours, not of a source definition, selects."""
    return cast("list[Any]", _xpath(path)(node))


@cache
def _xpath(path: str) -> etree.XPath:
    return etree.XPath(_expand(path), namespaces=XML_PREFIXES, smart_strings=False)


def find_element(
    *names: str, schema: str, hint: str
) -> Callable[[object, Record[_Element]], _Element]:
    """Return the function that finds the element of a *schema* in a payload, which OAI-PMH may
    wrap. It raises ParseError with the *hint* if there is none.
    """
    tags = tuple(f"{{*}}{name}" for name in names)

    def root(_: object, record: Record[_Element]) -> _Element:
        element = next(record.payload.iter(*tags), None)
        if element is None:
            raise ParseError(f"{record.key}: not {schema} but <{record.payload.tag}>; {hint}")
        return element

    return root


def _compile_xpath(text: str, where: str | Reason, prefixes: Mapping[str, str]) -> Search:
    namespaces = {**XML_PREFIXES, **prefixes}
    try:
        path = etree.XPath(_expand(text), namespaces=namespaces, smart_strings=False)
    except (etree.XPathSyntaxError, ValueError) as error:
        fault = Reason("%(text)s is not an XPath: %(error)s", text=repr(text), error=str(error))
        raise SourceDefinitionError(located(where, fault)) from error
    return with_parser_errors(path, f"{where}: {text!r} does not fit the record")


def compile_property_path(
    text: str, where: str | Reason = "", prefixes: Mapping[str, str] | None = None
) -> Callable[[Graph], list[Term]]:
    """Compile *text*. Raise SourceDefinitionError, whose message begins with *where*, if it is not
    a supported path.

    Of SPARQL's paths ``/`` and ``|`` are supported; ``||`` takes the first side with a result,
    ``.`` is the node itself, and 'text' in quotes is that text. Blank nodes at the end of a path are
    left out, since they have no meaning by themselves. *prefixes* are the source's, before the
    built-in ones.

    >>> title = NamedNode("http://purl.org/dc/terms/title")
    >>> found = {NamedNode("urn:a"): {title.value: (Literal("Wells", language="en"),)}}
    >>> compile_property_path("dct:title | rdfs:label")(Graph(NamedNode("urn:a"), found))
    [<Literal value=Wells language=en>]
    """
    known = {**PREFIXES, **(prefixes or {})}
    choices: list[list[tuple[str, str]]] = [[]]
    position = 0
    try:
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                fault = Reason(
                    "%(text)s is not a path at character %(position)s: write e.g. dct:title, or "
                    "dct:publisher/foaf:name",
                    text=repr(text),
                    position=position + 1,
                )
                raise SourceDefinitionError(fault)
            if match["mark"] == "||":
                choices.append([])
            else:
                choices[-1].append((match.lastgroup, match[match.lastgroup]))
            position = match.end()
        finds = [_compile_choice(tokens, known) for tokens in choices]
    except SourceDefinitionError as error:
        raise SourceDefinitionError(located(where, *error.faults)) from error
    return lambda graph: next((terms for find in finds if (terms := find(graph))), [])


def _compile_choice(
    tokens: list[tuple[str, str]], prefixes: Mapping[str, str]
) -> Callable[[Graph], list[Term]]:
    """Return the function that finds the values of a path without ``||``.

    Each of its paths between ``|`` is a list of steps. A step is a list of alternative properties;
    an empty one stays at the node.
    """
    if [kind for kind, _ in tokens] == ["text"]:
        literal = Literal(tokens[0][1])
        return lambda graph: [literal]
    paths: list[list[list[str]]] = [[]]
    needs_step = True
    for kind, value in [*tokens, ("end", "")]:
        if needs_step and kind == "end":
            raise SourceDefinitionError(Reason("a property is missing at the end of the path"))
        if needs_step and kind in {"mark", "text"}:
            raise SourceDefinitionError(
                Reason("a property is missing before %(text)s", text=repr(value))
            )
        if not needs_step and (kind not in {"mark", "end"} or value == ")"):
            raise SourceDefinitionError(
                Reason("a / or | is missing before %(text)s", text=repr(value))
            )
        if kind == "group" and not _GROUP.fullmatch(value):
            raise SourceDefinitionError(
                Reason(
                    "brackets hold properties with | between them, such as "
                    "(dct:creator|dct:publisher)/foaf:name"
                )
            )
        if kind in {"property", "group", "self"}:
            names = [] if kind == "self" else value.strip("()").split("|")
            paths[-1].append([_resolve(name.strip(), prefixes) for name in names])
        elif value == "|":
            paths.append([])
        needs_step = kind == "mark"
    return lambda graph: list(
        dict.fromkeys(term for path in paths for term in _follow(graph, path))
    )


def _resolve(name: str, prefixes: Mapping[str, str]) -> str:
    if name == "a" or name[0] == "<":
        return TYPE if name == "a" else name[1:-1]
    prefix, _, local = name.partition(":")
    if prefix not in prefixes:
        raise SourceDefinitionError(
            Reason(
                "the prefix %(prefix)s is not known; give its address in the option `namespaces`",
                prefix=repr(prefix),
            )
        )
    return prefixes[prefix] + local


def _follow(graph: Graph, path: list[list[str]]) -> list[Term]:
    nodes: list[Term] = [graph.subject]
    for step in filter(None, path):
        nodes = list(dict.fromkeys(term for node in nodes for term in graph.all(node, *step)))
    return [node for node in nodes if isinstance(node, NamedNode | Literal)]
