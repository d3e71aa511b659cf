"""Read our shapes, their digest, a summary of each, its message and remedy in six languages, and its
examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse

from vocab.iris import BASE
from vocab.terms import OWL, RDFS, SH


class Severity(StrEnum):
    """The severity of a result; a value is the local name of SHACL's term."""

    VIOLATION = "Violation"  # The record is withheld.
    WARNING = "Warning"  # The record is published with a note.
    INFO = "Info"


@dataclass(frozen=True, slots=True)
class Rule:
    """A shape: its IRI, severity, message, remedy and title in English, and its order among all."""

    iri: str
    severity: Severity
    message: str
    remedy: str
    title: str
    order: int

    @property
    def name(self) -> str:
        """Return the shape's short name, e.g. ``ResourceTitle``."""
        return self.iri.rpartition("#")[2]


@lru_cache(maxsize=4)
def turtle(base: str = BASE) -> str:
    """Return all shapes as one Turtle text, to be parsed with *base* as its base IRI.

    Namespaces inside SPARQL constraints are literals, which a base does not resolve, so they are
    replaced here.
    """
    return _read("data").replace(f'"{BASE}', f'"{base}')


@lru_cache(maxsize=4)
def published_turtle(base: str = BASE) -> str:
    """Return all shapes with their messages and remedies in six languages; engines get the English
    ones alone (``turtle``).
    """
    return turtle(base) + "\n" + _read("messages")


def _read(folder_name: str) -> str:
    folder = files("shapes") / folder_name
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".ttl"))
    return "\n".join((folder / name).read_text("utf-8") for name in names)


@lru_cache(maxsize=4)
def shapes_digest(base: str = BASE) -> str:
    """Return the SHA-256 of the shapes in hexadecimal: if it changes, all records are validated
    again.
    """
    return hashlib.sha256(turtle(base).encode()).hexdigest()


@lru_cache(maxsize=4)
def triples(base: str = BASE) -> tuple[Triple, ...]:
    return tuple(
        quad.triple for quad in parse(turtle(base), format=RdfFormat.TURTLE, base_iri=base)
    )


@lru_cache(maxsize=4)
def _values(base: str) -> dict[str, dict[tuple[str, str], str]]:
    """Return the values of each shape and group, by IRI, then by property and language ("": none)."""
    values: dict[str, dict[tuple[str, str], str]] = {}
    for quad in parse(published_turtle(base), format=RdfFormat.TURTLE, base_iri=base):
        value, language = quad.object, getattr(quad.object, "language", None) or ""
        if isinstance(quad.subject, NamedNode) and isinstance(value, NamedNode | Literal):
            own = values.setdefault(quad.subject.value, {})
            own[quad.predicate.value, language] = value.value
    return values


def version(base: str = BASE) -> str:
    """Return the version of the shapes.

    >>> version()
    '0.1.0'
    """
    return _values(base)[f"{base}shapes"][f"{OWL}versionInfo", ""]


@lru_cache(maxsize=4)
def rules(base: str = BASE) -> dict[str, Rule]:
    """Return each shape with a severity, by IRI, in the order of the files.

    >>> rules()[BASE + "shapes#ResourceTitle"].message
    'It has no title.'
    """
    return {
        iri: Rule(
            iri,
            Severity(about[f"{SH}severity", ""].removeprefix(SH)),
            about[f"{SH}message", "en"],
            about[f"{SH}description", "en"],
            # A node shape has no sh:name.
            about.get((f"{SH}name", "en")) or about[f"{RDFS}label", "en"],
            int(about[f"{SH}order", ""]),
        )
        for iri, about in _values(base).items()
        if (f"{SH}severity", "") in about
    }


@lru_cache(maxsize=4)
def rule_groups(base: str = BASE) -> tuple[tuple[dict[str, str], tuple[Rule, ...]], ...]:
    """Return each group of rules in its order: its labels by language, and its rules, those of node
    shapes too.
    """
    start = f"{base}shapes#group-"
    groups = [item for item in _values(base).items() if item[0].startswith(start)]
    listed = sorted(rules(base).values(), key=lambda rule: rule.order)
    return tuple(
        (
            {language: text for (_, language), text in about.items() if language},
            tuple(rule for rule in listed if rule.name.startswith(iri.removeprefix(start))),
        )
        for iri, about in sorted(groups, key=lambda item: int(item[1][f"{SH}order", ""]))
    )


def _text(base: str, name: str, iri: str, language: str) -> str | None:
    about = _values(base).get(iri, {})
    return about.get((f"{SH}{name}", language)) or about.get((f"{SH}{name}", "en"))


def message(iri: str, language: str, base: str = BASE) -> str | None:
    """Return the message of the shape *iri* in *language*, else in English; None if there is no
    such shape.

    >>> message(BASE + "shapes#ResourceTitle", "fr"), message(BASE + "shapes#ResourceTitle", "de"), message("a:b", "en")
    ("Il n'y a pas de titre.", 'It has no title.', None)
    """
    return _text(base, "message", iri, language)


def translated_message(english: str, language: str) -> str:
    """Return the message of the rule whose English one is *english* in *language*; *english* itself
    if no rule has it.

    >>> translated_message("It has no title.", "es"), translated_message("cut off", "es")
    ('No hay título.', 'cut off')
    """
    return message(_iri_by_message().get(english, ""), language) or english


@lru_cache(maxsize=1)
def _iri_by_message() -> dict[str, str]:
    return {rule.message: iri for iri, rule in rules().items()}


def remedy(iri: str, language: str, base: str = BASE) -> str | None:
    """Return the remedy of the shape *iri* in *language*, else in English; None if there is no such
    shape.

    >>> remedy(BASE + "shapes#RunOrder", "fr"), remedy(BASE + "shapes#RunOrder", "de"), remedy("a:b", "en")
    ('Corrigez les heures.', 'Correct the times.', None)
    """
    return _text(base, "description", iri, language)


@dataclass(frozen=True, slots=True)
class Example:
    """One example: the shape's IRI, whether it conforms, and its statements."""

    shape: str
    good: bool
    statements: tuple[str, ...]


def examples(base: str = BASE) -> Iterator[Example]:
    """Yield all examples, a shape's good one before its bad one, from TriG files whose graphs are
    named ``good#ResourceTitle`` and ``bad#ResourceTitle``.
    """
    for file in sorted((files("shapes") / "examples").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".trig"):
            continue
        graphs: dict[str, list[str]] = {}
        for quad in parse(file.read_bytes(), format=RdfFormat.TRIG, base_iri=base):
            if isinstance(quad.graph_name, NamedNode):
                graphs.setdefault(quad.graph_name.value.removeprefix(base), []).append(
                    str(quad.triple)
                )
        for name, statements in graphs.items():
            kind, _, shape = name.partition("#")
            yield Example(f"{base}shapes#{shape}", kind == "good", tuple(statements))
