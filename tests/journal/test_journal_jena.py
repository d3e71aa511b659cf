"""Apache Jena reads what we write, where its jars are installed."""

import gzip
import shutil
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from journal.log import Journal
from vocab.describe import describe, quads
from vocab.initiative import Initiative, Text
from vocab.iris import Iris

JARS = Path("/usr/share/java")


def _xerces_messages(folder: Path) -> Path:
    """Lay Xerces' message files where Debian's build, which renames its package, looks for them."""
    target = folder / "messages"
    with zipfile.ZipFile(JARS / "jena-core.jar") as jar:
        for name in jar.namelist():
            if name.startswith("org/apache/jena/ext/xerces/") and name.endswith(".properties"):
                place = target / name.removeprefix("org/apache/jena/ext/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(jar.read(name))
    return target


@pytest.mark.skipif(shutil.which("java") is None or not list(JARS.glob("jena-rdfpatch*.jar")), reason="needs java and libapache-jena-java")
def test_jena_reads_every_row_that_we_write(tmp_path: Path) -> None:
    iris = Iris()
    hostile = Initiative(key="a b/ü", titles=(Text('quote " back \\ line\nbreak \u0007', "en"), Text("工业", "zh")), start="not a date")
    rows = "\n".join("A " + line for line in quads(describe(hostile, iris, "s"), iris.record("s", hostile.key)))
    entry = Journal(tmp_path / "journal").append([rows], run="s.1", time=datetime(2026, 1, 1, tzinfo=UTC))
    plain = tmp_path / "entry.rdfp"
    plain.write_bytes(gzip.decompress(entry.path.read_bytes()))
    path = ":".join([str(_xerces_messages(tmp_path)), *(str(jar) for jar in sorted(JARS.glob("*.jar")) if "over-slf4j" not in jar.name)])

    done = subprocess.run(["java", "-cp", path, "rdfpatch.rdfpatch", str(plain)], capture_output=True, text=True, timeout=120, check=False)

    read = [line for line in done.stdout.splitlines() if line.startswith("A ")]
    assert done.returncode == 0, done.stderr
    assert len(read) == len(rows.split("\n"))
