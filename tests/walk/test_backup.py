"""A backup that is restored answers equal bytes, and harvests go on from it."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from command_line import backup
from command_line.settings import Settings
from harvesters.ledger.models import State
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.harvest import harvest
from harvesters.source import Source
from journal.journal import Journal
from publisher.releases.dump import write_dumps
from stocktake import app
from vocab.iris import BASE

Project = Callable[..., dict[str, Any]]


def run(data: Path, *words: str, sources: Path | None = None) -> Result:
    ledger = data.parent / f"{data.name}.sqlite"
    options = ["--data", str(data), "--ledger", f"sqlite:///{ledger}", "--sources", str(sources or data / "sources")]
    return CliRunner().invoke(app, [*options, *words])


@pytest.fixture
def data(context: HarvestContext, source: Source, tmp_path: Path) -> Path:
    """Return the data directory after one harvest; its ledger is where ``run`` expects it."""
    (tmp_path / "data.sqlite").symlink_to(tmp_path / "ledger.sqlite")
    harvest(source, context)
    (context.data / "sources").mkdir()
    (context.data / "sources" / "projects.toml").write_text("title = 'Projects'")
    return context.data


def dump(data: Path, folder: Path) -> bytes:
    return gzip.decompress(write_dumps(Journal(data / "journal"), folder)[0].read_bytes())


def test_a_restored_backup_answers_equal_bytes_and_goes_on_harvesting(
    data: Path, context: HarvestContext, source: Source, registry: Any, project: Project, tmp_path: Path
) -> None:
    saved = run(data, "backup", str(tmp_path / "saved"))
    other = tmp_path / "other"

    restored = run(other, "restore", str(tmp_path / "saved"))

    assert (saved.exit_code, restored.exit_code) == (0, 0), saved.output + restored.output
    assert dump(other, tmp_path / "theirs") == dump(data, tmp_path / "ours")
    assert (other / "sources" / "projects.toml").read_text() == "title = 'Projects'"
    registry.projects.append(project(11))
    transport = httpx.MockTransport(registry)
    with open_context(other, f"sqlite:///{other}/ledger.sqlite", BASE, "admin@example.org", frozenset()) as opened:
        run_after = harvest(source, replace(opened, transport=transport, now=context.now)).run
    assert (run_after.state, run_after.counts["new"], run_after.entry) == (State.COMMITTED, 1, 2)


def test_a_second_backup_copies_only_what_is_new(
    data: Path, context: HarvestContext, source: Source, registry: Any, project: Project, tmp_path: Path
) -> None:
    run(data, "backup", str(tmp_path / "saved"))
    first = (tmp_path / "saved" / "journal" / "000000001.rdfp.gz").stat()
    registry.projects.append(project(11))
    harvest(source, context)

    second = run(data, "backup", str(tmp_path / "saved"))

    again = (tmp_path / "saved" / "journal" / "000000001.rdfp.gz").stat()
    assert (again.st_ino, (tmp_path / "saved" / "journal" / "000000002.rdfp.gz").exists()) == (first.st_ino, True)
    assert "backup of journal entry 2" in second.stdout
    assert ", 4 copied now" in second.stdout  # the entry, its mark, the archive file of its run, the ledger


def test_an_interrupted_backup_is_no_backup_and_is_continued(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copy2

    def failing(path: Path, target: Path) -> None:
        if "archive" in str(path):
            raise KeyboardInterrupt
        copy(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copy2", failing)
        run(data, "backup", str(tmp_path / "saved"))
    broken = run(tmp_path / "other", "restore", str(tmp_path / "saved"))
    run(data, "backup", str(tmp_path / "saved"))
    whole = run(tmp_path / "other", "restore", str(tmp_path / "saved"))

    assert (broken.exit_code, "holds no complete backup" in broken.output) == (1, True)
    assert whole.exit_code == 0, whole.output
    assert not list((tmp_path / "saved").rglob("*.part"))


def test_a_damaged_backup_is_refused_and_nothing_is_written(data: Path, tmp_path: Path) -> None:
    run(data, "backup", str(tmp_path / "saved"))
    entry = tmp_path / "saved" / "journal" / "000000001.rdfp.gz"
    entry.write_bytes(entry.read_bytes()[:-1] + b"x")

    refused = run(tmp_path / "other", "restore", str(tmp_path / "saved"))

    assert (refused.exit_code, "000000001.rdfp.gz does not match its SHA-256" in refused.output) == (1, True)
    assert not Journal(tmp_path / "other" / "journal").paths()


def test_folders_that_hold_other_things_are_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-mother.txt").write_text("dear")
    run(data, "backup", str(tmp_path / "saved"))

    answers = [
        run(data, "backup", str(tmp_path / "letters")),
        run(data, "backup", str(data / "saved")),
        run(data, "restore", str(tmp_path / "saved")),
        run(tmp_path / "other", "restore", str(tmp_path / "letters")),
    ]

    assert [answer.exit_code for answer in answers] == [1, 1, 1, 1]
    words = ["is not empty and holds no backup", "is inside the data directory", "already holds data", "holds no complete backup"]
    assert [word in answer.output for word, answer in zip(words, answers, strict=True)] == [True] * 4
    assert (tmp_path / "letters" / "to-mother.txt").read_text() == "dear"


def test_the_ledger_and_the_journal_of_a_backup_are_of_one_moment(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that is committed while files are copied is not in the copied ledger, so it is not in the backup."""
    later, save = data / "journal" / "000000002.rdfp.gz", backup._save_ledger

    def then_commit(settings: Settings, folder: Path) -> tuple[int, str]:
        saved = save(settings, folder)
        later.write_bytes(b"written meanwhile")
        return saved

    monkeypatch.setattr(backup, "_save_ledger", then_commit)
    done = run(data, "backup", str(tmp_path / "saved"))

    assert "backup of journal entry 1" in done.stdout
    assert (later.exists(), (tmp_path / "saved" / "journal" / later.name).exists()) == (True, False)
