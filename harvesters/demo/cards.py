"""Cards: the demo's registries as sources, with the address where they now listen."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from harvesters.demo.folder import MARK


def cards(url: str, folder: Path, only: tuple[str, ...] = ()) -> list[Path]:
    """Write the demo's cards into *folder*, which is made if need be, and list them.

    *url* is the demo's (``Demo.url``), *only* the registries to write cards for (keys of SHARES; none: all).
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()  # whoever harvests by these cards publishes demonstration data
    here = files("harvesters.demo")
    fields = here.joinpath("fields.toml").read_text(encoding="utf-8")
    host = url.partition("://")[2].rstrip("/")
    written = []
    for card in sorted(here.joinpath("cards").iterdir(), key=lambda it: it.name):
        if not card.name.endswith(".toml") or (only and card.name[5:-5] not in only):
            continue
        text = card.read_text(encoding="utf-8").replace("{host}", host)
        path = folder / card.name
        path.write_text(text + ("\n" + fields if 'protocol  = "json"' in text else ""), encoding="utf-8")
        written.append(path)
    return written
