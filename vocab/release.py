"""Write the vocabulary as a product of its own: data, tables, descriptions, and what registries of
vocabularies ask for; and compare it with an earlier version.

The same files of the vocabulary give the same bytes: all dates are those that the ontology states.
The deprecation policy: a published term is never removed and never changes its meaning. In a new
version, a term that is not used any more gets owl:deprecated and dct:isReplacedBy, or a note that
says why.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pyoxigraph import Literal, NamedNode, RdfFormat, parse, serialize

from vocab.curated import write_table
from vocab.iris import BASE
from vocab.mapping_sets import mapped_schemes, sssom_table
from vocab.schemes import (
    ONTOLOGIES,
    Concept,
    concepts,
    crosswalks,
    graph_triples,
    label,
    ontology_triples,
    schemes,
    statements,
)
from vocab.terms import (
    ADMS,
    DCAT,
    DCT,
    FOAF,
    LANGUAGES,
    ORG,
    OWL,
    PROV,
    RDF,
    RDFS,
    SCHEMA,
    SH,
    SKOS,
    SPDX,
    VIVO,
    XSD,
    date_literal,
    hexadecimal,
    literal,
)

_RDF_TYPE, _DEPRECATED, _VERSION = f"{RDF}type", f"{OWL}deprecated", f"{OWL}versionInfo"
_VERSION_IRI = f"{OWL}versionIRI"
_REASONS = (f"{DCT}isReplacedBy", f"{SKOS}changeNote", f"{SKOS}historyNote", f"{SKOS}editorialNote")
_FIXED = (_RDF_TYPE, f"{RDFS}domain", f"{RDFS}range", f"{SKOS}notation", f"{SKOS}inScheme")
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
    (old, first), (new, last) = (
        (_terms(each), "".join(_values(each.get(f"{base}ns", frozenset()), _VERSION)).strip('"'))
        for each in (earlier, current)
    )
    changes = {iri: (earlier[iri], current[iri]) for iri in sorted(old & new)}
    changes = {iri: (before, after) for iri, (before, after) in changes.items() if before != after}
    deprecated = [
        iri
        for iri, (before, after) in changes.items()
        if _is_deprecated(after) and not _is_deprecated(before)
    ]
    relabelled = [
        iri
        for iri, (before, after) in changes.items()
        if any(name in _MEANING for name, _ in before ^ after)
    ]
    lost = {
        iri: sorted({name for name, _ in before - after if name in _FIXED})
        for iri, (before, after) in changes.items()
        if iri not in deprecated
    }
    problems = [
        *(
            f"{iri}: removed; keep it with owl:deprecated and dct:isReplacedBy"
            for iri in sorted(old - new)
        ),
        *(
            f"{iri}: deprecated without a reason; add dct:isReplacedBy or skos:changeNote"
            for iri in deprecated
            if not any(name in _REASONS for name, _ in current[iri])
        ),
        *(
            f"{iri}: {', '.join(name.replace('#', '/').rpartition('/')[2] for name in names)} changed, "
            "which changes its meaning; deprecate it and coin a new term"
            for iri, names in lost.items()
            if names
        ),
    ]
    if first == last and earlier != current:
        problems.append(
            f"{base}ns: owl:versionInfo is still {last}; raise the version and its owl:versionIRI"
        )
    others = tuple(iri for iri in changes if iri not in (*deprecated, *relabelled))
    named = (tuple(sorted(new - old)), tuple(deprecated), tuple(relabelled), others)
    return ChangeLog(first, last, *named, (*problems, *_unraised(earlier, current)))


def _unraised(earlier: Statements, current: Statements) -> Iterator[str]:
    """Yield a problem for each scheme that changed and kept its version IRI, and for each that lost
    it.
    """
    for iri, rows in sorted(earlier.items()):
        before, after = (
            _values(statements, _VERSION_IRI)
            for statements in (rows, current.get(iri, frozenset()))
        )
        if (_RDF_TYPE, f"<{SKOS}ConceptScheme>") not in rows or not before:
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
        if any(name == _RDF_TYPE and value in _TERM_TYPES for name, value in rows)
    }


def _is_deprecated(rows: frozenset[tuple[str, str]]) -> bool:
    return any(name == _DEPRECATED and value.startswith('"true"') for name, value in rows)


NAME = "stocktake-vocabulary"
_VANN = "http://purl.org/vocab/vann/"
_PREFIXES = {
    "adms": ADMS, "dcat": DCAT, "dct": DCT, "foaf": FOAF, "org": ORG, "owl": OWL, "prov": PROV, "rdf": RDF, "rdfs": RDFS,
    "schema": SCHEMA, "sdg": "http://metadata.un.org/sdg/", "sh": SH, "skos": SKOS, "vann": _VANN, "vivo": VIVO, "xsd": XSD,
}  # fmt: skip
_SKOS_TECHNIQUE = "http://purl.org/adms/representationtechnique/SKOS"
_MEDIA = {
    ".ttl": "text/turtle", ".nt": "application/n-triples", ".jsonld": "application/ld+json", ".csv": "text/csv",
    ".tsv": "text/tab-separated-values", ".json": "application/json", ".md": "text/markdown",
}  # fmt: skip
FORMS = {"nt": RdfFormat.N_TRIPLES, "ttl": RdfFormat.TURTLE, "jsonld": RdfFormat.JSON_LD}
_DESCRIPTION = "catalog.ttl"
_SUMS = "SHA256SUMS"


class VocabularyReleaseError(Exception):
    """A release cannot be written; the message says what to do."""


def _prefixes(base: str) -> dict[str, str]:
    return {**_PREFIXES, "wsis": f"{base}ns#", "ops": f"{base}operations#"}


def whole_vocabulary(suffix: str, base: str = BASE) -> bytes:
    """Return the ontologies, the concept schemes and their mappings in the form of FORMS with this
    *suffix*.
    """
    everything = {statement for _, lines in statements(base) for statement in lines}
    lines = "".join(f"{statement} .\n" for statement in sorted(everything))
    if suffix == "nt":
        return lines.encode()
    triples = [quad.triple for quad in parse(lines, format=RdfFormat.N_TRIPLES)]
    return serialize(triples, format=FORMS[suffix], prefixes=_prefixes(base)) or b""


def release_files(base: str = BASE, extra: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """Return the files of a release, name to content, without its change log, description and
    checksums.

    *extra* are files of other packages, such as the shapes and the JSON-LD context.
    """
    prefixes = _prefixes(base)
    files = {f"{NAME}.{suffix}": whole_vocabulary(suffix, base) for suffix in FORMS}
    files |= extra or {}
    graphs = {name: ontology_triples(name, base) for name in ONTOLOGIES}
    graphs |= {f"scheme/{name}": graph_triples(name, base) for name in schemes(base)}
    for name, own in graphs.items():
        files[f"{name}.ttl"] = serialize(own, format=RdfFormat.TURTLE, prefixes=prefixes) or b""
    for name in schemes(base):
        files[f"csv/{name}.csv"] = concept_table(name, base).encode()
    for name in mapped_schemes(base):
        files[f"sssom/{name}.sssom.tsv"] = sssom_table(name, base).encode()
    facts = _facts(base)
    files["w3id/.htaccess"] = _redirects(base).encode()
    files["w3id/README.md"] = _redirects_readme(facts).encode()
    for name, record in (
        ("datacite", _datacite(facts, base)),
        ("lov", _lov(facts, base)),
        ("lov-operations", _lov(_facts(base, "operations"), base, "operations")),
        ("bartoc", _bartoc(facts, base)),
    ):
        files[f"{name}.json"] = (json.dumps(record, ensure_ascii=False, indent=2) + "\n").encode()
    return dict(sorted(files.items()))


def write_release(
    folder: Path,
    base: str = BASE,
    since: Path | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> ChangeLog:
    """Write a release into the empty or new *folder*, and return its changes since the release in
    the folder *since*.

    Raises VocabularyReleaseError if the folder has files, if *since* is not a release, or if a change
    breaks the deprecation policy; then nothing is written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise VocabularyReleaseError(f"{folder}: not empty; name a new folder")
    files = release_files(base, extra)
    log = compare(
        _earlier(since), group_statements(files[f"{NAME}.nt"].decode().splitlines()), base
    )
    if since is not None and log.problems:
        raise VocabularyReleaseError("\n".join(log.problems))
    if since is not None:
        files["CHANGES.md"] = render(log, base).encode()
    files[_DESCRIPTION] = _catalog(files, _facts(base), base)
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in sorted(files.items())
    )
    for name, content in {**files, _SUMS: sums.encode()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return log


def _earlier(since: Path | None) -> Mapping[str, frozenset[tuple[str, str]]]:
    if since is None:
        return {}
    file = since / f"{NAME}.nt"
    try:
        return group_statements(file.read_text("utf-8").splitlines())
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "not N-Triples"
        raise VocabularyReleaseError(
            f"{file}: {problem}; --since needs the folder of an earlier release"
        ) from error


def concept_table(scheme: str, base: str = BASE) -> str:
    """Return the concepts of a scheme as CSV: one row a concept, several values joined by ``|``."""
    names = [f"label_{language}" for language in LANGUAGES]
    columns = ["iri", "notation", "broader", *names, "other_labels", "matches"]

    def row(concept: Concept) -> list[str]:
        preferred = [
            (label(concept.iri, language, base) or "") if _has(concept, language) else ""
            for language in LANGUAGES
        ]
        others = [name.value for name in concept.labels if name.value not in preferred]
        lists = (concept.notations, concept.broader, others, concept.matches)
        notations, broader, others_text, matches = map("|".join, lists)
        return [concept.iri, notations, broader, *preferred, others_text, matches]

    return write_table(columns, map(row, concepts(scheme, base).values()), csv.excel)


def _has(concept: Concept, language: str) -> bool:
    return any(name.language == language for name in concept.labels)


def _facts(base: str, ontology: str = "ns") -> dict[str, str]:
    """Return what the header of an ontology states in English, by local name of the property."""
    subject = NamedNode(base + ontology)
    rows = (
        t
        for t in ontology_triples(ontology, base)
        if t.subject == subject
        and isinstance(t.object, Literal | NamedNode)
        and getattr(t.object, "language", None) in (None, "en")
    )
    return {
        t.predicate.value.replace("#", "/").rpartition("/")[2]: str(getattr(t.object, "value", ""))
        for t in rows
    }


def _catalog(files: Mapping[str, bytes], facts: Mapping[str, str], base: str) -> bytes:
    """Describe the release by DCAT 3 and ADMS: one distribution a file, with size and checksum."""
    whole = f"{base}ns/{facts['versionInfo']}"
    start = f"<{whole}> "
    lines = [
        f"{start}<{RDF}type> <{DCAT}Dataset>",
        f"{start}<{RDF}type> <{ADMS}Asset>",
        f"{start}<{DCT}title> {literal(facts['title'], 'en')}",
        f"{start}<{DCT}description> {literal(facts['description'], 'en')}",
        f"{start}<{DCAT}version> {literal(facts['versionInfo'])}",
        f"{start}<{DCT}isVersionOf> <{base}ns>",
        f"{start}<{DCT}issued> {date_literal(facts['modified'])}",
        f"{start}<{DCT}license> <{facts['license']}>",
        f"{start}<{DCT}creator> {literal(facts['creator'], 'en')}",
        f"{start}<{ADMS}representationTechnique> <{_SKOS_TECHNIQUE}>",
        *(
            f"{start}<{DCT}language> <http://id.loc.gov/vocabulary/iso639-1/{language}>"
            for language in LANGUAGES
        ),
        *chain.from_iterable(_distribution(whole, *file) for file in sorted(files.items())),
    ]
    quads = parse("".join(f"{line} .\n" for line in lines), format=RdfFormat.N_TRIPLES)
    triples = [quad.triple for quad in quads]
    return serialize(triples, format=RdfFormat.TURTLE, prefixes={**_PREFIXES, "spdx": SPDX}) or b""


def _distribution(whole: str, name: str, content: bytes) -> list[str]:
    """Return the statements about a file of the release *whole*."""
    file, checksum = f"<{whole}/{name}>", f"<{whole}/{name}#checksum>"
    media = [_MEDIA[suffix] for suffix in [Path(name).suffix] if suffix in _MEDIA]
    return [
        f"<{whole}> <{DCAT}distribution> {file}",
        f"{file} <{RDF}type> <{DCAT}Distribution>",
        f"{file} <{DCT}title> {literal(name)}",
        f'{file} <{DCAT}byteSize> "{len(content)}"^^<{XSD}nonNegativeInteger>',
        *(
            f"{file} <{DCAT}mediaType> <https://www.iana.org/assignments/media-types/{kind}>"
            for kind in media
        ),
        f"{file} <{SPDX}checksum> {checksum}",
        f"{checksum} <{SPDX}algorithm> <{SPDX}checksumAlgorithm_sha256>",
        f"{checksum} <{SPDX}checksumValue> {hexadecimal(hashlib.sha256(content).hexdigest())}",
    ]


def _redirects(base: str) -> str:
    """Return the rules of w3id.org (https://github.com/perma-id/w3id.org): all paths go to one
    host, which negotiates itself.
    """
    return (
        f"# Redirects of {base}\n"
        "# Replace https://stocktake.example.org by the address of the installation that serves the vocabulary.\n"
        "Options +FollowSymLinks\nRewriteEngine on\n"
        "RewriteRule ^(.*)$ https://stocktake.example.org/$1 [R=303,L]\n"
    )


def _redirects_readme(facts: Mapping[str, str]) -> str:
    return (
        f"# {facts['title']}\n\n{facts['description']}\n\nFor https://github.com/perma-id/w3id.org: copy this folder as "
        "`wsis-stocktaking`, replace the host in `.htaccess`, and add a maintainer with a GitHub name here.\n"
    )


def _datacite(facts: Mapping[str, str], base: str) -> dict[str, object]:
    """Return the metadata of a deposit, to which the repository adds the DOI.

    Source: DataCite Metadata Schema 4.5, https://schema.datacite.org/meta/kernel-4.5/
    """
    return {
        "types": {"resourceTypeGeneral": "Other", "resourceType": "Vocabulary"},
        "titles": [{"title": facts["title"], "lang": "en"}],
        "creators": [{"name": facts["creator"], "nameType": "Organizational"}],
        "publisher": {"name": facts["creator"]},
        "publicationYear": facts["modified"][:4],
        "version": facts["versionInfo"],
        "dates": [
            {"date": facts["created"], "dateType": "Created"},
            {"date": facts["modified"], "dateType": "Updated"},
        ],
        "language": "en",
        "descriptions": [
            {"description": facts["description"], "descriptionType": "Abstract", "lang": "en"}
        ],
        "subjects": [
            {"subject": name}
            for name in ("WSIS", "Sustainable Development Goals", "linked data", "SKOS")
        ],
        "rightsList": [
            {
                "rights": "Apache License 2.0",
                "rightsUri": facts["license"],
                "rightsIdentifier": "Apache-2.0",
            }
        ],
        "alternateIdentifiers": [
            {"alternateIdentifier": facts["versionIRI"], "alternateIdentifierType": "URL"}
        ],
        "relatedIdentifiers": [
            {
                "relatedIdentifier": f"{base}ns",
                "relatedIdentifierType": "URL",
                "relationType": "IsVersionOf",
            }
        ],
        "formats": ["text/turtle", "application/ld+json", "text/csv", "text/tab-separated-values"],
        "schemaVersion": "http://datacite.org/schema/kernel-4",
    }


def _lov(facts: Mapping[str, str], base: str, ontology: str = "ns") -> dict[str, object]:
    """Return the record that Linked Open Vocabularies asks for
    (https://lov.linkeddata.es/dataset/lov/suggest).
    """
    return {
        "uri": base + ontology, "nsp": f"{base}{ontology}#", "prefix": facts["preferredNamespacePrefix"],
        "isDefinedBy": f"{base}{ontology}.ttl",
        "titles": [{"value": facts["title"], "lang": "en"}], "descriptions": [{"value": facts["description"], "lang": "en"}],
        "homepage": base + ontology, "createdInLOVAt": None, "issuedAt": facts["created"], "tags": ["Society", "Events", "Government"],
        "versions": [{"name": facts["versionInfo"], "issued": facts["modified"], "fileURL": f"{facts['versionIRI']}.ttl"}],
    }  # fmt: skip


def _bartoc(facts: Mapping[str, str], base: str) -> list[dict[str, object]]:
    """Return the JSKOS records of the schemes for BARTOC (https://gbv.github.io/jskos/), without
    the crosswalks of others' codes.
    """
    return [
        {
            "type": ["http://www.w3.org/2004/02/skos/core#ConceptScheme"],
            "uri": f"{base}scheme/{name}",
            "prefLabel": {"en": label(f"{base}scheme/{name}", "en", base) or name},
            "languages": [
                language
                for language in LANGUAGES
                if all(_has(concept, language) for concept in concepts(name, base).values())
            ],
            "extent": f"{len(concepts(name, base))} concepts",
            "license": [{"uri": facts["license"]}],
            "publisher": [{"prefLabel": {"en": facts["creator"]}}],
            "url": f"{base}scheme/{name}",
            "namespace": f"{base}scheme/{name}/",
        }
        for name in sorted(set(schemes(base)) - set(crosswalks()))
    ]
