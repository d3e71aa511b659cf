from __future__ import annotations

import tomllib

import pytest
from definitions import words_json
from projects import serving

from harvesters.ledger.models import Outcome, decompress
from harvesters.runs.collect import rules_digest
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest, remap
from harvesters.source import Source, parse

ITEMS = [{"id": "1", "name": "Schools for SDG 4"}, {"id": "2", "name": "Goal 4: hire people"}]


def source(suggest: str) -> Source:
    return parse("projects", {**tomllib.loads(words_json()), "suggest": suggest}, "projects.toml")


@pytest.fixture
def served(context: HarvestContext) -> HarvestContext:
    return serving(context, {"items": ITEMS})


def test_suggestions_are_applied_and_taken_back_by_remap_with_its_plan(
    served: HarvestContext,
) -> None:
    harvest(source("nothing"), served)

    runs = [remap(source("mentions"), served, dry_run=dry) for dry in (True, False, False)]
    texts = [decompress(text) for text in served.ledger.published_descriptions("projects")]
    runs.append(remap(source("nothing"), served))

    assert [plan.outcomes.get(Outcome.CHANGED, 0) for plan in runs] == [1, 1, 0, 1]
    statement = f"<{served.iris.ns}suggestedGoal> <http://metadata.un.org/sdg/4>"
    assert [statement in text for text in texts] == [True, False]


def test_each_way_to_suggest_has_rules_of_its_own(context: HarvestContext) -> None:
    digests = {
        rules_digest(source(suggest), context) for suggest in ("nothing", "mentions", "model")
    }

    assert len(digests) == 3
