from __future__ import annotations

from demo.generate import generate_record
from vocab.crosswalks import Crosswalks
from vocab.iris import Iris


def test_the_crosswalks_know_every_word_of_the_demo() -> None:
    walk = Crosswalks(Iris())
    created = [generate_record(1, number) for number in range(1000)]

    words = {("action_line", text) for project in created for text in project["action_lines"]}
    words |= {("goal", text) for project in created for text in project["goals"]}
    words |= {("target", text) for project in created for text in project["targets"]}
    words |= {("country", text) for project in created for text in project["countries"]}
    named = {("stakeholder-type", project["lead"]["type"]) for project in created}
    named |= {("status", project["status"]) for project in created}
    named |= {("coverage", project["coverage"]) for project in created}
    named |= {("activity-type", text) for project in created for text in project["types"]}

    assert sorted(pair for pair in words if getattr(walk, pair[0])(pair[1]) is None) == []
    assert sorted(pair for pair in named if walk.find_by_name(*pair) is None) == []
