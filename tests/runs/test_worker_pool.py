from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import large_registry
import pytest
from lxml import etree, html
from projects import NOON
from rows import each
from structlog.testing import capture_logs

from harvesters.errors import ClusterError
from harvesters.ledger.models import Outcome, Run, State
from harvesters.page_model import Record
from harvesters.pipeline.record_processor import (
    ProcessingTask,
    RecordInput,
    WorkerPool,
    code_fingerprint,
    create_processor,
    execute,
    is_distributable,
    serialize,
)
from harvesters.runs.run import harvest
from harvesters.source import parse
from vocab.iris import BASE

RUN = Run("projects.1", "projects", 1, State.RUNNING, True, None, NOON, "rules")
XML = {
    "title": "T", "protocol": "oai-pmh", "mapping": "fields", "url": "https://a.example/oai", "licence": "https://a.example/l",
}  # fmt: skip


def harvested(folder: Path, workers: int, **more: Any) -> dict[str, str]:
    with large_registry.open_harvest(folder, large_registry.Projects(**more), workers) as context:
        plan = harvest(large_registry.source(), context)

    assert plan.run.state is State.COMMITTED
    assert {item for item, count in plan.outcomes.items() if count} == {
        Outcome.NEW,
        Outcome.WITHHELD,
        Outcome.DUPLICATE,
    }
    return large_registry.journal_digests(folder)


def test_the_journal_is_the_same_bytes_whatever_the_number_of_processes(tmp_path: Path) -> None:
    at_home = harvested(tmp_path / "0", 0)

    assert [harvested(tmp_path / str(workers), workers) for workers in (1, 2, 4)] == [at_home] * 3


def test_a_killed_worker_process_costs_only_time(tmp_path: Path) -> None:
    others, killed = {*multiprocessing.active_children()}, []

    def kill_one(page: int) -> None:
        if page == 7:
            process = ({*multiprocessing.active_children()} - others).pop()
            process.kill()
            process.join()  # its exit code may be with the executor, which waits for it too
            killed.append(process)

    undisturbed = harvested(tmp_path / "0", 0)

    with capture_logs() as logs:
        assert harvested(tmp_path / "2", 2, before=kill_one) == undisturbed
    assert len(killed) == 1
    assert {entry["event"] for entry in logs} == {"worker process exited; repeating its work"}


def test_small_sources_start_no_worker_process(tmp_path: Path) -> None:
    others = {*multiprocessing.active_children()}
    with large_registry.open_harvest(tmp_path, large_registry.Projects(), 2) as context:
        context.pool.record_count = 0
        harvest(large_registry.source(), context)

        assert {*multiprocessing.active_children()} <= others


def task(paths: dict[str, str]) -> ProcessingTask:
    return ProcessingTask(
        RUN,
        parse(
            "projects", {**XML, "options": {}, "fields": {"title@en": "string(t)", **paths}}, "test"
        ),
        BASE,
        "rust",
        False,
    )


def test_an_xml_element_is_serialized_as_its_raw_bytes() -> None:
    page = etree.fromstring(
        '<page xml:lang="fr"><r xmlns="" lang="x"><t>Of <b>all</b> &amp; sundry</t><s>SDG 4</s></r> tail</page>'
    )
    case = RecordInput(
        Record("a", page[0], etree.tostring(page[0], encoding="utf-8", with_tail=False)), "d", None, None,
    )  # fmt: skip
    item = task({"goals": "s/text()"})

    records = serialize([case])

    assert records is not None
    assert execute(pickle.dumps(item), records) == create_processor(item).process([case])


@each(
    "path",
    ["ancestor::page/@name", "../h", "/page/h", "t[lang('en')]", "following::t", "string(//h)"],
)
def test_a_record_mapped_with_its_context_is_not_distributed(path: str) -> None:
    assert (
        is_distributable(task({"lead": path})),
        is_distributable(task({"lead": "o/n/text()"})),
    ) == (False, True)


def test_records_that_cannot_be_serialized_are_processed_locally() -> None:
    page = Record("a", html.fromstring("<p>a<br>b"), b"<p>a<br/>b</p>")
    row = Record("a", {"t": lambda: None}, b"{}")

    assert [serialize([RecordInput(record, "d", None, None)]) for record in (page, row)] == [
        None,
        None,
    ]


def test_the_origins_of_a_record_reach_its_description_in_every_process() -> None:
    origins = (
        "https://a.example/oai?verb=GetRecord&identifier=7",
        "https://c.example/oai?verb=GetRecord&identifier=c-7",
    )
    element = etree.fromstring("<r><t>Wells</t></r>")
    case = RecordInput(
        Record("a", element, etree.tostring(element), lineage=origins), "d" * 32, None, None
    )
    item = task({})

    records = serialize([case])
    assert records is not None
    (staged,) = execute(pickle.dumps(item), records)

    assert staged.reasons == ()
    lines = [line.partition("> ")[2] for line in (staged.description or "").split("\n")]
    prov = "<http://www.w3.org/ns/prov#"
    assert [
        line
        for line in lines
        if line.startswith((f"{prov}wasDerivedFrom>", f"{prov}hadPrimarySource>"))
    ] == [
        f"{prov}hadPrimarySource> <{origins[0]}>",
        *(f"{prov}wasDerivedFrom> <{origin}>" for origin in origins),
    ]


def test_workers_with_other_code_refuse_a_task() -> None:
    with pytest.raises(
        ClusterError,
        match=f"a worker has other code \\({code_fingerprint()}\\) than this process \\(older\\)",
    ):
        execute(b"", b"", "older")


def test_an_unreachable_dask_scheduler_is_reported_at_the_start() -> None:
    with pytest.raises(
        ClusterError,
        match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 .*unset STOCKTAKE_DASK",
    ):
        WorkerPool(BASE, dask="tcp://127.0.0.1:1").check_cluster()
