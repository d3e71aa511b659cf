"""Write the result of a preflight: as text, JSON, SARIF 2.1.0 or JUnit XML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import orjson
from lxml import etree

from harvesters.inspection.findings import Finding, Level, PreflightReport, RuleCount

_SARIF_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_INFORMATION = "https://w3id.org/wsis-stocktaking/"
_FIELDS = 40  # field names that a text lists
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_failure(report: PreflightReport, *, strict: bool = False) -> bool:
    """Return whether a registry should correct the feed before it is published: with an error, or
    if its plan would be held.

    With *strict* a warning counts too.
    """
    is_held = report.plan is not None and bool(report.plan.hold_reasons)
    return is_held or report.level is Level.ERROR or (strict and report.level is Level.WARNING)


def as_json(report: PreflightReport, strict: bool) -> bytes:
    """Write the report with all its parts."""
    return (
        orjson.dumps(
            {**asdict(report), "passed": not is_failure(report, strict=strict)},
            option=orjson.OPT_INDENT_2,
        )
        + b"\n"
    )


def as_text(report: PreflightReport, strict: bool) -> bytes:
    """Write the report for a terminal."""
    counts = ", ".join(f"{number:,} {name}" for name, number in report.counts.items()) or "none"
    lines = [
        f"{report.feed}: read as {report.protocol} with the mapping {report.mapping}",
        f"records: {counts}",
    ]
    dropped = [use.name for use in report.fields if not use.is_read]
    read = [use.name for use in report.fields if use.is_read]
    if read:
        lines.append(f"fields read: {', '.join(read[:_FIELDS])}")
    if dropped:
        lines.append(f"fields dropped: {', '.join(dropped[:_FIELDS])}")
    for rule in report.rules:
        lines += [f"{rule.level}: {rule.message} ({_records(rule)})", f"    {rule.remedy}"]
        lines += [f"    {_position_text(report, finding)}" for finding in _examples(report, rule)]
    lines += _plan_lines(report)
    lines.append("failed" if is_failure(report, strict=strict) else "passed")
    return ("\n".join(lines) + "\n").encode()


def _records(rule: RuleCount) -> str:
    """Return the rule's name, the number of records that break it, and its field; of a rule about
    the whole feed, its name alone.
    """
    number = (
        ""
        if rule.rule.startswith("feed-")
        else f"{rule.records:,} {'record' if rule.records == 1 else 'records'}"
    )
    return "; ".join(filter(None, (rule.rule, number, f"field {rule.field}" if rule.field else "")))


def _examples(report: PreflightReport, rule: RuleCount) -> list[Finding]:
    same = [
        finding
        for finding in report.findings
        if (finding.rule, finding.field) == (rule.rule, rule.field)
    ]
    return [finding for finding in same if finding.record or finding.line][:3]


def _position_text(report: PreflightReport, finding: Finding) -> str:
    line = (
        f"{report.feed}:{finding.line}" + (f":{finding.column}" if finding.column else "")
        if finding.line
        else ""
    )
    record = f"record {finding.record}" if finding.record else ""
    return "  ".join(filter(None, (line, record)))


def _plan_lines(report: PreflightReport) -> list[str]:
    plan = report.plan
    if plan is None:
        return [report.plan_note] if report.plan_note else []
    counts = ", ".join(f"{number:,} {name}" for name, number in plan.counts.items()) or "nothing"
    lines = [
        f"plan for {plan.source}: {counts}; published today: {plan.published_before:,}, afterwards: {plan.published_after:,}"
    ]
    lines += [f"    {old} would become {new}" for old, new in plan.identities]
    lines += [f"    missing: {', '.join(plan.missing)}"] if plan.missing else []
    lines += [f"    missing records are not known: {plan.note}"] if plan.note else []
    lines += [f"    the change would wait for a person: {reason}" for reason in plan.hold_reasons]
    return lines


def as_sarif(report: PreflightReport, strict: bool) -> bytes:
    """Write the findings as SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/), as code
    scanning reads it.
    """
    by_id: dict[str, dict[str, Any]] = {}
    for rule in report.rules:
        by_id.setdefault(rule.rule, {
            "id": rule.rule,
            "shortDescription": {"text": rule.message[:1000]},
            "help": {"text": rule.remedy},
            "defaultConfiguration": {"level": rule.level.value},
        })  # fmt: skip
    results = [_sarif_result(report, finding, list(by_id)) for finding in report.findings]
    results += [
        {
            "ruleId": "plan-held",
            "level": "error",
            "message": {"text": reason},
            "locations": [_location(report, None)],
        }
        for reason in (report.plan.hold_reasons if report.plan else ())
    ]
    if report.plan and report.plan.hold_reasons:
        by_id["plan-held"] = {
            "id": "plan-held",
            "shortDescription": {"text": "The change would wait for a person."},
        }
    driver = {
        "name": "stocktake preflight",
        "version": version("stocktake"),
        "informationUri": _INFORMATION,
        "rules": list(by_id.values()),
    }
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints",
           "invocations": [{"executionSuccessful": True, "exitCode": int(is_failure(report, strict=strict))}]}  # fmt: skip
    return (
        orjson.dumps(
            {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]},
            option=orjson.OPT_INDENT_2,
        )
        + b"\n"
    )


def _sarif_result(report: PreflightReport, finding: Finding, rules: list[str]) -> dict[str, Any]:
    field = f" (field {finding.field})" if finding.field else ""
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": finding.level.value,
        "message": {"text": f"{finding.message}{field} {finding.remedy}".strip()},
        "locations": [_location(report, finding)],
    }


def _location(report: PreflightReport, finding: Finding | None) -> dict[str, Any]:
    physical: dict[str, Any] = {
        "artifactLocation": {"uri": quote(report.feed, safe="/:?=&%#+@,;~")}
    }
    if finding and finding.line:
        physical["region"] = {
            "startLine": finding.line,
            **({"startColumn": finding.column} if finding.column else {}),
        }
    location: dict[str, Any] = {"physicalLocation": physical}
    if finding and finding.record:
        location["logicalLocations"] = [{"name": finding.record, "kind": "member"}]
    return location


def as_junit(report: PreflightReport, strict: bool) -> bytes:
    """Write a test case for each rule with a finding, for reading, and for the plan, as JUnit XML,
    which CI systems show.
    """
    cases: list[tuple[str, str, bool]] = [(f"read {report.protocol}", "", False)]
    for rule in report.rules:
        fails = rule.level is Level.ERROR or (strict and rule.level is Level.WARNING)
        locations = "\n".join(
            _position_text(report, finding) for finding in _examples(report, rule)
        )
        cases.append(
            (
                f"{rule.rule} {rule.field}".strip(),
                f"{rule.message} ({_records(rule)})\n{rule.remedy}\n{locations}".strip(),
                fails,
            )
        )
    if report.plan:
        cases.append(("plan", "\n".join(report.plan.hold_reasons), bool(report.plan.hold_reasons)))
    failures = sum(fails for _, _, fails in cases)
    suites = etree.Element("testsuites")
    suite = etree.SubElement(
        suites,
        "testsuite",
        name=_xml(report.feed),
        tests=str(len(cases)),
        failures=str(failures),
        errors="0",
    )
    for name, text, fails in cases:
        case = etree.SubElement(suite, "testcase", classname="stocktake.preflight", name=_xml(name))
        if fails:
            etree.SubElement(case, "failure", message=_xml(text.partition("\n")[0])).text = _xml(
                text
            )
        elif text:
            etree.SubElement(case, "system-out").text = _xml(text)
    return bytes(etree.tostring(suites, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _xml(text: str) -> str:
    """Return a text without the characters that XML 1.0 forbids."""
    return _FORBIDDEN.sub("\ufffd", text)


WRITERS: Mapping[str, Callable[[PreflightReport, bool], bytes]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "junit": as_junit,
}
