from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.registries import SHARES, Demo
from demo.source_definitions import write_sources
from harvesters.ledger.models import SEEN, Outcome, State
from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import open_context
from harvesters.runs.run import harvest, remap
from harvesters.source import load_all
from vocab.iris import BASE

_HERE = frozenset({"127.0.0.1"})
_LEFT = {Outcome.UNCHANGED, Outcome.WITHHELD, Outcome.UNREADABLE}


def refuse(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.url} was asked")


@pytest.mark.parametrize("registry", SHARES)
@pytest.mark.nightly
def test_two_archived_versions_of_each_registry_are_remapped(tmp_path: Path, registry: Any) -> None:
    with (
        Demo(size=120, only=(registry,)) as server,
        open_context(
            tmp_path, f"sqlite:///{tmp_path}/ledger.sqlite", BASE, NetworkSettings("", _HERE)
        ) as context,
    ):
        write_sources(server.url, tmp_path / "sources", (registry,))
        (source,) = load_all(tmp_path / "sources").sources.values()
        source = replace(source, pause=0)
        plans = [harvest(source, context)]
        server.evolve(version=2)
        plans.append(harvest(source, context))
        if State.HELD in {plan.run.state for plan in plans}:
            pytest.skip(f"the guard holds what {registry} says by design: {plans[-1].hold_reason}")
        before = context.ledger.count_published(source.name) - context.ledger.count_missing(
            source.name
        )

        plan = remap(
            source,
            replace(
                context, network=replace(context.network, transport=httpx.MockTransport(refuse))
            ),
        )

    counts = {outcome: plan.outcomes[outcome] for outcome in SEEN if plan.outcomes[outcome]}
    assert set(counts) <= _LEFT
    assert counts[Outcome.UNCHANGED] <= before
    assert plan.run.state is State.UNCHANGED
