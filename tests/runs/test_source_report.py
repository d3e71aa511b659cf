from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from projects import define_table, project
from typer.testing import CliRunner

from harvesters.errors import HarvestError
from harvesters.inspection.source_report import SourceReport, WithheldRule, report_source
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import Source
from stocktake import app
from vocab.iris import BASE

Project = Callable[..., dict[str, Any]]


def reported(source: Source, context: HarvestContext) -> SourceReport:
    result = report_source(source, context.ledger, context.journal, BASE, context.data / "archive")
    assert result is not None
    return result


def by_rule(report: SourceReport) -> dict[str, WithheldRule]:
    return {rule.rule: rule for rule in report.withheld}


def test_withheld_records_are_counted_by_rule_in_the_publishers_field(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.projects[3:5] = [project(4, ""), project(5, "")]
    registry.projects[0]["budget"] = 7

    harvest(source, context)

    result = reported(source, context)
    rule = by_rule(result)["ResourceTitle"]
    assert (rule.records, rule.fixed, rule.path, rule.remedy != "") == (2, 0, "title", True)
    assert [(example.key, example.reason) for example in rule.examples] == [
        ("p4", "It has no title."),
        ("p5", "It has no title."),
    ]
    assert result.fields["http://purl.org/dc/terms/title"] == ["name"]
    assert result.unread == ("budget",)
    assert rule.first_seen == rule.last_seen == result.started


def test_fixed_record_is_counted_with_the_run_that_fixed_it(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.projects[3:6] = [project(4, ""), project(5, ""), project(6, "")]
    harvest(source, context)
    first = reported(source, context).started
    registry.projects[3] = project(4)

    harvest(source, context)

    second = reported(source, context)
    rule = by_rule(second)["ResourceTitle"]
    assert (rule.records, rule.fixed, rule.first_seen, rule.last_seen) == (
        2,
        1,
        first,
        second.started,
    )
    assert first < second.started

    registry.projects[4:6] = [project(5), project(6)]
    harvest(source, context)

    last = by_rule(reported(source, context))["ResourceTitle"]
    assert (last.records, last.fixed, last.last_seen, last.examples) == (0, 2, second.started, ())

    harvest(source, context)

    assert reported(source, context).withheld == ()


def test_remark_that_a_publisher_fixes_is_counted(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.projects[0] = {**project(1), "sdgs": ""}
    harvest(source, context)
    assert reported(source, context).fixed == {}
    registry.projects[0] = project(1)

    harvest(source, context)

    assert reported(source, context).fixed == {"InitiativeSubject": 1}


def test_charset_that_was_guessed_is_named(context: HarvestContext) -> None:
    content = "id;name\n" + "".join(f"{n};Ação social para educação\n" for n in range(9))
    source, network = define_table(content.encode("latin-1"))

    harvest(source, replace(context, network=network))

    assert reported(source, context).guessed_charset == "cp1252"


def test_source_without_a_run_has_no_report(source: Source, context: HarvestContext) -> None:
    assert (
        report_source(source, context.ledger, context.journal, BASE, context.data / "archive")
        is None
    )


def test_failed_run_is_passed_over_and_the_report_is_json(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.projects[3] = project(4, "")
    harvest(source, context)
    before = reported(source, context)

    failing = replace(
        context,
        network=replace(
            context.network, transport=httpx.MockTransport(lambda _: httpx.Response(500))
        ),
    )
    with pytest.raises(HarvestError):
        harvest(source, failing)

    assert reported(source, context) == before

    [row] = json.loads(orjson.dumps(reported(source, context)))["withheld"]

    assert (row["rule"], row["records"], row["examples"][0]["key"]) == ("ResourceTitle", 1, "p4")


def test_command_writes_json_and_exits_with_1_without_ledger(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--data", str(tmp_path), "sources", "report", "projects"])

    assert result.exit_code == 1
    assert "no ledger" in str(result.exception)
    assert not list(tmp_path.glob("*.sqlite"))
