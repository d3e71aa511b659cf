"""Read an edition of the prizes from a TOML file; the file's stem is its id."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from harvesters.errors import PrizeError
from harvesters.ledger.participation.models import Criterion, Edition
from languages.request_locale import LANGUAGES
from vocab.iris import BASE, is_web
from vocab.schemes import concepts

_DAYS = ("announced", "opens", "closes", "nominees", "vote_opens", "vote_closes", "results")
_ORDER = (
    ("opens", "closes"), ("closes", "nominees"), ("nominees", "vote_opens"), ("vote_opens", "vote_closes"), ("vote_closes", "results"),
    ("nominees", "results"), ("announced", "nominees"),
)  # fmt: skip
_REQUIRED = ("opens", "closes", "nominees", "results")
_KEYS = {
    *_DAYS,
    "title",
    "year",
    "categories",
    "criteria",
    "special",
    "champions",
    "winners",
    "source",
    "page",
}
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,59}\Z")


def categories() -> dict[str, str]:
    """Return the code of each of the 18 prize categories with its English name, in the order of the
    scheme.
    """
    lines = {
        concept.notations[0]
        for concept in concepts("action-line", BASE).values()
        if concept.notations
    }
    listed = concepts("prize-category", BASE).values()
    return {
        concept.notations[0]: concept.labels[0].value
        for concept in listed
        if concept.notations[0] in lines
    }


def read_edition(file: Path) -> Edition:
    """Return the edition in a file. Raises PrizeError with each key that is wrong, and what it must
    be.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PrizeError(f"{file}: invalid TOML: {error}") from error
    return parse_edition(file.stem, text, f"{file}")


def parse_edition(id: str, text: str, name: str = "") -> Edition:
    """Return the edition *id* that the TOML *text* defines. Raises PrizeError as ``read_edition``,
    with the *name* of its file.
    """
    name = name or id
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PrizeError(f"{name}: invalid TOML: {error}") from error
    if faults := list(_faults(id, table)):
        raise PrizeError("\n".join(f"{name}: {fault}" for fault in faults))
    criteria = tuple(
        Criterion(item["code"], float(item.get("weight", 1)), item["label"])
        for item in table.get("criteria", ())
    )
    return Edition(
        **{
            **table,
            "id": id,
            "announced": table.get("announced", table["opens"]),
            "categories": tuple(table.get("categories", categories())),
            "criteria": criteria,
            "special": {item["code"]: item["label"] for item in table.get("special", ())},
        }
    )


def _faults(id: str, table: Mapping[str, Any]) -> Iterator[str]:
    if not _ID.match(id):
        yield "the file's name is the edition's id: small letters, digits and hyphens"
    for name in sorted(set(table) - _KEYS):
        yield f'unknown key "{name}"; known are {", ".join(sorted(_KEYS))}'
    if not _are_texts(table.get("title")):
        yield 'title: write texts by language, as title = { en = "WSIS Prizes 2027" }'
    if not isinstance(table.get("year"), int):
        yield "year: write the year of the contest, as year = 2027"
    yield from _day_faults(table)
    yield from _list_faults(table)
    for name in ("champions", "winners"):
        if (
            not isinstance(number := table.get(name, 1), int)
            or isinstance(number, bool)
            or number < 1
        ):
            yield f"{name}: write the largest number in a category, at least 1"
    if not is_web(str(table.get("page", "https://example.org/"))):
        yield "page: write a web address"
    if not isinstance(table.get("source", ""), str):
        yield "source: write the name of the source that publishes the nominations"


def _day_faults(table: Mapping[str, Any]) -> Iterator[str]:
    wrong = [
        name
        for name in _DAYS
        if name in table
        and (not isinstance(table[name], date) or isinstance(table[name], datetime))
    ]
    yield from (
        f"{name}: write a day without quotation marks, as {name} = 2027-01-31" for name in wrong
    )
    yield from (f"{name}: this day is required" for name in _REQUIRED if name not in table)
    if ("vote_opens" in table) != ("vote_closes" in table):
        yield "vote_opens and vote_closes: write both days, or none if the public does not vote"
    if wrong:
        return
    for first, second in _ORDER:
        if first in table and second in table and table[first] > table[second]:
            yield f"{second} is before {first}"


def _list_faults(table: Mapping[str, Any]) -> Iterator[str]:
    known = categories()
    chosen = table.get("categories", list(known))
    if not isinstance(chosen, list) or not chosen or any(code not in known for code in chosen):
        yield f"categories: write a list of these: {', '.join(known)}"
    for name in ("criteria", "special"):
        items = table.get(name, [])
        if not isinstance(items, list) or not all(_is_named(item) for item in items):
            yield f'{name}: each needs a code and a label by language, as [[{name}]] code = "impact" label = {{ en = "Impact" }}'
        elif len({item["code"] for item in items}) != len(items):
            yield f"{name}: a code occurs twice"
    if not isinstance(table.get("criteria", []), list):
        return
    for item in table.get("criteria", []):
        weight = item.get("weight", 1) if isinstance(item, dict) else 1
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight <= 100:
            yield "criteria: a weight is a number above 0, at most 100"
    if "source" not in table and not table.get("criteria"):
        yield "criteria: at least one is required, since experts score by them"


def _is_named(item: object) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("code"), str)
        and bool(_ID.match(item["code"]))
        and _are_texts(item.get("label"))
    )


def _are_texts(value: object) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    return all(
        name in LANGUAGES and isinstance(text, str) and 0 < len(text) <= 300
        for name, text in value.items()
    )
