"""The vocabulary goes into the journal when it has changed, and only then."""

from __future__ import annotations

from dataclasses import replace

from harvesters.ledger.models import Run, State
from harvesters.runs import publish_vocabularies
from harvesters.runs.context import HarvestContext
from vocab.iris import Iris
from vocab.schemes import statements

GONE = "https://w3id.org/wsis-stocktaking/scheme/of-old"


def published(means: HarvestContext) -> Run:
    run = publish_vocabularies.publish(means)
    assert run is not None
    return run


def rows(means: HarvestContext, run: Run) -> list[str]:
    entry = means.journal.entry(run.entry or 0)
    assert entry is not None
    return list(entry.rows())


def test_the_vocabulary_is_published_once(means: HarvestContext) -> None:
    first = published(means)

    again = publish_vocabularies.publish(means)

    assert again is None
    assert len(rows(means, first)) == sum(len(lines) for _, lines in statements(means.iris.base))


def test_a_vocabulary_from_other_files_is_compared_and_what_it_lacks_now_goes(means: HarvestContext) -> None:
    first = published(means)
    means.ledger.set_graph(GONE, f'<{GONE}> <https://x.org/p> "old"')
    means.ledger.save(replace(first, rules="of other files"))

    second = published(means)

    assert rows(means, second) == [f'D <{GONE}> <https://x.org/p> "old" <{GONE}> .']
    assert publish_vocabularies.publish(means) is None


def test_other_files_that_say_the_same_make_no_entry(means: HarvestContext) -> None:
    means.ledger.save(replace(published(means), rules="of other files"))

    again = publish_vocabularies.publish(means)

    assert again is None


def test_another_base_makes_another_vocabulary(means: HarvestContext) -> None:
    first = published(means)

    second = publish_vocabularies.publish(replace(means, iris=Iris("https://example.org/")))

    assert second is not None
    assert (second.state, second.rules == first.rules) == (State.COMMITTED, False)
