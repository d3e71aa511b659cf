"""Declare the options that a source definition may set for its protocol or mapping."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harvesters.definition_faults import expected, located, not_one_of, option_named
from harvesters.errors import SourceDefinitionError
from harvesters.reasons import Reason
from harvesters.source import Source


@dataclass(frozen=True, slots=True)
class Option:
    """An option's *type* (a tuple if several are allowed), its *default*, and *help*, a sentence
    for the documentation.
    """

    type: type | tuple[type, ...]
    default: Any = None
    help: str = ""
    required: bool = False


def option_types(option: Option) -> tuple[type, ...]:
    """Return the types that an option's value may have."""
    return option.type if isinstance(option.type, tuple) else (option.type,)


def get_option(source: Source, options: Mapping[str, Option], name: str) -> Any:
    """Return the source's value of an option, or its default."""
    return source.options.get(name, options[name].default)


def option_names(source: Source, options: Mapping[str, Option], name: str) -> tuple[str, ...]:
    """Return an option that may be one text or a list of texts, as a tuple."""
    names = get_option(source, options, name)
    return (
        ()
        if names is None
        else (names,)
        if isinstance(names, str)
        else tuple(str(item) for item in names)
    )


def get_pattern(source: Source, options: Mapping[str, Option], name: str) -> re.Pattern[str]:
    """Return an option compiled as a regular expression, by default one that matches every text;
    raises SourceDefinitionError.
    """
    try:
        return re.compile(get_option(source, options, name) or "")
    except re.error as error:
        fault = Reason("not_regex", {"where": option_named(name), "error": str(error)})
        raise SourceDefinitionError(located(source.name, fault)) from error


def check_choice(
    source: Source, options: Mapping[str, Option], name: str, known: Iterable[str]
) -> None:
    """Raise SourceDefinitionError if an option is set, or has a default, and is none of *known*."""
    value, names = get_option(source, options, name), tuple(known)
    if value is not None and value not in names:
        raise SourceDefinitionError(
            located(source.name, not_one_of(option_named(name), value, names))
        )


def check_positive(source: Source, options: Mapping[str, Option], name: str) -> None:
    """Raise SourceDefinitionError if an option is below 1."""
    if (value := get_option(source, options, name)) < 1:
        raise SourceDefinitionError(
            located(source.name, expected(option_named(name), value, "kind_positive"))
        )
