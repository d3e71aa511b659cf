"""Map records by a table: the paths from which each field of the model is read.

Paths are JMESPath (JSON, rows), XPath (XML) or property paths (RDF).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from lxml import etree
from lxml.etree import _Element
from pydantic import Field
from pyoxigraph import Literal, NamedNode

from harvesters.errors import ParseError
from harvesters.mappings.field_definitions import (
    FIELD_NAME,
    PREFIXES,
    Find,
    compile_path,
    expand_path,
    field_location,
)
from harvesters.mappings.mapping import Kind, RecordMapping
from harvesters.options import Options
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import (
    CrosswalkLookup,
    Subjects,
    classify_words,
    merge_subjects,
)
from harvesters.payloads.value_parsing import (
    KINDS,
    as_list,
    is_nothing,
    normalize_block,
    normalize_inline,
    parse_amount,
    parse_checksum,
    parse_date,
    parse_interval,
    parse_language,
    parse_languages,
    parse_name,
    parse_number,
    parse_size,
    parse_titles,
    read_editor,
    split_words,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import (
    Amount,
    Basis,
    Claim,
    Coded,
    File,
    Initiative,
    Outcome,
    Party,
    Period,
    Place,
    Prize,
    Resource,
    Role,
    Text,
)
from vocab.iris import is_web

_YES = frozenset(("true", "yes", "1", "cancelled", "canceled"))
_NOTHING_DECLARED = Subjects((), (), (), ())
_DECLARED = ("action_lines", "goals", "targets")
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

T = TypeVar("T", bound=Coded)
Read: TypeAlias = Callable[..., Any]
Tagged: TypeAlias = tuple[str, str | None]

# A path; a tuple of paths, of which the first with a value counts; a list, of which all count; or
# a function of the record's payload.
Entry: TypeAlias = "str | tuple[Entry, ...] | list[Entry] | Callable[[Any], Any]"


class DocumentOptions(Options):
    """The options of a mapping whose records are documents."""

    kind: Kind = Field(
        "document",
        description="The class of the records: `initiative`, `event`, `document` or `post`.",
    )


class Part(NamedTuple):
    """The nodes at *path*, each described by its own *fields*: a party, a file, a place.

    The words in the field ``role`` of a party choose its role in *roles*, else it has *role*.
    """

    path: Entry
    fields: Mapping[str, Entry]
    role: Role = Role.PARTNER
    roles: Mapping[str, Role] = {}


@dataclass(frozen=True, slots=True)
class Schema:
    """A metadata schema as a table: the paths of its *fields*, and the *parts* of a record.

    *root* returns what the paths start from, and raises ParseError for a record of another schema;
    *edit* changes the members of the resource that no path can express. Without the option ``kind`` the class of a record
    is *kind*, or what that function returns. *split* has the separators of fields, *untagged* the
    fields whose texts have no language but their own; *crosswalks* translate its subjects, and
    what stands for no value is left out unless *nothing* is None.
    """

    accepts: Payload
    fields: Mapping[str, Entry]
    parts: Mapping[str, Sequence[Part]] = field(default_factory=dict)
    root: Callable[[FieldTable, Record[Any]], Any] = lambda _, record: record.payload
    edit: Callable[[FieldTable, Any, type[Resource], dict[str, Any]], None] | None = None
    kind: str | Callable[[FieldTable, Any], type[Resource]] = "document"
    payload_type: Payload | None = None  # of what *root* returns, if it is another
    options: type[Options] = Options
    split: str | Mapping[str, str] = ""
    untagged: frozenset[str] = frozenset()
    namespaces: Mapping[str, str] = field(default_factory=dict)
    crosswalks: tuple[str, ...] = ()
    translations: Mapping[str, str] = field(
        default_factory=dict
    )  # the crosswalk of a field's codes
    dates: tuple[str, ...] = ()
    nothing: frozenset[str] | None = None
    initiatives_of: str | None = None
    datestamp: bool = False  # of the protocol, where the record has no date of change
    publisher_leads: bool = False  # the source's publisher, where the record names no lead

    def separator(self, name: str) -> str | None:
        """Return what separates the values of a field's texts."""
        return (self.split if isinstance(self.split, str) else self.split.get(name)) or None

    def mapping(self) -> RecordMapping:
        """Return the mapping of the schema, for the registry of mappings."""
        kind = self.kind if isinstance(self.kind, str) else "initiative"
        accepts = frozenset({self.accepts})
        return RecordMapping(self.build_mapper, accepts, kind=kind, options=self.options)

    def build_mapper(
        self, source: Source, crosswalks: Crosswalks
    ) -> Callable[[Record[Any]], Resource]:
        """Return the function that maps a record. It raises ParseError for one of another schema."""
        table = FieldTable(source, crosswalks, self)
        name = getattr(self.options.of(source), "kind", None)

        def map_record(record: Record[Any]) -> Resource:
            row, choice = self.root(table, record), name or self.kind
            kind = KINDS[choice] if isinstance(choice, str) else choice(table, row)
            return table.map_record(kind, record, row)

        return map_record


def find_element(
    *names: str, schema: str, hint: str
) -> Callable[[FieldTable, Record[_Element]], _Element]:
    """Return the function that finds the element of a *schema* in a payload, which OAI-PMH may
    wrap. It raises ParseError with the *hint* if there is none.
    """
    tags = tuple(f"{{*}}{name}" for name in names)

    def root(_: FieldTable, record: Record[_Element]) -> _Element:
        element = next(record.payload.iter(*tags), None)
        if element is None:
            raise ParseError(f"{record.key}: not {schema} but <{record.payload.tag}>; {hint}")
        return element

    return root


def element_texts(node: _Element, *paths: str) -> list[str]:
    """Return the texts of the elements at each path, except empty ones."""
    return [text for path in paths for each in find_elements(node, path) if (text := _text(each))]


def find_elements(node: _Element, path: str) -> list[Any]:
    """Return what an XPath of a schema's module selects."""
    return cast("list[Any]", _xpath(path)(node))


@cache
def _xpath(path: str) -> etree.XPath:
    return etree.XPath(expand_path(path), namespaces=PREFIXES, smart_strings=False)


def compile_entry(source: Source, schema: Schema, name: str, entry: Entry) -> Find:
    """Return the function that reads a field. Raise SourceDefinitionError at an invalid path."""
    if isinstance(entry, str):
        where = field_location(source, name)
        return compile_path(entry, where, schema.payload_type or schema.accepts, schema.namespaces)
    if callable(entry):
        return entry
    finds = [compile_entry(source, schema, name, each) for each in entry]
    if isinstance(entry, list):
        return lambda row: [
            item for find in finds if (value := find(row)) is not None for item in as_list(value)
        ]

    def first(row: Any) -> Any:
        for find in finds:
            if _has_text(value := find(row)):
                return value
        return None

    return first


def _has_text(value: Any) -> bool:
    return any(isinstance(item, dict) or _text(item) for item in as_list(value))


def _text(value: Any) -> str:
    """Return a value as one line."""
    return normalize_inline(_text_of(value))


class FieldTable:
    """A compiled table: how each field is found in a record."""

    def __init__(
        self,
        source: Source,
        crosswalks: Crosswalks,
        schema: Schema,
        lexicon: CrosswalkLookup | None = None,
    ) -> None:
        self.source, self.language = source, source.language
        self.crosswalks, self.schema = crosswalks, schema
        self.lexicon = lexicon or CrosswalkLookup(crosswalks)
        owner = schema.initiatives_of or source.name
        self.initiative = partial(crosswalks.iris.thing, "initiative", owner)
        self.finds: dict[str, list[tuple[Find, str | None]]] = {}
        for name, entry in schema.fields.items():
            if match := FIELD_NAME.match(name):
                find = self._valued(compile_entry(source, schema, name, entry))
                self.finds.setdefault(match[1], []).append((find, match[2]))
        self._parts = {
            name: [
                (
                    part,
                    compile_entry(source, schema, name, part.path),
                    FieldTable(
                        source,
                        crosswalks,
                        replace(schema, fields=part.fields, parts={}),
                        self.lexicon,
                    ),
                )
                for part in parts
            ]
            for name, parts in schema.parts.items()
        }
        self._marks = {name: schema.separator(name) for name in self.finds}
        named = {*self.finds, *self._parts}
        self._declares = not named.isdisjoint(_DECLARED)
        self._members: dict[type[Resource], list[tuple[str, Read, tuple[str, ...]]]] = {
            kind: [
                (name, read, names)
                for name, (read, names) in _MEMBERS.items()
                if name in kind.__dataclass_fields__ and not named.isdisjoint(names)
            ]
            for kind in KINDS.values()
        }

    def _valued(self, find: Find) -> Find:
        """Return *find* without what stands for no value, and with an editor's JSON as text."""
        nothing = self.schema.nothing
        if nothing is None:
            return find

        def read(row: Any) -> Any:
            value = find(row)
            if value is None:
                return None
            if isinstance(value, str) and value[:1] != "{":
                return None if is_nothing(value, nothing) else value
            items = map(read_editor, as_list(value))
            listed = [item for item in items if not _is_nothing(item, nothing)]
            return listed if isinstance(value, list) else next(iter(listed), None)

        return read

    def nodes(self, row: Any, name: str) -> Iterator[tuple[Part, FieldTable, Any]]:
        """Yield the parts of a record with this name, each with its table and its node."""
        for part, find, table in self._parts.get(name, ()):
            for node in as_list(find(row)):
                yield part, table, node

    def texts(
        self, row: Any, name: str, form: Callable[[Any], str] = normalize_inline
    ) -> list[Tagged]:
        """Return a field's texts with their languages: the field's, else the record's, else the
        source definition's.
        """
        default = None if name in self.schema.untagged else self.language
        texts: list[Tagged] = []
        for find, tag in self.finds.get(name, ()):
            value = find(row)
            if isinstance(value, str):
                texts.append((form(value), tag or default))
            elif value is not None:
                for item in as_list(value):
                    texts += _tagged(item, tag, default, form)
        return texts

    def words(self, row: Any, name: str) -> Sequence[str]:
        """Return the values of a field that takes several."""
        finds = self.finds.get(name)
        if finds is None:
            return ()
        if len(finds) == 1:
            return self._split(finds[0][0](row), name)
        return [word for find, _ in finds for word in self._split(find(row), name)]

    def _split(self, value: Any, name: str) -> Sequence[str]:
        if value is None or value == []:
            return ()
        mark, nothing = self._marks[name], self.schema.nothing
        if not mark:
            items = value if isinstance(value, list) else (value,)
            return [text for item in items if (text := _text(item))]
        if not isinstance(value, str):
            value = [_text_of(item) for item in as_list(value)]
        words = split_words(value, mark)
        return (
            words if nothing is None else [word for word in words if not is_nothing(word, nothing)]
        )

    def word(self, row: Any, name: str) -> str | None:
        """Return the first value of a field that takes one."""
        for find, _ in self.finds.get(name, ()):
            value = find(row)
            if value is not None:
                for item in value if isinstance(value, list) else (value,):
                    if text := _text(item):
                        return text
        return None

    def text(
        self, row: Any, name: str, form: Callable[[Any], str] = normalize_inline
    ) -> Text | None:
        """Return a field's first text."""
        return next(iter(parse_titles(self.texts(row, name, form))), None)

    def date(self, row: Any, name: str) -> str | None:
        """Return a field's date."""
        return parse_date(word, self.schema.dates) if (word := self.word(row, name)) else None

    def flag(self, row: Any, name: str) -> bool:
        """Return whether a field is true, as a JSON boolean or a word."""
        values = [value for find, _ in self.finds[name] for value in as_list(find(row))]
        return any(value is True or _text(value).lower() in _YES for value in values)

    def period(self, row: Any, start: str, end: str) -> tuple[str | None, str | None]:
        """Return the dates of two fields; a period in one of them, such as 2006-2010, has both ends."""
        first, last = self.date(row, start), self.date(row, end)
        begun, ended = (parse_interval(date or "") for date in (first, last))
        return (
            begun[0] if begun else first or (ended[0] if ended else None),
            ended[1] if ended else last or (begun[1] if begun else None),
        )

    def lookup(self, row: Any, name: str, look: Callable[[str], T]) -> T | None:
        """Return the concept for a field's value, or the value if there is none."""
        return look(word) if (word := self.word(row, name)) else None

    def concept(self, row: Any, name: str, look: str) -> Coded | None:
        """Return the concept for a field's value by its translation, else by the lookup *look*."""
        scheme = self.schema.translations.get(name)
        if scheme is None:
            return self.lookup(row, name, getattr(self.lexicon, look))
        code = self.word(row, name)
        concept = self.crosswalks.find_match(scheme, code) if code else None
        if code is None or concept is None:
            return code
        iri = self.crosswalks.iris.scheme(scheme)
        return Claim(concept, Basis.CROSSWALKED, code, crosswalk=iri)

    def map_record(self, kind: type[Resource], record: Record[Any], row: Any) -> Resource:
        """Map one record."""
        values = {name: read(self, row, *names) for name, read, names in self._members[kind]}
        for start, end in _SPANS:
            if (start in self.finds or end in self.finds) and start in kind.__dataclass_fields__:
                values[start], values[end] = self.period(row, start, end)
        values = {**self._subjects(row, kind), **values}
        words = self.words(row, "identifiers")
        if "addresses" in self.finds:
            is_same = self.schema.fields["addresses"] == self.schema.fields.get("identifiers")
            addresses = unique_urls(words if is_same else self.words(row, "addresses"))
            values["pages"] = unique_non_contact([*values.get("pages", ()), *addresses])
            words = [text for text in words if text not in addresses]
        values["identifiers"] = unique_non_contact([text for text in words if text != record.key])
        if self.schema.datestamp and not values.get("modified"):
            values["modified"] = record.modified
        if self.schema.edit:
            self.schema.edit(self, row, kind, values)
        return kind(key=record.key, **values)

    def _subjects(self, row: Any, kind: type[Resource]) -> dict[str, Any]:
        """Return what fields declare, what a curator or the source's crosswalks have for the words
        in ``subjects``, which stay subjects, and what the words in ``keywords`` name, of which only
        the others become subjects, as do the types of an initiative that are no activity types.
        """
        linked = _NOTHING_DECLARED
        if self._declares:
            words = [self.words(row, name) for name in _DECLARED]
            linked = self.lexicon.parse_declared(*words)
        left = [word for word in linked.unmatched if word]
        tagged = self._split_texts(row, "subjects")
        keywords = self._split_texts(row, "keywords")
        if tagged and (self.schema.crosswalks or self.crosswalks.words):
            linked = merge_subjects(linked, self._translated([word for word, _ in tagged]))
        if keywords:
            named = self._translated([word for word, _ in keywords], keywords=True)
            linked, left = merge_subjects(linked, named), [*left, *named.unmatched]
        tags = dict(keywords)
        texts = [parse_name(word, tag) for word, tag in tagged]
        texts += [parse_name(word, tags.get(word, self.language)) for word in left]
        if kind is Initiative and "types" in self.finds:
            texts += [
                parse_name(word, tag)
                for word, tag in self.texts(row, "types")
                if word and not self.lexicon.find_activity_type(word)
            ]
        return {
            "action_lines": linked.lines,
            "goals": linked.goals,
            "targets": linked.targets,
            "subjects": tuple(dict.fromkeys(texts)),
        }

    def _split_texts(self, row: Any, name: str) -> list[Tagged]:
        texts = self.texts(row, name, lambda value: value) if name in self.finds else ()
        return [(word, tag) for text, tag in texts for word in self._split(text, name)]

    def _translated(self, words: list[str], keywords: bool = False) -> Subjects:
        """Return the concepts that a curator or the source's crosswalks have for *words*, and for
        *keywords* also those that they name.
        """
        curated = [word for word in words if self.crosswalks.is_curated(word)]
        result = self.lexicon.parse_subjects(() if keywords else curated)
        for scheme in self.schema.crosswalks:
            iri = self.crosswalks.iris.scheme(scheme)
            subjects = classify_words(words, iri, partial(self.crosswalks.find_all, scheme))
            result = merge_subjects(result, subjects._replace(unmatched=()))
            words = list(subjects.unmatched)
        if keywords:
            return merge_subjects(result, self.lexicon.parse_subjects(words))
        return result._replace(unmatched=())

    def licences(self, row: Any, name: str, choices: str) -> tuple[str, ...]:
        """Return the licences; of *choices* the web addresses, else the first name."""
        words = self.words(row, choices)
        return tuple(dict.fromkeys(self.words(row, name))) or unique_urls(words) or tuple(words[:1])

    def countries(self, row: Any, name: str, names: str) -> tuple[str, ...]:
        """Return the countries; of *names* only those that are a country's."""
        listed = [self.lexicon.country(word) for word in self.words(row, name)]
        named = map(self.lexicon.find_country, self.words(row, names))
        return tuple(dict.fromkeys([*listed, *filter(None, named)]))

    def parties(self, row: Any, name: str, *_: str) -> tuple[Party, ...]:
        """Return the parties, each once in a role. One leads; other leads are partners."""
        parties: dict[tuple[Role, str], Party] = {}
        lead = ""
        for party in (
            self._described_parties(row, name) if name in self._parts else self._named_parties(row)
        ):
            identity = party.key or party.name.value
            if party.role is Role.LEAD and not lead:
                lead = identity
            elif party.role is Role.LEAD:
                party = party._replace(role=Role.PARTNER)
            if party.role is not Role.PARTNER or identity != lead:
                parties.setdefault((party.role, identity), party)
        return tuple(parties.values())

    def _described_parties(self, row: Any, name: str) -> Iterator[Party]:
        for part, table, node in self.nodes(row, name):
            key, text = table.word(node, "key"), table.text(node, "name")
            if text is None and key is None:
                continue
            words = [word.lower() for word in table.words(node, "role")]
            roles = [role for word, role in part.roles.items() if word in words]
            yield Party(
                roles[0] if roles else part.role,
                text or parse_name(key or ""),
                key,
                table.concept(node, "kind", "stakeholder_type"),
                table.lookup(node, "country", self.lexicon.country),
                next(iter(unique_urls(table.words(node, "page"))), None),
                tuple(dict.fromkeys(table.words(node, "identifiers"))),
            )

    def _named_parties(self, row: Any) -> Iterator[Party]:
        lead = self.word(row, "lead")
        if self.schema.publisher_leads and (not lead or "@" in lead):
            lead = self.source.publisher
        if lead:
            kind = self.lookup(row, "lead_type", self.lexicon.stakeholder_type)
            country = self.lookup(row, "lead_country", self.lexicon.country)
            identifiers = tuple(self.words(row, "lead_identifiers"))
            key = self.word(row, "lead_key")
            yield Party(Role.LEAD, parse_name(lead), key, kind, country, identifiers=identifiers)
        for role, name in ((Role.PARTNER, "partners"), (Role.FUNDER, "funders")):
            yield from [Party(role, parse_name(word)) for word in self.words(row, name)]

    def related(self, row: Any, name: str, addresses: str, initiatives: str) -> tuple[str, ...]:
        """Return the IRIs of related things: as they are, those of *addresses* that are web
        addresses, and those of the initiatives with these keys.
        """
        keys = self.words(row, initiatives)
        links = unique_urls(self.words(row, addresses))
        return (*self.words(row, name), *links, *map(self.initiative, keys))

    def activity_types(self, row: Any, name: str, types: str) -> tuple[Coded, ...]:
        """Return the activity types; of *types* only those that are known."""
        words = [word for word in self.words(row, types) if self.lexicon.find_activity_type(word)]
        return tuple(
            dict.fromkeys(map(self.lexicon.activity_type, [*self.words(row, name), *words]))
        )

    def whole(self, word: str) -> str:
        """Return the IRI of the initiative with a key; a title, which has a space, unchanged."""
        return word if " " in word or is_web(word) else self.initiative(word)

    def amounts(self, row: Any, name: str) -> Iterator[Amount]:
        """Yield the amounts of money: nodes with ``value``, ``currency``, ``name``, ``start`` and
        ``end``.
        """
        for _, table, node in self.nodes(row, name):
            value = parse_amount(table.word(node, "value"))
            if value is not None:
                start, end = table.date(node, "start"), table.date(node, "end")
                yield Amount(
                    value, table.word(node, "currency"), table.text(node, "name"), start, end
                )

    def files(self, row: Any, name: str) -> Iterator[File]:
        """Yield the files that have an address."""
        for _, table, node in self.nodes(row, name):
            access, download, licence = (
                next(iter(unique_urls(table.words(node, each))), None)
                for each in ("access", "download", "licence")
            )
            if access or download:
                titles = parse_titles(table.texts(node, "title"))
                texts = parse_titles(table.texts(node, "description", normalize_block))
                size, form = parse_size(table.word(node, "size")), table.word(node, "form")
                digits, algorithm = table.word(node, "checksum"), table.word(node, "algorithm")
                checksum = parse_checksum(digits, algorithm)
                yield File(access, download, titles, form, licence, texts, size, checksum)

    def periods(self, row: Any, name: str) -> Iterator[Period]:
        """Yield the periods, each with a start or an end."""
        for _, table, node in self.nodes(row, name):
            start, end = table.period(node, "start", "end")
            if start or end:
                yield Period(start, end)

    def outcomes(self, row: Any, name: str) -> Iterator[Outcome]:
        """Yield the results that have a title."""
        for _, table, node in self.nodes(row, name):
            if titles := parse_titles(table.texts(node, "title")):
                texts = parse_titles(table.texts(node, "description", normalize_block))
                yield Outcome(titles, texts, table.word(node, "kind"))

    def places(self, row: Any, name: str, *_: str) -> Iterator[Place]:
        """Yield the points, each with a latitude and a longitude."""
        own = [(self, row)] if "latitude" in self.finds else []
        for table, node in [*own, *((table, node) for _, table, node in self.nodes(row, name))]:
            latitude, longitude = (
                parse_number(table.word(node, each)) for each in ("latitude", "longitude")
            )
            if latitude is not None and longitude is not None:
                yield Place(table.text(node, "place"), latitude, longitude)

    def prizes(self, row: Any, *_: str) -> Iterator[Prize]:
        """Yield the prize, if the record has one."""
        category = self.lookup(row, "prize_category", self.lexicon.prize_category)
        stage = self.lookup(row, "prize_stage", self.lexicon.prize_stage)
        year, edition = self.word(row, "prize_year") or "", self.word(row, "prize_edition")
        if category or stage:
            yield Prize(
                category or "",
                stage or "",
                int(year) if re.fullmatch("[0-9]{4}", year) else None,
                self.date(row, "prize_date"),
                self.crosswalks.iris.thing("event", "prizes", edition) if edition else None,
                self.text(row, "prize_name"),
            )


def _is_nothing(value: Any, nothing: frozenset[str]) -> bool:
    text = value.text if isinstance(value, _Element) and not len(value) else value
    text = text.value if isinstance(text, Literal) else text
    return isinstance(text, str) and is_nothing(text, nothing)


def _tagged(
    item: Any, tag: str | None, default: str | None, form: Callable[[Any], str]
) -> list[Tagged]:
    """Return the texts of a value with their languages: its own, else *default*."""
    if isinstance(item, dict) and "value" in item:
        own_tag = item.get("language")
        item = item["value"]
    elif isinstance(item, dict):
        return [(form(text), tag or parse_language(key) or key) for key, text in item.items()]
    elif isinstance(item, _Element):
        own_tag = stated_language(item)
    else:
        own_tag = getattr(item, "language", None)
    return [
        (form(_text_of(item)), tag or (own_tag and (parse_language(own_tag) or own_tag)) or default)
    ]


def stated_language(node: _Element | None) -> str | None:
    """Return the language of an element: its own, else that of the nearest element around it."""
    while node is not None:
        if tag := node.get(_LANG) or node.get("lang"):
            return tag
        node = node.getparent()
    return None


def _text_of(value: Any) -> Any:
    """Return the text of an XML element or a term; any other value unchanged."""
    if isinstance(value, str):
        return value
    if isinstance(value, _Element):
        return "".join(map(str, value.itertext())) if len(value) else value.text
    return value.value if isinstance(value, Literal | NamedNode | Text) else value


def _all(read: Callable[..., Iterator[Any]]) -> Read:
    return lambda table, row, *names: tuple(read(table, row, *names))


def _concept(look: str) -> Read:
    return lambda table, row, name: table.concept(row, name, look)


def _concepts(look: str) -> Read:
    return lambda table, row, name: tuple(
        dict.fromkeys(map(getattr(table.lexicon, look), table.words(row, name)))
    )


def _block(table: FieldTable, row: Any, name: str) -> tuple[Text, ...]:
    return parse_titles(table.texts(row, name, normalize_block))


def _unique(table: FieldTable, row: Any, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(table.words(row, name)))


# How each member of a resource is read, and the fields or parts that it is read from.
_MEMBERS: Mapping[str, tuple[Read, tuple[str, ...]]] = {
    "titles": (lambda table, row, name: parse_titles(table.texts(row, name)), ("title",)),
    "descriptions": (_block, ("description",)),
    "pages": (lambda table, row, name: unique_non_contact(table.words(row, name)), ("pages",)),
    "languages": (lambda table, row, name: parse_languages(table.words(row, name)), ("languages",)),
    "licences": (FieldTable.licences, ("licence", "licences")),
    "issued": (FieldTable.date, ("issued",)),
    "modified": (FieldTable.date, ("modified",)),
    "countries": (FieldTable.countries, ("countries", "country_names")),
    "parties": (FieldTable.parties, ("parties", "lead", "partners", "funders")),
    "themes": (_unique, ("themes",)),
    "periods": (_all(FieldTable.periods), ("periods",)),
    "conforms_to": (_unique, ("conforms_to",)),
    "access_rights": (FieldTable.word, ("access_rights",)),
    "frequency": (FieldTable.word, ("frequency",)),
    "files": (_all(FieldTable.files), ("files",)),
    "related": (FieldTable.related, ("related", "related_addresses", "initiatives")),
    "part_of": (
        lambda table, row, name: tuple(map(table.whole, table.words(row, name))),
        ("part_of",),
    ),
    "developed_in": (_concepts("country"), ("developed_in",)),
    "amounts": (_all(FieldTable.amounts), ("amounts",)),
    "outcomes": (_all(FieldTable.outcomes), ("outcomes",)),
    "coverage": (_concept("coverage"), ("coverage",)),
    "status": (_concept("status"), ("status",)),
    "activity_types": (FieldTable.activity_types, ("activity_types", "types")),
    "places": (_all(FieldTable.places), ("places", "latitude", "longitude")),
    "prizes": (_all(FieldTable.prizes), ("prize_category", "prize_stage")),
    "venue": (FieldTable.text, ("venue",)),
    "registration": (FieldTable.word, ("registration",)),
    "cancelled": (FieldTable.flag, ("cancelled",)),
    "creators": (lambda table, row, name: parse_titles(table.texts(row, name)), ("creators",)),
    "kind": (FieldTable.word, ("type",)),
    "content": (lambda table, row, name: table.text(row, name, normalize_block), ("content",)),
    "container": (FieldTable.word, ("container",)),
}
_SPANS = (("start", "end"), ("planned_start", "planned_end"))
