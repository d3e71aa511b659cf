"""Compile the paths by which tables select values: JMESPath in rows, XPath in XML, and property paths
in RDF graphs; and note which fields of a payload a mapping reads.

Source: https://jmespath.org/specification.html, https://www.w3.org/TR/xpath-10/ and
https://www.w3.org/TR/sparql11-query/#propertypaths
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from typing import Any, cast

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter
from lxml import etree
from lxml.etree import _Element
from lxml.html import HtmlElement
from pyoxigraph import Literal, NamedNode

from harvesters.errors import ParseError, SourceDefinitionError, with_parser_errors
from harvesters.options import located
from harvesters.page_model import Payload, Record
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
_ELEMENT_STEP = r"(?:(?:\*|[A-Za-z]\w*):)?[A-Za-z_]\w*"
_STEPS = re.compile(
    rf"(?:{_ELEMENT_STEP}(?:/{_ELEMENT_STEP})*+(?:/|\Z))?+(?:@[A-Za-z_]\w*)?\Z", re.ASCII
)
_MEMBER = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d{1,9}\])*\Z", re.ASCII)
_STEP = re.compile(r"\w+", re.ASCII)
_ANY_NAMESPACE = re.compile(r"\*:([\w.-]+)")
_PROPERTY = r"<[^<>\s]+>|[A-Za-z][\w.-]*:[\w.%-]+|a\b"
_PROPERTY_STEP = rf"{_PROPERTY}|\.|\(\s*(?:{_PROPERTY})\s*(?:\|\s*(?:{_PROPERTY})\s*)*\)"
# It matches the parts of a path that _CHOICE accepts.
_PART = re.compile(r"<[^<>\s]+>|[A-Za-z][\w.-]*(?::[\w.%-]+)?|\.|\((?:<[^<>\s]+>|[^()<>])*\)|[/|]")
_CHOICE = re.compile(
    rf"\s*(?:'(?P<text>[^']*)'|(?P<path>(?:{_PROPERTY_STEP})(?:\s*(?:/|\|(?!\|))\s*(?:{_PROPERTY_STEP}))*))\s*(?P<end>\|\|)?"
)
_WORD = re.compile(r"[\w.-]+(?::[\w.-]+)?")  # It matches a name in a path with its prefix.
_ATTRIBUTE_NAME = re.compile(r"@(?:[\w.-]+:)?([\w.-]+)")


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
        if reads := READS.get():
            reads.expressions.append(set(_WORD.findall(text)))
    elif _STEPS.match(text) and (find := _find_steps(text, {**XML_PREFIXES, **prefixes})):
        return find
    else:
        search = _compile_xpath(text, where, prefixes)
    return lambda row: values if isinstance(values := search(row), list) else as_list(values)


def _find_steps(text: str, namespaces: Mapping[str, str]) -> Find | None:
    """Return the function that follows the names of elements, at last that of an attribute; None if a
    prefix is unknown.
    """
    path, _, attribute = text.partition("@")
    names = [step.rpartition(":")[::2] for step in path.split("/") if step]
    spaces = {**namespaces, "*": "*"}
    if not {prefix for prefix, _ in names if prefix} <= spaces.keys():
        return None
    tags = [f"{{{spaces[prefix]}}}{name}" if prefix else name for prefix, name in names]

    def find(node: _Element) -> list[Any]:
        nodes = [node]
        for tag in tags:
            nodes = [child for each in nodes for child in each.iterchildren(tag)]
        if attribute:
            return [value for each in nodes if (value := each.get(attribute)) is not None]
        return nodes

    return find


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


def _build_xpath(text: str, namespaces: Mapping[str, str] = XML_PREFIXES) -> Search:
    """Compile an XPath, in which ``*:name`` is an element of that name in any namespace."""
    reads, expanded = READS.get(), _ANY_NAMESPACE.sub(r"*[local-name()='\1']", text)
    path = etree.XPath(expanded, namespaces=namespaces, smart_strings=reads is not None)
    return reads.of_path(text, path) if reads else path


_xpath = cache(_build_xpath)


def find_elements(node: _Element, path: str) -> list[Any]:
    """Return what an XPath of a module of ours, not of a source definition, selects."""
    return cast("list[Any]", (_build_xpath if READS.get() else _xpath)(path)(node))


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
        path = _build_xpath(text, namespaces)
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
    finds: list[Callable[[Graph], list[Term]]] = []
    position, is_open = 0, True
    while is_open:
        match = _CHOICE.match(text, position)
        position = match.end() if match else position
        if match is None or not (match["end"] or position == len(text)):
            fault = Reason(
                "%(text)s is not a path at character %(position)s: write e.g. dct:title, or "
                "dct:publisher/foaf:name",
                text=repr(text),
                position=position + 1,
            )
            raise SourceDefinitionError(located(where, fault))
        finds.append(_find_choice(match, known, where))
        is_open = bool(match["end"])
    return lambda graph: next((terms for find in finds if (terms := find(graph))), [])


def _find_choice(
    choice: re.Match[str], prefixes: Mapping[str, str], where: str | Reason
) -> Callable[[Graph], list[Term]]:
    """Return the function that finds the values of a path without ``||``.

    Each of its paths between ``|`` is a list of steps. A step is a list of alternative properties;
    an empty one stays at the node.
    """
    if choice["path"] is None:
        literal = Literal(choice["text"])
        return lambda graph: [literal]
    paths: list[list[list[str]]] = [[]]
    for part in _PART.findall(choice["path"]):
        if part == "|":
            paths.append([])
        elif part not in {"/", "."}:
            names = map(str.strip, part.strip("()").split("|")) if part[0] == "(" else [part]
            paths[-1].append([_resolve(name, prefixes, where) for name in names])
    return lambda graph: list(
        dict.fromkeys(term for path in paths for term in _follow(graph, path))
    )


def _resolve(name: str, prefixes: Mapping[str, str], where: str | Reason) -> str:
    if name == "a" or name[0] == "<":
        return TYPE if name == "a" else name[1:-1]
    prefix, _, local = name.partition(":")
    if prefix not in prefixes:
        fault = Reason(
            "the prefix %(prefix)s is not known; give its address in the option `namespaces`",
            prefix=repr(prefix),
        )
        raise SourceDefinitionError(located(where, fault))
    return prefixes[prefix] + local


def _follow(graph: Graph, path: list[list[str]]) -> list[Term]:
    nodes: list[Term] = [graph.subject]
    for step in path:
        nodes = list(dict.fromkeys(term for node in nodes for term in graph.all(node, *step)))
    return [node for node in nodes if isinstance(node, NamedNode | Literal)]


class Reads:
    """The names of the fields that a mapping reads, as ``fields_of`` has them: *members* has those of
    the resource for which a field is read, "" if a function of the schema reads it by itself.
    *records* are those that were opened, *expressions* the names in paths of JMESPath.
    """

    def __init__(self) -> None:
        self.members: defaultdict[str, set[str]] = defaultdict(set)
        self.expressions: list[set[str]] = []
        self.records: list[Record[Any]] = []
        self._member = ""
        self._names: set[str] = set()

    def note(self, name: str) -> None:
        self.members[name].add(self._member)

    def of_path(self, text: str, path: etree.XPath) -> Search:
        """Return what searches by an XPath, and notes the texts and attributes that it selects. Those
        from which it makes a value, and the attributes in its conditions, are noted by their names.
        """
        self._names.update(f"@{name}" for name in _ATTRIBUTE_NAME.findall(text))

        def search(node: _Element) -> Any:
            values: Any = path(node)
            if not isinstance(values, list):
                self._names.update(name.rpartition(":")[2] for name in _WORD.findall(text))
                return values
            for value in filter(lambda value: isinstance(value, str), values):
                _ = (
                    value.getparent().get(value.attrname)
                    if value.attrname
                    else value.getparent().text
                )
            return values

        return search

    def of(self, member: str, read: Callable[..., Any]) -> Callable[..., Any]:
        """Return *read*, whose reads are noted for *member*, or for the one of which it is a part."""

        def read_member(*arguments: Any) -> Any:
            outer, self._member = self._member, self._member or member
            try:
                return read(*arguments)
            finally:
                self._member = outer

        return read_member

    def has(self, name: str) -> bool:
        """Return whether the field was read, or is named in a path that may read it."""
        names = set(_WORD.findall(name))
        return (
            name.rstrip("[]") in self.members
            or name.rpartition("/")[2] in self._names
            or any(names <= each for each in self.expressions)
        )

    def open(self, record: Record[Any]) -> Record[Any]:
        """Return a record with a copy of its payload that notes what is read of it. Raises ParseError."""
        record = record.parsed()
        self.records.append(record)
        return replace(record, content=self.view(record.payload))

    def view(self, payload: Any) -> Any:
        """Return a copy of a payload that notes what is read of it."""
        if isinstance(payload, _Element):
            return _element_view(payload, self.note)
        if isinstance(payload, Graph):
            row = _row_type(lambda name: self.note(_prefixed(name)))
            nodes = {node: row(about) for node, about in payload.properties.items()}
            return replace(payload, properties=nodes)
        return _row_type(self.note)(payload)


# Tables that are compiled and paths that are searched while it is set note what they read.
READS: ContextVar[Reads | None] = ContextVar("READS", default=None)


@contextmanager
def noting() -> Iterator[Reads]:
    """Note what mappings that are prepared and called inside read of the views of payloads."""
    token = READS.set(reads := Reads())
    try:
        yield reads
    finally:
        READS.reset(token)


def _row_type(note: Callable[[str], None]) -> type[dict[str, Any]]:
    """Return the class of rows that note the names of the values that they are asked for. ``dict.items``
    copies a row without reading it.
    """

    class Row(dict[str, Any]):
        def __init__(self, row: dict[str, Any], path: str = "") -> None:
            self._path = path
            super().__init__(
                {key: self._view(value, f"{path}{key}") for key, value in dict.items(row)}
            )

        def _view(self, value: Any, name: str) -> Any:
            if isinstance(value, list):
                return [self._view(each, f"{name}[]") for each in value]
            return Row(value, f"{name}.") if type(value) is dict else value

        def __getitem__(self, key: str) -> Any:
            note(f"{self._path}{key}")
            return super().__getitem__(key)

        def get(self, key: str, default: Any = None) -> Any:
            note(f"{self._path}{key}")
            return super().get(key, default)

        # With it, ``dict(row)`` and ``{**row}`` read each value.
        def __iter__(self) -> Iterator[str]:
            return super().__iter__()

        def items(self) -> Any:
            return [(key, self[key]) for key in self]

        def values(self) -> Any:
            return [self[key] for key in self]

    Row.__name__ = "dict"  # The functions of JMESPath know types by their names.
    return Row


def _element_view(root: _Element, note: Callable[[str], None]) -> _Element:
    """Return a copy of an element, and of the page around it, whose texts and attributes note that
    they are read.
    """

    def name(node: _Element, attribute: str = "") -> str:
        names = [attribute] if attribute else []
        while node is not copy and node is not None:
            names.append(_local(str(node.tag)))
            node = cast("_Element", node.getparent())
        return "/".join(reversed(names)) or _local(str(copy.tag))

    class Element(etree.ElementBase):
        @property
        def text(self) -> str | None:  # type: ignore[override]
            note(name(self))
            return super().text

        def get(self, key: str, default: Any = None) -> Any:  # type: ignore[override]
            note(name(self, f"@{_local(key)}"))
            return super().get(key, default)

        def itertext(self, *tags: Any, with_tail: bool = True) -> Any:
            for node in self.iter():
                note(name(node))
            return super().itertext(*tags, with_tail=with_tail)

    # Names of attributes in a web page may be none of XML's.
    method = "html" if isinstance(root, HtmlElement) else "xml"
    parser = (etree.HTMLParser if method == "html" else etree.XMLParser)(huge_tree=True)
    parser.set_element_class_lookup(etree.ElementDefaultClassLookup(element=Element))
    page = [root, *root.iterancestors()][-1]
    position = next(number for number, node in enumerate(page.iter("*")) if node is root)
    nodes = etree.fromstring(etree.tostring(page, method=method), parser).iter("*")
    copy: _Element = next(islice(nodes, position, None))
    return copy


def fields_of(payload: Any) -> dict[str, list[str]]:
    """Return the names of a record's fields with their values as text, as its publisher names them:
    ``results[].name`` in JSON, a column's name in a table, ``description/narrative`` or ``@iso`` in
    XML, a prefixed property in RDF.

    >>> fields_of({"id": 7, "places": [{"iso": "KE"}, {"iso": "UG"}], "tags": ["a", "b"], "note": None})
    {'id': ['7'], 'places[].iso': ['KE', 'UG'], 'tags[]': ['a', 'b']}
    """
    fields: dict[str, list[str]] = {}
    leaves = (
        _elements
        if isinstance(payload, _Element)
        else _properties
        if isinstance(payload, Graph)
        else _leaves
    )
    for name, value in leaves(payload):
        fields.setdefault(name, []).append(value)
    return fields


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list | tuple):
        for each in node:
            yield from _leaves(each, f"{path}[]")
    elif node is not None and node != "":
        yield path, str(node)


def _properties(graph: Graph) -> Iterator[tuple[str, str]]:
    for about in graph.properties.values():
        for name, terms in about.items():
            yield from ((_prefixed(name), str(getattr(term, "value", term))) for term in terms)


def _elements(node: _Element, path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in node.attrib.items():
        yield f"{path}/@{_local(str(name))}".lstrip("/"), str(value).strip()
    if text := (node.text or "").strip():
        yield path or _local(str(node.tag)), text
    for child in node.iterchildren("*"):
        yield from _elements(child, f"{path}/{_local(str(child.tag))}".lstrip("/"))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _prefixed(iri: str) -> str:
    """Return a property's prefixed name, its IRI where no prefix is known.

    >>> _prefixed("http://purl.org/dc/terms/title"), _prefixed("urn:a")
    ('dct:title', 'urn:a')
    """
    names = (
        f"{prefix}:{iri.removeprefix(start)}"
        for prefix, start in PREFIXES.items()
        if iri.startswith(start)
    )
    return next(names, iri)
