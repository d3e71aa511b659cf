"""Fields: a card's own table, from the model's names to JMESPath (rows, JSON), XPath (XML) or property paths (RDF); no code is needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lxml import etree
from lxml.etree import _Element
from pyoxigraph import Literal, NamedNode

from harvesters.errors import SourceDefinitionError
from harvesters.option_schema import Option, get_option, option_names
from harvesters.page_model import Payload, Record
from harvesters.parsing import parser_errors
from harvesters.payloads import property_path
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.graph import Graph
from harvesters.payloads.jmespath_compiler import compile_jmespath
from harvesters.payloads.value_parsing import (
    KINDS,
    as_list,
    normalize_block,
    normalize_inline,
    parse_date,
    parse_language,
    parse_name,
    parse_number,
    parse_titles,
    split_values,
    split_words,
    unique_non_contact,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Event, Initiative, Party, Place, Post, Prize, Resource, Role, Text
from vocab.iris import Iris

OPTIONS: Mapping[str, Option] = {
    "split": Option(str, None, "What parts the values of a field that takes several, e.g. `;`."),
    "dates": Option((str, list), None, "How the registry writes dates where it is not ISO 8601 (strptime), one form or several."),
    "initiatives_of": Option(str, None, "The source whose initiatives the field `initiatives` names by their keys; without it this one."),
    "namespaces": Option(dict, None, "Prefixes of the paths, `prefix = address`; `dc`, `dct`, `xsi`, `xml` are known, in RDF many more."),
}

# The fields by the kind that has them, and what they take.
TEXTS = ("title", "description", "subjects", "venue", "content")  # a language tag may follow: "title@en"
LISTS = (
    "countries", "action_lines", "goals", "targets", "subjects", "pages", "partners", "funders", "languages", "identifiers",
    "activity_types", "related", "initiatives",
)  # fmt: skip
_COMMON = frozenset(("key", "kind", "title", "description", "issued", "modified", "lead", "lead_type", "lead_country", "licence", *LISTS))
FIELDS: Mapping[type[Resource], frozenset[str]] = {
    Initiative: _COMMON
    | {"start", "end", "status", "coverage", "latitude", "longitude", "place", "prize_category", "prize_stage", "prize_year"},
    Event: (_COMMON | {"start", "end", "latitude", "longitude", "place", "venue", "cancelled"}) - {"activity_types"},
    Document: (_COMMON | {"type"}) - {"activity_types"},
    Post: (_COMMON | {"content", "container"}) - {"activity_types"},
}
_PREFIXES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "dct": "http://purl.org/dc/terms/",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xml": "http://www.w3.org/XML/1998/namespace",
}
_YES = frozenset(("true", "yes", "1", "cancelled", "canceled"))
_NAME = re.compile(r"([a-z_]+)(?:@([A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*))?\Z")
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

Find = Callable[[Any], Any]


def kind_of(source: Source) -> type[Resource]:
    """Give the kind of the card's records; raises SourceDefinitionError where there is no such kind."""
    name = source.fields.get("kind", "initiative")
    if name not in KINDS:
        raise SourceDefinitionError(f"{source.name}: field 'kind' is {name!r}; it is one of {', '.join(KINDS)}")
    return KINDS[name]


def check(source: Source, brings: Payload = Payload.ROW) -> None:
    """Refuse a table with an unknown name or an expression that cannot be read; raises SourceDefinitionError, which names the cure."""
    if not source.fields:
        raise SourceDefinitionError(f"{source.name}: mapping 'fields' needs a [fields] table, at least with 'title'")
    known = FIELDS[kind_of(source)]
    for name, text in source.fields.items():
        match = _NAME.match(name)
        if not match or match[1] not in known:
            raise SourceDefinitionError(f"{source.name}: unknown field {name!r}; known are {', '.join(sorted(known))}")
        if match[2] and match[1] not in TEXTS:
            raise SourceDefinitionError(f"{source.name}: field {name!r} takes no language; only {', '.join(TEXTS)} do")
        if name == "key" and brings is not Payload.ROW:
            raise SourceDefinitionError(f"{source.name}: field 'key' is not to be given: the protocol's own identifier is the key")
        if name != "kind":
            _find(source, name, text, brings)


def reader(source: Source, words: Crosswalks) -> Callable[[Record[Any]], Resource]:
    """Give the function that reads a row, an XML element or a graph as the card's table says."""
    kind = kind_of(source)
    lexicon = CrosswalkLookup(words)
    tables: dict[Payload, _Table] = {}  # by what comes, which the first record shows

    def read(record: Record[Any]) -> Resource:
        came = _came(record.payload)
        if came not in tables:
            tables[came] = _Table(source, lexicon, words.iris, came)
        return tables[came].read(kind, record)

    return read


def _came(payload: object) -> Payload:
    return Payload.ROW if isinstance(payload, dict) else Payload.GRAPH if isinstance(payload, Graph) else Payload.XML


def _find(source: Source, name: str, text: str, brings: Payload) -> Find:
    where, prefixes = f"{source.name}: field {name!r}", get_option(source, OPTIONS, "namespaces") or {}
    if brings is Payload.ROW:
        return compile_jmespath(text, where)
    if brings is Payload.GRAPH:
        return property_path.compile_path(text, where, prefixes)
    try:
        path = etree.XPath(text, namespaces={**_PREFIXES, **prefixes}, smart_strings=False)
    except (etree.XPathSyntaxError, ValueError) as error:
        raise SourceDefinitionError(f"{where}: {text!r} is no XPath: {error}") from error

    def find(node: Any) -> Any:
        with parser_errors(f"{where}: {text!r} does not fit the record"):
            return path(node)

    return find


def _text(found: Any) -> Any:
    if isinstance(found, Literal | NamedNode):
        return found.value
    return "".join(map(str, found.itertext())) if isinstance(found, _Element) else found


class _Table:
    """A card's table, compiled: how each field is found in a record."""

    def __init__(self, source: Source, lexicon: CrosswalkLookup, iris: Iris, came: Payload) -> None:
        self.lexicon = lexicon
        self.initiative = partial(iris.thing, "initiative", get_option(source, OPTIONS, "initiatives_of") or source.name)
        self.language = source.language
        self.mark = get_option(source, OPTIONS, "split")
        self.forms = option_names(source, OPTIONS, "dates")
        self.finds: dict[str, list[tuple[Find, str | None]]] = {}
        for name, text in source.fields.items():
            match = _NAME.match(name)
            if match and name not in {"kind", "key"}:
                self.finds.setdefault(match[1], []).append((_find(source, name, text, came), match[2]))

    def texts(self, row: Any, name: str, form: Callable[[Any], str] = normalize_inline) -> list[tuple[str, str | None]]:
        """Give a field's texts with their languages: the field's own, else what the record says, else the card's."""
        found: list[tuple[str, str | None]] = []
        for find, tag in self.finds.get(name, ()):
            value = find(row)
            if isinstance(value, str):
                found.append((form(value), tag or self.language))
            elif value is not None:
                for it in as_list(value):
                    found += self._tagged(it, tag, form)
        return found

    def _tagged(self, it: Any, tag: str | None, form: Callable[[Any], str]) -> list[tuple[str, str | None]]:
        if isinstance(it, dict):
            return [(form(text), tag or parse_language(key) or key) for key, text in it.items()]
        if isinstance(it, _Element | Literal):
            own = it.language if isinstance(it, Literal) else it.get(_LANG)
            return [(form(_text(it)), tag or (own and parse_language(own)) or own or self.language)]
        return [(form(_text(it)), tag or self.language)]

    def words(self, row: Any, name: str) -> Sequence[str]:
        """Give the words of a field that takes several."""
        finds = self.finds.get(name, ())
        if len(finds) == 1:
            return self._split(finds[0][0](row))
        return [word for find, _ in finds for word in self._split(find(row))]

    def _split(self, value: Any) -> tuple[str, ...]:
        if value is None or isinstance(value, str):
            return split_words(value, self.mark)
        return split_words([_text(it) for it in as_list(value)], self.mark)

    def word(self, row: Any, name: str) -> str | None:
        """Give the word of a field that takes one: the first there is."""
        for find, _ in self.finds.get(name, ()):
            value = find(row)
            if isinstance(value, str):
                if text := normalize_inline(value):
                    return text
            elif value is not None:
                for it in as_list(value):
                    if text := normalize_inline(_text(it)):
                        return text
        return None

    def flag(self, row: Any, name: str) -> bool:
        """Tell whether a field says yes, as JSON does or in a word."""
        found = [it for find, _ in self.finds.get(name, ()) for it in as_list(find(row))]
        return any(it is True or normalize_inline(_text(it)).lower() in _YES for it in found)

    def moment(self, row: Any, name: str) -> str | None:
        """Give a field's date."""
        return parse_date(word, self.forms) if (word := self.word(row, name)) else None

    def known(self, row: Any, name: str, look: Callable[[str], str]) -> str | None:
        """Give the concept that a field's word names, or the word."""
        return look(word) if (word := self.word(row, name)) else None

    def read(self, kind: type[Resource], record: Record[Any]) -> Resource:
        """Read one record."""
        row, lexicon = record.payload, self.lexicon
        said = lexicon.parse_declared(self.words(row, "action_lines"), self.words(row, "goals"), self.words(row, "targets"))
        licence = self.word(row, "licence")
        return kind(
            key=record.key,
            titles=parse_titles(self.texts(row, "title")),
            descriptions=parse_titles(self.texts(row, "description", normalize_block)),
            identifiers=unique_non_contact([text for text in self.words(row, "identifiers") if text != record.key]),
            pages=unique_non_contact(self.words(row, "pages")),
            languages=tuple(dict.fromkeys([parse_language(word) or word for word in self.words(row, "languages")])),
            licence=licence,
            issued=self.moment(row, "issued"),
            modified=self.moment(row, "modified") or record.modified,
            countries=tuple(dict.fromkeys(map(lexicon.country, self.words(row, "countries")))),
            parties=tuple(self._parties(row)),
            action_lines=said.lines,
            goals=said.goals,
            targets=said.targets,
            subjects=self._subjects(row, said.unmatched),
            related=(*self.words(row, "related"), *map(self.initiative, self.words(row, "initiatives"))),
            **_OWN[kind](self, row),
        )

    def _subjects(self, row: Any, left: tuple[str, ...]) -> tuple[Text, ...]:
        texts = [parse_name(part, tag) for text, tag in self.texts(row, "subjects") for part in split_values([text], self.mark) if part]
        return tuple(dict.fromkeys([*texts, *[parse_name(word, self.language) for word in left if word]]))

    def _parties(self, row: Any) -> list[Party]:
        parties: list[Party] = []
        if lead := self.word(row, "lead"):
            kind = self.known(row, "lead_type", self.lexicon.stakeholder_type)
            parties.append(Party(Role.LEAD, parse_name(lead), None, kind, self.known(row, "lead_country", self.lexicon.country)))
        for role, name in ((Role.PARTNER, "partners"), (Role.FUNDER, "funders")):
            parties += [Party(role, parse_name(word)) for word in self.words(row, name)]
        return parties

    def span(self, row: Any) -> dict[str, Any]:
        """Give start, end and place."""
        latitude, longitude = parse_number(self.word(row, "latitude")), parse_number(self.word(row, "longitude"))
        name = next(iter(parse_titles(self.texts(row, "place"))), None)
        places = (Place(name, latitude, longitude),) if latitude is not None and longitude is not None else ()
        return {"start": self.moment(row, "start"), "end": self.moment(row, "end"), "places": places}

    def prizes(self, row: Any) -> tuple[Prize, ...]:
        """Give the prize, where the record tells of one."""
        category = self.known(row, "prize_category", self.lexicon.prize_category)
        stage = self.known(row, "prize_stage", self.lexicon.prize_stage)
        year = self.word(row, "prize_year") or ""
        return (Prize(category or "", stage or "", int(year) if re.fullmatch("[0-9]{4}", year) else None),) if category or stage else ()


def _initiative(table: _Table, row: Any) -> dict[str, Any]:
    return {
        **table.span(row),
        "coverage": table.known(row, "coverage", table.lexicon.coverage),
        "status": table.known(row, "status", table.lexicon.status),
        "activity_types": tuple(dict.fromkeys(map(table.lexicon.activity_type, table.words(row, "activity_types")))),
        "prizes": table.prizes(row),
    }


def _event(table: _Table, row: Any) -> dict[str, Any]:
    venue = next(iter(parse_titles(table.texts(row, "venue"))), None)
    return {**table.span(row), "venue": venue, "cancelled": table.flag(row, "cancelled")}


def _document(table: _Table, row: Any) -> dict[str, Any]:
    return {"kind": table.word(row, "type")}


def _post(table: _Table, row: Any) -> dict[str, Any]:
    return {
        "content": next(iter(parse_titles(table.texts(row, "content", normalize_block))), None),
        "container": table.word(row, "container"),
    }


_OWN: Mapping[type[Resource], Callable[[_Table, Any], dict[str, Any]]] = {
    Initiative: _initiative,
    Event: _event,
    Document: _document,
    Post: _post,
}
