"""Commits: a plan becomes one journal entry, and the ledger takes it over; a crash between the two is mended at the next start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harvesters.ledger.account import Outcome, Run, State
from harvesters.means import Means
from harvesters.plan import MISSES, Plan
from harvesters.source import Source
from journal.entry import Entry
from vocab.chronicle import Registry, bury, describe_run, describe_source


def commit(plan: Plan, source: Source, means: Means) -> Run:
    """Write the plan's changes to the journal and settle the ledger; where nothing changes no entry is written."""
    run = replace(plan.run, planned=means.now(), counts=plan.counts, cursor=None, sweep=plan.complete, reason=plan.short)
    changes = plan.outcomes[Outcome.NEW] + plan.outcomes[Outcome.CHANGED] + plan.outcomes[Outcome.GONE]
    lost = plan.complete and any(True for _ in means.ledger.lost(run, MISSES))
    if not changes and not lost and means.ledger.graph(means.iris.source(source.name)) == _catalogue(source, means):
        done = replace(run, state=State.INCOMPLETE if run.reason else State.UNCHANGED, ended=means.now())
        means.ledger.settle(done, {})
        return done
    head = means.journal.head
    run = replace(run, state=State.COMMITTING, entry=head.number if head else 0)
    means.ledger.save(run)
    return finish(run, source, means)


def finish(run: Run, source: Source, means: Means) -> Run:
    """Bring a run that is committing to its end, whether or not its entry was written before a crash."""
    buried = dict(_buried(run, means))
    entry = written(run, means) or means.journal.append(_blocks(run, source, means, buried), run=run.id, time=run.started)
    means.ledger.set_graph(means.iris.source(source.name), _catalogue(source, means))
    state = State.INCOMPLETE if run.reason else State.COMMITTED
    done = replace(run, state=state, ended=means.now(), entry=entry.number)
    means.ledger.settle(done, buried)
    return done


def written(run: Run, means: Means) -> Entry | None:
    """Find the run's entry, if a crash came after it was written; while a run commits, *entry* is the head that it saw."""
    return next((entry for entry in means.journal.entries(after=run.entry or 0) if entry.run == run.id), None)


def difference(before: str, after: str, graph: str) -> Iterator[str]:
    """Give the rows that turn one description into the other, as one block, deletions first; nothing where they are equal."""
    tail = f" <{graph}> ."
    if after and not before:
        yield "A " + after.replace("\n", f"{tail}\nA ") + tail
        return
    old, new = ({line for line in text.split("\n") if line} for text in (before, after))
    rows = [f"D {line}{tail}" for line in sorted(old - new)] + [f"A {line}{tail}" for line in sorted(new - old)]
    if rows:
        yield "\n".join(rows)


def _catalogue(source: Source, means: Means) -> str:
    it = source
    registry = Registry(it.name, it.title, it.publisher, it.url, it.licence, it.protocol, it.mapping, it.every)
    return "\n".join(describe_source(registry, means.iris))


def _buried(run: Run, means: Means) -> Iterator[tuple[str, str]]:
    """Give the tombstones of what the source deleted and of what a complete sweep missed for the second time."""
    at = run.planned or run.started
    for draft, before in means.ledger.drafts(run, [Outcome.GONE]):
        if draft.key is not None and draft.first_seen is not None:
            yield draft.key, "\n".join(bury(draft.key, run.source, run.id, draft.first_seen, at, before.split("\n"), means.iris))
    if run.sweep:
        for key, first_seen, before in means.ledger.lost(run, MISSES):
            yield key, "\n".join(bury(key, run.source, run.id, first_seen, at, before.split("\n"), means.iris))


def _blocks(run: Run, source: Source, means: Means, buried: dict[str, str]) -> Iterator[str]:
    iris = means.iris
    for draft, before in means.ledger.drafts(run, [Outcome.NEW, Outcome.CHANGED]):
        yield from difference(before, draft.description, iris.record(run.source, draft.key or ""))
    gone = {draft.key: before for draft, before in means.ledger.drafts(run, [Outcome.GONE])}
    lost = {key: before for key, _, before in means.ledger.lost(run, MISSES)} if run.sweep else {}
    for key, tombstone in buried.items():
        yield from difference(gone.get(key) or lost[key], tombstone, iris.record(run.source, key))
    catalogue = iris.source(source.name)
    yield from difference(means.ledger.graph(catalogue), _catalogue(source, means), catalogue)
    ended = run.planned or run.started
    account = describe_run(run.id, run.source, run.started, ended, run.counts, iris)
    yield from difference("", "\n".join(account), iris.run(run.id))
