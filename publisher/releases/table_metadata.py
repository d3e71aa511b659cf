"""Describe the tables in machine-readable form, each from the same columns: CSVW, Data Package,
Croissant and RO-Crate.

Sources: https://www.w3.org/TR/tabular-metadata/, https://datapackage.org/,
https://docs.mlcommons.org/croissant/docs/croissant-spec.html, https://w3id.org/ro/crate/1.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from publisher.releases.signature import SUFFIX
from publisher.releases.tables import TABLES, Table, TableColumn
from publisher.store.releases.manifest import File, Release

_CSVW = {
    "iri": "anyURI",
    "iris": "anyURI",
    "number": "integer",
    "decimal": "decimal",
    "time": "dateTime",
}
_FRICTIONLESS = {
    "iri": {"type": "string", "format": "uri"},
    "number": {"type": "integer"},
    "decimal": {"type": "number"},
    "time": {"type": "datetime"},
}
_CROISSANT = {
    "iri": "sc:URL",
    "iris": "sc:URL",
    "number": "sc:Integer",
    "decimal": "sc:Float",
    "time": "sc:DateTime",
}
# The context that Croissant 1.0 prescribes:
# https://docs.mlcommons.org/croissant/docs/croissant-spec.html#appendix
_CROISSANT_CONTEXT: dict[str, object] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
CRATE = "ro-crate-metadata.json"
_CRATE_FILE = {
    "@id": CRATE,
    "@type": "CreativeWork",
    "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    "about": {"@id": "./"},
}
_CRATE_CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    {"sha256": "http://schema.org/sha256"},  # which 1.1 lacks
]


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
    return {
        "url": f"{table.name}.csv.gz",
        "dc:description": f"A row is {table.row}.",
        "tableSchema": schema,
    }


def _csvw_reference(reference: Mapping[str, str]) -> dict[str, object]:
    return {
        "columnReference": reference["column"],
        "reference": {
            "resource": f"{reference['table']}.csv.gz",
            "columnReference": reference["target"],
        },
    }


def _csvw_column(column: TableColumn) -> dict[str, object]:
    description: dict[str, object] = {
        "name": column.name,
        "titles": column.name,
        "dc:description": column.full_description,
        "required": column.required,
    }
    description["datatype"] = _CSVW.get(column.type, "string")
    return description | ({"separator": " "} if column.is_list else {})


def data_package(release: Release, title: str, files: Iterable[File]) -> dict[str, object]:
    """Describe the release as a Data Package; *files* are those written so far."""
    licences = sorted(
        {source.licence for source in release.sources if source.licence.startswith("http")}
    )
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
    resource: dict[str, object] = {
        "name": file.name.lower().replace("_", "-"),
        "path": file.name,
        "description": file.says,
        "mediatype": file.media,
        "bytes": file.bytes,
        "hash": f"sha256:{file.sha256}",
    }
    if file.name.endswith(".parquet"):
        resource["type"] = "file"  # frictionless cannot read the lists in it
    if table := _table_of(file):
        schema: dict[str, object] = {"fields": [_field(column) for column in table.columns]}
        if table.key:
            schema["primaryKey"] = list(table.key)
        resource |= {
            "profile": "tabular-data-resource",
            "format": "csv",
            "compression": "gz",
            "encoding": "utf-8",
            "schema": schema,
        }
    return resource


def _field(column: TableColumn) -> dict[str, object]:
    field: dict[str, object] = {
        "name": column.name,
        "description": column.full_description,
        **_FRICTIONLESS.get(column.type, {"type": "string"}),
    }
    constraints: dict[str, object] = {"required": True} if column.required else {}
    constraints |= {"enum": list(column.values)} if column.values else {}
    return field | ({"constraints": constraints} if constraints else {})


def croissant(
    release: Release, title: str, abstract: str, files: Iterable[File]
) -> dict[str, object]:
    """Describe the tables as a Croissant dataset
    (https://docs.mlcommons.org/croissant/docs/croissant-spec.html, 1.0).
    """
    # Parquet has types; codes of a CSV become numbers
    tables = [file for file in files if file.name.removesuffix(".parquet") in TABLES]
    return {
        "@context": _CROISSANT_CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"wsis-stocktaking-{release.number}",
        "description": f"{title}. {abstract}",
        "url": release.iri,
        "version": f"{release.number}.0.0",
        "datePublished": release.issued,
        "license": _licences(release),
        "creator": {"@type": "sc:Organization", "name": title.partition(",")[0]},
        "citeAs": f"{title}, {release.day}. {release.iri}",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file.name,
                "name": file.name,
                "description": file.says,
                "contentUrl": file.name,
                "contentSize": f"{file.bytes} B",
                "encodingFormat": "application/x-parquet",
                "sha256": file.sha256,
            }
            for file in tables
        ],
        "recordSet": [_record_set(file) for file in tables],
    }


def _record_set(file: File) -> dict[str, object]:
    table = TABLES[file.name.partition(".")[0]]
    record_set: dict[str, object] = {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": f"A record is {table.row}.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{table.name}/{column.name}",
                "name": column.name,
                "description": column.full_description,
                "dataType": _CROISSANT.get(column.type, "sc:Text"),
                **({"repeated": True} if column.is_list else {}),
                "source": {"fileObject": {"@id": file.name}, "extract": {"column": column.name}},
            }
            for column in table.columns
        ],
    }
    return record_set | (
        {"key": [{"@id": f"{table.name}/{column}"} for column in table.key]} if table.key else {}
    )


def _references(identifiers: Iterable[str]) -> list[dict[str, str]]:
    return [{"@id": identifier} for identifier in identifiers]


def ro_crate(
    release: Release, title: str, abstract: str, files: Sequence[File], later: Sequence[str]
) -> dict[str, object]:
    """Describe the release as an RO-Crate (https://w3id.org/ro/crate/1.1); *files* are those
    written so far, *later* names those that are written after it. All are signed.
    """
    licences = _licences(release)
    described = [*(_crate_file(file, release) for file in files), *_unwritten_files(files, later)]
    columns = [
        (f"#{table.name}-{column.name}", table, column)
        for table in TABLES.values()
        for column in table.columns
    ]
    root: dict[str, object] = {
        "@id": "./",
        "@type": "Dataset",
        "name": title,
        "description": abstract,
        "datePublished": release.issued,
        "version": str(release.number),
        "identifier": release.iri,
        "url": release.iri,
        "license": _references(licences)[0] if len(licences) == 1 else _references(licences),
        "publisher": {"@id": "#publisher"},
        "author": {"@id": "#publisher"},
        "hasPart": _references(str(item["@id"]) for item in described),
        "variableMeasured": _references(identifier for identifier, *_ in columns),
    }
    return {
        "@context": _CRATE_CONTEXT,
        "@graph": [
            _CRATE_FILE,
            root,
            {
                "@id": "#publisher",
                "@type": "Organization",
                "name": title.partition(",")[0],
                "url": release.iri,
            },
            *(_crate_licence(licence) for licence in licences),
            *described,
            *(_crate_column(identifier, table, column) for identifier, table, column in columns),
        ],
    }


def _crate_licence(licence: str) -> dict[str, object]:
    return {
        "@id": licence,
        "@type": "CreativeWork",
        "name": licence,
        "description": "licence of a registry",
    }


def _crate_column(identifier: str, table: Table, column: TableColumn) -> dict[str, object]:
    return {
        "@id": identifier,
        "@type": "PropertyValue",
        "name": f"{table.name}.{column.name}",
        "description": column.full_description,
        **({"unitText": column.unit} if column.unit else {}),
    }


def _crate_file(file: File, release: Release) -> dict[str, object]:
    return {
        "@id": file.name,
        "@type": "File",
        "name": file.name,
        "description": file.says or file.name,
        "encodingFormat": file.media.partition(";")[0],
        "contentSize": str(file.bytes),
        "sha256": file.sha256,
        "dateModified": release.issued,
    }


def _unwritten_files(files: Sequence[File], later: Sequence[str]) -> list[dict[str, object]]:
    """Describe the files named in *later*, and the signatures of all files."""
    signed = [*(file.name for file in files), CRATE, *later]
    return [
        *(_unwritten_file(name, "sums and facts of the files of this release") for name in later),
        *(
            _unwritten_file(f"{name}{SUFFIX}", f"signature of {name}, by minisign")
            for name in signed
        ),
    ]


def _unwritten_file(name: str, says: str) -> dict[str, object]:
    """Describe a file whose size and digest are not known yet."""
    form = "application/json" if name.endswith(".json") else "text/plain"
    return {"@id": name, "@type": "File", "name": name, "description": says, "encodingFormat": form}


def _licences(release: Release) -> list[str]:
    return sorted(
        {source.licence for source in release.sources if source.licence.startswith("http")}
    ) or [release.iri]


def _table_of(file: File) -> Table | None:
    """Return the table that a file contains as CSV, None for other files."""
    stem, _, rest = file.name.partition(".")
    return TABLES.get(stem) if rest == "csv.gz" else None
