"""Write source definitions of the demo's registries."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from demo.folder import MARK

_SUBMISSIONS = "submissions.toml"


def write_sources(url: str, folder: Path, only: tuple[str, ...] = ()) -> list[Path]:
    """Write the source definitions into *folder*, which is created if necessary, and return their
    paths.

    *url* is the demo's (``Demo.url``), *only* the registries to write definitions for (keys of
    SHARES or PUBLICATIONS; empty: all).
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()  # marks the data harvested from these sources as demonstration data
    package = files("demo")
    fields = package.joinpath("fields.toml").read_text(encoding="utf-8")
    host = url.partition("://")[2].rstrip("/")
    written = []
    for definition in sorted(package.joinpath("sources").iterdir(), key=lambda entry: entry.name):
        if not definition.name.endswith(".toml") or (only and definition.name[5:-5] not in only):
            continue
        text = definition.read_text(encoding="utf-8").replace("{host}", host)
        path = folder / definition.name
        common = 'protocol  = "json"' in text and "[fields]" not in text
        path.write_text(text + ("\n" + fields if common else ""), encoding="utf-8")
        written.append(path)
        topics = package.joinpath("sources", f"{path.stem}.topics.tsv")
        table = folder / "crosswalks" / topics.name
        if topics.is_file() and not table.exists():  # an existing table has decisions of visitors
            table.parent.mkdir(exist_ok=True)
            table.write_text(topics.read_text(encoding="utf-8"), encoding="utf-8")
    return written


def open_submissions(folder: Path) -> None:
    """Write the definition of the source of submissions into *folder*, unless it is there, so that
    visitors can submit.
    """
    path = folder / _SUBMISSIONS
    if not path.exists():
        path.write_text(
            files("demo").joinpath(_SUBMISSIONS).read_text(encoding="utf-8"), encoding="utf-8"
        )
