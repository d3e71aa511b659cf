"""Editor: what the query page is given beside its form: its scripts, the releases, and the words that can be completed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog

from publisher.examples.example import Example, example, examples
from publisher.pages.pages import HERE
from publisher.pages.resources import spaces
from publisher.pages.terms import Row
from publisher.queries import query
from publisher.shelf.shelf import Shelf
from vocab.iris import Iris

log = structlog.get_logger(room="editor")

BUNDLE = HERE / "static" / "query"  # made by hatch_build.py where npm is there
MOST = 120  # characters of a concept's name that are shown: targets are whole sentences
FIRST = "initiatives-by-goal"  # the example that the page begins with
_MORE = {
    "geof": "http://www.opengis.net/def/function/geosparql/",
    "text": "http://jena.apache.org/text#",
    "uom": "http://www.opengis.net/def/uom/OGC/1.0/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "sdg": "http://metadata.un.org/sdg/",
    "sdgo": "http://metadata.un.org/sdg/ontology#",
    "area": "http://metadata.un.org/sdg/codes/geoArea/",
}


@dataclass(frozen=True, slots=True)
class Editor:
    """The example that the form holds, whether it was asked for, all examples, and the releases' numbers, the newest first."""

    chosen: Example
    named: bool
    examples: tuple[Example, ...]
    releases: tuple[int, ...]


def bundled(folder: Path = BUNDLE) -> bool:
    """Tell whether the scripts are there; where they are not, the log says what to do."""
    there = (folder / "query.js").exists() and (folder / "query.css").exists()
    if not there:
        log.warning("the query page is a plain form: its scripts were not built; install Node.js with npm and install stocktake again")
    return there


def prefixes(iris: Iris) -> dict[str, str]:
    """Give the prefixes that the editor knows."""
    lines = {"line": f"{iris.base}scheme/action-line/"}
    return dict(sorted({**spaces(iris), **_MORE, **lines}.items()))


async def words(shelf: Shelf) -> dict[str, object]:
    """Give prefixes, and by kind the addresses that can be completed with their names."""
    found: dict[str, dict[str, str]] = {"classes": {}, "properties": {}, "concepts": {}}
    for row in await shelf.rows(query("words")):
        kind, iri = found[row["kind"].value], row["iri"].value
        kind[iri] = kind.get(iri) or _label(row)
    listed = {kind: [{"iri": iri, "label": label} for iri, label in sorted(them.items())] for kind, them in found.items()}
    return {"prefixes": prefixes(shelf.iris), **listed}


def _label(row: Row) -> str:
    label = row["label"].value if "label" in row else ""
    notation = row["notation"].value if "notation" in row else ""
    return f"{notation} {label}".strip()[:MOST]


def given(shelf: Shelf, name: str | None) -> Editor:
    """Give what the page shows; *name* is the example that the form begins with. Raises KeyError where there is none of that name."""
    chosen = example(shelf.iris, name or FIRST)
    if chosen is None:
        raise KeyError(name)
    return Editor(chosen, name is not None, examples(shelf.iris), _releases(shelf.data / "releases"))


def shown(shelf: Shelf, text: str) -> Editor:
    """Give what the page shows where another page has led to it with the query *text*, which is asked by who reads it, not by us."""
    title, about = "The query behind the numbers", "It is that of the page you come from. Ask it as it is, or change it."
    one = Example("shown", "", "select", title, about, (), text, 0)
    return Editor(one, True, examples(shelf.iris), _releases(shelf.data / "releases"))


def _releases(folder: Path) -> tuple[int, ...]:
    """List the releases that are there whole: their manifest is there."""
    names = (path.parent.name for path in folder.glob("*/release.json"))
    return tuple(sorted((int(name) for name in names if name.isdecimal()), reverse=True))
