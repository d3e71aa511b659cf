"""Check the Turtle files of the vocabulary: their structure, sources and labels.

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
from typing import NamedTuple, TypeAlias

from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, parse

from vocab.iris import BASE
from vocab.terms import DCT, RDF, SKOS

LANGUAGES = ("en", "fr", "es", "ar", "zh", "ru")

# of a label's length to the usual length of its sisters in the same language
_MAX_LENGTH_FACTOR = 3.0
_MIN_COMPARED = 40  # characters of the English label; lengths of shorter ones say nothing
_MIN_SISTERS = 20  # labels from which the usual length is known

_OWL = "http://www.w3.org/2002/07/owl#"
_TYPE = NamedNode(f"{RDF}type")
_CONCEPT = NamedNode(f"{SKOS}Concept")
_SCHEME = NamedNode(f"{SKOS}ConceptScheme")
_ONTOLOGY = NamedNode(f"{_OWL}Ontology")
_PREFERRED, _ALTERNATIVE = NamedNode(f"{SKOS}prefLabel"), NamedNode(f"{SKOS}altLabel")
_DEFINITIONS = (
    NamedNode(f"{SKOS}definition"),
    NamedNode("http://www.w3.org/2000/01/rdf-schema#comment"),
)
_SOURCE, _DEPRECATED = NamedNode(f"{DCT}source"), NamedNode(f"{_OWL}deprecated")
_HIERARCHY = tuple(
    NamedNode(f"{SKOS}{name}")
    for name in ("broader", "narrower", "topConceptOf", "hasTopConcept", "inScheme")
)
_BROADER, _, _TOP_OF, _HAS_TOP, _IN_SCHEME = _HIERARCHY
_LICENCE = NamedNode(f"{DCT}license")
_NO_TEXTS = tuple(NamedNode(f"{DCT}{name}") for name in ("publisher", "accrualPeriodicity"))
# DCMI Metadata Terms gives both a range of things, not of texts:
# https://www.dublincore.org/specifications/dublin-core/dcmi-terms/

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
_MIN_SECOND_TEXT = 40  # characters after two joined words; a name such as "OpenCRVS" is shorter
_SCRIPTS = {
    "ar": "ARABIC",
    "zh": "CJK",
    "ru": "CYRILLIC",
    "en": "LATIN",
    "fr": "LATIN",
    "es": "LATIN",
}
_LATIN_ALSO = frozenset(("ar", "zh", "ru"))  # their texts contain abbreviations in Latin letters
# Small words that are frequent in one language and no words of the other two.
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


_Graph: TypeAlias = dict[object, dict[object, set[object]]]


class Problem(NamedTuple):
    """An error in a file: where it is, its description and its remedy."""

    file: str
    line: int
    message: str
    remedy: str

    def __str__(self) -> str:
        """Return the problem as one line."""
        return f"{self.file}:{self.line}: {self.message}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    text: str
    triples: tuple[Triple, ...]

    def line_of(self, needle: str) -> int:
        """Return the number of the first line that contains *needle*, or 1."""
        position = self.text.find(needle)
        return self.text.count("\n", 0, position) + 1 if position >= 0 else 1

    def line_of_subject(self, iri: str, base: str) -> int:
        """Return the line where the description of *iri* begins, or 1."""
        name = iri.rpartition("#")[2].rpartition("/")[2]
        for number, line in enumerate(self.text.splitlines(), 1):
            subject = line.partition(" ")[0]
            if subject in (f"<{iri}>", f"<{iri.removeprefix(base)}>") or (
                subject[:1] != "<" and subject.endswith(f":{name}")
            ):
                return number
        return 1

    def line_of_label(self, label: Literal) -> int:
        """Return the line of a label."""
        escaped = label.value.replace("\\", "\\\\").replace('"', '\\"')
        return self.line_of(f'"{escaped}"@{label.language}' if label.language else f'"{escaped}"')


def check_files(files: Mapping[str, bytes], base: str = BASE) -> list[Problem]:
    """Return the problems of Turtle *files* (name to content), which are checked together, sorted
    by file and line.

    >>> [problem.message for problem in check_files({"x.ttl": b"<a> <b>"})]
    ['not Turtle: Unexpected end']
    """
    problems: list[Problem] = []
    parsed: list[_File] = []
    for name, content in files.items():
        try:
            triples = tuple(
                quad.triple for quad in parse(content, format=RdfFormat.TURTLE, base_iri=base)
            )
            parsed.append(_File(name, content.decode(), triples))
        except UnicodeDecodeError as error:
            problems.append(
                Problem(
                    name,
                    content.count(b"\n", 0, error.start) + 1,
                    "not UTF-8",
                    "save the file as UTF-8",
                )
            )
        except SyntaxError as error:
            message = str(error.msg).rpartition(": ")[2].rstrip(".")
            problems.append(
                Problem(name, error.lineno or 1, f"not Turtle: {message}", "correct the syntax")
            )
    graph: _Graph = {}
    for file in parsed:
        for triple in file.triples:
            if isinstance(triple.subject, NamedNode):
                about = graph.setdefault(triple.subject, {})
                about.setdefault(triple.predicate, set()).add(triple.object)
    for file in parsed:
        problems += _check_structure(file, graph, base)
        problems += _check_completeness(file, graph, base)
        problems += _check_labels(file)
        problems += _check_definitions(file)
    return sorted(set(problems))


def _check_structure(file: _File, graph: _Graph, base: str) -> Iterator[Problem]:
    for subject, predicate, value in file.triples:
        if isinstance(subject, BlankNode) or isinstance(value, BlankNode):
            yield Problem(file.name, 1, "a blank node", "give the resource an IRI")
        elif predicate in _HIERARCHY and isinstance(value, NamedNode) and value not in graph:
            line = file.line_of_subject(str(getattr(subject, "value", "")), base)
            name = predicate.value.removeprefix(SKOS)
            yield Problem(file.name, line, f"{_short(subject, base)}: skos:{name} leads to {value.value}, which no file defines",
                          "define that concept, or correct its IRI")  # fmt: skip


def _check_completeness(file: _File, graph: _Graph, base: str) -> Iterator[Problem]:
    """Yield what each concept, scheme and ontology of the file lacks, in all files together, and
    each text in place of a thing.

    A source of the scheme is not one of its concepts: who checks a line must not search for its
    text. A deprecated concept needs no place below a top concept.
    """

    def problem(subject: object, message: str, remedy: str) -> Problem:
        line = file.line_of_subject(str(getattr(subject, "value", subject)), base)
        return Problem(file.name, line, f"{_short(subject, base)}: {message}", remedy)

    types = [(t.subject, t.object) for t in file.triples if t.predicate == _TYPE]
    for subject in (s for s, kind in types if kind == _CONCEPT and isinstance(s, NamedNode)):
        about = graph[subject]
        if _PREFERRED not in about:
            yield problem(subject, "no label", "add skos:prefLabel")
        if _IN_SCHEME not in about:
            yield problem(subject, "no scheme", "add skos:inScheme")
        elif not _is_below_top(subject, graph) and not _is_true(about.get(_DEPRECATED, ())):
            yield problem(subject, "neither a top concept nor below one",
                          "add skos:topConceptOf or skos:broader")  # fmt: skip
        if _SOURCE not in about:
            yield problem(subject, "no source", "add dct:source with the address of its text, or <ns> if it is ours")  # fmt: skip
    wholes = {s for s, kind in types if kind in (_SCHEME, _ONTOLOGY) and isinstance(s, NamedNode)}
    for subject in wholes:
        about = graph[subject]
        if not any(isinstance(value, NamedNode) for value in about.get(_LICENCE, ())):
            yield problem(subject, "no licence", "add dct:license with the licence's address")
        if _SOURCE not in about and not any(kind == _CONCEPT for _, kind in types):
            yield problem(subject, "no source", "add dct:source with the address of its text")
    for t in file.triples:
        if t.predicate in _NO_TEXTS and isinstance(t.object, Literal):
            yield problem(t.subject, f"dct:{t.predicate.value.removeprefix(DCT)} is a text", "name a thing by its IRI")  # fmt: skip


def _is_below_top(concept: NamedNode, graph: _Graph) -> bool:
    """Return whether a concept is a top concept of a scheme, or has one among its broader ones."""
    waiting, seen = list[object]([concept]), set[object]()
    while waiting:
        about = graph.get(node := waiting.pop(), {})
        if any(
            node in graph.get(scheme, {}).get(_HAS_TOP, ()) for scheme in about.get(_TOP_OF, ())
        ):
            return True
        seen.add(node)
        waiting += [broader for broader in about.get(_BROADER, ()) if broader not in seen]
    return False


def _is_true(values: Iterable[object]) -> bool:
    return any(getattr(value, "value", "") in ("true", "1") for value in values)


def _short(subject: object, base: str) -> str:
    return str(getattr(subject, "value", subject)).removeprefix(base)


def _check_labels(file: _File) -> Iterator[Problem]:
    deprecated = _deprecated(file)
    preferred: dict[tuple[str, str], Literal] = {}
    shared: dict[tuple[str, str], str] = {}
    for triple in file.triples:
        label, subject = triple.object, triple.subject
        if (
            triple.predicate not in (_PREFERRED, _ALTERNATIVE)
            or not isinstance(label, Literal)
            or not isinstance(subject, NamedNode)
        ):
            continue
        iri, language = subject.value, label.language
        if language not in LANGUAGES:
            name = f'language "{language}"' if language else "label without a language"
            yield Problem(
                file.name,
                file.line_of_label(label),
                f'{iri}: unknown {name}: "{label.value}"',
                f"use one of {', '.join(LANGUAGES)}",
            )
            continue
        for message in _faults(label.value, language):
            yield Problem(
                file.name,
                file.line_of_label(label),
                f'{iri}: {message}: "{label.value}"@{language}',
                "correct the label, or leave it out",
            )
        if triple.predicate != _PREFERRED:
            continue
        if (iri, language) in preferred:
            yield Problem(
                file.name,
                file.line_of_label(label),
                f'{iri}: a second preferred label in "{language}"',
                "make it a skos:altLabel",
            )
        preferred[iri, language] = label
        other = shared.setdefault((label.value.casefold(), language), iri)
        if other != iri and subject not in deprecated and NamedNode(other) not in deprecated:
            yield Problem(file.name, file.line_of_label(label), f'{iri}: the preferred label of {other}: "{label.value}"@{language}',
                          "label each concept by its own text")  # fmt: skip
    yield from _check_translations(file, preferred)


def _check_definitions(file: _File) -> Iterator[Problem]:
    """Yield each definition in an unknown language, of another script, or beside one in the same
    language.
    """
    seen: set[tuple[str, str | None]] = set()
    for subject, predicate, text in file.triples:
        if (
            predicate not in _DEFINITIONS
            or not isinstance(text, Literal)
            or not isinstance(subject, NamedNode)
        ):
            continue
        iri, language = subject.value, text.language
        if language not in LANGUAGES:
            name = f'language "{language}"' if language else "definition without a language"
            yield Problem(file.name, file.line_of_label(text), f'{iri}: unknown {name}: "{text.value}"',
                          f"use one of {', '.join(LANGUAGES)}")  # fmt: skip
            continue
        for message in _script_faults(text.value, language):
            yield Problem(file.name, file.line_of_label(text), f'{iri}: {message}: "{text.value}"@{language}',
                          "correct the definition, or leave it out")  # fmt: skip
        if (iri, language) in seen:
            yield Problem(
                file.name,
                file.line_of_label(text),
                f'{iri}: a second definition in "{language}"',
                "make it a skos:scopeNote",
            )
        seen.add((iri, language))


def _deprecated(file: _File) -> set[object]:
    return {
        triple.subject
        for triple in file.triples
        if triple.predicate == _DEPRECATED and _is_true((triple.object,))
    }


def _faults(text: str, language: str) -> Iterator[str]:
    """Yield the description of each residue and each wrong script in a label."""
    if unicodedata.normalize("NFC", text) != text:
        yield "not in Unicode's NFC"
    for pattern, description in _RESIDUES:
        if pattern.search(text):
            yield description
    if any(_INDICATOR_NUMBER.search(part) for part in _PARENTHESES.split(text)[1::2]):
        yield "a drafting note that names another indicator"
    if any(len(text) - match.end() > _MIN_SECOND_TEXT for match in _JOINED_WORDS.finditer(text)):
        yield "two texts without a space between them"
    yield from _script_faults(text, language)


def _foreign_words(text: str, language: str) -> Iterator[str]:
    """Yield the small words of another language in a text, which show that a part of it is foreign.

    >>> list(_foreign_words("la coordination et la and domestic material consumption", "fr"))
    ['words of another language (and)']
    """
    foreign = set().union(*(words for name, words in _OWN_WORDS.items() if name != language))
    words = sorted(foreign.intersection(_WORD.findall(text)))
    if words:
        yield f"words of another language ({', '.join(words)})"


def _script_faults(text: str, language: str) -> Iterator[str]:
    """Yield the description of each wrong script in a label or definition, and of foreign words."""
    yield from _foreign_words(text, language)
    letters = [char for char in text if char.isalpha()]
    scripts = {unicodedata.name(char, "").split("-")[0].split()[0] for char in letters}
    expected = _SCRIPTS[language]
    foreign = (
        scripts
        - {expected, "MODIFIER", "FEMININE", "MASCULINE"}
        - ({"LATIN"} if language in _LATIN_ALSO else set())
    )
    if foreign:
        yield f"letters that do not belong to the language ({', '.join(sorted(foreign)).title()})"
    elif letters and expected not in scripts and len(letters) > 4:
        yield "no letters of the language"
    if language == "zh":
        traditional = [
            char
            for char in letters
            if unicodedata.name(char, "").startswith("CJK") and not _is_simplified(char)
        ]
        if traditional:
            yield f"characters that are not Simplified Chinese ({''.join(traditional)})"


def _is_simplified(char: str) -> bool:
    """Return whether a character belongs to GB 2312, which has no Traditional form."""
    try:
        return bool(char.encode("gb2312"))
    except UnicodeEncodeError:
        return False


def _check_translations(
    file: _File, preferred: Mapping[tuple[str, str], Literal]
) -> Iterator[Problem]:
    """Yield each translation whose length or years differ from what the English label lets expect."""
    ratios: dict[str, dict[str, float]] = {}
    for (iri, language), label in preferred.items():
        english = preferred.get((iri, "en"))
        if language == "en" or english is None:
            continue
        if set(_YEAR.findall(label.value)) != set(_YEAR.findall(english.value)):
            yield Problem(file.name, file.line_of_label(label), f'{iri}: years other than in the English label: "{label.value}"',
                          "take the whole text of this concept, or leave the label out")  # fmt: skip
        if len(english.value) >= _MIN_COMPARED and label.value:
            ratios.setdefault(language, {})[iri] = log(len(label.value) / len(english.value))
    for language, by_iri in ratios.items():
        if len(by_iri) < _MIN_SISTERS:
            continue
        usual = median(by_iri.values())
        for iri in _outliers(by_iri, usual):
            label = preferred[iri, language]
            message = f'{iri}: far longer or shorter than its sisters: "{label.value}"@{language}'
            yield Problem(file.name, file.line_of_label(label), message,
                          "take the whole text of this concept and no other, or leave the label out")  # fmt: skip


def _outliers(ratios: Mapping[str, float], usual: float) -> Iterable[str]:
    return [iri for iri, ratio in ratios.items() if abs(ratio - usual) > log(_MAX_LENGTH_FACTOR)]
