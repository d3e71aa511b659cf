"""Map records by a table of the paths from which each field of the model is read.

Paths are JMESPath (JSON, rows), XPath (XML) or property paths (RDF). A table is compiled once for a
source: each member of a resource becomes one function of what the paths start from, and None where
the record has nothing for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias, cast

from lxml.etree import _Element
from pyoxigraph import Literal, NamedNode

from harvesters.mappings.mapping import RecordMapping, normalize_members, record_language
from harvesters.options import Options, located
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import (
    CrosswalkLookup,
    Subjects,
    classify_words,
    merge_subjects,
)
from harvesters.payloads.paths import READS, Find, compile_path, find_elements
from harvesters.payloads.value_parsing import (
    KINDS,
    PLAIN_LETTERS,
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
from harvesters.reasons import Reason
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

FIELD_NAME = re.compile(r"([a-z_]+)(?:@([A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*))?\Z")
_YES = frozenset(("true", "yes", "1", "cancelled", "canceled"))
_NOTHING_DECLARED = Subjects()
_DECLARED = ("action_lines", "goals", "targets")
_LONG_TEXTS = frozenset(("description", "content", "text"))  # They keep their paragraphs.
_TERMS = (Literal, NamedNode, Text)
_LANGUAGE_CACHE_SIZE = 16  # The records of a source have a few languages.
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

Read: TypeAlias = Callable[[Any], Any]  # It returns None where a node has nothing to read.
Bind: TypeAlias = "Callable[..., Read]"  # It takes a table and the names of fields.
Plan: TypeAlias = "list[tuple[str, Read]]"  # Each member has the function that reads it.
# Each member is read from the fields or parts that are named, or else from those of its own name.
Slots: TypeAlias = "Mapping[str, Bind | tuple[Bind, tuple[str, ...]]]"
Tagged: TypeAlias = tuple[str, str | None]
ReadWords: TypeAlias = Callable[[Any], Sequence[str]]
ReadTexts: TypeAlias = Callable[[Any], list[Tagged]]

# A path; a tuple of paths, of which the first with a value counts; a list, of which all count; or
# a function of the record's payload that returns a list.
Entry: TypeAlias = "str | tuple[Entry, ...] | list[Entry] | Callable[[Any], list[Any]]"


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
    payload_type: Payload | None = None  # What *root* returns may be of another type.
    options: type[Options] = Options
    split: str | Mapping[str, str] = ""
    untagged: frozenset[str] = frozenset()
    namespaces: Mapping[str, str] = field(default_factory=dict)
    crosswalks: tuple[str, ...] = ()
    # The codes of these fields have a crosswalk.
    translations: Mapping[str, str] = field(default_factory=dict)
    dates: tuple[str, ...] = ()
    nothing: frozenset[str] | None = None
    initiatives_of: str | None = None
    datestamp: bool = False  # The protocol's date stands in for a date of change.
    publisher_leads: bool = False  # The source's publisher leads what names no lead.

    def mapping(self) -> RecordMapping:
        """Return the mapping of the schema, for the registry of mappings."""
        kind = self.kind if isinstance(self.kind, str) else "initiative"
        accepts = frozenset({self.accepts})
        return RecordMapping(self.build_mapper, accepts, kind=kind, options=self.options)

    def build_mapper(
        self, source: Source, crosswalks: Crosswalks
    ) -> Callable[[Record[Any]], Resource]:
        """Return the function that maps a record. It raises ParseError for one of another schema."""
        choice = getattr(self.options.of(source), "kind", None) or self.kind
        whole = FieldTable(source, crosswalks, self)
        read_languages = whole.words["languages"]

        @lru_cache(_LANGUAGE_CACHE_SIZE)
        def table_of(language: str | None) -> FieldTable:
            return FieldTable(replace(source, language=language), crosswalks, self, whole.lexicon)

        def map_record(record: Record[Any]) -> Resource:
            table, row = whole, self.root(whole, record)
            stated = record_language(tuple(read_languages(row)), source.language)
            if stated not in (None, source.language):
                table = table_of(stated)
                # The nodes of a graph have the language of their table.
                row = self.root(table, record) if self.accepts is Payload.GRAPH else row
            kind = KINDS[choice] if isinstance(choice, str) else choice(table, row)
            values = table.read_members(kind, record, row)
            normalize_members(values, record_language(values.get("languages", ()), source.language))
            return kind(key=record.key, **values)

        return map_record


def element_texts(node: _Element, *paths: str) -> list[str]:
    """Return the texts of the elements at each path, except empty ones."""
    return [text for path in paths for each in find_elements(node, path) if (text := _line(each))]


def doi_links(*paths: str) -> Find:
    """Return the function that reads the DOIs of the elements at each path as addresses."""
    return lambda node: [
        name if is_web(name) else f"https://doi.org/{name.removeprefix('doi:')}"
        for name in element_texts(node, *paths)
    ]


def field_location(source: Source, name: str) -> Reason:
    """Return where a field of a source definition is, for an error's text."""
    return located(source.name, Reason("field %(name)s", name=repr(name)))


def compile_entry(source: Source, schema: Schema, name: str, entry: Entry) -> Find:
    """Return the function that finds the values of a field. Raise SourceDefinitionError at an
    invalid path.
    """
    if isinstance(entry, str):
        where, payload_type = field_location(source, name), schema.payload_type or schema.accepts
        return compile_path(entry, where, payload_type, schema.namespaces)
    if callable(entry):
        return entry
    finds = [compile_entry(source, schema, name, each) for each in entry]
    find = _every(finds) if isinstance(entry, list) else _first(finds)
    is_row = (schema.payload_type or schema.accepts) is Payload.ROW
    if not is_row or not all(isinstance(each, str) and each.isidentifier() for each in entry):
        return find
    # Most rows have none of the alternative names of a field.
    names = cast("Sequence[str]", entry)
    return lambda row: (
        find(row) if isinstance(row, dict) and not row.keys().isdisjoint(names) else []
    )


def _every(finds: Sequence[Find]) -> Find:
    """Return the function that finds what all *finds* find."""
    return finds[0] if len(finds) == 1 else lambda row: [v for find in finds for v in find(row)]


def _first(finds: Sequence[Find]) -> Find:
    """Return the function that finds what the first of *finds* finds that has a text or an object."""

    def find(row: Any) -> list[Any]:
        for each in finds:
            for value in (values := each(row)):
                if _line(value) or isinstance(value, dict):
                    return values
        return []

    return find


def _text_of(value: Any) -> Any:
    """Return the text of an XML element or a term; any other value unchanged."""
    if isinstance(value, _Element):
        return "".join(map(str, value.itertext())) if len(value) else value.text
    return value.value if isinstance(value, _TERMS) else value


def _line(value: Any) -> str:
    """Return a value as one line."""
    text = value if isinstance(value, str) else _text_of(value)
    return " ".join(text.split()) if isinstance(text, str) else normalize_inline(text)


class FieldTable:
    """A compiled table. Of each field, *finds* has the values, *words* their texts as one line each,
    split at the field's separator, and *texts* the texts with their languages.
    """

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
        finds: dict[str, list[Find]] = {}
        for name, entry in schema.fields.items():
            if match := FIELD_NAME.match(name):
                find = self._valued(compile_entry(source, schema, name, entry))
                finds.setdefault(match[1], []).append(_tag(find, match[2]))
        self.finds: dict[str, Find] = defaultdict(lambda: _no_words)
        self.finds.update({name: _every(each) for name, each in finds.items()})
        self.words: dict[str, ReadWords] = defaultdict(lambda: _no_words)
        self.texts: dict[str, ReadTexts] = defaultdict(lambda: _no_words)
        for name, find in self.finds.items():
            self.words[name] = self._read_words(find, self._separator(name))
            self.texts[name] = self._read_texts(name, find)
        self.parts: dict[str, list[tuple[Part, Find, FieldTable]]] = defaultdict(list)
        for name, parts in schema.parts.items():
            for part in parts:
                find = compile_entry(source, schema, name, part.path)
                own = replace(schema, fields=part.fields, parts={})
                table = FieldTable(source, crosswalks, own, self.lexicon)
                self.parts[name].append((part, find, table))
        # None of these three is read unless the table has one.
        self._declared = _DECLARED if not self.finds.keys().isdisjoint(_DECLARED) else ()
        self._is_same = schema.fields.get("addresses") == schema.fields.get("identifiers")
        self._subject_words, self._keywords = map(self._read_tagged, ("subjects", "keywords"))
        self._plans: dict[type[Resource], Plan] = {}
        if reads := READS.get():
            self._subjects = reads.of("action_lines goals targets subjects", self._subjects)  # type: ignore[method-assign]
            self._identify = reads.of("identifiers pages", self._identify)  # type: ignore[method-assign]

    def _separator(self, name: str) -> str:
        split = self.schema.split
        return split if isinstance(split, str) else split.get(name, "")

    def _valued(self, find: Find) -> Find:
        """Return *find* without what stands for no value, and with an editor's JSON as text."""
        nothing = self.schema.nothing
        if nothing is None:
            return find
        plain = frozenset[str]() if nothing else PLAIN_LETTERS
        read = partial(_read_value, nothing=nothing)
        return lambda row: [
            item
            for v in find(row)
            if (item := v if type(v) is str and v[:1] in plain else read(v)) is not None
        ]

    def _read_words(self, find: Find, mark: str) -> ReadWords:
        """Return the function that reads the texts of a field, each as one line, split at *mark*; of
        the parts of a text what stands for no value is left out.
        """
        nothing = self.schema.nothing if mark else None

        def read(row: Any) -> Sequence[str]:
            if not (values := find(row)):
                return ()
            if mark:
                words = [word for value in values for word in split_words(_text_of(value), mark)]
            else:
                words = [line for value in values if (line := _line(value))]
            return words if nothing is None else [w for w in words if not is_nothing(w, nothing)]

        return read

    def _read_tagged(self, name: str) -> ReadTexts:
        """Return the function that reads the words of a field with their languages."""
        if name not in self.finds:
            return _no_words
        texts, split = self.texts[name], self._read_words(as_list, self._separator(name))
        return lambda row: [(word, tag) for text, tag in texts(row) for word in split(text)]

    def _read_texts(self, name: str, find: Find) -> ReadTexts:
        """Return the function that reads the texts of a field with their languages."""
        form = normalize_block if name in _LONG_TEXTS else normalize_inline
        if name in {"subjects", "keywords"}:
            form = _text_of  # They are split first.
        default = None if name in self.schema.untagged else self.language

        def read(row: Any) -> list[Tagged]:
            texts = list[Tagged]()
            for value in find(row):
                if isinstance(value, str):
                    texts.append((form(value), default))
                else:
                    texts += _tagged(value, default, form)
            return texts

        return read

    def bind(self, slots: Slots) -> Plan:
        """Return the functions that read those of *slots* of which the table has a field."""
        known, reads = {*self.finds, *self.parts}, READS.get()
        rows = {
            slot: row if isinstance(row, tuple) else (row, (slot,)) for slot, row in slots.items()
        }
        plan = [
            (slot, bind(self, *names))
            for slot, (bind, names) in rows.items()
            if not known.isdisjoint(names)
        ]
        return [(slot, reads.of(slot, read)) for slot, read in plan] if reads else plan

    def word(self, name: str, row: Any) -> str:
        """Return the first text of a field as one line, "" if there is none."""
        for value in self.finds[name](row):
            if line := _line(value):
                return line
        return ""

    def translate(self, scheme: str, code: str) -> Coded:
        """Return the concept that a crosswalk has for a code, else the code."""
        concept, iri = self.crosswalks.find_match(scheme, code), self.crosswalks.iris.scheme(scheme)
        return Claim(concept, Basis.CROSSWALKED, code, crosswalk=iri) if concept else code

    def read_members(self, kind: type[Resource], record: Record[Any], row: Any) -> dict[str, Any]:
        """Return the members of the resource that a record describes."""
        if kind not in self._plans:
            members = kind.__dataclass_fields__
            self._plans[kind] = [each for each in self.bind(_MEMBERS) if each[0] in members]
        values = _read_members(self._plans[kind], row)
        values |= self._subjects(row, kind)
        self._identify(row, record.key, values)
        if self.schema.datestamp and not values.get("modified"):
            values["modified"] = record.modified
        if self.schema.edit:
            self.schema.edit(self, row, kind, values)
        return values

    def _identify(self, row: Any, key: str, values: dict[str, Any]) -> None:
        """Add the identifiers but the record's key, and the pages among them."""
        words = self.words["identifiers"](row)
        if "addresses" in self.finds:
            addresses = unique_urls(words if self._is_same else self.words["addresses"](row))
            values["pages"] = unique_non_contact([*values.get("pages", ()), *addresses])
            words = [text for text in words if text not in addresses]
        values["identifiers"] = unique_non_contact([text for text in words if text != key])

    def _subjects(self, row: Any, kind: type[Resource]) -> dict[str, Any]:
        """Return what fields declare, what a curator or the source's crosswalks have for the words
        in ``subjects``, which stay subjects, and what the words in ``keywords`` name, of which only
        the others become subjects, as do the types of an initiative that are no activity types.
        """
        declared = [self.words[name](row) for name in self._declared]
        linked = self.lexicon.parse_declared(*declared) if any(declared) else _NOTHING_DECLARED
        left = [word for word in linked.unmatched if word]
        tagged, keywords = self._subject_words(row), self._keywords(row)
        if tagged and (self.schema.crosswalks or self.crosswalks.words):
            linked = merge_subjects(linked, self._translated([word for word, _ in tagged]))
        if keywords:
            named = self._translated([word for word, _ in keywords], keywords=True)
            left += named.unmatched
            linked = named if linked is _NOTHING_DECLARED else merge_subjects(linked, named)
        tags = dict(keywords)
        texts = [parse_name(word, tag) for word, tag in tagged]
        texts += [parse_name(word, tags.get(word, self.language)) for word in left]
        if kind is Initiative:
            texts += [
                parse_name(word, tag)
                for word, tag in self.texts["types"](row)
                if word and not self.lexicon.find_activity_type(word)
            ]
        return {
            "action_lines": linked.lines,
            "goals": linked.goals,
            "targets": linked.targets,
            "subjects": tuple(dict.fromkeys(texts)),
        }

    def _translated(self, words: list[str], keywords: bool = False) -> Subjects:
        """Return the concepts that a curator or the source's crosswalks have for *words*, and for
        *keywords* also those that they name.
        """
        if keywords and not self.schema.crosswalks:
            return self.lexicon.parse_subjects(words)
        curated = () if keywords else filter(self.crosswalks.is_curated, words)
        result = self.lexicon.parse_subjects(curated)
        for scheme in self.schema.crosswalks:
            iri = self.crosswalks.iris.scheme(scheme)
            subjects = classify_words(words, iri, partial(self.crosswalks.find_all, scheme))
            result = merge_subjects(result, subjects._replace(unmatched=()))
            words = list(subjects.unmatched)
        named = self.lexicon.parse_subjects(words if keywords else ())
        return merge_subjects(result._replace(unmatched=()), named)

    def licences(self, row: Any) -> tuple[str, ...]:
        """Return the licences; of ``licences`` the web addresses, else the first name."""
        own, words = _unique(self.words["licence"](row)), self.words["licences"](row)
        return own or unique_urls(words) or tuple(words[:1])

    def countries(self, row: Any) -> tuple[str, ...]:
        """Return the countries; of ``country_names`` only those that are a country's."""
        listed = map(self.lexicon.country, self.words["countries"](row))
        named = map(self.lexicon.find_country, self.words["country_names"](row))
        return _unique([*listed, *filter(None, named)])

    def named_parties(self, row: Any) -> Iterator[Party]:
        """Yield the parties that fields name."""
        lead = self.word("lead", row)
        if self.schema.publisher_leads and (not lead or "@" in lead):
            lead = self.source.publisher or ""
        if lead:
            kind, country = self.word("lead_type", row), self.word("lead_country", row)
            yield Party(
                Role.LEAD,
                parse_name(lead),
                self.word("lead_key", row) or None,
                self.lexicon.stakeholder_type(kind) if kind else None,
                self.lexicon.country(country) if country else None,
                identifiers=tuple(self.words["lead_identifiers"](row)),
            )
        for role, name in ((Role.PARTNER, "partners"), (Role.FUNDER, "funders")):
            for word in self.words[name](row):
                yield Party(role, parse_name(word))

    def related(self, row: Any) -> tuple[str, ...]:
        """Return the IRIs of related things: as they are, those of addresses that are web
        addresses, and those of the initiatives with some keys.
        """
        keys = self.words["initiatives"](row)
        links = unique_urls(self.words["related_addresses"](row))
        return (*self.words["related"](row), *links, *map(self.initiative, keys))

    def activity_types(self, row: Any) -> tuple[Coded, ...]:
        """Return the activity types; of ``types`` only those that are known."""
        known = filter(self.lexicon.find_activity_type, self.words["types"](row))
        words = [*self.words["activity_types"](row), *known]
        return tuple(dict.fromkeys(map(self.lexicon.activity_type, words)))

    def whole(self, word: str) -> str:
        """Return the IRI of the initiative with a key; a title, which has a space, unchanged."""
        return word if " " in word or is_web(word) else self.initiative(word)


def _no_words(_: Any) -> Any:
    return ()


def _read_members(plan: Plan, row: Any) -> dict[str, Any]:
    return {slot: value for slot, read in plan if (value := read(row)) is not None}


def _read_value(value: Any, nothing: frozenset[str]) -> Any:
    """Return a value, as text if it is an editor's JSON; None for what stands for no value."""
    item = read_editor(value)
    text = item.text if isinstance(item, _Element) and not len(item) else item
    text = text.value if isinstance(text, Literal) else text
    return None if isinstance(text, str) and is_nothing(text, nothing) else item


def _tag(find: Find, tag: str | None) -> Find:
    """Return *find* with texts that have the language that the name of a field states, if any."""
    if tag is None:
        return find
    return lambda row: [
        Text(text, tag) for value in find(row) for text, _ in _tagged(value, None, _text_of)
    ]


def _tagged(item: Any, default: str | None, form: Callable[[Any], str]) -> list[Tagged]:
    """Return the texts of a value with their languages: its own, else *default*. Of an object of
    translations the text by "" has none, and is left out if a translation is the same text, or in
    the default language.
    """
    if isinstance(item, dict) and "value" not in item:
        texts = [(form(text), parse_language(key) or key) for key, text in item.items() if key]
        text = form(item.get(""))
        is_known = any(own == default or text == known for known, own in texts)
        return texts if is_known or not text else [*texts, (text, default)]
    if isinstance(item, _Element):
        own = stated_language(item)
    elif isinstance(item, dict):
        own, item = item.get("language"), item["value"]
    else:
        own = getattr(item, "language", None)
    return [(form(_text_of(item)), (parse_language(own) or own) if own else default)]


def stated_language(node: _Element) -> str | None:
    """Return the language of an element: its own, else that of the nearest element around it."""
    for each in (node, *node.iterancestors()):
        # Most elements have no attributes, and to ask for their names is fast.
        if each.keys() and (tag := each.get(_LANG) or each.get("lang")):
            return tag
    return None


def _reader(read: Callable[[FieldTable, Any], Any]) -> Bind:
    """Return how a method of the table reads a member."""
    return lambda table, *_: partial(read, table)


def _member(reads: str, form: Callable[[Any], Any]) -> Bind:
    """Return how a member is made of the words, lines or texts of a field, if it has any."""

    def bind(table: FieldTable, name: str) -> Read:
        read = getattr(table, reads)[name]
        return lambda row: form(values) if (values := read(row)) else None

    return bind


_words, _texts = partial(_member, "words"), partial(_member, "texts")


def _word(make: Callable[[FieldTable, str], Callable[[str], Any]]) -> Bind:
    """Return how a member is made of the first text of a field, by the function that *make* returns
    for the table and the field.
    """

    def bind(table: FieldTable, name: str) -> Read:
        form = make(table, name)
        return lambda row: form(line) if (line := table.word(name, row)) else None

    return bind


def _parsed(form: Callable[[str], Any]) -> Bind:
    return _word(lambda *_: form)


def _each_word(look: Callable[[FieldTable], Callable[[str], str]]) -> Bind:
    """Return how a member is made of what a look-up of the table returns for each word."""

    def bind(table: FieldTable, name: str) -> Read:
        return _words(lambda words: _unique(map(look(table), words)))(table, name)

    return bind


_date = _word(lambda table, _: partial(parse_date, forms=table.schema.dates))
_edition = _word(lambda table, _: partial(table.crosswalks.iris.thing, "event", "prizes"))


def _lookup(look: str) -> Bind:
    """Return how a coded field is read: by its translation, else by the lookup *look*."""
    return _word(
        lambda table, name: (
            partial(table.translate, scheme)
            if (scheme := table.schema.translations.get(name))
            else getattr(table.lexicon, look)
        )
    )


def _end_of_period(side: int) -> Bind:
    """Return how a date is read; a period in it, or in that of the other end, has both."""

    def bind(table: FieldTable, own: str, other: str) -> Read:
        own_date, other_date = _date(table, own), _date(table, other)

        def read(row: Any) -> str | None:
            if text := own_date(row):
                return (parse_interval(text) or (text, text))[side]
            interval = parse_interval(other_date(row) or "")
            return interval[side] if interval else None

        return read

    return bind


def _each(slots: Slots, build: Callable[[Part, dict[str, Any]], Any]) -> Bind:
    """Return how parts are read: by *slots*, of whose values *build* returns None if they are no
    part. In a table without such parts the record itself is one.
    """

    def bind(table: FieldTable, name: str, *_: str) -> Read:
        parts = table.parts.get(name) or [(Part(".", {}), as_list, table)]
        bound = [(part, find, own.bind(slots)) for part, find, own in parts]

        def read(row: Any) -> tuple[Any, ...]:
            built = [
                build(part, _read_members(plan, node))
                for part, find, plan in bound
                for node in find(row)
            ]
            return tuple(filter(None, built))

        return read

    return bind


def _party(part: Part, values: dict[str, Any]) -> Party | None:
    words = set(map(str.lower, values.pop("role", ())))
    role = next((role for word, role in part.roles.items() if word in words), part.role)
    name, key = values.pop("name", None), values.get("key")
    return Party(role, name or parse_name(key or ""), **values) if name or key else None


def _file(_: Part, values: dict[str, Any]) -> File | None:
    checksum = parse_checksum(values.pop("checksum", None), values.pop("algorithm", None))
    has_address = values.get("access") or values.get("download")
    return File(checksum=checksum, **values) if has_address else None


def _parties(table: FieldTable, name: str, *_: str) -> Read:
    """Return the function that reads the parties, each once in a role. One leads; other leads are
    partners.
    """
    read_all = _each(_PARTY, _party)(table, name) if name in table.parts else table.named_parties

    def read(row: Any) -> tuple[Party, ...]:
        parties: dict[tuple[Role, str], Party] = {}
        lead = ""
        for party in read_all(row):
            identity = party.key or party.name.value
            if party.role is Role.LEAD and not lead:
                lead = identity
            elif party.role is Role.LEAD:
                party = party._replace(role=Role.PARTNER)
            if party.role is not Role.PARTNER or identity != lead:
                parties.setdefault((party.role, identity), party)
        return tuple(parties.values())

    return read


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


_TITLES = _texts(parse_titles)
_TITLE = _texts(lambda texts: next(iter(parse_titles(texts)), None))
_STATED = _parsed(str)
_URL = _words(lambda words: next(iter(unique_urls(words)), None))
_START, _END = _end_of_period(0), _end_of_period(1)
_PARTY: Slots = {
    "role": _words(set),
    "name": _TITLE,
    "key": _STATED,
    "kind": _lookup("stakeholder_type"),
    "country": _lookup("country"),
    "page": _URL,
    "identifiers": _words(_unique),
}
# How each member of a resource is read.
_MEMBERS: Slots = {
    "titles": (_TITLES, ("title",)),
    "descriptions": (_TITLES, ("description",)),
    "pages": _words(unique_non_contact),
    "languages": _words(parse_languages),
    "licences": (_reader(FieldTable.licences), ("licence", "licences")),
    "issued": _date,
    "modified": _date,
    "countries": (_reader(FieldTable.countries), ("countries", "country_names")),
    "parties": (_parties, ("parties", "lead", "partners", "funders")),
    "themes": _words(_unique),
    "periods": _each(
        {"start": (_START, ("start", "end")), "end": (_END, ("end", "start"))},
        lambda _, each: Period(**each) if each else None,
    ),
    "conforms_to": _words(_unique),
    "access_rights": _STATED,
    "frequency": _STATED,
    "files": _each(
        {
            "access": _URL,
            "download": _URL,
            "titles": (_TITLES, ("title",)),
            "form": _STATED,
            "licence": _URL,
            "descriptions": (_TITLES, ("description",)),
            "size": _parsed(parse_size),
            "checksum": _STATED,
            "algorithm": _STATED,
        },
        _file,
    ),
    "related": (_reader(FieldTable.related), ("related", "related_addresses", "initiatives")),
    "part_of": _each_word(lambda table: table.whole),
    "developed_in": _each_word(lambda table: table.lexicon.country),
    "amounts": _each(
        {
            "value": _parsed(parse_amount),
            "currency": _STATED,
            "name": _TITLE,
            "start": _date,
            "end": _date,
        },
        lambda _, each: Amount(**each) if "value" in each else None,
    ),
    "outcomes": _each(
        {
            "titles": (_TITLES, ("title",)),
            "descriptions": (_TITLES, ("description",)),
            "kind": _STATED,
        },
        lambda _, each: Outcome(**each) if each.get("titles") else None,
    ),
    "coverage": _lookup("coverage"),
    "status": _lookup("status"),
    "activity_types": (_reader(FieldTable.activity_types), ("activity_types", "types")),
    "places": (
        _each(
            {
                "name": (_TITLE, ("place",)),
                "latitude": _parsed(parse_number),
                "longitude": _parsed(parse_number),
            },
            lambda _, each: (
                Place(each.pop("name", None), **each)
                if "latitude" in each and "longitude" in each
                else None
            ),
        ),
        ("places", "latitude", "longitude"),
    ),
    "prizes": (
        _each(
            {
                "category": (_lookup("prize_category"), ("prize_category",)),
                "stage": (_lookup("prize_stage"), ("prize_stage",)),
                "year": (
                    _parsed(lambda word: int(word) if re.fullmatch("[0-9]{4}", word) else None),
                    ("prize_year",),
                ),
                "date": (_date, ("prize_date",)),
                "edition": (_edition, ("prize_edition",)),
                "name": (_TITLE, ("prize_name",)),
            },
            # A prize has a category or a stage.
            lambda _, each: (
                Prize(**{"category": "", "stage": "", **each})
                if not each.keys().isdisjoint(("category", "stage"))
                else None
            ),
        ),
        ("prizes", "prize_category", "prize_stage"),
    ),
    "start": (_START, ("start", "end")),
    "end": (_END, ("end", "start")),
    "planned_start": (_START, ("planned_start", "planned_end")),
    "planned_end": (_END, ("planned_end", "planned_start")),
    "venue": _TITLE,
    "registration": _STATED,
    "cancelled": lambda table, name: (
        lambda row: any(v is True or _line(v).lower() in _YES for v in table.finds[name](row))
    ),
    "creators": _TITLES,
    "kind": (_STATED, ("type",)),
    "content": _TITLE,
    "container": _STATED,
}
