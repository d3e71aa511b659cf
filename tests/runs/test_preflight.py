from __future__ import annotations

import csv
import io
import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import xlsxwriter
from lxml import etree
from rows import each
from typer.testing import CliRunner

from harvesters.inspection.findings import (
    Finding,
    Level,
    PlannedChanges,
    PreflightReport,
    RuleCount,
)
from harvesters.inspection.preflight import (
    PreflightLimits,
    Upload,
    as_junit,
    as_sarif,
    as_text,
    check_feed,
    is_failure,
)
from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import Source, parse
from stocktake import app
from vocab.iris import BASE

SHARED = Path(__file__).parents[3] / "shared"
BROKEN = SHARED / "feeds" / "broken"
PRIZES = SHARED / "facts" / "wsis-prizes-2015" / "scrapper_wsis-projects-data.csv"


DEFINITION = {
    "title": "Prizes", "protocol": "csv", "mapping": "fields", "url": "https://registry.example/prizes.csv",
    "licence": "https://example.org/l", "language": "en", "pause": 0, "options": {"key": "id"},
    "fields": {"title": "Project", "lead": "Organisation", "countries": "Country", "action_lines": "Category"},
}  # fmt: skip


HEAD = ["id", "Category", "Project", "Organisation", "Country"]
ROWS = [
    [f"prize-{number}", "C7. E-HEALTH", f"Project {number}", "Ministry of Health", "KENYA"]
    for number in range(1, 21)
]


def table(rows: list[list[str]], head: list[str] = HEAD) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([head, *rows])
    return text.getvalue().encode()


def prizes() -> Source:
    return parse("prizes", DEFINITION, "test")


def check(content: bytes, name: str = "prizes.csv", **rest: Any) -> PreflightReport:
    network = NetworkSettings("admin@example.org")
    return check_feed(prizes(), Upload(name, content), BASE, network, **rest)


@pytest.fixture
def published(context: HarvestContext) -> HarvestContext:
    """Return a context in which the prizes are published."""

    def answer(request: httpx.Request) -> httpx.Response:
        is_robots = "robots" in request.url.path
        return httpx.Response(404) if is_robots else httpx.Response(200, content=table(ROWS))

    network = replace(context.network, transport=httpx.MockTransport(answer))
    harvest(prizes(), replace(context, network=network))
    return context


def test_plan_compares_a_feed_with_what_is_published(published: HarvestContext) -> None:
    rows = [*ROWS[:9], *ROWS[10:], ["prize-new", "C1", "New project", "ITU", "KENYA"]]
    rows[4] = [*rows[4][:2], "Another title", *rows[4][3:]]
    rows[5] = ["other-key", *rows[5][1:]]

    plan = check(table(rows), ledger=published.ledger).plan

    assert plan is not None
    assert plan.counts == {"new": 1, "changed": 1, "unchanged": 17, "reidentified": 1, "vanished": 1, "replaced": 1}  # fmt: skip
    assert (plan.identities, plan.missing) == ((("prize-6", "other-key"),), ("prize-10",))
    assert plan.hold_reasons == ()
    assert [run.source for run in published.ledger.runs()] == ["prizes"]


def test_plan_that_the_guard_would_hold_says_why(published: HarvestContext) -> None:
    report = check(table(ROWS[:5]), ledger=published.ledger)

    assert report.plan is not None
    assert report.plan.hold_reasons == (
        "15 of 20 published records are missing (75%); the limit is 10%",
    )
    assert report.level is Level.WARNING
    assert is_failure(report)


def test_renamed_column_is_found_with_the_records_that_it_withholds(
    published: HarvestContext,
) -> None:
    head = [name.replace("Project", "Name of the project") for name in HEAD]

    report = check(table(ROWS, head), ledger=published.ledger)

    assert report.counts == {"withheld": 20}
    assert {use.name: use.is_read for use in report.fields} == {
        "id": True, "Category": True, "Name of the project": False, "Organisation": True, "Country": True,
    }  # fmt: skip
    by_rule = {rule.rule: rule for rule in report.rules}
    missing = by_rule["field-missing"]
    assert by_rule["ResourceTitle"].records == 20
    assert missing.message == "No record of the sample has the field Project, which is read as title."  # fmt: skip
    assert "Was it renamed to Name of the project?" in missing.remedy
    first = next(finding for finding in report.findings if finding.rule == "ResourceTitle")
    assert (first.record, first.line, first.column) == ("prize-1", 2, 1)


def test_findings_of_unchanged_records_are_listed_too(published: HarvestContext) -> None:
    report = check(table(ROWS), ledger=published.ledger)

    assert report.plan is not None
    assert report.plan.counts == {"unchanged": 20}
    assert {(rule.rule, rule.field, rule.records) for rule in report.rules} >= {
        ("ResourceDescription", "", 20)
    }


def test_feed_of_one_page_is_read_without_the_pages_that_it_names() -> None:
    paged = {"protocol": "json", "options": {"key": "id", "page": "page"}, "fields": {"title": "name"}}  # fmt: skip
    upload = Upload("page.json", b'[{"id": "p1", "name": "One"}]')
    network = NetworkSettings("admin@example.org")

    report = check_feed(parse("pages", {**DEFINITION, **paged}, "test"), upload, BASE, network)

    assert report.counts == {"publishable": 1}
    note = next(rule for rule in report.rules if rule.rule == "feed-partly-read")
    assert note.level is Level.NOTE
    assert "page=2" in note.message


def test_charset_that_was_guessed_is_named() -> None:
    rows = [[*row[:2], "Ação social para educação", *row[3:]] for row in ROWS]

    report = check(table(rows).decode().encode("cp1252"))

    rule = next(rule for rule in report.rules if rule.rule == "feed-charset")
    assert (rule.level, report.counts) == (Level.WARNING, {"publishable": 20})
    assert rule.message == "The text states no charset and was read as cp1252."
    assert "option charset" in rule.remedy


@each("count", [5, 21])
def test_duplicate_key_in_a_small_feed_is_named(count: int, tmp_path: Path) -> None:
    rows = [[f"p{number}", f"Clinic {number}", "Kenya"] for number in range(1, count)]
    content = table([*rows, ["p2", "Another", "Kenya"]], ["id", "title", "country"])

    report = run_preflight(tmp_path / "feed.csv", content)

    duplicate = next(rule for rule in report["rules"] if rule["rule"] == "record-duplicate")
    assert report["counts"] == {"publishable": count - 1, "duplicate": 1}
    assert duplicate["records"] == 1


def test_goals_of_one_text_are_split_and_url_is_read(tmp_path: Path) -> None:
    records = [
        {"id": f"p{n}", "title": f"Clinic {n}", "url": f"https://x.example/{n}", "goals": "3; 4"}
        for n in range(3)
    ]

    report = run_preflight(tmp_path / "feed.json", json.dumps(records).encode())

    assert {use["name"]: use["is_read"] for use in report["fields"]}["url"] is True
    rules = {rule["rule"] for rule in report["rules"]}
    assert not rules & {"InitiativeSubject", "ResourceGoal"}


def run_preflight(file: Path, content: bytes) -> dict[str, Any]:
    file.write_bytes(content)
    arguments = ["--data", str(file.parent), "preflight", str(file), "--format", "json"]
    result: dict[str, Any] = json.loads(CliRunner().invoke(app, arguments).stdout)
    return result


def test_time_limit_ends_a_check_with_what_was_read() -> None:
    clock = iter(range(0, 10_000, 100)).__next__

    report = check(table(ROWS), limits=PreflightLimits(seconds=10), clock=clock)

    assert [rule.rule for rule in report.rules][-1] in ("feed-partly-read", "feed-empty")
    assert "stopped after 10 seconds" in " ".join(rule.message for rule in report.rules)


REPORT = PreflightReport(
    "dir/ä feed.csv", "csv", "fields", {"withheld": 1, "publishable": 2},
    rules=(RuleCount("ResourceTitle", Level.ERROR, "It has no title.", "Add one.", 1, "Project"),
           RuleCount("ResourceDescription", Level.WARNING, "It has no description.", "Add one.", 2)),
    findings=(Finding("ResourceTitle", Level.ERROR, "It has no title.", "Add one.", "p\x001", 2, 7, "Project"),
              Finding("ResourceDescription", Level.WARNING, "It has no description.", "Add one.", "p2")),
    plan=PlannedChanges("prizes", 20, 5, {"lost": 15}, hold_reasons=("15 of 20 are missing",)),
)  # fmt: skip


def test_sarif_names_rules_places_and_columns_of_its_results() -> None:
    document = json.loads(as_sarif(REPORT, False))

    [run] = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len({*rules}) == len(rules)
    results = run["results"]
    assert [result["ruleId"] for result in results] == ["ResourceTitle", "ResourceDescription", "plan-held"]  # fmt: skip
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in results if "ruleIndex" in result)  # fmt: skip
    places = [place["physicalLocation"] for result in results for place in result["locations"]]
    assert {place["artifactLocation"]["uri"] for place in places} == {"dir/%C3%A4%20feed.csv"}
    assert places[0]["region"] == {"startLine": 2, "startColumn": 7}


@pytest.mark.parametrize("strict", [True, False])
def test_sarif_is_valid_by_its_schema(packages: Path, strict: bool) -> None:
    [schema] = packages.joinpath("@microsoft/jest-sarif/lib/schemas").glob("sarif-2.1.0*.json")
    validator = jsonschema.Draft4Validator(json.loads(schema.read_bytes()))
    document = json.loads(as_sarif(REPORT, strict))
    broken = {**document, "runs": [{**document["runs"][0], "columnKind": "bytes"}]}

    assert [error.message for error in validator.iter_errors(document)] == []
    wrong = [list(error.path) for error in validator.iter_errors(broken)]
    assert wrong == [["runs", 0, "columnKind"]]


def test_text_names_line_column_and_record_of_each_finding() -> None:
    lines = as_text(REPORT, False).decode().splitlines()

    assert "    dir/ä feed.csv:2:7  record p\x001" in lines
    assert "    record p2" in lines


def test_junit_fails_for_errors_and_held_plans_and_with_strict_for_warnings() -> None:
    suite, strict = (etree.fromstring(as_junit(REPORT, strict))[0] for strict in (False, True))

    assert (suite.get("tests"), suite.get("failures"), strict.get("failures")) == ("4", "2", "3")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["ResourceTitle Project", "plan"]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    environment = {"STOCKTAKE_DATA": str(tmp_path / "data"), "STOCKTAKE_SOURCES": str(tmp_path), "STOCKTAKE_ALLOW_HOSTS": ""}  # fmt: skip

    def invoke(*arguments: str, input: bytes | None = None) -> Any:
        return CliRunner().invoke(app, ["preflight", *arguments], env=environment, input=input)

    return invoke


@pytest.fixture
def report_of(run: Callable[..., Any]) -> Callable[[str, bytes], dict[str, Any]]:
    def read(name: str, content: bytes) -> dict[str, Any]:
        completed = run("-", "--name", name, "--format", "json", input=content)
        report: dict[str, Any] = json.loads(completed.stdout)
        assert completed.exit_code == (not report["passed"])
        return report

    return read


def test_format_and_fields_of_a_feed_are_recognized(
    report_of: Callable[..., Any], tmp_path: Path
) -> None:
    content = b'{"projects": [{"id": "a-1", "title": "Clinics", "iso": "KE", "secret": 1}, {"id": "a-2", "title": "Schools", "iso": "UG"}]}'

    report = report_of("feed.json", content)

    assert (report["protocol"], report["counts"], report["passed"]) == ("json", {"publishable": 2}, True)  # fmt: skip
    read = {use["name"]: use["is_read"] for use in report["fields"]}
    assert read == {"id": True, "title": True, "iso": True, "secret": False}
    assert not (tmp_path / "data").exists()


RELIEFWEB = {
    "href": "https://api.example/v1/reports",
    "links": {"self": {"href": "https://api.example/v1/reports"}, "next": {"href": "https://api.example/v1/reports?offset=10"}},
    "totalCount": 1,
    "data": [{"id": "3670885", "score": 1, "fields": {"title": "Nepal makes progress", "source": [{"id": 1, "name": "World Bank"}]}}],
}  # fmt: skip
GRANTS: list[list[Any]] = [
    ["Grants of 2026"],
    [],
    ["Identifier", "Title", "Amount Awarded", "Recipient Org:Identifier"],
    ["360G-1", "Community garden", 5000, "GB-CHC-1"],
]
IATI = b"""<iati-activities version="2.03">
<iati-activity><iati-identifier>A-1</iati-identifier><title><narrative>Wells & soil</narrative></title></iati-activity>
<iati-activity><iati-identifier>A-2</iati-identifier><title><narrative>Wells</narrative></title></iati-activity>
</iati-activities>"""


REPLIES = Path(__file__).parents[1] / "harvesters/replies"


def workbook(rows: list[list[Any]]) -> bytes:
    with xlsxwriter.Workbook(content := io.BytesIO()) as file:
        sheet = file.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return content.getvalue()


@each(
    "name, content, protocol, counts",
    [("reports.json", json.dumps(RELIEFWEB).encode(), "json", {"publishable": 1}),
    ("grants.xlsx", workbook(GRANTS), "spreadsheet", {"publishable": 1}),
     ("activities", IATI, "iati", {"publishable": 1, "unreadable": 1}),
     ("maps", (REPLIES / "iso_19115-19139/reply.xml").read_bytes(), "csw", {"publishable": 1})],
)  # fmt: skip
def test_feeds_of_well_known_kinds_are_recognized(
    name: str, content: bytes, protocol: str, counts: dict[str, int], report_of: Callable[..., Any]
) -> None:
    report = report_of(name, content)

    assert (report["protocol"], report["counts"]) == (protocol, counts)


@each(
    "content, missing",
    [(b"No;Intervention;Town\n1;Wells;Kano\n2;Schools;Kano\n", "no key and no title"),
     (b"id;Intervention;Town\n1;Wells;Kano\n2;Schools;Kano\n", "no title")],
)  # fmt: skip
def test_missing_field_is_named_with_those_that_it_may_be(
    content: bytes, missing: str, report_of: Callable[..., Any]
) -> None:
    (finding,) = report_of("list.csv", content)["findings"]

    assert f"The feed has {missing} that is recognized: which of these" in finding["message"]
    assert "Intervention, Town" in finding["message"]


def test_rdf_is_checked_as_what_its_namespaces_say(report_of: Callable[..., Any]) -> None:
    turtle = b"""@prefix dcat: <http://www.w3.org/ns/dcat#> . @prefix dct: <http://purl.org/dc/terms/> .
<urn:c> a dcat:Catalog ; dcat:dataset <urn:d> . <urn:d> a dcat:Dataset ; dct:identifier "d-1" ; dct:description "No title here"@en ."""

    report = report_of("data.ttl", turtle)

    assert (report["protocol"], report["mapping"], report["passed"]) == ("rdf", "dcat", False)
    assert (report["counts"], report["rules"][0]["rule"]) == ({"withheld": 1}, "ResourceTitle")


@pytest.mark.nightly  # test_validate.py asks the same command for JSON by day
@pytest.mark.parametrize(
    ("form", "parse"), [("json", json.loads), ("sarif", json.loads), ("junit", etree.fromstring)]
)
def test_output_is_whole_where_the_charset_is_guessed(
    form: str, parse: Callable[[bytes], Any], run: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    rows = [f"{n};Ação social para educação;Formação de professores em saúde" for n in range(40)]
    content = "\n".join(["id;title;description", *rows]).encode("latin-1")

    completed = run("-", "--name", "list.csv", "--format", form, input=content)

    assert parse(completed.stdout.encode()) is not None
    # In a pipe, the standard output of a child process would come before the result.
    assert capfd.readouterr().out == ""


@each(
    "arguments, text",
    [(("/nowhere/feed.csv",), "No such file"), (("-", "--format", "yaml"), "unknown value 'yaml'"),
     (("-", "--source", "nobody"), "no source named"), (("-", "--source", "a", "--as", "csv"), "exclude each other")],
)  # fmt: skip
def test_what_cannot_be_checked_exits_with_2(
    run: Callable[..., Any], arguments: tuple[str, ...], text: str
) -> None:
    completed = run(*arguments, input=b"id,title\n1,Clinics")

    assert completed.exit_code == 2
    assert text in " ".join(completed.output.replace("│", " ").split())


def test_private_address_is_refused(run: Callable[..., Any]) -> None:
    completed = run("http://127.0.0.1:1/feed.csv", "--format", "json")

    report = json.loads(completed.stdout)
    assert (report["rules"][0]["rule"], completed.exit_code) == ("feed-refused", 1)


@pytest.mark.skipif(not BROKEN.is_dir(), reason=f"no broken feeds at {BROKEN}")
@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.nightly)])
@pytest.mark.smoke
def test_every_broken_feed_has_a_finding_with_place_and_remedy(
    run: Callable[..., Any], step: int
) -> None:
    without: list[str] = []
    for file in sorted(BROKEN.iterdir())[::step]:
        completed = run(str(file), "--format", "json")
        findings = json.loads(completed.stdout)["findings"]
        placed = any(one["remedy"] and (one["line"] or one["record"]) for one in findings)
        if not placed or completed.exit_code != 1 or "Traceback" in completed.output:
            without.append(file.name)

    assert without == []
    used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]  # fmt: skip
    assert max(used) < 2 << 20  # KiB


@pytest.mark.nightly
@pytest.mark.skipif(not PRIZES.is_file(), reason=f"no prize list at {PRIZES}")
def test_prize_list_of_2015_with_a_column_renamed(tmp_path: Path) -> None:
    rows = list(csv.reader(io.StringIO(PRIZES.read_bytes().decode("mac_roman"))))
    numbered = [[f"wsis-2015-{number}", *row] for number, row in enumerate(rows[1:], 1)]

    whole = check(table(numbered))
    renamed = check(
        table(numbered, ["id", "Category", "Name of the project", "Organisation", "Country"])
    )

    assert whole.counts == {"publishable": 302}
    assert renamed.counts == {"withheld": 302}
    assert {rule.rule for rule in renamed.rules if rule.level is Level.ERROR} == {"ResourceTitle"}
    assert "field-missing" in {rule.rule for rule in renamed.rules}
