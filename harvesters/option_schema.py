"""Options: what a card may say to its protocol or mapping, declared once, checked when the card is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harvesters.errors import SourceDefinitionError
from harvesters.source import Source


@dataclass(frozen=True, slots=True)
class Option:
    """An option's *type* (a tuple where it may be one of several), its *default*, and *help*, a sentence for the docs."""

    type: type | tuple[type, ...]
    default: Any = None
    help: str = ""
    required: bool = False


def option_types(option: Option) -> tuple[type, ...]:
    """Give the types that an option's value may have."""
    return option.type if isinstance(option.type, tuple) else (option.type,)


def get_option(source: Source, options: Mapping[str, Option], name: str) -> Any:
    """Give the card's value of an option, else its default."""
    return source.options.get(name, options[name].default)


def option_names(source: Source, options: Mapping[str, Option], name: str) -> tuple[str, ...]:
    """Give an option that may be one text or a list of them, as a tuple."""
    given = get_option(source, options, name)
    return () if given is None else (given,) if isinstance(given, str) else tuple(str(item) for item in given)


def get_pattern(source: Source, options: Mapping[str, Option], name: str) -> re.Pattern[str]:
    """Return an option compiled as a regular expression, by default one that matches every text; raises SourceDefinitionError."""
    try:
        return re.compile(get_option(source, options, name) or "")
    except re.error as error:
        raise SourceDefinitionError(f"{source.name}: option {name!r} is no regular expression: {error}") from error
