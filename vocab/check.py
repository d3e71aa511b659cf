"""Check the Turtle files of the vocabulary: their structure, sources and labels; and count, scheme by
scheme, what is complete, sourced and unverified.

Each rule comes from an error that was found in published labels: the text of another concept, of
another edition, of another script, or with the residue of a spreadsheet. SKOS integrity conditions:
https://www.w3.org/TR/skos-reference/
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import log
from statistics import median
from typing import Any, NamedTuple, TypeAlias

from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, parse

from vocab.iris import BASE
from vocab.schemes import ONTOLOGIES, concepts, graph_triples, ontology_triples, schemes
from vocab.terms import DCT, LANGUAGES, OWL, RDF, RDFS, SKOS

# How far the ratio of a label's length to the English one's may differ from its sisters' ratio.
_MAX_LENGTH_FACTOR = 3.0
_MIN_COMPARED = 40  # Characters of the English label; the lengths of shorter ones show nothing.
_MIN_SISTERS = 20  # Fewer labels do not show the usual length.

_TYPE, _CONCEPT = f"{RDF}type", f"{SKOS}Concept"
_PREFERRED = f"{SKOS}prefLabel"
_LABELS = (_PREFERRED, f"{SKOS}altLabel")
_DEFINITIONS = (f"{SKOS}definition", f"{RDFS}comment")
_HIERARCHY = tuple(
    f"{SKOS}{name}" for name in ("broader", "narrower", "topConceptOf", "hasTopConcept", "inScheme")
)
_WHOLES = (f"{SKOS}ConceptScheme", f"{OWL}Ontology")
# DCMI Metadata Terms gives both a range of things, not of texts:
# https://www.dublincore.org/specifications/dublin-core/dcmi-terms/
_NO_TEXTS = (f"{DCT}publisher", f"{DCT}accrualPeriodicity")

_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_RESIDUES = (
    (re.compile(r"\+[A-Z]{1,2}\d"), "the reference of a spreadsheet's cell"),
    (re.compile(r"\(\d\)\Z|[^\W\d_]\s?\d\Z"), "a footnote mark"),
    (re.compile(r"[\u00ad\u0640]"), "a soft hyphen or a tatweel"),
    (re.compile(r"\s\s|\A\s|\s\Z|[\u0000-\u001f]"), "stray white space"),
    (
        re.compile(r"[а-яё]-(?:ми|ями|нами|нных|вших|ющих|родировавших)\b"),
        "a hyphen of a line's end",
    ),
)
_PARENTHESES = re.compile(r"[()（）]")
_INDICATOR_NUMBER = re.compile(r"\b\d{1,2}[.-]\w{1,2}[.-]\w\b")
_JOINED_WORDS = re.compile(r"[a-zà-ÿа-яё][A-ZÀ-ÞА-ЯЁ][a-zà-ÿа-яё]{3}")
_MIN_SECOND_TEXT = 40  # Characters after two joined words; a name such as "OpenCRVS" is shorter.
_SCRIPTS = {
    "ar": "ARABIC",
    "zh": "CJK",
    "ru": "CYRILLIC",
    "en": "LATIN",
    "fr": "LATIN",
    "es": "LATIN",
}
_LATIN_ALSO = frozenset(("ar", "zh", "ru"))  # Their texts have abbreviations in Latin letters.
# Small words that are frequent in one language and do not exist in the other two.
_OWN_WORDS = {
    "en": frozenset(
        [
            "and",
            "the",
            "of",
            "with",
            "which",
            "their",
            "from",
            "its",
            "that",
            "these",
            "those",
            "by",
            "including",
        ]
    ),
    "fr": frozenset(["et", "des", "dans", "aux", "avec", "pour", "leurs", "ainsi", "sont"]),
    "es": frozenset(["los", "las", "para", "con", "del", "sobre", "sus"]),
}
_WORD = re.compile(r"[^\W\d_]+")


Statement: TypeAlias = tuple[str, str, Literal | NamedNode | BlankNode | Triple]
_Graph: TypeAlias = dict[str, dict[str, set[Any]]]  # values by subject and property


class Problem(NamedTuple):
    """An error in a file: where it is, its description and its remedy."""

    file: str
    line: int
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    text: str
    statements: tuple[Statement, ...]

    def line_of(self, pattern: str) -> int:
        """Return the number of the first line where *pattern* matches, or 1."""
        match = re.search(pattern, self.text, re.MULTILINE)
        return self.text.count("\n", 0, match.start()) + 1 if match else 1

    def line_of_subject(self, iri: str, base: str) -> int:
        """Return the line where the description of *iri* begins, or 1."""
        name = re.escape(iri.rpartition("#")[2].rpartition("/")[2])
        whole, short = re.escape(iri), re.escape(iri.removeprefix(base))
        return self.line_of(rf"^(?:<(?:{whole}|{short})>|[^<\s][^\s]*:{name}|:{name})(?:\s|$)")

    def line_of_label(self, label: Literal) -> int:
        escaped = label.value.replace("\\", "\\\\").replace('"', '\\"')
        return self.line_of(
            re.escape(f'"{escaped}"' + (f"@{label.language}" if label.language else ""))
        )


def check_files(files: Mapping[str, bytes], base: str = BASE) -> list[Problem]:
    """Return the problems of Turtle *files* (name to content), which are checked together, sorted
    by file and line.

    >>> [problem.message for problem in check_files({"x.ttl": b"<a> <b>"})]
    ['not Turtle: Unexpected end']
    """
    problems, parsed = list[Problem](), list[_File]()
    graph: _Graph = {}
    for name, content in files.items():
        try:
            quads = parse(content, format=RdfFormat.TURTLE, base_iri=base)
            rows = tuple(_statements(quad.triple for quad in quads))
            parsed.append(_File(name, content.decode(), rows))
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            problems.append(Problem(name, line, "not UTF-8", "save the file as UTF-8"))
        except SyntaxError as error:
            message = f"not Turtle: {str(error.msg).rpartition(': ')[2].rstrip('.')}"
            problems.append(Problem(name, error.lineno or 1, message, "correct the syntax"))
    for file in parsed:
        for subject, predicate, value in file.statements:
            graph.setdefault(subject, {}).setdefault(predicate, set()).add(value)
    for file in parsed:
        problems += _check_structure(file, graph, base)
        problems += _check_texts(file, graph, _LABELS, "label", "make it a skos:altLabel")
        problems += _check_texts(
            file, graph, _DEFINITIONS, "definition", "make it a skos:scopeNote"
        )
        problems += _check_translations(file)
    return sorted(set(problems))


def _value(term: Any) -> str:
    return f"_:{term.value}" if isinstance(term, BlankNode) else str(getattr(term, "value", term))


def _check_structure(file: _File, graph: _Graph, base: str) -> Iterator[Problem]:
    """Yield a problem for each thing that a concept, scheme or ontology of the file lacks in all
    files together, and for each text in place of a thing.

    The scheme's source does not suffice for its concepts: a person who checks a line must not have to
    search for its text. A deprecated concept needs no place below a top concept.
    """

    def problem(subject: str, message: str, remedy: str) -> Problem:
        line = file.line_of_subject(subject, base)
        return Problem(file.name, line, f"{subject.removeprefix(base)}: {message}", remedy)

    named = [row for row in file.statements if not row[0].startswith("_:")]
    types = [(subject, _value(kind)) for subject, name, kind in named if name == _TYPE]
    has_concepts = any(kind == _CONCEPT for _, kind in types)
    for subject, kind in types:
        about = graph[subject]
        if kind == _CONCEPT and _PREFERRED not in about:
            yield problem(subject, "no label", "add skos:prefLabel")
        if kind == _CONCEPT and f"{SKOS}inScheme" not in about:
            yield problem(subject, "no scheme", "add skos:inScheme")
        elif kind == _CONCEPT and not _is_below_top(subject, graph) and not _is_old(subject, graph):
            remedy = "add skos:topConceptOf or skos:broader"
            yield problem(subject, "neither a top concept nor below one", remedy)
        licences = about.get(f"{DCT}license", ())
        if kind in _WHOLES and not any(isinstance(value, NamedNode) for value in licences):
            yield problem(subject, "no licence", "add dct:license with the licence's address")
        if kind == _CONCEPT or (kind in _WHOLES and not has_concepts):
            own = ", or <ns> if it is ours" if kind == _CONCEPT else ""
            if f"{DCT}source" not in about:
                yield problem(
                    subject, "no source", f"add dct:source with the address of its text{own}"
                )
    for subject, predicate, value in file.statements:
        short = predicate.removeprefix(SKOS).removeprefix(DCT)
        if subject.startswith("_:") or isinstance(value, BlankNode):
            yield Problem(file.name, 1, "a blank node", "give the resource an IRI")
        elif predicate in _HIERARCHY and isinstance(value, NamedNode) and value.value not in graph:
            message = f"skos:{short} leads to {value.value}, which no file defines"
            yield problem(subject, message, "define that concept, or correct its IRI")
        elif predicate in _NO_TEXTS and isinstance(value, Literal):
            yield problem(subject, f"dct:{short} is a text", "name a thing by its IRI")


def _is_below_top(concept: str, graph: _Graph) -> bool:
    """Return whether a concept is a top concept of a scheme, or has one among its broader ones."""
    waiting, seen = [concept], set[str]()
    while waiting:
        about = graph.get(node := waiting.pop(), {})
        for scheme in about.get(f"{SKOS}topConceptOf", ()):
            tops = graph.get(scheme.value, {}).get(f"{SKOS}hasTopConcept", ())
            if node in map(_value, tops):
                return True
        seen.add(node)
        waiting += {each.value for each in about.get(f"{SKOS}broader", ())} - seen
    return False


def _is_old(concept: str, graph: _Graph) -> bool:
    marks = graph.get(concept, {}).get(f"{OWL}deprecated", ())
    return any(mark.value in ("true", "1") for mark in marks)


def _check_texts(
    file: _File, graph: _Graph, names: tuple[str, ...], kind: str, remedy: str
) -> Iterator[Problem]:
    """Yield each text in an unknown language or with a fault, and each second one in a language; two
    concepts must not share a preferred label.
    """
    seen, shared = set[tuple[str, str]](), dict[tuple[str, str], str]()
    for subject, predicate, text in file.statements:
        if predicate not in names or not isinstance(text, Literal) or subject.startswith("_:"):
            continue
        line, language, quoted = file.line_of_label(text), text.language or "", f'"{text.value}"'
        if language not in LANGUAGES:
            name = f'language "{language}"' if language else f"{kind} without a language"
            message = f"{subject}: unknown {name}: {quoted}"
            yield Problem(file.name, line, message, f"use one of {', '.join(LANGUAGES)}")
            continue
        faults = [
            *(_faults(text.value) if kind == "label" else ()),
            *_script_faults(text.value, language),
        ]
        for fault in faults:
            message = f"{subject}: {fault}: {quoted}@{language}"
            yield Problem(file.name, line, message, f"correct the {kind}, or leave it out")
        if predicate == f"{SKOS}altLabel":
            continue
        if (subject, language) in seen:
            second = "preferred label" if kind == "label" else kind
            yield Problem(file.name, line, f'{subject}: a second {second} in "{language}"', remedy)
        seen.add((subject, language))
        other = shared.setdefault((text.value.casefold(), language), subject)
        is_shared = kind == "label" and other != subject
        if is_shared and not _is_old(subject, graph) and not _is_old(other, graph):
            message = f"{subject}: the preferred label of {other}: {quoted}@{language}"
            yield Problem(file.name, line, message, "label each concept by its own text")


def _faults(text: str) -> Iterator[str]:
    """Yield the description of each residue in a label."""
    if unicodedata.normalize("NFC", text) != text:
        yield "not in Unicode's NFC"
    for pattern, description in _RESIDUES:
        if pattern.search(text):
            yield description
    if any(_INDICATOR_NUMBER.search(part) for part in _PARENTHESES.split(text)[1::2]):
        yield "a drafting note that names another indicator"
    if any(len(text) - match.end() > _MIN_SECOND_TEXT for match in _JOINED_WORDS.finditer(text)):
        yield "two texts without a space between them"


def _script_faults(text: str, language: str) -> Iterator[str]:
    """Yield the description of each wrong script in a label or definition, and of small words that
    show a part in another language.

    >>> list(_script_faults("la coordination et la and domestic material consumption", "fr"))
    ['words of another language (and)']
    """
    small = set().union(*(words for name, words in _OWN_WORDS.items() if name != language))
    if words := sorted(small.intersection(_WORD.findall(text))):
        yield f"words of another language ({', '.join(words)})"
    names = {char: unicodedata.name(char, "") for char in text if char.isalpha()}
    scripts = {name.split("-")[0].split()[0] for name in names.values()}
    also = {"LATIN"} if language in _LATIN_ALSO else set()
    if foreign := scripts - {_SCRIPTS[language], "MODIFIER", "FEMININE", "MASCULINE"} - also:
        yield f"letters that do not belong to the language ({', '.join(sorted(foreign)).title()})"
    elif _SCRIPTS[language] not in scripts and sum(map(str.isalpha, text)) > 4:
        yield "no letters of the language"
    chinese = [char for char, name in names.items() if language == "zh" and name.startswith("CJK")]
    # GB 2312 has no Traditional form.
    if traditional := [char for char in chinese if not char.encode("gb2312", "ignore")]:
        yield f"characters that are not Simplified Chinese ({''.join(traditional)})"


def _check_translations(file: _File) -> Iterator[Problem]:
    """Yield each translation whose length or years do not fit the English label."""
    preferred = {
        (subject, text.language): text
        for subject, predicate, text in file.statements
        if predicate == _PREFERRED and isinstance(text, Literal) and text.language in LANGUAGES
    }
    ratios: dict[str, dict[str, float]] = {}
    for (iri, language), label in preferred.items():
        english = preferred.get((iri, "en"))
        if language == "en" or english is None:
            continue
        if set(_YEAR.findall(label.value)) != set(_YEAR.findall(english.value)):
            message = f'{iri}: years other than in the English label: "{label.value}"'
            remedy = "take the whole text of this concept, or leave the label out"
            yield Problem(file.name, file.line_of_label(label), message, remedy)
        if len(english.value) >= _MIN_COMPARED and label.value:
            ratios.setdefault(language, {})[iri] = log(len(label.value) / len(english.value))
    for language, by_iri in ratios.items():
        usual = median(by_iri.values())
        for iri, ratio in by_iri.items() if len(by_iri) >= _MIN_SISTERS else ():
            if abs(ratio - usual) > log(_MAX_LENGTH_FACTOR):
                label = preferred[iri, language]
                message = (
                    f'{iri}: far longer or shorter than its sisters: "{label.value}"@{language}'
                )
                remedy = "take the whole text of this concept and no other, or leave the label out"
                yield Problem(file.name, file.line_of_label(label), message, remedy)


_NAMES = (f"{SKOS}prefLabel", f"{RDFS}label")
_NOTES = (f"{SKOS}editorialNote", f"{SKOS}scopeNote")
_UNVERIFIED = "unverified"


class SchemeSummary(NamedTuple):
    """The counts of a scheme, or of the terms of an ontology under its name.

    *languages* are those in which every concept has a preferred label, *defined* those in which
    every one has a definition. *sourced* counts the concepts with a dct:source other than us, *ours*
    those that say that they are ours (rdfs:isDefinedBy). *unverified* counts the concepts with a
    note that says so, or all concepts if the scheme has the note.
    """

    name: str
    concepts: int
    languages: tuple[str, ...]
    defined: tuple[str, ...]
    sourced: int
    ours: int
    unverified: int


def summaries(base: str = BASE) -> Iterator[SchemeSummary]:
    """Yield the summary of each scheme in the order of the names, and of the two ontologies last.

    >>> next(item for item in summaries() if item.name == "coverage").languages
    ('en', 'fr', 'es', 'ar', 'zh', 'ru')
    """
    for name in schemes(base):
        members = list(concepts(name, base))
        yield _summary(
            name, f"{base}scheme/{name}", _statements(graph_triples(name, base)), members
        )
    for name in ONTOLOGIES:
        rows = _statements(ontology_triples(name, base))
        terms = dict.fromkeys(
            subject for subject, *_ in rows if subject.startswith(f"{base}{name}#")
        )
        yield _summary(name, base + name, rows, list(terms))


def _statements(triples: Iterable[Triple]) -> list[Statement]:
    return [(_value(item.subject), item.predicate.value, item.object) for item in triples]


def _summary(name: str, scheme: str, rows: list[Statement], members: list[str]) -> SchemeSummary:
    sources = {(subject, _value(value)) for subject, name, value in rows if name == f"{DCT}source"}
    owners = {
        (subject, _value(value)) for subject, name, value in rows if name == f"{RDFS}isDefinedBy"
    }
    unverified = {row[0] for row in rows if _is_unverified(row)}
    return SchemeSummary(
        name,
        len(members),
        _complete(rows, _NAMES, members),
        _complete(rows, _DEFINITIONS, members),
        len({iri for iri, _ in sources - owners}.intersection(members)),
        len({iri for iri, _ in owners}.intersection(members)),
        len(members) if scheme in unverified else len(unverified.intersection(members)),
    )


def _complete(rows: list[Statement], names: tuple[str, ...], members: list[str]) -> tuple[str, ...]:
    """Return the languages in which every concept has a text."""
    texts = {
        (subject, getattr(value, "language", None))
        for subject, name, value in rows
        if name in names
    }
    return tuple(
        language
        for language in LANGUAGES
        if members and all((iri, language) in texts for iri in members)
    )


def _is_unverified(row: Statement) -> bool:
    _, name, value = row
    return name in _NOTES and _UNVERIFIED in _value(value).casefold()


class UnverifiedNote(NamedTuple):
    """A note that something is unverified: of the scheme or ontology *name*, about *subject*."""

    name: str
    subject: str
    note: str


def unverified_notes(base: str = BASE) -> Iterator[UnverifiedNote]:
    """Yield each note of the schemes and ontologies that says that something is unverified, in the
    order of the names.
    """
    for name, triples in (
        *((name, graph_triples(name, base)) for name in schemes(base)),
        *((name, ontology_triples(name, base)) for name in ONTOLOGIES),
    ):
        for row in _statements(triples):
            if _is_unverified(row):
                yield UnverifiedNote(name, row[0].removeprefix(base), _value(row[2]))
