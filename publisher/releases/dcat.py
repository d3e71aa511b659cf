"""DCAT: a release as a dataset with its files as distributions (https://www.w3.org/TR/vocab-dcat-3/)."""

from __future__ import annotations

from collections.abc import Iterator

from publisher.pages.resources import Statement
from publisher.pages.terms import Term
from publisher.releases import citation
from publisher.releases.release import File, Release
from vocab.terms import DCAT, DCT, PROV, RDF, XSD

SPDX = "http://spdx.org/rdf/terms#"
_MEDIA = "https://www.iana.org/assignments/media-types/"


def statements(it: Release, base: str) -> Iterator[Statement]:
    """Describe a release and its files; of one whose files are no longer kept only what it was."""
    release = it.iri
    yield Statement(release, f"{RDF}type", Term(f"{DCAT}Dataset"))
    yield Statement(release, f"{DCT}title", Term(citation.title(it), "literal", "en"))
    yield Statement(release, f"{DCT}description", Term(citation.ABSTRACT, "literal", "en"))
    yield Statement(release, f"{DCT}identifier", _text(release))
    yield Statement(release, f"{DCT}issued", _typed(it.issued, "dateTime"))
    yield Statement(release, f"{DCAT}version", _text(str(it.number)))
    yield Statement(release, f"{DCAT}landingPage", Term(f"{base}releases/{it.number}/"))
    yield Statement(release, f"{base}ns#journalEntry", _typed(str(it.position), "integer"))
    for source in it.sources:
        yield Statement(release, f"{PROV}wasDerivedFrom", Term(f"{base}source/{source.name}"))
    if it.previous is not None:
        yield Statement(release, f"{DCAT}previousVersion", Term(f"{release.rpartition('/')[0]}/{it.previous}"))
    if it.withdrawn:
        yield Statement(release, f"{PROV}invalidatedAtTime", _typed(it.withdrawn, "dateTime"))
        return
    licence = next(iter(citation.licences(it)), "") if len(citation.licences(it)) == 1 else ""
    for file in it.files:
        yield Statement(release, f"{DCAT}distribution", Term(address(it, file, base)))
        yield from _distribution(address(it, file, base), file, licence)


def address(it: Release, file: File, base: str) -> str:
    """Give where a file is downloaded, which names it too."""
    return f"{base}releases/{it.number}/{file.name}"


def _distribution(where: str, file: File, licence: str) -> Iterator[Statement]:
    yield Statement(where, f"{RDF}type", Term(f"{DCAT}Distribution"))
    yield Statement(where, f"{DCT}title", Term(file.name, "literal", "en"))
    yield Statement(where, f"{DCT}description", Term(file.says, "literal", "en"))
    yield Statement(where, f"{DCAT}accessURL", Term(where))
    yield Statement(where, f"{DCAT}downloadURL", Term(where))
    yield Statement(where, f"{DCAT}mediaType", Term(_MEDIA + file.media))
    if file.name.endswith(".gz"):
        yield Statement(where, f"{DCAT}compressFormat", Term(f"{_MEDIA}application/gzip"))
    yield Statement(where, f"{DCAT}byteSize", _typed(str(file.bytes), "nonNegativeInteger"))
    if licence.startswith("http"):
        yield Statement(where, f"{DCT}license", Term(licence))
    yield Statement(where, f"{SPDX}checksum", Term(f"{where}#sha256"))
    yield Statement(f"{where}#sha256", f"{RDF}type", Term(f"{SPDX}Checksum"))
    yield Statement(f"{where}#sha256", f"{SPDX}algorithm", Term(f"{SPDX}checksumAlgorithm_sha256"))
    yield Statement(f"{where}#sha256", f"{SPDX}checksumValue", _typed(file.sha256, "hexBinary"))


def _text(value: str) -> Term:
    return Term(value, "literal")


def _typed(value: str, kind: str) -> Term:
    return Term(value, "literal", None, XSD + kind)
