from __future__ import annotations

import csv
from pathlib import Path

import pytest

from vocab.crosswalks import Crosswalks, country
from vocab.iris import Iris

# These values of the column of countries name no country: those of projects in many countries, and
# that of a row whose organization has a comma without quotes.
NO_COUNTRY = {"INTERNATIONAL": 9, "Ltd., THAILAND": 1}


@pytest.fixture
def nominated(facts: Path) -> list[dict[str, str]]:
    # The file is not UTF-8, but its categories and countries are ASCII, so that latin-1 reads them.
    with (facts / "wsis-prizes-2015" / "scrapper_wsis-projects-data.csv").open(
        encoding="latin-1", newline=""
    ) as file:
        return list(csv.DictReader(file))


def test_every_category_of_2015_is_a_prize_category(nominated: list[dict[str, str]]) -> None:
    walk = Crosswalks(Iris())

    categories = {row["Category"]: walk.prize_category(row["Category"]) for row in nominated}

    assert len(nominated) == 302
    assert [text for text, result in categories.items() if result is None] == []
    assert len(set(categories.values())) == 18


def test_every_country_of_2015_is_a_country_but_for_ten_rows(
    nominated: list[dict[str, str]],
) -> None:
    unknown = [row["Country"] for row in nominated if country(row["Country"]) is None]

    assert {text: unknown.count(text) for text in unknown} == NO_COUNTRY
