"""The search index, by tantivy (https://github.com/quickwit-oss/tantivy-py): texts of any language
are split into terms, and each thing is one document.

Words are indexed without case, accents and vowel points, and also by their stems if there is a
stemmer for the language. Runs of scripts without spaces, and of Hangul, are indexed as overlapping
pairs of characters, so that any part of a run matches as a phrase.

The files of an index never change after they are written, so a snapshot is a folder of hard links
to them.

The things that an entry changes are read again from the columns, so applying it twice changes
nothing: after a crash the index continues from its last commit. The names of organizations are part
of the entries of things in which they take part; if a name changes, these things are read again.
Labels of concepts are stored separately, so a changed label only requires reading the vocabulary.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson
import Stemmer
import structlog
import tantivy

from journal.files import replace_file
from publisher.data.properties import PropertyTable, published_properties
from publisher.rdf import Term, namespaces
from publisher.store.changes import Checkpoint, JournalReader
from publisher.store.columns.database import ColumnStatements, Properties, Subjects
from vocab.iris import KINDS, Iris
from vocab.terms import ORG, RDF, RDFS, SCHEMA, SKOS

TOPICS = "topics.json"  # file with the labels of concepts, in the folder of tantivy's files
_HEAP = 30_000_000  # maximum bytes of unwritten documents
_MAX_ATTEMPTS = 20  # to link the files, since a merge may remove some meanwhile

MAX_WORD_LENGTH = 64  # characters; the rest of a longer word is dropped
_CACHED = 1 << 16  # words and stems: some 10 MB

# Snowball's stemmers (https://snowballstem.org/algorithms/) by language tag.
STEMMERS = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "eu": "basque",
    "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Japanese, Chinese
    "\u1100-\u11ff\uac00-\ud7af"  # Korean, whose particles are attached to the words
)
# Combining accents and vowel points; 0640 is the tatweel.
_POINTS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]"
)
_ALEF = str.maketrans("أإآٱى", "ااااي")  # letters with two spellings
# The prefixes of Arabic words, as in the Light10 stemmer.
_ARTICLE = re.compile("^(?:و?(?:ال|بال|كال|لل)|فال)(?=.{2})")
_ELISION = re.compile(r"\b(?:[cdjlmnst]|qu)['’](?=\w)|['’]s\b")  # l'eau, d'eau, women's


_HEBREW = "\u0590"  # first script whose composed words contain combining marks
_PLAIN = re.compile(r"\w+")  # eight times as fast as _word()
_PART = re.compile(rf"(?P<run>[{_UNSPACED}]+)|[^{_UNSPACED}]+")


def _marks() -> str:
    """Return the marks that occur within words, such as the vowel signs of Hindi, which Python's
    \\w does not match.
    """
    return re.escape(
        "".join(
            chr(n) for n in range(0x300, 0x20000) if unicodedata.category(chr(n)) in ("Mn", "Mc")
        )
    )


@cache
def _word() -> re.Pattern[str]:
    return re.compile(rf"[\w{_marks()}\u200c\u200d]+")


def _pieces(text: str) -> list[str]:
    plain = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    if "'" in plain or "’" in plain:
        plain = _ELISION.sub(" ", plain)
    return (_PLAIN if plain.isascii() or max(plain) < _HEBREW else _word()).findall(plain)


def find_words(text: str) -> Iterator[re.Match[str]]:
    return (_PLAIN if text.isascii() or not text or max(text) < _HEBREW else _word()).finditer(text)


def _parts(piece: str) -> Iterator[tuple[str, bool]]:
    for match in _PART.finditer(piece):
        word = match.group().strip("_\u200c\u200d")
        if word:
            yield word[:MAX_WORD_LENGTH] if match["run"] is None else word, match["run"] is not None


def tokens(text: str) -> list[tuple[str, bool]]:
    """Split *text* into words, and runs of a script without spaces (True); in lower case, composed.

    >>> tokens("L’eau: 水資源 C7-eHealth")
    [('eau', False), ('水資源', True), ('c7', False), ('ehealth', False)]
    """
    return [part for piece in _pieces(text) for part in _parts(piece)]


@lru_cache(_CACHED)
def fold(word: str) -> str:
    """Return a word without accents and vowel points.

    >>> fold("santé"), fold("größe"), fold("صِحَّة"), fold("हिन्दी")
    ('sante', 'große', 'صحة', 'हिन्दी')
    """
    if word.isascii():
        return word
    return unicodedata.normalize(
        "NFC", _POINTS.sub("", unicodedata.normalize("NFD", word))
    ).translate(_ALEF)


def character_pairs(run: str) -> list[str]:
    """Return the overlapping pairs of characters of a run, and its last character alone.

    >>> character_pairs("水資源")
    ['水資', '資源', '源']
    """
    return [run[index : index + 2] for index in range(len(run))]


@cache
def _stemmer(name: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(name, 0)


@lru_cache(_CACHED)
def stem(word: str, language: str) -> str:
    """Return the index term of a word's stem, which begins with the language. STEMMERS must contain
    the language.

    >>> stem("cliniques", "fr"), stem("clinics", "en")
    ('fr:cliniqu', 'en:clinic')
    """
    bare = _ARTICLE.sub("", fold(word)) if language == "ar" else word
    return f"{language}:{fold(_stemmer(STEMMERS[language]).stemWord(bare))}"


def primary_language(tag: str | None) -> str:
    """Return the language of a tag without script and region; a text without a tag counts as
    English.

    >>> primary_language("zh-hans"), primary_language(None)
    ('zh', 'en')
    """
    return (tag or "en").partition("-")[0].lower()


def tokenize(text: str, language: str) -> tuple[str, str]:
    """Return the index terms of a text: its words in order, and their stems, each joined by spaces.

    >>> tokenize("Cliniques isolées", "fr")
    ('cliniques isolees', 'fr:cliniqu fr:isol')
    """
    analyzed = [_analyze(piece, language) for piece in _pieces(text)]
    return " ".join([words for words, _ in analyzed]), " ".join(
        [stems for _, stems in analyzed if stems]
    )


@lru_cache(_CACHED)
def _analyze(piece: str, language: str) -> tuple[str, str]:
    words, stems = list[str](), list[str]()
    for word, run in _parts(piece):
        words += character_pairs(fold(word)) if run else [fold(word)]
        if not run and language in STEMMERS:
            stems.append(stem(word, language))
    return " ".join(words), " ".join(stems)


Texts = tuple[tuple[str, str | None], ...]


class SearchEntry(NamedTuple):
    """The indexed data of a thing: texts with their language tags.

    *links* are the IRIs of the concepts that the thing is linked to, *parties* the names of the
    organizations that take part in it, *places* the names of its places and venue.
    """

    thing: str
    kind: str
    source: str
    titles: Texts
    texts: Texts
    links: tuple[str, ...] = ()
    parties: Texts = ()
    places: Texts = ()

    @property
    def languages(self) -> list[str]:
        return sorted({primary_language(tag) for _, tag in (*self.titles, *self.texts)})

    @property
    def identifiers(self) -> set[str]:
        """Return the texts that find it, folded: its key in its source, its IRI and that of its
        record. A concept has none.
        """
        record = self.thing.replace(f"/id/{self.kind}/", "/record/", 1)
        names = (unquote(self.thing.rpartition("/")[2]), self.thing, record)
        return {name.casefold() for name in names} if self.kind in KINDS else set()


def parse_thing_iri(thing: str, base: str) -> tuple[str, str, str] | None:
    """Return kind, source and key of a thing's IRI, None if it is not the IRI of a thing.

    >>> parse_thing_iri("https://x.org/id/event/demo/e1", "https://x.org/")
    ('event', 'demo', 'e1')
    """
    parts = thing.removeprefix(f"{base}id/").split("/") if thing.startswith(f"{base}id/") else []
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 and parts[0] in KINDS else None


def ordered_texts(values: Iterable[Term]) -> Texts:
    """Return the literals of *values* with their languages, in the order of these."""
    texts = [(value.value, value.language) for value in values if not value.is_iri]
    return tuple(sorted(texts, key=lambda text: (text[1] or "", text[0])))


def as_tuples(value: object) -> Any:
    """Return a value of JSON with tuples in place of its lists."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


@cache
def schema() -> tantivy.Schema:
    """Return the schema: words are indexed with positions, stems without."""
    builder = tantivy.SchemaBuilder()
    for name in ("thing", "kind", "language", "link", "identifier"):
        builder.add_text_field(
            name,
            tokenizer_name="raw",
            index_option="basic",
            stored=name == "thing",
        )
    for name in ("title", "text", "party"):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="position")
        builder.add_text_field(f"{name}_stems", tokenizer_name="whitespace", index_option="freq")
    builder.add_bytes_field("entry", stored=True)
    return builder.build()


def document(entry: SearchEntry) -> tantivy.Document:
    fields = {
        "thing": entry.thing,
        "kind": entry.kind,
        "language": entry.languages,
        "link": list(entry.links),
        "identifier": list(entry.identifiers),
        "entry": orjson.dumps(entry[1:]),
    }
    names = (*entry.parties, *entry.places)
    for field, texts in (("title", entry.titles), ("text", entry.texts), ("party", names)):
        terms = [tokenize(text, primary_language(tag)) for text, tag in texts]
        fields[field] = [words for words, _ in terms]
        fields[f"{field}_stems"] = [stems for _, stems in terms if stems]
    return tantivy.Document.from_dict(fields, schema())


def stored_entry(stored: tantivy.Document) -> SearchEntry:
    """Return the entry of a document of the index."""
    return SearchEntry(stored["thing"][0], *as_tuples(orjson.loads(bytes(stored["entry"][0]))))


def open_index(folder: Path) -> tantivy.Searcher:
    """Open the last commit of the index in *folder*."""
    index = tantivy.Index.open(str(folder))
    index.config_reader("manual")
    index.reload()
    return index.searcher()


def find_entry(searcher: tantivy.Searcher, thing: str) -> SearchEntry | None:
    """Return the entry of the thing with an IRI, None if it is not in the index."""
    query = tantivy.Query.term_query(schema(), "thing", thing, "basic")
    hits = searcher.search(query, 1).hits
    return stored_entry(searcher.doc(hits[0][1])) if hits else None


def open_writer(folder: Path) -> tantivy.IndexWriter:
    """Open the index in *folder*, which is created if missing, for writing by one process at a
    time. What is not committed is lost.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer = tantivy.Index(schema(), str(folder)).writer(_HEAP, 1)
    # An interrupted commit leaves files that have the names of those that its repetition writes.
    writer.garbage_collect_files()
    return writer


def link_index(index: Path, folder: Path) -> None:
    """Link the files of the last commit in *index* into *folder*, which is replaced."""
    for _ in range(_MAX_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        meta = (index / "meta.json").read_bytes()
        segments = [item["segment_id"].replace("-", "") for item in orjson.loads(meta)["segments"]]
        with suppress(FileNotFoundError):  # a merge removed it
            for path in index.iterdir():
                if path.name == TOPICS or re.split(r"[._]", path.name)[0] in segments:
                    os.link(path, folder / path.name)
            (folder / "meta.json").write_bytes(meta)
            # A merge writes this file before it removes others: all of them were still listed.
            if (index / "meta.json").read_bytes() == meta:
                return
    raise OSError(f"{index}: no snapshot could be created in {_MAX_ATTEMPTS} attempts")


BATCH = 5_000  # things read between two checks of the time: about 1.5 s
_NAME, _CLASS, _LABEL = f"{SKOS}prefLabel", f"{ORG}classification", f"{RDFS}label"
_TYPE, _LOCATION = f"{RDF}type", f"{SCHEMA}location"
SCHEMES = ("action-line", "sdg", "area", "itu-region", "activity-type", "stakeholder-type")
_MEMBER, _OTHERS = f"{SKOS}inScheme", (f"{SKOS}altLabel", f"{SKOS}hiddenLabel")
_INDICATOR = "http://metadata.un.org/sdg/ontology#Indicator"

log = structlog.get_logger(component="text")


class Topic(NamedTuple):
    """A concept of the vocabulary with its labels, preferred ones first.

    *members* are the IRIs of the countries of an ITU region: things are linked to countries, not to
    regions.
    """

    iri: str
    scheme: str
    preferred: Texts
    others: Texts
    members: tuple[str, ...] = ()


def read_topics(source: ColumnStatements, base: str) -> Iterator[Topic]:
    """Yield the topics of the concept schemes in *source*, without SDG indicators, since nothing is
    linked to them.
    """
    region = f"{base}ns#ituRegion"
    graphs = source.graphs(
        [f"{base}scheme/{scheme}" for scheme in SCHEMES],
        (_MEMBER, _NAME, *_OTHERS, _TYPE, region),
    )
    schemes = dict[str, str]()
    # By concept and property, since several graphs may describe a concept.
    values = defaultdict[tuple[str, str], list[Term]](list)
    members = defaultdict[str, set[str]](set)
    for scheme, subjects in zip(SCHEMES, graphs.values(), strict=True):
        schemes |= {iri: scheme for iri, properties in subjects.items() if _MEMBER in properties}
        for iri, properties in subjects.items():
            for name, objects in properties.items():
                values[iri, name] += objects
            for value in properties.get(region, ()):
                members[value.value].add(iri)
    for iri, scheme in sorted(schemes.items()):
        if all(value.value != _INDICATOR for value in values[iri, _TYPE]):
            preferred = ordered_texts(values[iri, _NAME])
            others = ordered_texts(value for name in _OTHERS for value in values[iri, name])
            yield Topic(iri, scheme, preferred, others, tuple(sorted(members[iri])))


def write_topics(index: Path, topics: Iterable[Topic]) -> None:
    """Write *topics* into the folder *index*, replacing the file atomically."""
    replace_file(index / TOPICS, orjson.dumps([tuple(topic) for topic in topics]))


class EntryReader:
    """Reads the index entries of things from *source*, whose IRIs begin with *base*."""

    def __init__(
        self, source: ColumnStatements, base: str, properties: PropertyTable | None = None
    ) -> None:
        self._source, self._base, spaces = source, base, namespaces(Iris(base))
        rows = [(row, row.expand(spaces)) for row in properties or published_properties()]
        self._titles, self._texts, self._links, self._parties, self._places = (
            tuple(iri for row, iri in rows if field in row.search)
            for field in ("title", "text", "link", "party", "place")
        )

    def things(self) -> Iterator[str]:
        """Yield the IRIs of all things of the indexed kinds."""
        return self._only_things(self._source.subjects_with([_TYPE]))

    def linked_things(self, organizations: Collection[str]) -> Iterator[str]:
        """Yield the things in which one of *organizations* takes part."""
        if organizations:
            yield from self._only_things(self._source.subjects_with(self._parties, organizations))

    def _only_things(self, iris: Iterable[str]) -> Iterator[str]:
        return (iri for iri in iris if parse_thing_iri(iri, self._base))

    def entries(self, things: Collection[str]) -> dict[str, SearchEntry | None]:
        """Return the index entries of *things*; None of one that has no type, as of a deleted
        record.
        """
        own = (
            *(_TYPE, *self._titles, *self._texts),
            *(*self._links, *self._parties, *self._places),
        )
        read = self._source.subjects(things, own)
        named = {
            value.value
            for thing in things
            for value in _values(read[thing], (*self._parties, _LOCATION))
            if value.is_iri
        }
        linked = self._source.subjects(named, (_NAME, _CLASS, _LABEL))
        return {thing: self._entry(thing, read[thing], linked) for thing in things}

    def _entry(self, thing: str, properties: Properties, linked: Subjects) -> SearchEntry | None:
        parsed = parse_thing_iri(thing, self._base)
        if parsed is None or not any(value.is_iri for value in properties.get(_TYPE, ())):
            return None
        kind, source, _key = parsed
        parties = [
            linked[value.value] for value in _values(properties, self._parties) if value.is_iri
        ]
        classes = (value for party in parties for value in _values(party, [_CLASS]))
        places = {
            place
            for value in _values(properties, self._places)
            for place in (linked.get(value.value, {}).get(_LABEL, ()) if value.is_iri else (value,))
        }
        return SearchEntry(
            thing,
            kind,
            source,
            ordered_texts(_values(properties, self._titles)),
            ordered_texts(_values(properties, self._texts)),
            tuple(
                sorted({v.value for v in (*_values(properties, self._links), *classes) if v.is_iri})
            ),
            ordered_texts({value for party in parties for value in _values(party, [_NAME])}),
            ordered_texts(places),
        )


def _values(properties: Properties, names: Iterable[str]) -> Iterator[Term]:
    return (value for name in names for value in properties.get(name, ()))


class SearchUpdater:
    """The index of the things in *source*, in *folder*."""

    name, subfolder = "search", "text"
    # The library tantivy raises ValueError.
    errors: tuple[type[Exception], ...] = (ValueError, OSError)
    snapshot_wait = 0.5

    def __init__(self, folder: Path, reader: JournalReader, source: ColumnStatements) -> None:
        self._folder, self._index = folder, folder / "index"
        self._checkpoint_file = folder / "position.json"
        self._reader, self._source = reader, source
        self._entries = EntryReader(source, reader.base)
        try:
            (self._index / "meta.json").stat()
            checkpoint = Checkpoint.read(self._checkpoint_file)
            if not reader.contains(checkpoint.position, checkpoint.entry):
                raise ValueError("it is of another journal")
            self._writer, self._committed = open_writer(self._index), checkpoint
        except self.errors as error:
            log.info("no usable search index; building it", reason=str(error))
            self._start_over()

    @property
    def checkpoint(self) -> int:
        """Return the number of the last entry that is committed, 0 if none is."""
        return self._committed.position

    def is_at(self, position: int) -> bool:
        return self.checkpoint == position

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Commit the changes up to *position*, the position of the source; yield between batches.

        A new index is built from all things in the source, and so is one of which most would
        change.
        """
        if self.checkpoint and not self._reader.is_mostly_new(self.checkpoint):
            is_vocabulary_new = yield from self._apply_entries(position)
        else:
            is_vocabulary_new = True
            log.info("building search index", position=position)
            self._writer.delete_all_documents()
            for batch in _batches(self._entries.things()):
                self._add(self._entries.entries(batch))
                yield
        if is_vocabulary_new:
            write_topics(self._index, read_topics(self._source, self._reader.base))
        self._writer.commit()
        self._committed = Checkpoint(position, entry)
        self._committed.write(self._checkpoint_file)

    def _apply_entries(self, position: int) -> Generator[None, None, bool]:
        """Change the index by the entries up to *position*; return whether the vocabulary changes."""
        vocabulary = {f"{self._reader.base}scheme/{scheme}" for scheme in SCHEMES}
        is_vocabulary_new = False
        before = open_index(self._index)
        for entry in self._reader.journal.entries(self.checkpoint):
            if entry.number > position:
                break
            for changed in map(set, _batches(self._reader.changed(entry))):
                is_vocabulary_new = is_vocabulary_new or not vocabulary.isdisjoint(changed)
                things = [iri for iri in changed if iri.startswith(f"{self._reader.base}id/")]
                self._put(things)
                yield
                for batch in _batches(self._things_of_renamed(before, things)):
                    self._put(batch)
                    yield
        return is_vocabulary_new

    def _things_of_renamed(self, before: tantivy.Searcher, changed: Iterable[str]) -> Iterator[str]:
        """Return the things of organizations in *changed* whose name or class differs from
        *before*.

        *before* is the last committed index, so an entry that is applied again after a crash has
        the same result.
        """
        prefix = f"{self._reader.base}id/organization/"
        organizations = sorted(thing for thing in changed if thing.startswith(prefix))
        after = self._entries.entries(organizations)
        renamed = [
            thing
            for thing in organizations
            if (old := find_entry(before, thing)) and (new := after[thing])
            if (old.titles, old.links) != (new.titles, new.links)
        ]
        return self._entries.linked_things(renamed)

    def _put(self, batch: Collection[str]) -> None:
        """Replace the documents of things. A new index has none, and deletions of 100,000 things take
        137 MB until the commit.
        """
        for thing in batch:
            self._writer.delete_documents_by_term("thing", thing)
        self._add(self._entries.entries(batch))

    def _add(self, entries: Mapping[str, SearchEntry | None]) -> None:
        for entry in filter(None, entries.values()):
            self._writer.add_document(document(entry))

    def write(self, folder: Path) -> None:
        link_index(self._index, folder)

    def reset(self) -> None:
        self.close()
        self._start_over()

    def close(self) -> None:
        """Close the index once its merges have ended, since they would remove files of an index that
        is opened next; what was not committed is lost.
        """
        with suppress(*self.errors):
            self._writer.wait_merging_threads()

    def _start_over(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._committed = Checkpoint(0, "")
        self._writer = open_writer(self._index)


def _batches(things: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(things)
    while batch := list(islice(rest, BATCH)):
        yield batch
