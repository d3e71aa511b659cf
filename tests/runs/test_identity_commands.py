from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledger_records import put_records
from rows import each
from typer.testing import CliRunner, Result

from harvesters.errors import IdentityError, LedgerError, UnknownError
from harvesters.ledger.ledger import Ledger
from stocktake import app
from vocab.initiative import Initiative, Party, Role, Text
from vocab.iris import Iris

Stocktake = Callable[..., Result]
IRIS = Iris()
KENYA = "http://metadata.un.org/sdg/codes/geoArea/404"
SEEN = datetime(2026, 1, 1, tzinfo=UTC)


def initiative(key: str, title: str, lead: str, start: str | None = "2024-02-01") -> Initiative:
    parties = (Party(Role.LEAD, Text(lead), country=KENYA),)
    texts = (Text(title, "en"),)
    return Initiative(key=key, titles=texts, countries=(KENYA,), parties=parties, start=start)


RECORDS = [
    ("north", initiative("1", "Telemedicine for the clinics of Marsabit", "Kenya ICT Action Network")),
    ("south", initiative("a", "TELEMEDICINE for clinics of Marsabit", "Kenya ICT Action Network Ltd.")),
    ("south", initiative("b", "Telemedicine for Marsabit clinics", "Marsabit County", start=None)),
    *(("north", initiative(f"x{n}", f"Subject{n} of place{n}", f"Body{n} of topic{n}")) for n in range(60)),
]  # fmt: skip


def add_records(
    data: Path, first: int, *records: tuple[str, Initiative], state: str = "published"
) -> None:
    with closing(Ledger(f"sqlite:///{data}/ledger.sqlite")) as ledger:
        put_records(ledger, first, records, state)


@pytest.fixture
def stocktake(tmp_path: Path) -> Stocktake:
    data = tmp_path / "data"
    data.mkdir()
    add_records(data, 0, *RECORDS)
    environment = {"STOCKTAKE_DATA": str(data), "STOCKTAKE_LEDGER": f"sqlite:///{data}/ledger.sqlite"}  # fmt: skip
    return lambda *words: CliRunner().invoke(app, ["identity", *words], env=environment)


def rows(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout))


def counted(stocktake: Stocktake) -> dict[object, dict[str, object]]:
    return {row["kind"]: row for row in rows(stocktake("match", "--json"))}


def matched(stocktake: Stocktake) -> dict[str, dict[str, object]]:
    rows(stocktake("match", "--json"))
    return {
        f"{row['first']} | {row['second']}": row
        for row in rows(stocktake("queue", "--all", "--json"))
    }


SAME = "Telemedicine for the clinics of Marsabit | TELEMEDICINE for clinics of Marsabit"
DOUBTED = "Telemedicine for the clinics of Marsabit | Telemedicine for Marsabit clinics"


def test_match_counts_what_becomes_of_the_pairs_and_the_queue_explains_each(
    stocktake: Stocktake,
) -> None:
    counts = counted(stocktake)

    assert counts["initiative"].items() >= {"automatic": 1, "queued": 2, "sets": 1}.items()
    assert counts["organization"]["automatic"] == 1
    pairs = matched(stocktake)
    waiting = rows(stocktake("queue", "--json"))

    assert pairs[SAME]["status"] == "automatic"
    assert pairs[SAME] not in waiting
    assert pairs[DOUBTED] in waiting
    assert "name +" in str(pairs[DOUBTED]["because"])
    assert "country +2.0" in str(pairs[DOUBTED]["because"])


def test_show_has_both_sides_and_the_score(stocktake: Stocktake) -> None:
    pair = str(matched(stocktake)[DOUBTED]["pair"])

    printed = json.loads(stocktake("show", pair, "--json").stdout)

    assert sum(feature["bits"] for feature in printed["features"]) == pytest.approx(printed["bits"])
    assert {"": "start", "first": "2024-02-01", "second": ""} in printed["sides"]
    assert "≠" in stocktake("show", pair).stdout


def test_a_decision_counts_until_it_is_taken_back(stocktake: Stocktake) -> None:
    before = matched(stocktake)
    pair = str(before[SAME]["pair"])

    assert stocktake("decide", pair, "negative", "--reason", "two counties").exit_code == 0
    decided = matched(stocktake)[SAME]["status"]
    assert stocktake("decide", pair, "undo", "--reason", "a mistake").exit_code == 0

    assert decided == "decided"
    assert matched(stocktake) == before
    assert rows(stocktake("decisions", "--json")) == []
    history = rows(stocktake("decisions", "--history", "--json"))
    assert [(row["judgement"], row["reason"]) for row in history] == [
        ("negative", "two counties"),
        ("withdrawn", "a mistake"),
    ]


def test_a_contradiction_is_shown_and_not_merged(stocktake: Stocktake) -> None:
    pairs = matched(stocktake)
    [between] = [row for text, row in pairs.items() if text not in (SAME, DOUBTED) and "Marsabit" in text]  # fmt: skip
    stocktake("decide", str(pairs[DOUBTED]["pair"]), "positive")
    stocktake("decide", str(between["pair"]), "negative")

    counts = counted(stocktake)["initiative"]
    waiting = rows(stocktake("queue", "--json"))

    [printed] = [row for row in waiting if row["status"] == "contradiction"]
    assert printed["pair"] == pairs[SAME]["pair"]
    assert counts.items() >= {"automatic": 0, "contradiction": 1, "decided": 2, "sets": 1}.items()


def test_decisions_are_exported_and_imported(stocktake: Stocktake, tmp_path: Path) -> None:
    pairs = matched(stocktake)
    stocktake("decide", str(pairs[SAME]["pair"]), "positive", "--reason", "same page")
    stocktake("decide", str(pairs[DOUBTED]["pair"]), "unsure")
    text = stocktake("export").stdout
    file = tmp_path / "decisions.sssom.tsv"
    file.write_text(text)
    for name in (SAME, DOUBTED):
        stocktake("decide", str(pairs[name]["pair"]), "undo")

    first, again = stocktake("import", str(file)), stocktake("import", str(file))

    assert "2 decisions stored, 0 known already" in first.output
    assert "0 decisions stored, 2 known already" in again.output
    assert stocktake("export").stdout == text


def test_a_table_with_an_unknown_record_changes_nothing(
    stocktake: Stocktake, tmp_path: Path
) -> None:
    pairs, file = matched(stocktake), tmp_path / "decisions.tsv"
    stocktake("decide", str(pairs[SAME]["pair"]), "positive")
    unknown = "https://x.example/1\tskos:exactMatch\t\thttps://x.example/2\t\t\t\t1\t\n"
    file.write_text(stocktake("export").stdout + unknown)

    refused = stocktake("import", str(file)).exception

    assert isinstance(refused, IdentityError)
    assert "line 3: unknown record https://x.example/1, https://x.example/2" in str(refused)
    assert len(rows(stocktake("decisions", "--history", "--json"))) == 1


@each(
    "words, kind, text",
    [(("show", "0000000000"), UnknownError, "There is no such pair"),
     (("decide", "0000000000", "positive"), UnknownError, "There is no such pair"),
     (("decide", "0000000000", "undo"), UnknownError, "No decision about this pair counts."),
     (("import", "/nowhere.tsv"), IdentityError, "/nowhere.tsv")],
)  # fmt: skip
def test_what_does_not_exist_is_named(
    stocktake: Stocktake, words: tuple[str, ...], kind: type[Exception], text: str
) -> None:
    result = stocktake(*words)

    assert isinstance(result.exception, kind)
    assert text in str(result.exception)


def test_without_a_ledger_it_says_where_to_match(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["identity", "match"], env={"STOCKTAKE_DATA": str(tmp_path)})

    assert isinstance(result.exception, LedgerError)
    assert "this machine has no ledger" in str(result.exception)


def test_sets_are_published_once_as_clusters(stocktake: Stocktake) -> None:
    matched(stocktake)

    planned = rows(stocktake("publish", "--dry-run", "--json"))
    published, again = stocktake("publish"), stocktake("publish")

    kinds = sorted(str(row["cluster"]).split("/cluster/")[1].split("/")[0] for row in planned)
    assert (kinds, {row["change"] for row in planned}) == (["initiative", "organization"], {"new"})
    assert "journal entry 1" in published.output
    assert "no cluster changes" in again.output


def pairs(stocktake: Stocktake) -> set[tuple[str, str]]:
    waiting = rows(stocktake("queue", "--all", "--limit=1000", "--json"))
    return {(str(row["first"]), str(row["second"])) for row in waiting}


def test_only_new_changed_and_gone_records_are_compared(
    stocktake: Stocktake, tmp_path: Path
) -> None:
    matched(stocktake)
    assert "; 0 entities compared" in stocktake("match", "--changed").output
    title = RECORDS[0][1].titles[0].value
    new = initiative("new", title, "Kenya ICT Action Network")
    changed = initiative("a", "Weather stations of Turkana", "Turkana Weather")
    add_records(tmp_path / "data", 900, ("west", new), ("south", changed))
    add_records(tmp_path / "data", 902, RECORDS[2], state="gone")

    result = stocktake("match", "--changed")
    incremental = pairs(stocktake)
    matched(stocktake)

    # These are two initiatives and their leads; the record that is gone has no entity.
    assert "; 4 entities compared" in result.output
    assert (title, title) in incremental
    names = {name for pair in incremental for name in pair}
    assert not any("TELEMEDICINE" in name for name in names)
    assert RECORDS[2][1].titles[0].value not in names
    assert incremental == pairs(stocktake)


def test_matching_can_publish_the_clusters(stocktake: Stocktake) -> None:
    first = stocktake("match", "--changed", "--publish")
    again = stocktake("match", "--changed", "--publish")

    assert "2 clusters changed; journal entry 1" in first.output
    assert "0 clusters changed" in again.output
    assert "journal entry" not in again.output


def test_a_rule_decides_all_pairs_that_it_covers_after_a_preview(stocktake: Stocktake) -> None:
    matched(stocktake)
    queue = rows(stocktake("queue", "--json"))
    waiting = {row["pair"] for row in queue if "start" not in str(row["because"])}
    rule = (
        "decide-all", "negative", "--reason", "no date", "--kind=initiative", "--agree=country", "--silent=start", "--at-most=20",
    )  # fmt: skip

    previewed = {row["pair"] for row in rows(stocktake(*rule, "--json"))}
    untouched = rows(stocktake("decisions", "--json"))
    stored = {row["pair"] for row in rows(stocktake(*rule, "--apply", "--json"))}
    again = stocktake(*rule, "--apply")

    assert previewed == stored == waiting
    assert (len(waiting), untouched) == (2, [])
    decisions = [(row["pair"], row["judgement"], row["reason"]) for row in rows(stocktake("decisions", "--json"))]  # fmt: skip
    assert {*decisions} == {(pair, "negative", "no date") for pair in waiting}
    assert "the rule covers no pair that waits" in again.output


@each(
    "options, part",
    [((), "no condition"), (("--kind=initiative",), "no condition"), (("--agree=colour",), "no feature is called 'colour'")],
)  # fmt: skip
def test_a_rule_that_says_nothing_decides_nothing(
    stocktake: Stocktake, options: tuple[str, ...], part: str
) -> None:
    matched(stocktake)

    result = stocktake("decide-all", "positive", "--reason", "all", "--apply", *options)

    assert isinstance(result.exception, IdentityError)
    assert part in str(result.exception)
    assert rows(stocktake("decisions", "--json")) == []
