"""Read an edition of the prizes from a TOML file; the file's stem is its id."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harvesters.errors import PrizeError
from harvesters.ledger.participation.models import DAYS, Criterion, Edition
from vocab.iris import BASE
from vocab.schemes import concepts


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
    known = categories()
    # An edition without its first day is refused below, so the day of its announcement is not
    # needed.
    defaults = {"announced": table.get("opens", date.min), "categories": [*known]}
    try:
        edition = Edition.model_validate({**defaults, **table, "id": id}, strict=True)
    except ValidationError as error:
        lines = (line for item in error.errors() for line in _describe(item).split("\n"))
        faults = dict.fromkeys(lines)
        raise PrizeError("\n".join(f"{name}: {fault}" for fault in faults)) from error
    if not edition.categories or not known.keys() >= {*edition.categories}:
        raise PrizeError(f"{name}: categories: write a list of these: {', '.join(known)}")
    return edition


def _describe(error: ErrorDetails) -> str:
    """Return the fault of a key and what to write instead."""
    key = str(next(iter(error["loc"]), ""))
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "extra_forbidden":
        return f'unknown key "{key}"; known are {", ".join(sorted(Edition.model_fields))}'
    if key in DAYS:
        wrong = f"write a day without quotation marks, as {key} = 2027-01-31"
        return f"{key}: {'this day is required' if error['type'] == 'missing' else wrong}"
    field = Edition.model_fields[key]
    if error["loc"][-1] == "weight":
        field = Criterion.model_fields["weight"]
    return f"{key}: {field.description}"
