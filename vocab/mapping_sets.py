"""Write the mappings of a concept scheme as a SSSOM table, with the justification of each.

Source: https://mapping-commons.github.io/sssom/ (version 1.0); justifications are terms of
https://w3id.org/semapv/vocab/.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pyoxigraph import Literal, NamedNode, Triple

from vocab.iris import BASE
from vocab.lookup import fold
from vocab.schemes import graph_triples, label, schemes
from vocab.terms import DCT, SKOS

_MATCHES = tuple(
    f"{SKOS}{name}"
    for name in ("exactMatch", "closeMatch", "broadMatch", "narrowMatch", "relatedMatch")
)
_NAMES = (f"{SKOS}prefLabel", f"{SKOS}altLabel")
_COLUMNS = (
    "subject_id", "subject_label", "predicate_id", "object_id", "object_label", "mapping_justification", "subject_source", "comment",
)  # fmt: skip
_LEXICAL, _CURATED = "semapv:LexicalMatching", "semapv:ManualMappingCuration"
_NOT_FOUND = "sssom:NoTermFound"
_LICENCE = "https://www.apache.org/licenses/LICENSE-2.0"
_PREFIXES = {
    "area": "http://metadata.un.org/sdg/codes/geoArea/",
    "eurovoc": "http://eurovoc.europa.eu/",
    "geonames": "https://sws.geonames.org/",
    "sdg": "http://metadata.un.org/sdg/",
    "sdgio": "http://purl.unep.org/sdg/",
    "semapv": "https://w3id.org/semapv/vocab/",
    "skos": SKOS,
    "sssom": "https://w3id.org/sssom/",
    "unbis": "http://metadata.un.org/thesaurus/",
    "wikidata": "http://www.wikidata.org/entity/",
}


def mapped_schemes(base: str = BASE) -> list[str]:
    """Return the names of the schemes whose concepts match concepts of other schemes.

    >>> "iati-region" in mapped_schemes(), "coverage" in mapped_schemes()
    (True, False)
    """
    return [
        name for name in schemes(base) if any(_is_match(t, base) for t in graph_triples(name, base))
    ]


def _is_match(triple: Triple, base: str) -> bool:
    """Return whether a statement is a mapping of SKOS, or says which goal or action line a word of
    another list concerns.
    """
    return triple.predicate.value in (*_MATCHES, f"{base}ns#concerns")


def sssom_table(scheme: str, base: str = BASE) -> str:
    """Return the mappings of *scheme* as tab-separated values with the metadata as comments. Raise
    KeyError if it does not exist.

    A concept that has no match and says why in a skos:editorialNote has a row with
    ``sssom:NoTermFound``. A match whose two labels are the same words is a lexical one, any other
    was curated by a person.

    >>> [line.split("\\t")[3] for line in sssom_table("iati-region").splitlines() if line.startswith("iati-region:298")]
    ['area:002']
    """
    triples = graph_triples(scheme, base)
    whole = f"{base}scheme/{scheme}"
    prefixes = {
        **_PREFIXES,
        "wsis": f"{base}ns#",
        "scheme": f"{base}scheme/",
        **{name: f"{base}scheme/{name}/" for name in schemes(base) if name not in ("area", "sdg")},
    }
    rows = list(_rows(triples, base, whole, prefixes))
    used = {value.partition(":")[0] for row in rows for value in (row[0], row[2], row[3], row[5])}
    title = label(whole, "en", base) or scheme
    head = [
        "#curie_map:",
        *(f"#  {name}: {_yaml(iri)}" for name, iri in sorted(prefixes.items()) if name in used),
        f"#mapping_set_id: {_yaml(f'{whole}.sssom.tsv')}",
        f"#mapping_set_title: {_yaml(title)}",
        f"#license: {_yaml(_LICENCE)}",
        *(
            f"#mapping_set_source:\n#  - {_yaml(source)}"
            for source in _values(triples, whole, f"{DCT}source")[:1]
        ),
        *(
            f"#comment: {_yaml(note)}"
            for note in _values(triples, whole, f"{SKOS}editorialNote")[:1]
        ),
    ]
    return "\n".join([*head, "\t".join(_COLUMNS), *("\t".join(row) for row in rows), ""])


def _yaml(text: str) -> str:
    """Write a text as YAML: JSON's strings are its double-quoted scalars
    (https://yaml.org/spec/1.2.2/#73-flow-scalar-styles).
    """
    return json.dumps(text, ensure_ascii=False)


def _values(triples: tuple[Triple, ...], subject: str, predicate: str) -> list[str]:
    return [
        triple.object.value
        for triple in triples
        if isinstance(triple.subject, NamedNode) and triple.subject.value == subject and triple.predicate.value == predicate
        and isinstance(triple.object, NamedNode | Literal)
    ]  # fmt: skip


def _rows(
    triples: tuple[Triple, ...], base: str, whole: str, prefixes: dict[str, str]
) -> Iterator[list[str]]:
    about: dict[str, list[Triple]] = {}
    for triple in triples:
        if isinstance(triple.subject, NamedNode):
            about.setdefault(triple.subject.value, []).append(triple)
    for subject, statements in about.items():
        if subject == whole:
            continue
        names = {
            t.object.value
            for t in statements
            if isinstance(t.object, Literal) and t.predicate.value in _NAMES
        }
        own = label(subject, "en", base) or ""
        note = " ".join(_values(tuple(statements), subject, f"{SKOS}editorialNote"))
        start = [_curie(subject, prefixes), own]
        matches = sorted(
            (triple.predicate.value, triple.object.value)
            for triple in statements
            if _is_match(triple, base) and isinstance(triple.object, NamedNode)
        )
        for predicate, match in matches:
            name = label(match, "en", base) or ""
            lexical = bool(name) and fold(name) in {fold(text) for text in names}
            justification = _LEXICAL if lexical else _CURATED
            pair = [_curie(predicate, prefixes), _curie(match, prefixes)]
            yield [*start, *pair, name, justification, whole, note]
        if not matches and note:
            yield [*start, "skos:relatedMatch", _NOT_FOUND, "", _CURATED, whole, note]


def _curie(iri: str, prefixes: dict[str, str]) -> str:
    """Return *iri* with the longest prefix that begins it, else unchanged."""
    names = [name for name, start in prefixes.items() if iri.startswith(start)]
    name = max(names, key=lambda one: len(prefixes[one]), default=None)
    return f"{name}:{iri.removeprefix(prefixes[name])}" if name else iri
