"""The validation results of a source, by rule: the remarks of its published records, and the
records that its newest run withheld.

The remarks are in the published data. The withheld records and the publisher's own field names are
in the harvester's ledger.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote

import orjson
from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, serialize

from languages.translations import load_translations
from publisher.feeds.atom import MEDIA as ATOM
from publisher.feeds.xml_writing import element, empty
from publisher.portal.quality import measure_sources, rule_gains
from publisher.rdf.results import Row, iri
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from shapes.result import Severity
from shapes.rules import Rule, message, remedy, rules, triples
from vocab.iris import Iris
from vocab.normalization import escape_formula
from vocab.product.check import LANGUAGES
from vocab.terms import RDF, SH
from web.branding import NAME

_EXAMPLES = 3
_CONSTRAINTS = (
    "minCount", "maxCount", "nodeKind", "datatype", "pattern", "minLength", "maxLength", "in", "hasValue", "minInclusive", "maxInclusive",
    "lessThanOrEquals", "uniqueLang", "disjoint", "node", "or", "not", "property",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReportedRecord:
    """A record: its key, title and our page of it, "" where it is not published, and the address of
    its page at the source.
    """

    key: str
    title: str = ""
    page: str = ""
    registry_page: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RuleReport:
    """A rule that records of a source break: *iri* is its shape, "" for records that could not be
    read or had a key twice.

    *withheld*: these records are not published. *field* has the publisher's names of the fields
    that give the property *path*. *records* break it now; *fixed* did before the newest run, None
    if that is not known. *first_seen* is since when, as far as known. *gain* is by how many points
    the quality of the source would rise if no published record broke it, None for withheld records.
    """

    rule: str
    iri: str
    severity: str
    withheld: bool
    path: str
    field: str
    records: int
    fixed: int | None
    first_seen: str
    last_seen: str
    message: str
    remedy: str
    examples: tuple[ReportedRecord, ...] = ()
    gain: float | None = None


@dataclass(frozen=True, slots=True)
class ReportOnSource:
    """The report on a source: *run* is its newest run, "" if the server has no ledger (*has_ledger*
    is False). *guessed_charset* is the charset of a text that states none, else "".
    """

    source: str
    title: str
    has_ledger: bool
    run: str
    started: str
    outcome: str
    rules: tuple[RuleReport, ...] = field(default=())
    guessed_charset: str = ""

    @property
    def broken(self) -> list[RuleReport]:
        """Return the rules that records break now."""
        return [rule for rule in self.rules if rule.records]

    @property
    def fixed(self) -> list[RuleReport]:
        """Return the rules that some records no longer break since the newest run."""
        return [rule for rule in self.rules if rule.fixed]


async def report_on_source(
    service: QueryService, name: str, title: str, confirmed: str, ledger: Mapping[str, Any]
) -> ReportOnSource:
    """Return the report on the source *name*.

    *confirmed* is when it was last harvested, "" if unknown, *ledger* what the command ``sources
    report`` writes, empty without a ledger.
    """
    reports = [*await _remarks(service, name, ledger, confirmed), *_withheld(ledger, service.iris)]
    reports.sort(key=lambda rule: (-rule.records, not rule.withheld, rule.rule, rule.path))
    values = (ledger.get("run", ""), ledger.get("started", ""), ledger.get("outcome", ""))
    return ReportOnSource(
        service.iris.source(name),
        title,
        bool(ledger),
        *values,
        tuple(reports),
        ledger.get("guessed_charset", ""),
    )


async def _remarks(
    service: QueryService, registry: str, ledger: Mapping[str, Any], confirmed: str
) -> list[RuleReport]:
    source = service.iris.source(registry)
    known = rules(service.iris.base)
    reports = list[RuleReport]()
    fixed: dict[str, int] | None = ledger.get("fixed")
    quality = (await measure_sources(service)).get(source)
    rows = await service.rows(query("source-remarks"), {"source": iri(source)})
    paths = {row["path"].value for row in rows if "path" in row}
    gains = await rule_gains(service, source, quality, paths) if quality else {}
    for row in rows:
        if "shape" not in row:
            continue  # an aggregate of nothing has one row
        shape, path = row["shape"].value, row["path"].value if "path" in row else ""
        rule = known.get(shape)  # None for a rule of another version, as on a mirror
        bound = {"source": iri(source), "shape": iri(shape)}
        examples = _examples(
            await service.rows(query("source-remark-examples"), bound), service.iris
        )
        times = (row["first"].value, ledger.get("started") or confirmed)
        name, severity = shape.rpartition("#")[2], row["severity"].value.removeprefix(SH)
        number = None if fixed is None else fixed.get(name, 0)
        texts = (rule.message, rule.remedy) if rule else (row["message"].value, "")
        field_name = own_field(ledger.get("fields", {}), path)
        counts = (int(row["records"].value), number, *times, *texts, examples)
        reports.append(
            RuleReport(
                name,
                shape,
                severity,
                False,
                path,
                field_name,
                *counts,
                round(gains.get(shape, 0.0), 1),
            )
        )
    return [*reports, *_fixed(fixed or {}, {rule.rule for rule in reports}, known.values())]


def _fixed(
    fixed: Mapping[str, int], broken: set[str], known: Iterable[Rule]
) -> Iterator[RuleReport]:
    """Yield the rules that no published record breaks any more."""
    for rule in known:
        if rule.name in fixed and rule.name not in broken:
            counts = (0, fixed[rule.name], "", "", rule.message, rule.remedy)
            yield RuleReport(rule.name, rule.iri, rule.severity.value, False, "", "", *counts)


def _withheld(ledger: Mapping[str, Any], iris: Iris) -> Iterator[RuleReport]:
    names = {rule.name: rule for rule in rules(iris.base).values()}
    for row in ledger.get("withheld", ()):
        rule = names.get(row["rule"])
        text = (
            rule.message if rule else next((example["reason"] for example in row["examples"]), "")
        )
        examples = tuple(
            ReportedRecord(example["key"], reason=example["reason"]) for example in row["examples"]
        )
        counts = (
            row["records"],
            row["fixed"],
            row["first_seen"],
            row["last_seen"],
            text,
            row["remedy"],
            examples,
        )
        field_name = own_field(ledger.get("fields", {}), row["path"])
        yield RuleReport(
            row["rule"],
            rule.iri if rule else "",
            Severity.VIOLATION.value,
            True,
            row["path"],
            field_name,
            *counts,
        )


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


def _examples(rows: Iterable[Row], iris: Iris) -> tuple[ReportedRecord, ...]:
    """Return a record for each key, with its English title if there is one."""
    reports: dict[str, ReportedRecord] = {}
    languages: dict[str, str | None] = {}
    for row in rows:
        key, title, page = row["key"].value, row.get("title"), row.get("page")
        if key in reports and (title is None or title.language != "en" or languages[key] == "en"):
            continue
        languages[key] = title.language if title else None
        ours = f"/page/{row['thing'].value.removeprefix(f'{iris.base}id/')}"
        reports[key] = ReportedRecord(
            key, title.value if title else "", ours, page.value if page and page.is_iri else ""
        )
    return tuple(reports[key] for key in sorted(reports)[:_EXAMPLES])


def translated_remedy(shape: str, english: str, language: str, base: str) -> str:
    """Return what to do about the rule *shape* in *language*; without a shape, the translation of
    *english*.

    >>> translated_remedy("", "Correct this record; the others are not affected.", "es", "https://x.example/")
    'Corrija esta ficha; las demás no se ven afectadas.'
    """
    return remedy(shape, language, base) or (
        str(load_translations(language).gettext(english)) if english else ""
    )


def as_json(report: ReportOnSource, base: str) -> bytes:
    """Serialize the report as JSON, with the messages and remedies in each language."""
    document = asdict(report)
    for row in document["rules"]:
        texts = {language: message(row["iri"], language, base) for language in LANGUAGES}
        row["message"] = texts if all(texts.values()) else {"en": row["message"]}
        remedies = {
            language: translated_remedy(row["iri"], row["remedy"], language, base)
            for language in LANGUAGES
        }
        row["remedy"] = remedies if row["remedy"] else {}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def as_csv(report: ReportOnSource, host: str) -> bytes:
    """Write a line for each rule, the examples by key, and our page of them at *host*."""
    out = io.StringIO()
    lines = csv.writer(out)
    facts = (
        "rule",
        "severity",
        "withheld",
        "field",
        "path",
        "records",
        "fixed",
        "first_seen",
        "last_seen",
    )
    columns = (*facts, "message", "remedy", "gain")
    numbers = range(1, _EXAMPLES + 1)
    lines.writerow(
        [
            *columns,
            *(
                f"example_{number}{part}"
                for number in numbers
                for part in ("", "_page", "_registry_page")
            ),
        ]
    )
    for rule in report.rules:
        cells = [getattr(rule, name) for name in columns]
        for example in rule.examples:
            cells += [
                example.key,
                f"{host}{example.page}" if example.page else "",
                example.registry_page,
            ]
        cells += [""] * 3 * (_EXAMPLES - len(rule.examples))
        lines.writerow([escape_formula(cell) for cell in cells])
    return out.getvalue().encode()


def as_atom(report: ReportOnSource, host: str, page: str) -> bytes:
    """Write an Atom feed with an entry for each rule that records break, and for each rule that
    fixed records no longer break.

    The id of an entry contains the number of records: a feed reader shows a rule again only when
    that number changes. *page* is the path of the report at *host*. Source:
    https://www.rfc-editor.org/rfc/rfc4287
    """
    known = [rule.last_seen for rule in report.rules if rule.last_seen]
    updated = report.started or max(known, default="1970-01-01T00:00:00Z")
    head = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">',
        element("id", f"{report.source}/report"),
        element("title", report.title),
        element("updated", updated),
        f"<author>{element('name', NAME)}</author>",
        empty("link", rel="self", type=ATOM, href=f"{host}{page}.atom"),
        empty("link", rel="alternate", type="text/html", href=f"{host}{page}"),
    ]
    entries = [
        *(_entry(rule, report, f"{host}{page}", updated, fixed=False) for rule in report.broken)
    ]
    entries += [_entry(rule, report, f"{host}{page}", updated, fixed=True) for rule in report.fixed]
    return "\n".join((*head, *entries, "</feed>\n")).encode()


def _entry(
    rule: RuleReport, report: ReportOnSource, page: str, updated: str, *, fixed: bool
) -> str:
    number, state = (
        (rule.fixed, "fixed")
        if fixed
        else (rule.records, "withheld" if rule.withheld else "remark")
    )
    label = "warning" if state == "remark" else state
    name = "/".join(filter(None, (rule.rule, re.split("[/#]", rule.path)[-1])))
    lines = [rule.message, f"Field: {rule.field}" if rule.field else "", rule.remedy]
    lines += [f"{example.key} {example.registry_page}".strip() for example in rule.examples]
    return "".join((
        "<entry>",
        element("id", f"{report.source}/report#{quote(name)}/{state}/{number}"),
        element("title", f"{rule.rule}: {number} {'record' if number == 1 else 'records'} ({label})"),
        element("updated", (not fixed and rule.first_seen) or updated),
        empty("link", rel="alternate", type="text/html", href=page),
        element("content", "\n".join(line for line in lines if line), type="text"),
        "</entry>",
    ))  # fmt: skip


async def as_turtle(report: ReportOnSource, service: QueryService) -> bytes:
    """Write a ``sh:ValidationReport``: at most 1,000 results of published records, and the examples
    of withheld records.

    Source: https://www.w3.org/TR/shacl/#validation-report
    """
    base, node = service.iris.base, NamedNode(f"{report.source}/report")
    rows = await service.rows(query("source-remark-results"), {"source": iri(report.source)})
    statements = [triple for row in rows for triple in _published_result(row, base)]
    statements += _withheld_results(report, service.iris)
    results = dict.fromkeys(triple.subject for triple in statements)
    flag = Literal(
        "false" if results else "true",
        datatype=NamedNode("http://www.w3.org/2001/XMLSchema#boolean"),
    )
    head = [
        Triple(node, NamedNode(f"{RDF}type"), _sh("ValidationReport")),
        Triple(node, _sh("conforms"), flag),
    ]
    links = [Triple(node, _sh("result"), result) for result in results]
    return bytes(
        serialize(
            [*head, *links, *statements], format=RdfFormat.TURTLE, prefixes={"sh": SH, "rdf": RDF}
        )
        or b""
    )


def _sh(name: str) -> NamedNode:
    return NamedNode(f"{SH}{name}")


def _published_result(row: Row, base: str) -> Iterator[Triple]:
    values = {
        "sourceShape": "shape",
        "sourceConstraintComponent": "component",
        "resultSeverity": "severity",
        "resultPath": "path",
    }
    node, focus = NamedNode(row["result"].value), row.get("focus") or row["record"]
    yield Triple(node, NamedNode(f"{RDF}type"), _sh("ValidationResult"))
    yield Triple(
        node, _sh("focusNode"), NamedNode(focus.value) if focus.is_iri else Literal(focus.value)
    )
    for name, variable in values.items():
        if (term := row.get(variable)) is not None and term.is_iri:
            yield Triple(node, _sh(name), NamedNode(term.value))
    yield from _messages(node, row["shape"].value, base)


def _withheld_results(report: ReportOnSource, iris: Iris) -> Iterator[Triple]:
    name = report.source.removeprefix(iris.source(""))
    rows = [
        (rule, example)
        for rule in report.rules
        if rule.withheld and rule.iri
        for example in rule.examples
    ]
    for number, (rule, example) in enumerate(rows, 1):
        node = BlankNode(f"withheld{number}")
        yield Triple(node, NamedNode(f"{RDF}type"), _sh("ValidationResult"))
        yield Triple(node, _sh("focusNode"), NamedNode(iris.record(name, example.key)))
        yield Triple(node, _sh("sourceShape"), NamedNode(rule.iri))
        yield Triple(node, _sh("resultSeverity"), _sh(rule.severity))
        component, path = constraint(rule.iri, iris.base)
        yield Triple(node, _sh("sourceConstraintComponent"), NamedNode(component))
        if path:
            yield Triple(node, _sh("resultPath"), NamedNode(path))
        yield from _messages(node, rule.iri, iris.base)


def _messages(node: NamedNode | BlankNode, shape: str, base: str) -> Iterator[Triple]:
    texts = dict.fromkeys((language, message(shape, language, base)) for language in LANGUAGES)
    yield from (
        Triple(node, _sh("resultMessage"), Literal(text, language=language))
        for language, text in texts
        if text
    )


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
