"""Define the commands identity: match, decide, publish, and exchange decisions."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from command_line.console import Json, print_json, print_lines, print_rows
from command_line.settings import Context
from command_line.workspace import current_user, harvest_context, open_existing
from harvesters.errors import IdentityError
from harvesters.matching.clusters import (
    PairRule,
    Status,
    check_rule,
    classify_stored,
    count_pairs,
    covered_pairs,
    read_table,
    write_table,
)
from harvesters.matching.match import (
    Decision,
    Judgement,
    add_decisions,
    current_decisions,
    decision_history,
    find_pair,
    match_records,
    pair_id,
    read_entities,
    read_sides,
)
from harvesters.runs import operations
from harvesters.runs.context import HarvestContext
from harvesters.runs.publish_graphs import change_row, plan_clusters, publish_clusters
from vocab.iris import Iris

app = typer.Typer()
_Pair = Annotated[
    str, typer.Argument(metavar="PAIR", help="Id of a pair, as `identity queue` lists it.")
]
_COMPARED = ("iri", "source", "names", "identifiers", "pages", "countries", "parties", "start")


@app.command()
def match(
    ctx: Context,
    changed: Annotated[
        bool,
        typer.Option(
            "--changed", help="Compare only what is new or changed since the last matching."
        ),
    ] = False,
    publish: Annotated[
        bool,
        typer.Option(
            "--publish", help="Publish the clusters that result, as `identity publish` does."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Compare all published initiatives, organizations and documents with a DOI, and store the
    pairs that may be one thing. Decisions are kept.
    """
    with (
        open_existing(ctx.obj) as ledger,
        match_records(ledger, Iris(ctx.obj.base), only_changed=changed) as matching,
    ):
        counts = count_pairs(ledger, matching.entities)
        rows = [
            {
                "kind": kind,
                "entities": total,
                "things": total - counts.merged.get(kind, 0),  # after merging
                **{status.value: counts.statuses.get((kind, status), 0) for status in Status},
                "sets": counts.sets.get(kind, 0),
            }
            for kind, total in matching.entities.kinds().items()
        ]
        print_rows(
            rows, f"Pairs that may be one thing; {matching.compared} entities compared", json
        )
        if publish:
            with harvest_context(ctx.obj) as context:
                run, changes = publish_clusters(context, matching.entities)
            if not json:
                entry = f"; journal entry {run.entry}" if run and run.entry else ""
                print_lines(f"{len(changes)} clusters changed{entry}")


@app.command()
def queue(
    ctx: Context,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of pairs.")] = 20,
    all_pairs: Annotated[
        bool, typer.Option("--all", help="List automatic and decided pairs too.")
    ] = False,
    json: Json = False,
) -> None:
    """List the pairs that await a decision, the best first; a contradiction would join what was
    decided to be different.
    """
    with open_existing(ctx.obj) as ledger:
        rated, _ = classify_stored(ledger)
        decisions = current_decisions(ledger)
    undecided = [
        (pair, status)
        for pair, status in rated
        if all_pairs
        or (status in (Status.QUEUED, Status.CONTRADICTION) and pair.pair not in decisions)
    ]
    rows = [
        {
            "pair": pair.id,
            "status": status.value,
            "bits": pair.score.bits,
            "first": pair.names[0],
            "second": pair.names[1],
            "because": ", ".join(
                f"{feature.name} {feature.bits:+.1f}" for feature in pair.score.features
            ),
        }
        for pair, status in undecided[:limit]
    ]
    print_rows(rows, f"{len(undecided)} pairs", json, empty="no pair awaits a decision")


@app.command()
def show(ctx: Context, pair: _Pair, json: Json = False) -> None:
    """Show both sides of a pair, the bits of each feature, and all decisions about it."""
    with open_existing(ctx.obj) as ledger:
        scored = find_pair(ledger, pair)
        history = [
            decision for decision in decision_history(ledger) if decision.pair == scored.pair
        ]
        entities = read_sides(ledger, scored, Iris(ctx.obj.base))
        if gone := set(scored.pair) - {entity.iri for entity in entities}:
            raise IdentityError(
                f"{min(gone)} is not published any more; `stocktake identity match` renews the pairs"
            )
        first, second = entities
    sides = [
        {"": name, "first": _listed(getattr(first, name)), "second": _listed(getattr(second, name))}
        for name in _COMPARED
    ]
    features = [
        {"feature": item.name, "bits": item.bits, "compared": item.detail}
        for item in scored.score.features
    ]
    decided = [_decision_row(decision) for decision in history]
    if json:
        value = {"bits": scored.score.bits, "sides": sides}
        print_json({**value, "features": features, "decisions": decided})
        return
    marked = [
        {"": row[""], "differs": "" if row["first"] == row["second"] else "≠", **row}
        for row in sides
    ]
    print_rows(marked, f"Pair {pair}", json)
    print_rows(
        [*features, {"feature": "sum", "bits": scored.score.bits, "compared": ""}], "Score", json
    )
    print_rows(decided, "Decisions", json, empty="no decision yet")


def _listed(value: object) -> str:
    if isinstance(value, str):
        return value
    assert isinstance(value, set | dict)
    return "\n".join(
        sorted(" ".join(item) if isinstance(item, tuple) else str(item) for item in value)
    )


def _feature_option(condition: str) -> Any:
    return typer.Option(metavar="FEATURE", help=f"Only pairs {condition}; repeatable.")


@app.command("decide-all")
def decide_all(
    ctx: Context,
    judgement: Annotated[
        Judgement,
        typer.Argument(help="positive: one thing; negative: two; unsure: they stay in the queue."),
    ],
    reason: Annotated[str, typer.Option(help="Why; it is stored with each decision.")],
    kind: Annotated[
        Literal["", "initiative", "organization", "document"],
        typer.Option(help="Only pairs of this kind."),
    ] = "",
    at_least: Annotated[
        float, typer.Option(metavar="BITS", help="Only pairs with this score or more.")
    ] = float("-inf"),
    at_most: Annotated[
        float, typer.Option(metavar="BITS", help="Only pairs with this score or less.")
    ] = float("inf"),
    agree: Annotated[list[str] | None, _feature_option("with this feature above 0 bits")] = None,
    differ: Annotated[list[str] | None, _feature_option("with this feature below 0 bits")] = None,
    silent: Annotated[
        list[str] | None, _feature_option("in which this feature was not compared")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="Only where both sides are of these registries; repeatable."),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Store the decisions; without it, they are only listed.")
    ] = False,
    json: Json = False,
) -> None:
    """Decide about all waiting pairs that a rule covers; without `--apply`, list them and the
    clusters that would result.
    """
    sets = (frozenset(names or ()) for names in (agree, differ, silent, source))
    rule = PairRule(kind, at_least, at_most, *sets)
    check_rule(rule)
    with open_existing(ctx.obj), harvest_context(ctx.obj) as context:
        rows, sets_before, sets_after = _decide(context, rule, judgement, reason, is_stored=apply)
    state = "decided" if apply else "would be decided"
    counts = f"{len(rows)} pairs {state}: {judgement.value}; sets {sets_before} → {sets_after}"
    print_rows(rows, counts, json, empty="the rule covers no pair that waits")


def _decide(
    context: HarvestContext, rule: PairRule, judgement: Judgement, reason: str, *, is_stored: bool
) -> tuple[list[dict[str, object]], int, int]:
    """Decide about the pairs of a rule; return their rows, and the number of clusters before and
    after.
    """
    rated, before = classify_stored(context.ledger)
    decided, by = current_decisions(context.ledger), current_user()
    pairs = covered_pairs(rule, rated, decided)
    new = {pair.pair: Decision(pair.pair, judgement, by, context.now(), reason) for pair in pairs}
    _, after = classify_stored(context.ledger, new)
    if is_stored:
        note = f"{len(pairs)} pairs by rule"
        operations.decide_pairs(context, list(new), judgement, by=by, reason=reason, note=note)
    rows: list[dict[str, object]] = [
        {"pair": pair.id, "bits": pair.score.bits, "first": pair.names[0], "second": pair.names[1]}
        for pair in pairs
    ]
    return rows, len(before.sets()), len(after.sets())


@app.command()
def decisions(
    ctx: Context,
    history: Annotated[
        bool, typer.Option("--history", help="List all, also those replaced or withdrawn.")
    ] = False,
    json: Json = False,
) -> None:
    """List the current decisions, with who, when and why."""
    with open_existing(ctx.obj) as ledger:
        listed = (
            list(decision_history(ledger))
            if history
            else sorted(current_decisions(ledger).values(), key=lambda item: item.pair)
        )
    print_rows(
        [_decision_row(decision) for decision in listed], "Decisions", json, empty="no decision yet"
    )


@app.command()
def publish(
    ctx: Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would change, and write nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Publish the sets of pairs and decisions as clusters, in one journal entry; list those that
    are new, changed, replaced or removed.

    Nothing else changes: members keep their graphs and pages. After a decision or `undo`, publish
    again.
    """
    with open_existing(ctx.obj), harvest_context(ctx.obj) as context:
        if dry_run:
            run, rows = None, list(map(change_row, plan_clusters(context)))
        else:
            run, rows = operations.publish_clusters(context, by=current_user())
    print_rows(rows, "Clusters", json, empty="no cluster changes")
    if run and run.entry and not json:
        print_lines(f"journal entry {run.entry}")


@app.command("export")
def export_decisions(ctx: Context) -> None:
    """Write the current decisions as a table of SSSOM, tab-separated, to standard output."""
    with open_existing(ctx.obj) as ledger:
        sys.stdout.write(write_table(current_decisions(ledger).values()))


@app.command("import")
def import_decisions(
    ctx: Context,
    file: Annotated[
        Path,
        typer.Argument(help="A table as `identity export` writes it."),
    ],
) -> None:
    """Store the decisions of a table, all or none: a file with unknown records is refused, with
    their lines.
    """
    with open_existing(ctx.obj) as ledger, read_entities(ledger, Iris(ctx.obj.base)) as entities:
        try:
            text = file.read_text(encoding="utf-8-sig", errors="replace")
            now = datetime.now(UTC).replace(microsecond=0)
            read = read_table(text, entities, current_user(), now)
        except (OSError, IdentityError) as error:
            raise IdentityError(f"{file}: {error}") from error
        current = current_decisions(ledger)
        new = [decision for decision in read if current.get(decision.pair) != decision]
        add_decisions(ledger, new)
    print_lines(f"{len(new)} decisions stored, {len(read) - len(new)} known already")


def _decision_row(decision: Decision) -> dict[str, object]:
    return {
        "pair": pair_id(decision.pair),
        "judgement": decision.judgement.value if decision.judgement else "withdrawn",
        "who": decision.who,
        "when": f"{decision.when:%Y-%m-%dT%H:%M:%SZ}",
        "reason": decision.reason,
        "first": decision.pair[0],
        "second": decision.pair[1],
    }
