from __future__ import annotations

import ast
import json
import pickle
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from harvesters.definition_texts import DEFINITION_TEXTS
from harvesters.errors import FetchError, NotFoundError, ParseError, error_reason
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import load_json, parse_xml
from harvesters.network.retry import RetryPolicy
from harvesters.network.settings import NetworkSettings
from harvesters.reason_texts import TEXTS
from harvesters.reasons import Reason
from journal import mirror_origin
from journal.errors import ChainError, JournalError
from journal.journal import Journal
from languages.request_locale import use_language
from languages.translations import format_number, gettext

ROOT = Path(__file__).parents[2]
URL = "https://registry.example/records"


def test_each_reason_of_the_code_has_a_text_for_its_values() -> None:
    faults, codes = [], set[str]()
    for file in sorted(
        file for name in ("harvesters", "vocab") for file in (ROOT / name).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in {
                "Reason",
                "RowFault",
            }:
                continue
            if not isinstance(node.args[0], ast.Constant):
                continue
            code = node.args[0].value
            assert isinstance(code, str)
            values = node.args[1] if len(node.args) > 1 else ast.Dict([], [])
            codes.add(code)
            needed = set(re.findall(r"%\((\w+)\)", TEXTS.get(code, "%(a text in TEXTS)")))
            if isinstance(values, ast.Dict) and None not in values.keys:
                supplied = {key.value for key in values.keys if isinstance(key, ast.Constant)}
                faults += [f"{file.name}:{node.lineno}: {code}"] if not needed <= supplied else []
            elif code not in TEXTS:
                faults.append(f"{file.name}:{node.lineno}: {code}")

    assert faults == []
    assert len(codes) > 100


@pytest.mark.parametrize(
    ("status", "headers", "text"),
    [(404, {}, f"{URL} : a répondu 404 ; corrigez l’url de la source, ou demandez au registre la nouvelle adresse"),
     (503, {"Retry-After": "600"}, f"{URL} : a répondu 503 et demande de réessayer dans 600 secondes"),
     (500, {}, f"{URL} : a répondu 500")],
)  # fmt: skip
def test_a_failed_request_has_its_reason_in_the_language(
    status: int, headers: dict[str, str], text: str
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, headers=headers))
    client = Fetch(
        NetworkSettings(retry_policy=RetryPolicy(max_attempts=1), transport=transport),
        pause=0,
        robots=False,
    )

    with client, pytest.raises(FetchError) as caught:
        client.get(URL)

    with use_language("fr"):
        assert caught.value.reason.describe(gettext, format_number) == text
    assert str(caught.value) == caught.value.reason.text


def test_a_response_that_cannot_be_parsed_has_its_reason_in_the_language() -> None:
    page = Reply(URL, 200, httpx.Headers(), b"<html><title>Maintenance</title></html>")

    with pytest.raises(ParseError) as caught:
        load_json(page)

    with use_language("es"):
        text = caught.value.reason.describe(gettext, format_number)
    assert (
        text
        == f"{URL}: respondió con una página HTML titulada «Maintenance» en lugar de JSON; ábrala en un navegador"
    )


def test_a_parser_error_names_its_subject_in_the_language() -> None:
    with pytest.raises(ParseError) as caught:
        parse_xml(Reply(URL, 200, httpx.Headers(), b"<a><b></a>"))

    with use_language("zh"):
        assert caught.value.reason.describe(gettext, format_number).startswith(
            f"{URL}：不是格式良好的 XML：Opening and ending tag"
        )
    assert str(caught.value).startswith(f"{URL}: not well-formed XML: Opening and ending tag")


def test_a_reason_within_a_reason_is_stored_and_sent_between_processes() -> None:
    reason = Reason("feed_malformed", {"error": Reason("status", {"url": URL, "status": "500"})})
    error = NotFoundError(reason)

    assert Reason.from_json(json.loads(json.dumps(asdict(reason)))) == reason
    assert pickle.loads(pickle.dumps(error)).reason == reason


def test_an_error_of_the_journal_has_its_reason_in_the_language(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    entry = journal.append([], run="a.1", time=datetime(2026, 1, 1, tzinfo=UTC))
    entry.path.write_bytes(entry.path.read_bytes()[:-20])

    with pytest.raises(ChainError) as caught:
        entry.check()

    reason = error_reason(caught.value)
    assert reason.code in ("journal_entry_cut", "journal_entry_unreadable")
    assert reason.text == str(caught.value)
    with use_language("ru"):
        assert reason.describe(gettext, format_number).startswith(
            f"запись 1 журнала: {entry.path} "
        )


def test_an_entry_for_a_mirror_is_refused_with_a_reason_of_the_same_text(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    origin = mirror_origin.Origin(
        "https://origin.example/", "https://x.example/", 1, "2026-01-01T00:00:00Z"
    )
    mirror_origin.write(tmp_path / "journal", origin)

    check_append(journal, "journal_is_mirror")


def test_an_entry_that_cannot_be_written_has_a_reason_of_the_same_text(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    first = journal.append([], run="a.1", time=datetime(2026, 1, 1, tzinfo=UTC))
    (first.path.parent / first.path.name.replace("1", "2", 1)).with_suffix(".part").mkdir()

    check_append(journal, "journal_not_written")


def check_append(journal: Journal, code: str) -> None:
    with pytest.raises(JournalError) as caught:
        journal.append([], run="a.2", time=datetime(2026, 1, 1, tzinfo=UTC))

    reason = error_reason(caught.value)
    assert (reason.code, reason.text) == (code, str(caught.value))


def test_an_error_with_a_text_has_that_text_as_its_reason() -> None:
    assert ParseError("a.json: broken").reason == Reason("other", {"text": "a.json: broken"})


def test_a_code_has_one_text() -> None:
    (texts,) = (
        node.value
        for node in ast.parse(
            (ROOT / "harvesters/reason_texts.py").read_text(encoding="utf-8")
        ).body
        if isinstance(node, ast.AnnAssign)
    )

    assert isinstance(texts, ast.Dict)
    codes = [key.value for key in texts.keys if isinstance(key, ast.Constant)]
    assert [code for code in codes if code in DEFINITION_TEXTS] == []
