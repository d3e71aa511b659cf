"""Check the Turtle files of the vocabulary: their structure, sources and labels; and count, scheme by
scheme, what is complete, sourced and unverified.

Each rule comes from an error that was found in published labels: the text of another concept, of
another edition, of another script, or with the residue of a spreadsheet. SKOS integrity conditions:
https://www.w3.org/TR/skos-reference/
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from importlib.resources import files as package_files
from math import log
from statistics import median
from typing import Any, NamedTuple

from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, Store, parse

from vocab.iris import BASE
from vocab.terms import LANGUAGES, OWL, RDFS, SKOS

# How far the ratio of a label's length to the English one's may differ from its sisters' ratio.
_MAX_LENGTH_FACTOR = 3.0
_MIN_COMPARED = 40  # Characters of the English label; the lengths of shorter ones show nothing.
_MIN_SISTERS = 20  # Fewer labels do not show the usual length.

_PREFERRED = f"{SKOS}prefLabel"
_DEFINITIONS = (f"{SKOS}definition", f"{RDFS}comment")
# The properties of each kind of text, and what to do with a second one in a language.
_TEXTS = {
    "label": ((_PREFERRED, f"{SKOS}altLabel"), "make it a skos:altLabel"),
    "definition": (_DEFINITIONS, "make it a skos:scopeNote"),
}
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


class Problem(NamedTuple):
    """An error in a file: where it is, its description and its remedy."""

    file: str
    line: int
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}; {self.remedy}"


class _File(NamedTuple):
    name: str
    text: str
    triples: list[Any]

    def line_of(self, pattern: str) -> int:
        """Return the number of the first line where *pattern* matches, or 1."""
        match = re.search(pattern, self.text, re.MULTILINE)
        return self.text.count("\n", 0, match.start()) + 1 if match else 1

    def line_of_subject(self, iri: str, base: str) -> int:
        """Return the line where the description of *iri* begins, or 1."""
        name = re.escape(iri.rpartition("#")[2].rpartition("/")[2])
        whole, short = re.escape(iri), re.escape(iri.removeprefix(base))
        return self.line_of(rf"^(?:<(?:{whole}|{short})>|[^<\s][^\s]*:{name}|:{name})(?:\s|$)")

    def problem(self, label: Literal, message: str, remedy: str) -> Problem:
        """Return the problem of a label, at its line."""
        escaped = label.value.replace("\\", "\\\\").replace('"', '\\"')
        mark = f"@{label.language}" if label.language else ""
        return Problem(self.name, self.line_of(re.escape(f'"{escaped}"{mark}')), message, remedy)

    def texts(self, *names: str) -> Iterator[tuple[str, str, Literal]]:
        """Yield the subject, the property and the text of each statement with one of the properties."""
        for subject, predicate, text in self.triples:
            is_text = isinstance(text, Literal) and isinstance(subject, NamedNode)
            if is_text and predicate.value in names:
                yield subject.value, predicate.value, text


def check_files(files: Mapping[str, bytes], base: str = BASE) -> list[Problem]:
    """Return the problems of Turtle *files* (name to content), which are checked together, sorted
    by file and line.

    >>> [problem.message for problem in check_files({"x.ttl": b"<a> <b>"})]
    ['not Turtle: Unexpected end']
    """
    problems, parsed, store = list[Problem](), dict[NamedNode, _File](), Store()
    for number, (name, content) in enumerate(files.items()):
        try:
            quads = parse(content, format=RdfFormat.TURTLE, base_iri=base)
            file = _File(name, content.decode(), [quad.triple for quad in quads])
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            problems.append(Problem(name, line, "not UTF-8", "save the file as UTF-8"))
        except SyntaxError as error:
            message = f"not Turtle: {str(error.msg).rpartition(': ')[2].rstrip('.')}"
            problems.append(Problem(name, error.lineno or 1, message, "correct the syntax"))
        else:
            parsed[graph := NamedNode(f"file:{number}")] = file
            store.extend(Quad(t.subject, t.predicate, t.object, graph) for t in file.triples)
    for row in _select(store):
        file, iri = parsed[row["file"]], row["subject"].value if row["subject"] else ""
        message = f"{iri.removeprefix(base)}: {row['message'].value}".removeprefix(": ")
        line = file.line_of_subject(iri, base) if iri else 1
        problems.append(Problem(file.name, line, message, row["remedy"].value))
    marks: Any = store.quads_for_pattern(None, NamedNode(f"{OWL}deprecated"), None)
    deprecated = {quad.subject.value for quad in marks if quad.object.value in ("true", "1")}
    for file in parsed.values():
        for kind in _TEXTS:
            problems += _check_texts(file, deprecated, kind)
        problems += _check_translations(file)
    return sorted(set(problems))


def _select(store: Store) -> Any:
    query = (package_files("vocab") / "check.rq").read_text("utf-8")
    return store.query(query, use_default_graph_as_union=True)


def _check_texts(file: _File, deprecated: set[str], kind: str) -> Iterator[Problem]:
    """Yield each text in an unknown language or with a fault, and each second one in a language; two
    concepts must not share a preferred label.
    """
    names, remedy = _TEXTS[kind]
    seen, shared = set[tuple[str, str]](), dict[tuple[str, str], str]()
    for subject, predicate, text in file.texts(*names):
        language, quoted = text.language or "", f'"{text.value}"'
        if language not in LANGUAGES:
            name = f'language "{language}"' if language else f"{kind} without a language"
            known = f"use one of {', '.join(LANGUAGES)}"
            yield file.problem(text, f"{subject}: unknown {name}: {quoted}", known)
            continue
        for fault in _faults(text.value, language, kind):
            message = f"{subject}: {fault}: {quoted}@{language}"
            yield file.problem(text, message, f"correct the {kind}, or leave it out")
        if predicate == f"{SKOS}altLabel":
            continue
        if (subject, language) in seen:
            second = "preferred label" if kind == "label" else kind
            yield file.problem(text, f'{subject}: a second {second} in "{language}"', remedy)
        seen.add((subject, language))
        other = shared.setdefault((text.value.casefold(), language), subject)
        if kind == "label" and other != subject and deprecated.isdisjoint((subject, other)):
            message = f"{subject}: the preferred label of {other}: {quoted}@{language}"
            yield file.problem(text, message, "label each concept by its own text")


def _faults(text: str, language: str, kind: str) -> Iterator[str]:
    """Yield the description of each residue in a label, of each wrong script in a text, and of small
    words that show a part in another language.

    >>> list(_faults("la coordination et la and domestic material consumption", "fr", "label"))
    ['words of another language (and)']
    """
    if kind == "label":
        is_composed = unicodedata.normalize("NFC", text) == text
        notes = _PARENTHESES.split(text)[1::2]
        ends = [len(text) - match.end() for match in _JOINED_WORDS.finditer(text)]
        residues = (
            (not is_composed, "not in Unicode's NFC"),
            *((pattern.search(text), description) for pattern, description in _RESIDUES),
            (
                any(map(_INDICATOR_NUMBER.search, notes)),
                "a drafting note that names another indicator",
            ),
            (max(ends, default=0) > _MIN_SECOND_TEXT, "two texts without a space between them"),
        )
        yield from (description for is_residue, description in residues if is_residue)
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
    labels = {(subject, text.language): text for subject, _, text in file.texts(_PREFERRED)}
    ratios: dict[str, dict[str, float]] = {language: {} for language in LANGUAGES[1:]}
    for (iri, language), label in labels.items():
        english = labels.get((iri, "en"))
        if language not in ratios or english is None:
            continue
        if set(_YEAR.findall(label.value)) != set(_YEAR.findall(english.value)):
            message = f'{iri}: years other than in the English label: "{label.value}"'
            remedy = "take the whole text of this concept, or leave the label out"
            yield file.problem(label, message, remedy)
        if len(english.value) >= _MIN_COMPARED and label.value:
            ratios[language][iri] = log(len(label.value) / len(english.value))
    for language, by_iri in ratios.items():
        usual = median(by_iri.values() or [0.0])
        for iri, ratio in by_iri.items():
            is_far = abs(ratio - usual) > log(_MAX_LENGTH_FACTOR)
            if is_far and len(by_iri) >= _MIN_SISTERS:
                text = f'"{labels[iri, language].value}"@{language}'
                message = f"{iri}: far longer or shorter than its sisters: {text}"
                remedy = "take the whole text of this concept and no other, or leave the label out"
                yield file.problem(labels[iri, language], message, remedy)
