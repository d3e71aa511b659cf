from __future__ import annotations

from dataclasses import replace

from harvesters.ledger.models import Run, State
from harvesters.runs.context import HarvestContext
from harvesters.runs.publish_graphs import publish_vocabulary
from vocab.iris import Iris
from vocab.schemes import statements

GONE = "https://w3id.org/wsis-stocktaking/scheme/of-old"


def published(context: HarvestContext) -> Run:
    run = publish_vocabulary(context)
    assert run is not None
    return run


def rows(context: HarvestContext, run: Run) -> list[str]:
    entry = context.journal.entry(run.entry or 0)
    assert entry is not None
    return list(entry.rows())


def test_the_vocabulary_is_published_once_for_each_base_and_what_was_removed_from_it_is_deleted(
    context: HarvestContext,
) -> None:
    first = published(context)
    assert publish_vocabulary(context) is None
    counts = [len(lines) for _, lines in statements(context.iris.base)]
    assert len(rows(context, first)) == sum(counts)

    context.ledger.set_graphs([(GONE, f'<{GONE}> <https://x.org/p> "old"')])
    context.ledger.save(replace(first, rules="of other files"))

    second = published(context)

    assert rows(context, second) == [f'D <{GONE}> <https://x.org/p> "old" <{GONE}> .']
    assert publish_vocabulary(context) is None
    other = publish_vocabulary(replace(context, iris=Iris("https://example.org/")))
    assert other is not None
    assert (other.state, other.rules in (first.rules, second.rules)) == (State.COMMITTED, False)


def test_other_vocabulary_files_with_equal_statements_write_no_entry(
    context: HarvestContext,
) -> None:
    context.ledger.save(replace(published(context), rules="of other files"))

    assert publish_vocabulary(context) is None
