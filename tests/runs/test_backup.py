from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pyrage
import pytest
from moto.server import ThreadedMotoServer
from projects import Harvester, asking, project
from typer.testing import CliRunner, Result

from command_line import backup
from command_line.settings import Settings
from harvesters.ledger.models import Run, State
from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.run import harvest
from harvesters.runs.status_file import write_status
from harvesters.source import Source
from journal.journal import Journal
from publisher.releases.dump import write_dumps
from stocktake import app
from vocab.iris import BASE

Project = Callable[..., dict[str, Any]]


def run(data: Path, *words: str, sources: Path | None = None) -> Result:
    ledger = data.parent / f"{data.name}.sqlite"
    options = [
        "--data", str(data), "--ledger", f"sqlite:///{ledger}", "--sources", str(sources or data / "sources"),
    ]  # fmt: skip
    return CliRunner().invoke(app, [*options, *words])


@pytest.fixture
def data(context: HarvestContext, source: Source, tmp_path: Path) -> Path:
    (tmp_path / "data.sqlite").symlink_to(tmp_path / "ledger.sqlite")
    harvest(source, context)
    (context.data / "sources").mkdir()
    (context.data / "sources" / "projects.toml").write_text("title = 'Projects'")
    return context.data


def dump(data: Path, folder: Path) -> bytes:
    return gzip.decompress(write_dumps(Journal(data / "journal"), folder)[0].read_bytes())


def harvest_again(harvester: Harvester, data: Path) -> Run:
    ledger, network = f"sqlite:///{data}/ledger.sqlite", NetworkSettings("admin@example.org")
    with open_context(data, ledger, BASE, network) as opened:
        context = asking(replace(opened, now=harvester.context.now), harvester.registry)
        return harvest(harvester.source, context).run


def test_a_restored_backup_answers_equal_bytes_and_goes_on_harvesting(
    harvester: Harvester, data: Path, tmp_path: Path
) -> None:
    write_status(harvester.context)
    saved = run(data, "backup", str(tmp_path / "saved"))
    other = tmp_path / "other"

    restored = run(other, "restore", str(tmp_path / "saved"))

    assert (saved.exit_code, restored.exit_code) == (0, 0), saved.output + restored.output
    assert dump(other, tmp_path / "theirs") == dump(data, tmp_path / "ours")
    assert (other / "status.nq").read_bytes() == (data / "status.nq").read_bytes()
    assert (other / "sources" / "projects.toml").read_text() == "title = 'Projects'"
    harvester.registry.projects.append(project(11))
    after = harvest_again(harvester, other)
    assert (after.state, after.counts["new"], after.entry) == (State.COMMITTED, 1, 2)


def test_a_second_backup_copies_only_what_is_new(
    harvester: Harvester, data: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "saved" / "journal"
    run(data, "backup", str(tmp_path / "saved"))
    first = (journal / "000000001.rdfp.gz").stat().st_ino
    harvester.registry.projects.append(project(11))
    harvester.harvest()

    second = run(data, "backup", str(tmp_path / "saved"))

    assert (journal / "000000001.rdfp.gz").stat().st_ino == first
    assert (journal / "000000002.rdfp.gz").exists()
    assert "backup of journal entry 2" in second.stdout
    # The four files are the entry, its mark, the archive file of its run, and the ledger.
    assert ", 4 copied now" in second.stdout


def test_an_interrupted_backup_is_no_backup_and_is_continued(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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

    assert refused.exit_code == 1
    assert "000000001.rdfp.gz does not match its SHA-256" in refused.output
    assert not Journal(tmp_path / "other" / "journal").paths()


def test_folders_that_hold_other_things_are_refused(data: Path, tmp_path: Path) -> None:
    letters, saved, other = (tmp_path / name for name in ("letters", "saved", "other"))
    letters.mkdir()
    (letters / "to-mother.txt").write_text("dear")
    run(data, "backup", str(saved))

    for folder, command, target, reason in (
        (data, "backup", letters, "is not empty and holds no backup"),
        (data, "backup", data / "saved", "is inside the data directory"),
        (data, "restore", saved, "already holds data"),
        (other, "restore", letters, "holds no complete backup"),
    ):
        answer = run(folder, command, str(target))
        assert (answer.exit_code, reason in answer.output) == (1, True), answer.output
    assert (letters / "to-mother.txt").read_text() == "dear"


def test_the_ledger_and_the_journal_of_a_backup_are_of_one_moment(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that is committed while files are copied is not in the copied ledger, so it is not
    in the backup.
    """
    later, save = data / "journal" / "000000002.rdfp.gz", backup._save_ledger

    def then_commit(settings: Settings, folder: Path) -> Any:
        saved = save(settings, folder)
        later.write_bytes(b"written meanwhile")
        return saved

    monkeypatch.setattr(backup, "_save_ledger", then_commit)
    assert "backup of journal entry 1" in run(data, "backup", str(tmp_path / "saved")).stdout
    assert (later.exists(), (tmp_path / "saved" / "journal" / later.name).exists()) == (True, False)


@pytest.fixture
def identity(tmp_path: Path) -> tuple[Path, str]:
    key = pyrage.x25519.Identity.generate()
    path = tmp_path / "key.txt"
    path.write_text(f"# created: 2026-03-01\n# public key: {key.to_public()}\n{key}\n")
    return path, str(key.to_public())


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}
    for name, value in {**keys, "ENDPOINT_URL": f"http://{host}:{port}"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    boto3.client("s3").create_bucket(Bucket="backups")
    yield "s3://backups/stocktake"
    server.stop()


def test_an_encrypted_backup_on_s3_is_restored_and_goes_on_harvesting(
    harvester: Harvester, data: Path, tmp_path: Path, bucket: str, identity: Any
) -> None:
    (key, public), other = identity, tmp_path / "other"
    answers = [run(data, "backup", bucket, "--encrypt-for", public)]
    harvester.registry.projects.append(project(11))
    harvester.harvest()

    answers.append(run(data, "backup", bucket, "--encrypt-for", public))
    answers.append(run(other, "restore", bucket, "--identity", str(key)))

    assert [answer.exit_code for answer in answers] == [0, 0, 0], [item.output for item in answers]
    # The four files are the entry, its mark, the archive file of its run, and the ledger.
    assert ", 4 copied now" in answers[1].stdout
    assert dump(other, tmp_path / "theirs") == dump(data, tmp_path / "ours")
    assert harvest_again(harvester, other).state == State.UNCHANGED
    assert not list(data.glob(".backup*"))
    assert not list(other.glob(".restore*"))
    for store, reason in (
        ("s3://no-such-bucket/stocktake", "s3://no-such-bucket/stocktake"),
        ("nothing://somewhere", "nothing://somewhere cannot be used"),
    ):
        answer = run(data, "backup", store)
        assert (answer.exit_code, reason in answer.output) == (1, True)


def test_an_encrypted_backup_shows_nothing_without_its_key(
    data: Path, tmp_path: Path, identity: tuple[Path, str]
) -> None:
    saved, wrong = tmp_path / "saved", tmp_path / "other.txt"
    run(data, "backup", str(saved))  # in clear text: the encrypted backup copies all again
    encrypted = run(data, "backup", str(saved), "--encrypt-for", identity[1])
    refused = run(data, "backup", str(saved), "--encrypt-for", "age1nonsense")
    assert (encrypted.exit_code, refused.exit_code) == (0, 1)
    assert "not a public key of age" in refused.output
    wrong.write_text(str(pyrage.x25519.Identity.generate()))

    for words, reason in (
        ([], "pass the file with the private key: --identity FILE"),
        (["--identity", str(wrong)], "use the key that it was encrypted for"),
        (["--identity", str(saved / "backup.json")], "not a private key of age"),
    ):
        answer = run(tmp_path / "other", "restore", str(saved), *words)
        assert (answer.exit_code, reason in answer.output) == (1, True), answer.output
    assert not Journal(tmp_path / "other" / "journal").paths()
    names = [path.name for path in saved.rglob("*") if path.is_file()]
    assert [name for name in names if not name.endswith(".age")] == ["backup.json"]
    assert (saved / "ledger.sqlite.age").read_bytes().startswith(b"age-encryption.org/v1")


def test_a_backup_of_another_version_is_refused(data: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "saved" / "backup.json"
    run(data, "backup", str(manifest.parent))
    text = json.dumps({**json.loads(manifest.read_text()), "format": 99})
    manifest.write_text(text)

    newer = run(data, "backup", str(manifest.parent))

    assert (newer.exit_code, "use the version that wrote it" in newer.output) == (1, True)
    assert manifest.read_text() == text
