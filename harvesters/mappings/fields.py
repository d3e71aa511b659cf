"""Map records by the [fields] table of a source definition, without code.

Values of the table are JMESPath (JSON, rows), XPath (XML) or property paths (RDF).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from lxml.etree import _Element
from pyoxigraph import Literal, NamedNode

from harvesters.mappings.field_definitions import (
    FIELD_NAME,
    OPTIONS,
    Find,
    compile_field,
    record_class,
)
from harvesters.mappings.mapping import RecordMapping
from harvesters.option_schema import get_option, option_names
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import (
    CrosswalkLookup,
    Subjects,
    classify_words,
    merge_subjects,
)
from harvesters.payloads.graph import Graph
from harvesters.payloads.value_parsing import (
    as_list,
    is_nothing,
    normalize_block,
    normalize_inline,
    parse_amount,
    parse_date,
    parse_interval,
    parse_language,
    parse_name,
    parse_number,
    parse_titles,
    read_editor,
    split_words,
    unique_non_contact,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import (
    Amount,
    Coded,
    Document,
    Event,
    Initiative,
    Party,
    Place,
    Post,
    Prize,
    Resource,
    Role,
    Text,
)
from vocab.iris import is_web

_YES = frozenset(("true", "yes", "1", "cancelled", "canceled"))
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

T = TypeVar("T", bound=Coded)


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Any]], Resource]:
    """Return the function that maps a row, an XML element or a graph by the source's [fields]
    table.
    """
    kind = record_class(source)
    lexicon = CrosswalkLookup(crosswalks)
    tables: dict[Payload, FieldTable] = {}  # by payload type, known from the first record

    def map_record(record: Record[Any]) -> Resource:
        payload_type = _payload_type(record.payload)
        if payload_type not in tables:
            tables[payload_type] = FieldTable(source, lexicon, crosswalks, payload_type)
        return tables[payload_type].map_record(kind, record)

    return map_record


def _payload_type(payload: object) -> Payload:
    return (
        Payload.ROW
        if isinstance(payload, dict)
        else Payload.GRAPH
        if isinstance(payload, Graph)
        else Payload.XML
    )


def fields_without_values(source: Source, payloads: Sequence[Any]) -> list[str]:
    """Return the names of the source's [fields] that match nothing in any of *payloads*."""
    if not payloads:
        return []
    kind = _payload_type(payloads[0])
    finds = {
        name: compile_field(source, name, text, kind)
        for name, text in source.fields.items()
        if FIELD_NAME.match(name) and name not in {"kind", "key"}
    }
    return [
        name
        for name, find in finds.items()
        if all(find(payload) in (None, "", [], {}) for payload in payloads)
    ]


def _text(value: Any) -> Any:
    if isinstance(value, Literal | NamedNode):
        return value.value
    return "".join(map(str, value.itertext())) if isinstance(value, _Element) else value


class FieldTable:
    """A compiled [fields] table: how each field is found in a record."""

    def __init__(
        self,
        source: Source,
        lexicon: CrosswalkLookup,
        crosswalks: Crosswalks,
        payload_type: Payload,
    ) -> None:
        self.lexicon = lexicon
        self.crosswalks = crosswalks
        self.schemes = option_names(source, OPTIONS, "crosswalk")
        self.initiative = partial(
            crosswalks.iris.thing,
            "initiative",
            get_option(source, OPTIONS, "initiatives_of") or source.name,
        )
        self.language = source.language
        self.split = get_option(source, OPTIONS, "split")
        self.nothing = frozenset(
            word.casefold().rstrip(".") for word in option_names(source, OPTIONS, "nothing")
        )
        self.date_formats = option_names(source, OPTIONS, "dates")
        self.finds: dict[str, list[tuple[Find, str | None]]] = {}
        for name, text in source.fields.items():
            match = FIELD_NAME.match(name)
            if match and name not in {"kind", "key"}:
                self.finds.setdefault(match[1], []).append(
                    (self._valued(compile_field(source, name, text, payload_type)), match[2])
                )

    def _valued(self, find: Find) -> Find:
        """Return *find* without what stands for no value, and with an editor's JSON as text."""

        def read(row: Any) -> Any:
            value = find(row)
            if value is None:
                return None
            if isinstance(value, str) and value[:1] != "{":
                return None if is_nothing(value, self.nothing) else value
            if isinstance(value, list):
                return [item for item in map(read_editor, value) if not self._is_nothing(item)]
            value = read_editor(value)
            return None if self._is_nothing(value) else value

        return read

    def _is_nothing(self, value: Any) -> bool:
        text = value.text if isinstance(value, _Element) and not len(value) else value
        text = text.value if isinstance(text, Literal) else text
        return isinstance(text, str) and is_nothing(text, self.nothing)

    def separator(self, name: str) -> str | None:
        """Return what separates the values of a field's texts."""
        mark = self.split.get(name) if isinstance(self.split, dict) else self.split
        return mark or None

    def texts(
        self, row: Any, name: str, form: Callable[[Any], str] = normalize_inline
    ) -> list[tuple[str, str | None]]:
        """Return a field's texts with their languages: the field's, else the record's, else the
        source definition's.
        """
        texts: list[tuple[str, str | None]] = []
        for find, tag in self.finds.get(name, ()):
            value = find(row)
            if isinstance(value, str):
                texts.append((form(value), tag or self.language))
            elif value is not None:
                for item in as_list(value):
                    texts += self._tagged(item, tag, form)
        return texts

    def _tagged(
        self, item: Any, tag: str | None, form: Callable[[Any], str]
    ) -> list[tuple[str, str | None]]:
        if isinstance(item, dict):
            return [(form(text), tag or parse_language(key) or key) for key, text in item.items()]
        if isinstance(item, _Element | Literal):
            own_tag = item.language if isinstance(item, Literal) else item.get(_LANG)
            return [
                (
                    form(_text(item)),
                    tag or (own_tag and parse_language(own_tag)) or own_tag or self.language,
                )
            ]
        return [(form(_text(item)), tag or self.language)]

    def words(self, row: Any, name: str) -> Sequence[str]:
        """Return the values of a field that takes several."""
        if name not in self.finds:
            return ()
        mark = self.separator(name)
        return [
            word for find, _ in self.finds.get(name, ()) for word in self._split(find(row), mark)
        ]

    def _split(self, value: Any, mark: str | None) -> Sequence[str]:
        if value is not None and not isinstance(value, str):
            value = [_text(item) for item in as_list(value)]
        words = split_words(value, mark)
        return [word for word in words if not is_nothing(word, self.nothing)] if mark else words

    def _subject_words(self, row: Any) -> Iterator[tuple[str, str | None]]:
        """Yield the words of the field ``subjects`` with their languages."""
        mark = self.separator("subjects")
        for text, tag in self.texts(row, "subjects", lambda value: value):
            yield from ((word, tag) for word in self._split(text, mark))

    def word(self, row: Any, name: str) -> str | None:
        """Return the first value of a field that takes one."""
        for find, _ in self.finds.get(name, ()):
            value = find(row)
            if isinstance(value, str):
                if text := normalize_inline(value):
                    return text
            elif value is not None:
                for item in as_list(value):
                    if text := normalize_inline(_text(item)):
                        return text
        return None

    def flag(self, row: Any, name: str) -> bool:
        """Return whether a field is true, as a JSON boolean or a word."""
        values = [
            flag_value for find, _ in self.finds.get(name, ()) for flag_value in as_list(find(row))
        ]
        return any(
            flag_value is True or normalize_inline(_text(flag_value)).lower() in _YES
            for flag_value in values
        )

    def date(self, row: Any, name: str) -> str | None:
        """Return a field's date."""
        return parse_date(word, self.date_formats) if (word := self.word(row, name)) else None

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

    def map_record(self, kind: type[Resource], record: Record[Any]) -> Resource:
        """Map one record."""
        row, lexicon = record.payload, self.lexicon
        declared = lexicon.parse_declared(
            self.words(row, "action_lines"), self.words(row, "goals"), self.words(row, "targets")
        )
        linked = (
            merge_subjects(declared, self._translated(row))
            if self.schemes or self.crosswalks.words
            else declared
        )
        return kind(
            key=record.key,
            titles=parse_titles(self.texts(row, "title")),
            descriptions=parse_titles(self.texts(row, "description", normalize_block)),
            identifiers=unique_non_contact(
                [text for text in self.words(row, "identifiers") if text != record.key]
            ),
            pages=unique_non_contact(self.words(row, "pages")),
            languages=tuple(
                dict.fromkeys(
                    [parse_language(word) or word for word in self.words(row, "languages")]
                )
            ),
            licences=tuple(dict.fromkeys(self.words(row, "licence"))),
            issued=self.date(row, "issued"),
            modified=self.date(row, "modified") or record.modified,
            countries=tuple(dict.fromkeys(map(lexicon.country, self.words(row, "countries")))),
            parties=tuple(self._parties(row)),
            action_lines=linked.lines,
            goals=linked.goals,
            targets=linked.targets,
            subjects=self._subjects(row, declared.unmatched),
            related=(
                *self.words(row, "related"),
                *map(self.initiative, self.words(row, "initiatives")),
            ),
            part_of=tuple(map(self._whole, self.words(row, "part_of"))),
            **_CLASS_FIELDS[kind](self, row),
        )

    def _translated(self, row: Any) -> Subjects:
        """Return the concepts that a curator or the source's crosswalks have for its subjects; the
        words stay subjects.
        """
        words = [word for word, _ in self._subject_words(row)]
        curated = self.lexicon.parse_subjects(filter(self.crosswalks.is_curated, words))
        result = curated
        for scheme in self.schemes:
            iri = self.crosswalks.iris.scheme(scheme)
            subjects = classify_words(words, iri, partial(self.crosswalks.find_all, scheme))
            result, words = merge_subjects(result, subjects), list(subjects.unmatched)
        return result._replace(unmatched=())

    def _subjects(self, row: Any, left: tuple[str, ...]) -> tuple[Text, ...]:
        texts = [parse_name(word, tag) for word, tag in self._subject_words(row)]
        return tuple(
            dict.fromkeys([*texts, *[parse_name(word, self.language) for word in left if word]])
        )

    def _whole(self, word: str) -> str:
        """Return the IRI of the initiative with a key; a title, which has a space, unchanged."""
        return word if " " in word or is_web(word) else self.initiative(word)

    def _edition(self, row: Any) -> str | None:
        """Return the IRI of the edition of the prizes: an event of the source ``prizes`` with this
        key.
        """
        key = self.word(row, "prize_edition")
        return self.crosswalks.iris.thing("event", "prizes", key) if key else None

    def amounts(self, row: Any) -> Iterator[Amount]:
        """Yield the amounts of money: objects with ``value``, ``currency``, ``name``, ``start`` and
        ``end``.
        """
        items = (item for find, _ in self.finds.get("amounts", ()) for item in as_list(find(row)))
        for item in items:
            value = parse_amount(item.get("value")) if isinstance(item, dict) else None
            if value is not None:
                name, currency = (normalize_inline(item.get(key)) for key in ("name", "currency"))
                start, end = (
                    parse_date(normalize_inline(item.get(key)), self.date_formats)
                    for key in ("start", "end")
                )
                yield Amount(
                    value,
                    currency or None,
                    parse_name(name, self.language) if name else None,
                    start,
                    end,
                )

    def _parties(self, row: Any) -> list[Party]:
        parties: list[Party] = []
        if lead := self.word(row, "lead"):
            kind = self.lookup(row, "lead_type", self.lexicon.stakeholder_type)
            parties.append(
                Party(
                    Role.LEAD,
                    parse_name(lead),
                    None,
                    kind,
                    self.lookup(row, "lead_country", self.lexicon.country),
                    identifiers=tuple(self.words(row, "lead_identifiers")),
                )
            )
        for role, name in ((Role.PARTNER, "partners"), (Role.FUNDER, "funders")):
            parties += [Party(role, parse_name(word)) for word in self.words(row, name)]
        return parties

    def dates_and_places(self, row: Any) -> dict[str, Any]:
        """Return start, end and places."""
        latitude = parse_number(self.word(row, "latitude"))
        longitude = parse_number(self.word(row, "longitude"))
        name = next(iter(parse_titles(self.texts(row, "place"))), None)
        places = (
            (Place(name, latitude, longitude),)
            if latitude is not None and longitude is not None
            else ()
        )
        start, end = self.period(row, "start", "end")
        return {"start": start, "end": end, "places": places}

    def prizes(self, row: Any) -> tuple[Prize, ...]:
        """Return the prize, if the record has one."""
        category = self.lookup(row, "prize_category", self.lexicon.prize_category)
        stage = self.lookup(row, "prize_stage", self.lexicon.prize_stage)
        year = self.word(row, "prize_year") or ""
        return (
            (
                Prize(
                    category or "",
                    stage or "",
                    int(year) if re.fullmatch("[0-9]{4}", year) else None,
                    self.date(row, "prize_date"),
                    self._edition(row),
                    next(iter(parse_titles(self.texts(row, "prize_name"))), None),
                ),
            )
            if category or stage
            else ()
        )


def _initiative_fields(table: FieldTable, row: Any) -> dict[str, Any]:
    planned_start, planned_end = table.period(row, "planned_start", "planned_end")
    return {
        **table.dates_and_places(row),
        "planned_start": planned_start,
        "planned_end": planned_end,
        "developed_in": tuple(map(table.lexicon.country, table.words(row, "developed_in"))),
        "amounts": tuple(table.amounts(row)),
        "coverage": table.lookup(row, "coverage", table.lexicon.coverage),
        "status": table.lookup(row, "status", table.lexicon.status),
        "activity_types": tuple(
            dict.fromkeys(map(table.lexicon.activity_type, table.words(row, "activity_types")))
        ),
        "prizes": table.prizes(row),
    }


def _event_fields(table: FieldTable, row: Any) -> dict[str, Any]:
    venue = next(iter(parse_titles(table.texts(row, "venue"))), None)
    return {
        **table.dates_and_places(row),
        "venue": venue,
        "registration": table.word(row, "registration"),
        "cancelled": table.flag(row, "cancelled"),
    }


def _document_fields(table: FieldTable, row: Any) -> dict[str, Any]:
    return {"kind": table.word(row, "type")}


def _post_fields(table: FieldTable, row: Any) -> dict[str, Any]:
    return {
        "content": next(iter(parse_titles(table.texts(row, "content", normalize_block))), None),
        "container": table.word(row, "container"),
    }


_CLASS_FIELDS: Mapping[type[Resource], Callable[[FieldTable, Any], dict[str, Any]]] = {
    Initiative: _initiative_fields,
    Event: _event_fields,
    Document: _document_fields,
    Post: _post_fields,
}


MAPPING = RecordMapping(build_mapper, frozenset(Payload), options=OPTIONS)
