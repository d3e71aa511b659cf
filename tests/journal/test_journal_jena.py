import gzip
import shutil
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from journal.journal import Journal
from vocab.describe import describe, quads
from vocab.initiative import Initiative, Text
from vocab.iris import Iris

JARS = Path("/usr/share/java")
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def _xerces_messages(folder: Path) -> Path:
    target = folder / "messages"
    with zipfile.ZipFile(JARS / "jena-core.jar") as jar:
        for name in jar.namelist():
            if name.startswith("org/apache/jena/ext/xerces/") and name.endswith(".properties"):
                position = target / name.removeprefix("org/apache/jena/ext/")
                position.parent.mkdir(parents=True, exist_ok=True)
                position.write_bytes(jar.read(name))
    return target


def _jars(folder: Path) -> str:
    return ":".join(
        [
            str(_xerces_messages(folder)),
            *(str(jar) for jar in sorted(JARS.glob("*.jar")) if "over-slf4j" not in jar.name),
        ]
    )


def _compiles() -> bool:
    if shutil.which("java") is None:
        return False
    return (
        "jdk.compiler"
        in subprocess.run(
            ["java", "--list-modules"], capture_output=True, text=True, check=False
        ).stdout
    )


NO_JENA = not list(JARS.glob("jena-rdfpatch*.jar"))


@pytest.mark.skipif(
    shutil.which("java") is None or NO_JENA, reason="needs java and libapache-jena-java"
)
@pytest.mark.smoke
def test_jena_reads_every_row_that_we_write(tmp_path: Path) -> None:
    iris = Iris()
    hostile = Initiative(
        key="a b/ü",
        titles=(Text('quote " back \\ line\nbreak \u0007', "en"), Text("工业", "zh")),
        start="not a date",
    )
    rows = "\n".join(
        "A " + line for line in quads(describe(hostile, iris, "s"), iris.record("s", hostile.key))
    )
    entry = Journal(tmp_path / "journal").append([rows], run="s.1", time=WHEN)
    plain = tmp_path / "entry.rdfp"
    plain.write_bytes(gzip.decompress(entry.path.read_bytes()))

    line = ["java", "-cp", _jars(tmp_path), "rdfpatch.rdfpatch", str(plain)]
    completed = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)

    read = [line for line in completed.stdout.splitlines() if line.startswith("A ")]
    assert completed.returncode == 0, completed.stderr
    assert len(read) == len(rows.split("\n"))


@pytest.mark.skipif(
    NO_JENA or not _compiles(), reason="needs a java with its compiler, and libapache-jena-java"
)
def test_jena_patches_an_older_dump_to_the_newer_one(tmp_path: Path) -> None:
    iris, journal = Iris(), Journal(tmp_path / "journal")
    first, second = (
        [line for key in ("a", "b/ü") for line in _rows(key, name, iris)]
        for name in ("one", 'two "\n工')
    )
    journal.append([f"A {line}" for line in first], run="s.1", time=WHEN)
    journal.append(
        [*(f"D {line}" for line in first), *(f"A {line}" for line in second)], run="s.2", time=WHEN
    )
    journal.append(
        [f"D {line}" for line in second if "<http://purl.org/dc/terms/title>" in line],
        run="s.3",
        time=WHEN,
    )
    (tmp_path / "dump.nq").write_text(
        "".join(f"{line}\n" for line in sorted(first)), encoding="utf-8"
    )
    patches = [
        shutil.copy(entry.path, tmp_path / f"{entry.number}.rdfp.gz")
        for entry in journal.entries(after=1)
    ]

    line = [
        "java", "-cp", _jars(tmp_path), str(Path(__file__).parent / "Replay.java"), str(tmp_path / "dump.nq"), *map(str, patches),
    ]  # fmt: skip
    completed = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)

    ours = sorted(line for line in second if "<http://purl.org/dc/terms/title>" not in line)
    assert completed.returncode == 0, completed.stderr
    assert sorted(completed.stdout.splitlines()) == ours


def _rows(key: str, name: str, iris: Iris) -> list[str]:
    initiative = Initiative(
        key=key, titles=(Text(name, "en"),), descriptions=(Text(f"What {name} is", "en"),), start="2024-02-01",
    )  # fmt: skip
    return list(quads(describe(initiative, iris, "s"), iris.record("s", key)))
