from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import pytest
from clocks import NOON
from typer.testing import CliRunner

from harvesters.ledger import operators
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Scope
from harvesters.ledger.operators import create_key
from stocktake import app

RUN = CliRunner()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"STOCKTAKE_DATA": str(tmp_path / "data"), "STOCKTAKE_SOURCES": str(tmp_path)}


@pytest.mark.parametrize("scope", [scope.label for scope in Scope])
def test_a_key_is_made_shown_once_listed_and_ended(
    environment: dict[str, str], tmp_path: Path, scope: str
) -> None:
    def run(*words: str) -> str:
        return RUN.invoke(app, ["keys", *words], env=environment).stdout

    created = run("create", "Ada", "--scope", scope, "--expires", "30")
    listed = run("list", "--json")
    (row,) = json.loads(listed)
    ended = RUN.invoke(app, ["keys", "revoke", row["id"]], env=environment).output
    (after,) = json.loads(run("list", "--json"))

    with closing(Ledger(f"sqlite:///{tmp_path}/data/ledger.sqlite")) as ledger:
        acts = [(act.what, act.note) for act in operators.audit_entries(ledger)]
    known = [row[name] for name in ("name", "scope", "state", "last_used")]
    name = f"Ada ({row['id']})"
    assert re.fullmatch(r"stk_[0-9a-f]{8}_[\w-]{43}\n", created)
    assert created.strip()[-43:] not in listed + ended
    assert known == ["Ada", scope, "good", None]
    assert (ended, after["state"]) == (f"{row['id']} is revoked\n", "revoked")
    assert acts == [("key revoked", name), ("key created", f"{name}, {scope}")]


@pytest.mark.parametrize(
    "words",
    [["create", "Ada"], ["create", "Ada", "--scope", "all"], ["create", "", "--scope", "read"], ["create", "a\nb", "--scope", "read"],
     ["create", "a\u202eb", "--scope", "read"], ["create", "Ada", "--scope", "read", "--expires", "0"], ["revoke"]],
)  # fmt: skip
def test_a_key_that_cannot_be_is_wrong_use(environment: dict[str, str], words: list[str]) -> None:
    assert RUN.invoke(app, ["keys", *words], env=environment).exit_code == 2


def test_keys_are_never_the_same_and_never_guessable(tmp_path: Path) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path}/ledger.sqlite")) as ledger:
        created = [create_key(ledger, "Ada", Scope.READ, NOON) for _ in range(200)]

    secrets = {token.removeprefix("stk_").partition("_")[2] for _, token in created}
    assert len(secrets) == 200
    assert {len(secret) for secret in secrets} == {43}
    assert all(key.hash not in token for key, token in created)
