"""Compare two versions of the vocabulary, and check the changes against the deprecation policy.

The policy: a published term is never removed and never changes its meaning. In a new version, a term
that is not used any more gets owl:deprecated and dct:isReplacedBy, or a note that says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from vocab.iris import BASE
from vocab.terms import DCT, OWL, RDF, RDFS, SKOS

_TYPE, _DEPRECATED, _VERSION = f"{RDF}type", f"{OWL}deprecated", f"{OWL}versionInfo"
_VERSION_IRI = f"{OWL}versionIRI"
_REASONS = (f"{DCT}isReplacedBy", f"{SKOS}changeNote", f"{SKOS}historyNote", f"{SKOS}editorialNote")
_FIXED = (_TYPE, f"{RDFS}domain", f"{RDFS}range", f"{SKOS}notation", f"{SKOS}inScheme")
_MEANING = (f"{RDFS}comment", f"{SKOS}definition", f"{RDFS}label", f"{SKOS}prefLabel")
_TERM_TYPES = frozenset(
    f"<{iri}>"
    for iri in (
        f"{OWL}Class", f"{OWL}ObjectProperty", f"{OWL}DatatypeProperty", f"{OWL}AnnotationProperty", f"{OWL}NamedIndividual",
        f"{SKOS}Concept", f"{SKOS}ConceptScheme", f"{RDFS}Class", f"{RDF}Property",
    )
)  # fmt: skip

# The statements of each subject (an IRI): properties (IRIs) and values (N-Triples terms).
Statements = Mapping[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class ChangeLog:
    """The terms that differ between two versions, by IRI, and what breaks the policy."""

    earlier_version: str
    version: str
    added: tuple[str, ...]
    deprecated: tuple[str, ...]
    relabelled: tuple[str, ...]  # another label, definition or comment in some language
    changed: tuple[str, ...]  # any other statement
    problems: tuple[str, ...]


def group_statements(lines: Iterable[str]) -> Statements:
    """Return N-Triples lines by subject.

    >>> group_statements(['<a:s> <a:p> "x y"@en .'])
    {'a:s': frozenset({('a:p', '"x y"@en')})}
    """
    grouped: dict[str, set[tuple[str, str]]] = {}
    for line in lines:
        subject, predicate, value = line.removesuffix(" .").split(" ", 2)
        grouped.setdefault(subject.strip("<>"), set()).add((predicate.strip("<>"), value))
    return {subject: frozenset(statements) for subject, statements in grouped.items()}


def compare(earlier: Statements, current: Statements, base: str = BASE) -> ChangeLog:
    """Return what changed from *earlier* to *current*; each of its problems names the term and the
    remedy.
    """
    old, new = (_terms(statements) for statements in (earlier, current))
    ontology = f"{base}ns"
    versions = [
        _one(statements.get(ontology, frozenset()), _VERSION) for statements in (earlier, current)
    ]
    problems = [
        f"{iri}: removed; keep it with owl:deprecated and dct:isReplacedBy"
        for iri in sorted(old - new)
    ]
    relabelled, changed, deprecated = [], [], []
    for iri in sorted(old & new):
        before, after = earlier[iri], current[iri]
        gone, appeared = before - after, after - before
        if not gone and not appeared:
            continue
        if _is_deprecated(after) and not _is_deprecated(before):
            deprecated.append(iri)
            if not any(name in _REASONS for name, _ in after):
                problems.append(
                    f"{iri}: deprecated without a reason; add dct:isReplacedBy or skos:changeNote"
                )
        elif lost := sorted({name for name, _ in gone if name in _FIXED}):
            names = ", ".join(name.replace("#", "/").rpartition("/")[2] for name in lost)
            problems.append(
                f"{iri}: {names} changed, which changes its meaning; deprecate it and coin a new term"
            )
        if any(name in _MEANING for name, _ in gone | appeared):
            relabelled.append(iri)
        else:
            changed.append(iri)
    added = sorted(new - old)
    if versions[0] == versions[1] and earlier != current:
        problems.append(
            f"{ontology}: owl:versionInfo is still {versions[1]}; raise the version and its owl:versionIRI"
        )
    problems += _unraised(earlier, current)
    return ChangeLog(
        versions[0], versions[1], tuple(added), tuple(deprecated), tuple(relabelled),
        tuple(iri for iri in changed if iri not in deprecated), tuple(problems),
    )  # fmt: skip


def _unraised(earlier: Statements, current: Statements) -> Iterator[str]:
    """Yield a problem for each scheme that changed and kept its version IRI, and for each that lost
    it.
    """
    for iri, rows in sorted(earlier.items()):
        before, after = (
            _values(statements, _VERSION_IRI)
            for statements in (rows, current.get(iri, frozenset()))
        )
        if (_TYPE, f"<{SKOS}ConceptScheme>") not in rows or not before:
            continue
        if not after:
            yield f"{iri}: no owl:versionIRI any more; state that of the new version"
        elif before == after and _members(earlier, iri) != _members(current, iri):
            yield f"{iri}: owl:versionIRI is still {after[0].strip('<>')}; raise it, with owl:versionInfo and dct:modified"


def _members(statements: Statements, scheme: str) -> dict[str, frozenset[tuple[str, str]]]:
    member = (f"{SKOS}inScheme", f"<{scheme}>")
    return {iri: rows for iri, rows in statements.items() if iri == scheme or member in rows}


def _values(rows: frozenset[tuple[str, str]], name: str) -> list[str]:
    return sorted(value for predicate, value in rows if predicate == name)


def render(log: ChangeLog, base: str = BASE) -> str:
    """Return the change log as Markdown, IRIs shortened by *base*."""
    sections = (("Added", log.added), ("Deprecated", log.deprecated), ("Labels and definitions changed", log.relabelled),
                ("Other statements changed", log.changed), ("Against the deprecation policy", log.problems))  # fmt: skip
    lines = [f"# Changes from {log.earlier_version or 'nothing'} to {log.version}", ""]
    for title, items in sections:
        if items:
            lines += [
                f"## {title} ({len(items)})",
                "",
                *(f"- {item.removeprefix(base)}" for item in items),
                "",
            ]
    return "\n".join(lines if len(lines) > 2 else [*lines, "No term changed.", ""])


def _terms(statements: Statements) -> set[str]:
    return {
        iri
        for iri, rows in statements.items()
        if any(name == _TYPE and value in _TERM_TYPES for name, value in rows)
    }


def _is_deprecated(rows: frozenset[tuple[str, str]]) -> bool:
    return any(name == _DEPRECATED and value.startswith('"true"') for name, value in rows)


def _one(rows: frozenset[tuple[str, str]], name: str) -> str:
    return next(
        (
            value.split('"')[1]
            for predicate, value in sorted(rows)
            if predicate == name and value.startswith('"')
        ),
        "",
    )
