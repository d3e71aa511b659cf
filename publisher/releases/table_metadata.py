"""Describe the tables in machine-readable form: CSVW (https://www.w3.org/TR/tabular-metadata/) and Data Package (https://datapackage.org/)."""

from __future__ import annotations

from collections.abc import Iterable

from publisher.facets.schema import TABLES, CellType, Reference, Table, TableColumn
from publisher.store.releases.manifest import File, Release

_CSVW = {
    CellType.IRI: "anyURI",
    CellType.IRIS: "anyURI",
    CellType.NUMBER: "integer",
    CellType.DECIMAL: "decimal",
    CellType.TIME: "dateTime",
}
_FRICTIONLESS = {
    CellType.IRI: {"type": "string", "format": "uri"},
    CellType.NUMBER: {"type": "integer"},
    CellType.DECIMAL: {"type": "number"},
    CellType.TIME: {"type": "datetime"},
}


def csvw(release: Release, title: str) -> dict[str, object]:
    """Describe the tables as a CSVW table group, which can be converted to RDF."""
    return {
        "@context": ["http://www.w3.org/ns/csvw", {"@language": "en"}],
        "@id": f"{release.iri}#tables",
        "dc:title": title,
        "dc:issued": {"@value": release.issued, "@type": "xsd:dateTime"},
        "tables": [_csvw_table(table) for table in TABLES.values()],
    }


def _csvw_table(table: Table) -> dict[str, object]:
    schema: dict[str, object] = {"columns": [_csvw_column(column) for column in table.columns]}
    if table.key:
        schema["primaryKey"] = list(table.key)
    if table.references:
        schema["foreignKeys"] = [_csvw_reference(reference) for reference in table.references]
    return {"url": f"{table.name}.csv.gz", "dc:description": f"A row is {table.row_description}.", "tableSchema": schema}


def _csvw_reference(reference: Reference) -> dict[str, object]:
    return {
        "columnReference": reference.column,
        "reference": {"resource": f"{reference.table}.csv.gz", "columnReference": reference.target},
    }


def _csvw_column(column: TableColumn) -> dict[str, object]:
    description: dict[str, object] = {
        "name": column.name,
        "titles": column.name,
        "dc:description": column.description,
        "required": column.required,
    }
    description["datatype"] = _CSVW.get(column.kind, "string")
    return description | ({"separator": " "} if column.kind.is_list else {})


def data_package(release: Release, title: str, files: Iterable[File]) -> dict[str, object]:
    """Describe the release as a Data Package; *files* are those written so far."""
    licences = sorted({source.licence for source in release.sources if source.licence.startswith("http")})
    package: dict[str, object] = {
        "profile": "data-package",
        "name": f"wsis-stocktaking-{release.number}",
        "id": release.iri,
        "title": title,
        "version": str(release.number),
        "created": release.issued,
        "homepage": release.iri,
        "sources": [{"title": source.title} for source in release.sources],
        "resources": [_resource(file) for file in files],
    }
    return package | ({"licenses": [{"path": path} for path in licences]} if licences else {})


def _resource(file: File) -> dict[str, object]:
    stem, _, rest = file.name.partition(".")
    resource: dict[str, object] = {
        "name": file.name.lower().replace("_", "-"),
        "path": file.name,
        "description": file.says,
        "mediatype": file.media,
        "bytes": file.bytes,
        "hash": f"sha256:{file.sha256}",
    }
    if rest == "csv.gz" and stem in TABLES:
        table = TABLES[stem]
        schema: dict[str, object] = {"fields": [_field(column) for column in table.columns]}
        if table.key:
            schema["primaryKey"] = list(table.key)
        resource |= {"profile": "tabular-data-resource", "format": "csv", "compression": "gz", "encoding": "utf-8", "schema": schema}
    return resource


def _field(column: TableColumn) -> dict[str, object]:
    field: dict[str, object] = {
        "name": column.name,
        "description": column.description,
        **_FRICTIONLESS.get(column.kind, {"type": "string"}),
    }
    return field | ({"constraints": {"required": True}} if column.required else {})
