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
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple, TypeAlias, cast

from lxml.etree import _Element
from pyoxigraph import Literal, NamedNode

from harvesters.mappings.mapping import RecordMapping, normalize_members, record_language
from harvesters.options import Options, located
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import (
    CrosswalkLookup,
    crosswalked,
    sort_claims,
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
_TERMS = (Literal, NamedNode, Text)
_LANGUAGE_CACHE_SIZE = 16  # The records of a source have a few languages.
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

Tagged: TypeAlias = tuple[str, str | None]
# It reads a member from what the paths start from; None if that has nothing for it.
Read: TypeAlias = Callable[[Any], Any]
# It returns how a table reads a member from the fields or parts with these names.
Bind: TypeAlias = "Callable[[FieldTable, Sequence[str]], Read]"
Slots: TypeAlias = "Mapping[str, tuple[Bind, tuple[str, ...]]]"

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
        whole = FieldTable(source, crosswalks, self)
        choice = getattr(whole.options, "kind", None) or self.kind

        @lru_cache(_LANGUAGE_CACHE_SIZE)
        def table_of(language: str | None) -> FieldTable:
            return FieldTable(replace(source, language=language), crosswalks, self, whole.lexicon)

        def map_record(record: Record[Any]) -> Resource:
            table, row = whole, self.root(whole, record)
            stated = record_language(tuple(whole.words("languages")(row)), source.language)
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


def compile_entry(source: Source, schema: Schema, name: str, entry: Entry) -> Find:
    """Return the function that finds the values of a field. Raise SourceDefinitionError at an
    invalid path.
    """
    if isinstance(entry, str):
        where = located(source.name, Reason("field %(name)s", name=repr(name)))
        return compile_path(entry, where, schema.payload_type or schema.accepts, schema.namespaces)
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
                if (value.strip() if type(value) is str else _line(value)) or isinstance(
                    value, dict
                ):
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
    """A compiled table: *finds* has the function that finds the values of each field, *parts* the
    functions that find the parts of a member, each with its own table.
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
        self.options: Any = schema.options.of(source)
        self.lexicon = lexicon or CrosswalkLookup(crosswalks)
        owner = schema.initiatives_of or source.name
        self.initiative = partial(crosswalks.iris.thing, "initiative", owner)
        finds: dict[str, list[Find]] = {}
        for name, entry in schema.fields.items():
            if match := FIELD_NAME.match(name):
                find = self._valued(compile_entry(source, schema, name, entry))
                finds.setdefault(match[1], []).append(_tag(find, match[2]))
        every = {name: _every(each) for name, each in finds.items()}
        self.finds: defaultdict[str, Find] = defaultdict(lambda: lambda _: [], every)
        # They return how the texts of a field are read: each as one line, the first of them, and
        # with their languages. A field that the table has not has none.
        self.words, self.word = cache(self._compile_words), cache(self._compile_word)
        self.texts = cache(self._compile_texts)
        self.parts = {
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
        self._is_same = schema.fields.get("addresses") == schema.fields.get("identifiers")
        self._declared = [
            (self.words(name), match)
            for name, match in self.lexicon.declared.items()
            if name in finds
        ]
        self._subjects_of, self._keywords_of = map(
            self._compile_tagged_words, ("subjects", "keywords")
        )
        self._plans: dict[type[Resource], list[tuple[str, Read]]] = {}
        if reads := READS.get():
            self._subjects = reads.of("action_lines goals targets subjects", self._subjects)  # type: ignore[method-assign]
            self._identify = reads.of("identifiers pages", self._identify)  # type: ignore[method-assign]

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

    def _split(self, name: str) -> Callable[[Any], Sequence[str]] | None:
        """Return how a value of a field is split, None if it is not; of the parts of a text what
        stands for no value is left out.
        """
        split, nothing = self.schema.split, self.schema.nothing
        if not (mark := split if isinstance(split, str) else split.get(name)):
            return None
        if nothing is None:
            return lambda value: split_words(_text_of(value), mark)
        return lambda value: [
            word for word in split_words(_text_of(value), mark) if not is_nothing(word, nothing)
        ]

    def _compile_words(self, name: str) -> Callable[[Any], list[str]]:
        find, split = self.finds[name], self._split(name)
        if split:
            return lambda row: [word for value in find(row) for word in split(value)]
        return lambda row: [line for value in find(row) if (line := _line(value))]

    def _compile_word(self, name: str) -> Callable[[Any], str]:
        find = self.finds[name]
        return lambda row: next(filter(None, map(_line, find(row))), "")

    def _compile_texts(self, name: str) -> Callable[[Any], list[Tagged]]:
        find, form = self.finds[name], _FORMS.get(name, normalize_inline)
        default = None if name in self.schema.untagged else self.language

        def read(row: Any) -> list[Tagged]:
            texts: list[Tagged] = []
            for value in find(row):
                if type(value) is str:
                    texts.append((form(value), default))
                else:
                    texts += _tagged(value, default, form)
            return texts

        return read

    def _compile_tagged_words(self, name: str) -> Callable[[Any], list[Tagged]]:
        """Return how the words of a field are read with their languages."""
        read, split = self.texts(name), self._split(name) or (lambda text: [_line(text)])
        return lambda row: [
            (word, tag)
            for text, tag in read(row)
            for value in as_list(text)
            for word in split(value)
            if word
        ]

    def plan(self, slots: Slots) -> list[tuple[str, Read]]:
        """Return how those of *slots* are read of which the table has a field."""
        known, reads = {*self.finds, *self.parts}, READS.get()
        return [
            (slot, reads.of(slot, bind(self, names)) if reads else bind(self, names))
            for slot, (bind, names) in slots.items()
            if not known.isdisjoint(names)
        ]

    def read_members(self, kind: type[Resource], record: Record[Any], row: Any) -> dict[str, Any]:
        """Return the members of the resource that a record describes."""
        plan = self._plans.get(kind) or self._plans.setdefault(kind, self.plan(_MEMBERS_OF[kind]))
        values = read_slots(plan, row)
        values |= self._subjects(row, kind)
        self._identify(row, record.key, values)
        if self.schema.datestamp and not values.get("modified"):
            values["modified"] = record.modified
        if self.schema.edit:
            self.schema.edit(self, row, kind, values)
        return values

    def _identify(self, row: Any, key: str, values: dict[str, Any]) -> None:
        """Add the identifiers but the record's key, and the pages among them."""
        words = self.words("identifiers")(row)
        if "addresses" in self.finds:
            addresses = unique_urls(words if self._is_same else self.words("addresses")(row))
            values["pages"] = unique_non_contact([*values.get("pages", ()), *addresses])
            words = [text for text in words if text not in addresses]
        values["identifiers"] = unique_non_contact([text for text in words if text != key])

    def _subjects(self, row: Any, kind: type[Resource]) -> dict[str, Any]:
        """Return what fields declare, what a curator or the source's crosswalks have for the words
        in ``subjects``, which stay subjects, and what the words in ``keywords`` name, of which only
        the others become subjects, as do the types of an initiative that are no activity types.
        """
        claims: list[Claim] = []
        left: dict[str, str | None] = {}
        texts: list[Text] = []
        for read, match in self._declared:
            for word in read(row):
                claims += (matches := match(word))
                if not matches:
                    left[word] = self.language
        for word, tag in self._subjects_of(row):
            is_curated = self.crosswalks.is_curated(word)
            claims += [*(self.lexicon.keyword(word) if is_curated else ()), *self._translate(word)]
            texts.append(parse_name(word, tag))
        for word, tag in self._keywords_of(row):
            claims += (matches := self._translate(word) or self.lexicon.keyword(word))
            if not matches:
                left[word] = tag
        texts += [parse_name(word, tag) for word, tag in left.items()]
        if kind is Initiative:
            texts += [
                parse_name(word, tag)
                for word, tag in self.texts("types")(row)
                if word and not self.lexicon.find_activity_type(word)
            ]
        return {**sort_claims(claims), "subjects": tuple(dict.fromkeys(texts))}

    def _translate(self, word: str) -> tuple[Claim, ...]:
        """Return the claims that the first of the source's crosswalks has for a word."""
        for scheme in self.schema.crosswalks:
            if claims := crosswalked(self.crosswalks, scheme, word, word):
                return claims
        return ()

    def whole(self, word: str) -> str:
        """Return the IRI of the initiative with a key; a title, which has a space, unchanged."""
        return word if " " in word or is_web(word) else self.initiative(word)


def read_slots(plan: Iterable[tuple[str, Read]], row: Any) -> dict[str, Any]:
    """Return what is read by a plan, without what the row has nothing for."""
    return {slot: value for slot, read in plan if (value := read(row)) is not None}


def _of_row(read: Callable[[FieldTable, Any], Any]) -> Bind:
    """Return how a member is read by a function that names the fields itself."""
    return lambda table, _: partial(read, table)


@_of_row
def _licences(table: FieldTable, row: Any) -> tuple[str, ...]:
    """Return the licences; of ``licences`` the web addresses, else the first name."""
    own, words = _unique(table.words("licence")(row)), table.words("licences")(row)
    return own or unique_urls(words) or tuple(words[:1])


@_of_row
def _countries(table: FieldTable, row: Any) -> tuple[str, ...]:
    """Return the countries; of ``country_names`` only those that are a country's."""
    listed = map(table.lexicon.country, table.words("countries")(row))
    named = map(table.lexicon.find_country, table.words("country_names")(row))
    return _unique([*listed, *filter(None, named)])


@_of_row
def _related(table: FieldTable, row: Any) -> tuple[str, ...]:
    """Return the IRIs of related things: as they are, those of addresses that are web addresses, and
    those of the initiatives with some keys.
    """
    links = unique_urls(table.words("related_addresses")(row))
    keys = table.words("initiatives")(row)
    return (*table.words("related")(row), *links, *map(table.initiative, keys))


@_of_row
def _activity_types(table: FieldTable, row: Any) -> tuple[Coded, ...]:
    """Return the activity types; of ``types`` only those that are known."""
    known = filter(table.lexicon.find_activity_type, table.words("types")(row))
    words = [*table.words("activity_types")(row), *known]
    return tuple(dict.fromkeys(map(table.lexicon.activity_type, words)))


def _named_parties(table: FieldTable, row: Any) -> Iterator[Party]:
    """Yield the parties that fields name."""
    lead = table.word("lead")(row)
    if table.schema.publisher_leads and (not lead or "@" in lead):
        lead = table.source.publisher or ""
    if lead:
        kind, country = table.word("lead_type")(row), table.word("lead_country")(row)
        yield Party(
            Role.LEAD,
            parse_name(lead),
            table.word("lead_key")(row) or None,
            table.lexicon.stakeholder_type(kind) if kind else None,
            table.lexicon.country(country) if country else None,
            identifiers=tuple(table.words("lead_identifiers")(row)),
        )
    for role, name in ((Role.PARTNER, "partners"), (Role.FUNDER, "funders")):
        for word in table.words(name)(row):
            yield Party(role, parse_name(word))


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


def stated_language(node: _Element | None) -> str | None:
    """Return the language of an element: its own, else that of the nearest element around it."""
    while node is not None:
        # Most elements have no attributes, and to ask for their names is fast.
        if node.keys() and (tag := node.get(_LANG) or node.get("lang")):
            return tag
        node = node.getparent()
    return None


def _member(kind: str, form_of: Callable[[FieldTable, str], Callable[[Any], Any]]) -> Bind:
    """Return how a member is made of the *words* or *texts* of a field, or of its first *word*, if it
    has any, by the function that *form_of* returns for the table and the name of the field.
    """

    def bind(table: FieldTable, names: Sequence[str]) -> Read:
        form, read = form_of(table, names[0]), getattr(table, kind)(names[0])
        return lambda row: form(values) if (values := read(row)) else None

    return bind


def _words(form: Callable[[list[str]], Any]) -> Bind:
    return _member("words", lambda *_: form)


def _texts(form: Callable[[list[Tagged]], Any]) -> Bind:
    return _member("texts", lambda *_: form)


def _parsed(form: Callable[[str], Any]) -> Bind:
    return _member("word", lambda *_: form)


def _each_word(look: Callable[[FieldTable, str], str]) -> Bind:
    """Return how a member is made of what a look-up of the table returns for each word."""
    return _member("words", lambda table, _: lambda words: _unique(look(table, w) for w in words))


_date = _member("word", lambda table, _: partial(parse_date, forms=table.schema.dates))
_edition = _member("word", lambda table, _: partial(table.crosswalks.iris.thing, "event", "prizes"))


def _lookup(look: str) -> Bind:
    """Return how a coded field is read: by its translation, else by the lookup *look*."""

    def form_of(table: FieldTable, name: str) -> Callable[[str], Coded]:
        if scheme := table.schema.translations.get(name):
            return partial(_translated, table.crosswalks, scheme)
        return cast("Callable[[str], Coded]", getattr(table.lexicon, look))

    return _member("word", form_of)


def _translated(crosswalks: Crosswalks, scheme: str, code: str) -> Coded:
    """Return the concept that a crosswalk has for a code, else the code."""
    concept, iri = crosswalks.find_match(scheme, code), crosswalks.iris.scheme(scheme)
    return Claim(concept, Basis.CROSSWALKED, code, crosswalk=iri) if concept else code


def _end_of_period(side: int) -> Bind:
    """Return how a date is read; a period in it, or in that of the other end, has both."""

    def bind(table: FieldTable, names: Sequence[str]) -> Read:
        date, other = _date(table, names), _date(table, names[1:])

        def read(row: Any) -> str | None:
            if text := date(row):
                return (parse_interval(text) or (text, text))[side]
            interval = parse_interval(other(row) or "")
            return interval[side] if interval else None

        return read

    return bind


def _slots(**rows: Bind | tuple[Bind, tuple[str, ...]]) -> Slots:
    """Return how members are read, each from the fields or parts that are named, or else from those
    of its own name.
    """
    return {slot: row if isinstance(row, tuple) else (row, (slot,)) for slot, row in rows.items()}


def _each(slots: Slots, build: Callable[[Part, dict[str, Any]], Any]) -> Bind:
    """Return how parts are read: by *slots*, of whose values *build* returns None if they are no
    part. In a table without such parts the record itself is one.
    """

    def bind(table: FieldTable, names: Sequence[str]) -> Read:
        parts = table.parts.get(names[0]) or [(Part(".", {}), as_list, table)]
        plans = [(part, find, own.plan(slots)) for part, find, own in parts]
        return lambda row: tuple(
            [
                value
                for part, find, plan in plans
                for node in find(row)
                if (value := build(part, read_slots(plan, node)))
            ]
        )

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


def _parties(table: FieldTable, names: Sequence[str]) -> Read:
    """Return how the parties are read, each once in a role. One leads; other leads are partners."""
    is_listed = "parties" in table.parts
    read = _listed_parties(table, names) if is_listed else partial(_named_parties, table)

    def read_unique(row: Any) -> tuple[Party, ...]:
        parties: dict[tuple[Role, str], Party] = {}
        lead = ""
        for party in read(row):
            identity = party.key or party.name.value
            if party.role is Role.LEAD and not lead:
                lead = identity
            elif party.role is Role.LEAD:
                party = party._replace(role=Role.PARTNER)
            if party.role is not Role.PARTNER or identity != lead:
                parties.setdefault((party.role, identity), party)
        return tuple(parties.values())

    return read_unique


@_of_row
def _is_cancelled(table: FieldTable, row: Any) -> bool:
    values = table.finds["cancelled"](row)
    return any(value is True or _line(value).lower() in _YES for value in values)


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


# A description keeps its paragraphs, and subjects are split first.
_FORMS: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(("description", "content", "text"), normalize_block),
    **dict.fromkeys(("subjects", "keywords"), _text_of),
}
_TITLES = _texts(parse_titles)
_TITLE = _texts(lambda texts: next(iter(parse_titles(texts)), None))
_STATED = _parsed(str)
_URL = _words(lambda words: next(iter(unique_urls(words)), None))
_START, _END = _end_of_period(0), _end_of_period(1)
_listed_parties = _each(
    _slots(
        role=_words(set),
        name=_TITLE,
        key=_STATED,
        kind=_lookup("stakeholder_type"),
        country=_lookup("country"),
        page=_URL,
        identifiers=_words(_unique),
    ),
    _party,
)
# How each member of a resource is read.
_MEMBERS = _slots(
    titles=(_TITLES, ("title",)),
    descriptions=(_TITLES, ("description",)),
    pages=_words(unique_non_contact),
    languages=_words(parse_languages),
    licences=(_licences, ("licence", "licences")),
    issued=_date,
    modified=_date,
    countries=(_countries, ("countries", "country_names")),
    parties=(_parties, ("parties", "lead", "partners", "funders")),
    themes=_words(_unique),
    periods=_each(
        _slots(start=(_START, ("start", "end")), end=(_END, ("end", "start"))),
        lambda _, each: Period(**each) if each else None,
    ),
    conforms_to=_words(_unique),
    access_rights=_STATED,
    frequency=_STATED,
    files=_each(
        _slots(
            access=_URL,
            download=_URL,
            titles=(_TITLES, ("title",)),
            form=_STATED,
            licence=_URL,
            descriptions=(_TITLES, ("description",)),
            size=_parsed(parse_size),
            checksum=_STATED,
            algorithm=_STATED,
        ),
        _file,
    ),
    related=(_related, ("related", "related_addresses", "initiatives")),
    part_of=_each_word(lambda table, word: table.whole(word)),
    developed_in=_each_word(lambda table, word: table.lexicon.country(word)),
    amounts=_each(
        _slots(value=_parsed(parse_amount), currency=_STATED, name=_TITLE, start=_date, end=_date),
        lambda _, each: Amount(**each) if "value" in each else None,
    ),
    outcomes=_each(
        _slots(
            titles=(_TITLES, ("title",)), descriptions=(_TITLES, ("description",)), kind=_STATED
        ),
        lambda _, each: Outcome(**each) if each.get("titles") else None,
    ),
    coverage=_lookup("coverage"),
    status=_lookup("status"),
    activity_types=(_activity_types, ("activity_types", "types")),
    places=(
        _each(
            _slots(
                name=(_TITLE, ("place",)),
                latitude=_parsed(parse_number),
                longitude=_parsed(parse_number),
            ),
            lambda _, each: (
                Place(each.pop("name", None), **each)
                if "latitude" in each and "longitude" in each
                else None
            ),
        ),
        ("places", "latitude", "longitude"),
    ),
    prizes=(
        _each(
            _slots(
                category=(_lookup("prize_category"), ("prize_category",)),
                stage=(_lookup("prize_stage"), ("prize_stage",)),
                year=(
                    _parsed(lambda word: int(word) if re.fullmatch("[0-9]{4}", word) else None),
                    ("prize_year",),
                ),
                date=(_date, ("prize_date",)),
                edition=(_edition, ("prize_edition",)),
                name=(_TITLE, ("prize_name",)),
            ),
            # A prize has a category or a stage.
            lambda _, each: (
                Prize(**{"category": "", "stage": "", **each})
                if not each.keys().isdisjoint(("category", "stage"))
                else None
            ),
        ),
        ("prizes", "prize_category", "prize_stage"),
    ),
    start=(_START, ("start", "end")),
    end=(_END, ("end", "start")),
    planned_start=(_START, ("planned_start", "planned_end")),
    planned_end=(_END, ("planned_end", "planned_start")),
    venue=_TITLE,
    registration=_STATED,
    cancelled=_is_cancelled,
    creators=_TITLES,
    kind=(_STATED, ("type",)),
    content=_TITLE,
    container=_STATED,
)
_MEMBERS_OF: Mapping[type[Resource], Slots] = {
    kind: {slot: row for slot, row in _MEMBERS.items() if slot in kind.__dataclass_fields__}
    for kind in KINDS.values()
}
