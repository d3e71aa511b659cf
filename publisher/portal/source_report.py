"""The page `/source/{source}/report`: what a registry can fix, by rule, with its own field names: the
remarks of its published records, and the records that its newest run withheld.

The remarks are in the published data. The withheld records and the publisher's own field names are
in the harvester's ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends, Path
from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, serialize
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText, current_locale, load_translations
from publisher.feeds.atom import write_feed
from publisher.linked_data.entities import other_formats
from publisher.pages import Pages, PagesDep, ServiceDep
from publisher.portal.datasets import write_csv
from publisher.portal.facet_labels import NamesDep
from publisher.portal.quality import measure_sources, rule_gains
from publisher.portal.search import FEED_FORMATS
from publisher.portal.visitors import VisitorCommand
from publisher.rdf import Row, iri, to_node
from publisher.store.descriptions import source_statuses
from publisher.store.query_service import QueryService, query
from shapes.rules import Rule, Severity, message, remedy, rules, triples
from vocab.iris import Iris
from vocab.lookup import escape_formula
from vocab.terms import LANGUAGES, RDF, SH, XSD
from web.branding import NAME
from web.endpoints import SourcePath, contents, get, problems
from web.middleware import client_key
from web.respond import (
    GRAPHS,
    HTML,
    JSON,
    Format,
    ResourceURLs,
    choose_format,
    origin,
    require,
    respond,
)

_EXAMPLES = 3
_CONSTRAINTS = (
    "minCount", "maxCount", "nodeKind", "datatype", "pattern", "minLength", "maxLength", "in", "hasValue", "minInclusive", "maxInclusive",
    "lessThanOrEquals", "uniqueLang", "disjoint", "node", "or", "not", "property",
)  # fmt: skip
_FORMATS: dict[str, Format] = {
    "json": JSON,
    "csv": Format("csv", "CSV", "text/csv; charset=utf-8"),
    "ttl": GRAPHS["ttl"],
    "atom": FEED_FORMATS["atom"],
    "html": HTML,
}
# A rule that records of a source break: *iri* is its shape, "" for records that could not be read or
# had a key twice. *withheld*: these records are not published. *field* has the publisher's names of
# the fields that give the property *path*. *records* break it now; *fixed* did before the newest
# run, None if that is not known. *first_seen* is since when, as far as known. *examples* are records:
# key, title and our page of them, "" where they are not published, and their page at the source.
# *gain* is by how many points the quality of the source would rise if no published record broke it,
# None for withheld records.
RuleReport = dict[str, Any]
_RULE: RuleReport = {
    "rule": "",
    "iri": "",
    "severity": Severity.VIOLATION.value,
    "withheld": False,
    "path": "",
    "field": "",
    "records": 0,
    "fixed": None,
    "first_seen": "",
    "last_seen": "",
    "message": "",
    "remedy": "",
    "examples": (),
    "gain": None,
}
_EXAMPLE = {"key": "", "title": "", "page": "", "registry_page": "", "reason": ""}
_IN_CSV = (
    *("rule", "severity", "withheld", "field", "path", "records", "fixed"),
    *("first_seen", "last_seen", "message", "remedy", "gain"),
)

router = APIRouter()


async def suffix_parameter(
    suffix: Annotated[
        str, Path(description="The format", json_schema_extra={"enum": list(_FORMATS)})
    ],
) -> None:
    """Declare the parameter."""


@get(router, "/source/{source}/report", include_in_schema=False)
@get(
    router,
    "/source/{source}/report.{suffix}",
    operation_id="sourceReport",
    summary="Report what a registry can fix, by rule",
    tags=["read"],
    dependencies=[Depends(suffix_parameter)],
    responses={
        **contents(*(item.media for item in _FORMATS.values())),
        **problems(404, 406, 429, 503),
    },
)
async def report(
    request: Request, service: ServiceDep, pages: PagesDep, names: NamesDep, source: SourcePath
) -> Response:
    """The remarks of published records and the records that the newest run withheld, by rule, with
    examples and what to do.
    """
    urls, iris, host = ResourceURLs(f"/source/{source}/report"), service.iris, origin(request)
    chosen = choose_format(request, _FORMATS, request.path_params.get("suffix"), urls)
    require(
        source in names.sources, TranslatableText("There is no such registry; /sources lists them")
    )
    document = await report_on_source(request, service, source, names.sources[source])
    bound = {"source": iri(iris.source(source))}
    is_graph = chosen is GRAPHS["ttl"]
    rows = await service.rows(query("source-remark-results"), bound) if is_graph else []
    write: Mapping[str, Callable[[], bytes | Response]] = {
        "html": lambda: _page(pages, document, source),
        "json": lambda: as_json(document, iris.base),
        "atom": lambda: as_atom(document, host, urls.stem),
        "csv": lambda: as_csv(document, host),
        "ttl": lambda: as_turtle(document, rows, iris),
    }
    return respond(
        request,
        write[chosen.suffix](),
        chosen,
        links=urls.alternates(formats=other_formats(chosen, _FORMATS.values())),
    )


async def report_on_source(
    request: Request, service: QueryService, name: str, title: str
) -> dict[str, Any]:
    """Return the report on the source *name*: *run* is its newest run, "" if the server has no
    ledger. *guessed_charset* is the charset of a text that states none, else "", *unread* the fields
    that the mapping does not read.
    """
    status = (await source_statuses(service)).get(name)
    properties = status.properties if status else {}
    ledger: dict[str, Any] = {}
    command: VisitorCommand | None = request.app.state.commands.get("report")
    if command is not None:
        version = f"{properties.get('lastRun')} {properties.get('lastOutcome')} {service.current.position}"
        output = await command.check_once(client_key(request.scope), version, "--", name)
        ledger = orjson.loads(output) if output else {}
    confirmed = ledger.get("started") or properties.get("lastSuccess", "")
    reports = [
        *await _remarks(service, name, ledger, confirmed),
        *(_withheld(row, ledger, service.iris.base) for row in ledger.get("withheld", ())),
    ]
    reports.sort(
        key=lambda rule: (-rule["records"], not rule["withheld"], rule["rule"], rule["path"])
    )
    return {
        "source": service.iris.source(name),
        "title": title,
        "has_ledger": bool(ledger),
        "run": ledger.get("run", ""),
        "started": ledger.get("started", ""),
        "outcome": ledger.get("outcome", ""),
        "rules": reports,
        "guessed_charset": ledger.get("guessed_charset", ""),
        "unread": ledger.get("unread", []),
    }


async def _remarks(
    service: QueryService, registry: str, ledger: Mapping[str, Any], confirmed: str
) -> list[RuleReport]:
    source, known = service.iris.source(registry), rules(service.iris.base)
    fixed: dict[str, int] | None = ledger.get("fixed")
    quality = (await measure_sources(service)).get(source)
    rows = await service.rows(query("source-remarks"), {"source": iri(source)})
    paths = {row["path"].value for row in rows if "path" in row}
    gains = await rule_gains(service, source, quality, paths) if quality else {}
    reports = list[RuleReport]()
    for row in (row for row in rows if "shape" in row):  # an aggregate of nothing has one row
        shape, path = row["shape"].value, row["path"].value if "path" in row else ""
        bound = {"source": iri(source), "shape": iri(shape)}
        name, rule = shape.rpartition("#")[2], known.get(shape)
        reports.append(
            _RULE
            # A mirror may have remarks by a rule of another version, which is not known here.
            | (_describe_rule(rule) if rule else {"message": row["message"].value})
            | {
                "rule": name,
                "iri": shape,
                "severity": row["severity"].value.removeprefix(SH),
                "path": path,
                "field": own_field(ledger.get("fields", {}), path),
                "records": int(row["records"].value),
                "fixed": None if fixed is None else fixed.get(name, 0),
                "first_seen": row["first"].value,
                "last_seen": confirmed,
                "examples": _examples(
                    await service.rows(query("source-remark-examples"), bound), service.iris
                ),
                "gain": round(gains.get(shape, 0.0), 1),
            }
        )
    broken = {report["rule"] for report in reports}
    return reports + [
        _RULE | _describe_rule(rule) | {"fixed": fixed[rule.name]}
        for rule in known.values()
        if fixed and rule.name in fixed and rule.name not in broken
    ]


def _describe_rule(rule: Rule) -> RuleReport:
    return {
        "rule": rule.name,
        "iri": rule.iri,
        "severity": rule.severity.value,
        "message": rule.message,
        "remedy": rule.remedy,
    }


def _withheld(row: Mapping[str, Any], ledger: Mapping[str, Any], base: str) -> RuleReport:
    rule = next((rule for rule in rules(base).values() if rule.name == row["rule"]), None)
    reason = row["examples"][0]["reason"] if row["examples"] else ""
    return _RULE | {
        **{name: value for name, value in row.items() if name in _RULE},
        "iri": rule.iri if rule else "",
        "withheld": True,
        "field": own_field(ledger.get("fields", {}), row["path"]),
        "message": rule.message if rule else reason,
        "examples": [_EXAMPLE | example for example in row["examples"]],
    }


def own_field(fields: Mapping[str, Sequence[str]], path: str) -> str:
    """Return the publisher's names of the fields that give the property with the IRI, or the local
    name, *path*; "" if none does.

    >>> own_field({"http://purl.org/dc/terms/title": ["name", "label"]}, "title")
    'name, label'
    """
    names = (
        names
        for known, names in fields.items()
        if path and (known == path or re.split("[/#]", known)[-1] == path)
    )
    return ", ".join(next(names, ()))


def _examples(rows: Iterable[Row], iris: Iris) -> list[dict[str, str]]:
    """Return a record for each key, with its English title if there is one."""
    # A title in English comes first, and the first row of a key counts.
    ranked = sorted(rows, key=lambda row: "title" not in row or row["title"].language != "en")
    reports: dict[str, dict[str, str]] = {}
    for row in ranked:
        key, title, page = row["key"].value, row.get("title"), row.get("page")
        example = {
            "key": key,
            "title": title.value if title else "",
            "page": f"/page/{row['thing'].value.removeprefix(f'{iris.base}id/')}",
            "registry_page": page.value if page and page.is_iri else "",
        }
        reports.setdefault(key, _EXAMPLE | example)
    return [reports[key] for key in sorted(reports)[:_EXAMPLES]]


def translated_remedy(shape: str, english: str, language: str, base: str) -> str:
    """Return what to do about the rule *shape* in *language*; without a shape, the translation of
    *english*.

    >>> translated_remedy("", "Correct this record; the others are not affected.", "es", "https://x.example/")
    'Corrija esta ficha; las demás no se ven afectadas.'
    """
    return remedy(shape, language, base) or (
        str(load_translations(language).gettext(english)) if english else ""
    )


def _page(pages: Pages, report: dict[str, Any], name: str) -> Response:
    language, base = current_locale().language, pages.iris.base
    return pages.page(
        "source_report.html",
        report=report,
        broken=[rule for rule in report["rules"] if rule["records"]],
        fixed=[rule for rule in report["rules"] if rule["fixed"]],
        texts={
            rule["iri"]: message(rule["iri"], language, base)
            for rule in report["rules"]
            if rule["iri"]
        },
        remedies={
            rule["rule"]: translated_remedy(rule["iri"], rule["remedy"], language, base)
            for rule in report["rules"]
        },
        name=name,
        forms=[item for item in _FORMATS.values() if item is not HTML],
    )


def as_json(report: Mapping[str, Any], base: str) -> bytes:
    rows = [dict(row) for row in report["rules"]]
    for row in rows:
        shape, remedy = row["iri"], row["remedy"]
        texts = {language: message(shape, language, base) for language in LANGUAGES}
        row["message"] = texts if all(texts.values()) else {"en": row["message"]}
        row["remedy"] = {
            language: translated_remedy(shape, remedy, language, base)
            for language in (LANGUAGES if remedy else ())
        }
    return orjson.dumps({**report, "rules": rows}, option=orjson.OPT_INDENT_2)


def as_csv(report: Mapping[str, Any], host: str) -> bytes:
    """Write a line for each rule, the examples by key, and our page of them at *host*."""
    parts, numbers = ("", "_page", "_registry_page"), range(1, _EXAMPLES + 1)
    examples = [f"example_{number}{part}" for number in numbers for part in parts]
    rows: list[list[Any]] = [[*_IN_CSV, *examples]]
    for rule in report["rules"]:
        cells = [rule[name] for name in _IN_CSV]
        for example in rule["examples"]:
            page = example["page"] and f"{host}{example['page']}"
            cells += [example["key"], page, example["registry_page"]]
        cells += [""] * (len(rows[0]) - len(cells))
        rows.append(list(map(escape_formula, cells)))
    return write_csv(rows)


def as_atom(report: Mapping[str, Any], host: str, page: str) -> bytes:
    """Write an Atom feed with an entry for each rule that records break, and for each rule that
    fixed records no longer break.

    The id of an entry contains the number of records: a feed reader shows a rule again only when
    that number changes. *page* is the path of the report at *host*. Source:
    https://www.rfc-editor.org/rfc/rfc4287
    """
    known = [rule["last_seen"] for rule in report["rules"] if rule["last_seen"]]
    updated = report["started"] or max(known, default="1970-01-01T00:00:00Z")
    iri, address = f"{report['source']}/report", f"{host}{page}"
    entries = [
        _entry(rule, iri, address, updated, number)
        for number in ("records", "fixed")
        for rule in report["rules"]
        if rule[number]
    ]
    return write_feed(
        entries,
        id=iri,
        title=report["title"],
        updated=updated,
        author=NAME,
        url=f"{address}.atom",
        page=address,
    )


def _entry(rule: RuleReport, iri: str, page: str, updated: str, name: str) -> dict[str, Any]:
    """Return the entry of a rule about the number of its "records", or of those that are "fixed"."""
    number, is_fixed = rule[name], name == "fixed"
    state = "fixed" if is_fixed else "withheld" if rule["withheld"] else "remark"
    label = "warning" if state == "remark" else state
    path = "/".join(filter(None, (rule["rule"], re.split("[/#]", rule["path"])[-1])))
    lines = [rule["message"], f"Field: {rule['field']}" if rule["field"] else "", rule["remedy"]]
    lines += [
        f"{example['key']} {example['registry_page']}".strip() for example in rule["examples"]
    ]
    records = "record" if number == 1 else "records"
    return {
        "id": f"{iri}#{quote(path)}/{state}/{number}",
        "title": {"text": f"{rule['rule']}: {number} {records} ({label})", "language": None},
        "updated": (not is_fixed and rule["first_seen"]) or updated,
        "links": [("alternate", "text/html", page)],
        "content": "\n".join(line for line in lines if line),
    }


def as_turtle(report: Mapping[str, Any], rows: Sequence[Row], iris: Iris) -> bytes:
    """Write a ``sh:ValidationReport``: *rows* are results of published records, and the examples
    of withheld records follow.

    Source: https://www.w3.org/TR/shacl/#validation-report
    """
    node = NamedNode(f"{report['source']}/report")
    results: dict[NamedNode | BlankNode, dict[str, Any]] = {
        NamedNode(row["result"].value): {
            "focusNode": to_node(row.get("focus") or row["record"]),
            **{
                name: NamedNode(row[variable].value)
                for name, variable in _RESULT.items()
                if variable in row and row[variable].is_iri
            },
        }
        for row in rows
    }
    withheld = [
        (rule, example)
        for rule in report["rules"]
        if rule["withheld"] and rule["iri"]
        for example in rule["examples"]
    ]
    name = report["source"].removeprefix(iris.source(""))
    for number, (rule, example) in enumerate(withheld, 1):
        component, path = constraint(rule["iri"], iris.base)
        results[BlankNode(f"withheld{number}")] = {
            "focusNode": NamedNode(iris.record(name, example["key"])),
            "sourceShape": NamedNode(rule["iri"]),
            "sourceConstraintComponent": NamedNode(component),
            "resultSeverity": _sh(rule["severity"]),
            **({"resultPath": NamedNode(path)} if path else {}),
        }
    flag = Literal("false" if results else "true", datatype=NamedNode(f"{XSD}boolean"))
    statements = [
        Triple(node, _TYPE, _sh("ValidationReport")),
        Triple(node, _sh("conforms"), flag),
        *(Triple(node, _sh("result"), result) for result in results),
    ]
    for result, values in results.items():
        statements += [
            Triple(result, _TYPE, _sh("ValidationResult")),
            *(Triple(result, _sh(name), value) for name, value in values.items()),
            *(
                Triple(result, _sh("resultMessage"), Literal(text, language=language))
                for language in LANGUAGES
                if (text := message(values["sourceShape"].value, language, iris.base))
            ),
        ]
    prefixes = {"sh": SH, "rdf": RDF}
    return bytes(serialize(statements, format=RdfFormat.TURTLE, prefixes=prefixes) or b"")


_TYPE = NamedNode(f"{RDF}type")
# The properties of a validation result, with the variables of the query.
_RESULT = {
    "sourceShape": "shape",
    "sourceConstraintComponent": "component",
    "resultSeverity": "severity",
    "resultPath": "path",
}


def _sh(name: str) -> NamedNode:
    return NamedNode(f"{SH}{name}")


def constraint(shape: str, base: str) -> tuple[str, str]:
    """Return the IRI of the constraint component of a shape's first constraint, and of its path, ""
    if that is not one property.

    >>> constraint("https://x.example/shapes#ResourceTitle", "https://x.example/")
    ('http://www.w3.org/ns/shacl#MinCountConstraintComponent', 'http://purl.org/dc/terms/title')
    """
    about = {
        triple.predicate.value.removeprefix(SH): triple.object
        for triple in triples(base)
        if triple.subject == NamedNode(shape)
    }
    name = next((name for name in _CONSTRAINTS if name in about), "sparql")
    path = about.get("path")
    component = "SPARQL" if name == "sparql" else name[0].upper() + name[1:]
    return f"{SH}{component}ConstraintComponent", path.value if isinstance(path, NamedNode) else ""
