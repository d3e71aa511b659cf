"""The properties of records, of what they describe, and of the vocabulary: one row each in
``properties.toml``, which every format reads.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from vocab.iris import Iris
from vocab.terms import (
    ADMS,
    DCAT,
    DCT,
    DQV,
    FOAF,
    GEO,
    ORG,
    PROV,
    RDF,
    RDFS,
    SCHEMA,
    SH,
    SIOC,
    SKOS,
    SPDX,
    SSSOM,
    VCARD,
    VIVO,
    WGS,
    XSD,
)  # fmt: skip

NAMESPACES = {
    "adms": ADMS,
    "dcat": DCAT,
    "dct": DCT,
    "dqv": DQV,
    "foaf": FOAF,
    "geo": GEO,
    "org": ORG,
    "owl": "http://www.w3.org/2002/07/owl#",
    "prov": PROV,
    "rdf": RDF,
    "rdfs": RDFS,
    "schema": SCHEMA,
    "sh": SH,
    "sioc": SIOC,
    "skos": SKOS,
    "spdx": SPDX,
    "sssom": SSSOM,
    "vcard": VCARD,
    "vivo": VIVO,
    "void": "http://rdfs.org/ns/void#",
    "wgs": WGS,
}

DATATYPES = {
    "date": f"{XSD}date",
    "time": f"{XSD}dateTime",
    "year": f"{XSD}gYear",
    "integer": f"{XSD}integer",
    "decimal": f"{XSD}decimal",
    "boolean": f"{XSD}boolean",
    "wkt": f"{GEO}wktLiteral",
    "hexadecimal": f"{XSD}hexBinary",
}


def namespaces(iris: Iris) -> dict[str, str]:
    """Return the namespaces that pages use by prefix, our own first."""
    return {"wsis": iris.ns, "ops": iris.operations, **NAMESPACES}


class FacetRow(BaseModel):
    """How the facet tables name a property; *counts* is "" if its values do not count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    of: tuple[Literal["record", "organization"], ...] = ("record",)
    counts: Literal["", "thing", "part"] = ""


class PropertyRow(BaseModel):
    """A row; the head of ``properties.toml`` says what each key means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    iri: str
    type: Literal[
        "text", "string", "link", "date", "time", "year", "integer", "decimal", "boolean", "wkt",
        "hexadecimal",
    ] = "link"  # fmt: skip
    many: bool = False
    nested: bool = False
    inverse: bool = False
    concept: Literal["", "action-line", "goal", "target"] = ""
    basis: Literal["", "declared", "crosswalked", "suggested"] = ""
    metadata: str = ""
    search: tuple[Literal["title", "text", "link", "party", "place"], ...] = ()
    facet: FacetRow | None = None
    label: str = ""
    reconcile: dict[str, str | tuple[str, ...]] = {}
    column: dict[str, str | list[str]] = {}
    schema_org: str | dict[str, str] = ""
    schema_org_type: str = ""

    def expand(self, spaces: Mapping[str, str]) -> str:
        """Return its IRI; *spaces* are the namespaces by prefix."""
        prefix, _, local = self.iri.partition(":")
        return spaces[prefix] + local

    def schema_org_name(self, kind: str) -> str:
        """Return the name that it has in schema.org for a *kind* of thing, "" if none."""
        named = self.schema_org
        return named if isinstance(named, str) else named.get(kind, "")


class PropertyTable:
    """All properties, in the order of the JSON."""

    def __init__(self, toml: str) -> None:
        """Raises pydantic.ValidationError, which names the row and the key."""
        rows = {name: {"name": name, **row} for name, row in tomllib.loads(toml).items()}
        self.by_name = TypeAdapter(dict[str, PropertyRow]).validate_python(rows)

    def __iter__(self) -> Iterator[PropertyRow]:
        return iter(self.by_name.values())


@cache
def published_properties() -> PropertyTable:
    file = Path(__file__).with_name("properties.toml")
    return PropertyTable(file.read_text(encoding="utf-8"))
