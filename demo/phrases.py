"""Read the demo's phrases and countries from TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "fr", "es", "ar", "zh", "ru", "pt", "sw")


@dataclass(frozen=True, slots=True)
class Country:
    """A country: codes, a city with WGS 84 coordinates, languages of its projects, and its name by
    language.
    """

    iso2: str
    iso3: str
    city: str
    latitude: float
    longitude: float
    languages: tuple[str, ...]
    name: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Phrases:
    """Phrases by language (topics and their articles also by action line), in the order of the
    file, so that choices are reproducible.
    """

    brands: tuple[str, ...]
    endings: tuple[str, ...]
    topics: Mapping[str, Mapping[str, str]]
    articles: Mapping[str, Mapping[str, str]]
    audiences: Mapping[str, list[str]]
    titles: Mapping[str, list[str]]
    openers: Mapping[str, list[str]]
    middles: Mapping[str, list[str]]
    closers: Mapping[str, list[str]]
    revised: Mapping[str, str]
    organizations: Mapping[str, Mapping[str, list[str]]]
    lines: Mapping[str, list[str]]
    targets: Mapping[str, list[str]]
    goals: Mapping[str, str]


def _read(name: str) -> str:
    return files("demo").joinpath(name).read_text(encoding="utf-8")


@cache
def phrases() -> Phrases:
    """Return the phrases, read once per process."""
    table = tomllib.loads(_read("words.toml"))
    return Phrases(
        **{**table, "brands": tuple(table["brands"]), "endings": tuple(table["endings"])}
    )


@cache
def countries() -> tuple[Country, ...]:
    """Return the countries, read once per process."""
    table = tomllib.loads(_read("countries.toml"))
    return tuple(
        Country(iso2=code, **{**row, "languages": tuple(row["languages"])})
        for code, row in table.items()
    )
