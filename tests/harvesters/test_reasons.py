from __future__ import annotations

import ast
import json
import pickle
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from rows import each
from simulated import open_client

from harvesters.definition_texts import DEFINITION_TEXTS
from harvesters.errors import FetchError, NotFoundError, ParseError, error_reason
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import load_json, parse_xml
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
                supplied |= {keyword.arg for keyword in node.keywords}
                faults += [f"{file.name}:{node.lineno}: {code}"] if not needed <= supplied else []
            elif code not in TEXTS:
                faults.append(f"{file.name}:{node.lineno}: {code}")

    assert faults == []
    assert len(codes) > 100


def in_language(language: str, reason: Reason) -> str:
    with use_language(language):
        return reason.describe(gettext, format_number)


@each(
    "status, headers, text",
    [(404, {}, f"{URL} : a répondu 404 ; corrigez l’url de la source, ou demandez au registre la nouvelle adresse"),
     (503, {"Retry-After": "600"}, f"{URL} : a répondu 503 et demande de réessayer dans 600 secondes"),
     (500, {}, f"{URL} : a répondu 500")],
)  # fmt: skip
def test_a_failed_request_has_its_reason_in_the_language(
    status: int, headers: dict[str, str], text: str
) -> None:
    client = open_client(lambda _: httpx.Response(status, headers=headers))

    with client, pytest.raises(FetchError) as caught:
        client.get(URL)

    assert in_language("fr", caught.value.reason) == text
    assert str(caught.value) == caught.value.reason.text


@each(
    "parse, content, language, text",
    [(load_json, b"<html><title>Maintenance</title></html>", "es",
      f"{URL}: respondió con una página HTML titulada «Maintenance» en lugar de JSON; ábrala en un navegador"),
     (parse_xml, b"<a><b></a>", "zh", f"{URL}：不是格式良好的 XML：Opening and ending tag"),
     (parse_xml, b"<a><b></a>", "en", f"{URL}: not well-formed XML: Opening and ending tag")],
)  # fmt: skip
def test_a_response_that_cannot_be_parsed_has_its_reason_in_the_language(
    parse: Any, content: bytes, language: str, text: str
) -> None:
    with pytest.raises(ParseError) as caught:
        parse(Reply(URL, 200, httpx.Headers(), content))

    assert in_language(language, caught.value.reason).startswith(text)
    assert str(caught.value) == in_language("en", caught.value.reason)


def test_a_reason_within_a_reason_is_stored_and_sent_between_processes() -> None:
    reason = Reason(
        "the feed is not well-formed: %(error)s",
        error=Reason("%(url)s: answered %(status)s", url=URL, status="500"),
    )

    assert Reason.from_json(json.loads(json.dumps(asdict(reason)))) == reason
    assert pickle.loads(pickle.dumps(NotFoundError(reason))).reason == reason
    assert ParseError("a.json: broken").reason == Reason("other", text="a.json: broken")


def test_an_error_of_the_journal_has_its_reason_in_the_language(tmp_path: Path) -> None:
    entry = Journal(tmp_path / "journal").append([], run="a.1", time=NEW_YEAR)
    entry.path.write_bytes(entry.path.read_bytes()[:-20])

    with pytest.raises(ChainError) as caught:
        entry.check()

    reason = error_reason(caught.value)
    assert reason.code in ("journal_entry_cut", "journal_entry_unreadable")
    assert reason.text == str(caught.value)
    assert in_language("ru", reason).startswith(f"запись 1 журнала: {entry.path} ")


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_entry_for_a_mirror_is_refused_with_a_reason_of_the_same_text(tmp_path: Path) -> None:
    journal, url = Journal(tmp_path / "journal"), "https://origin.example/"
    mirror_origin.write(journal.folder, mirror_origin.Origin(url, url, 1, "2026-01-01T00:00:00Z"))

    check_append(journal, "journal_is_mirror")


def test_an_entry_that_cannot_be_written_has_a_reason_of_the_same_text(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    first = journal.append([], run="a.1", time=NEW_YEAR)
    (first.path.parent / first.path.name.replace("1", "2", 1)).with_suffix(".part").mkdir()

    check_append(journal, "journal_not_written")


def check_append(journal: Journal, code: str) -> None:
    with pytest.raises(JournalError) as caught:
        journal.append([], run="a.2", time=NEW_YEAR)

    reason = error_reason(caught.value)
    assert (reason.code, reason.text) == (code, str(caught.value))


def test_a_code_has_one_text() -> None:
    tree = ast.parse((ROOT / "harvesters/reason_texts.py").read_text(encoding="utf-8"))
    (texts,) = (node.value for node in tree.body if isinstance(node, ast.AnnAssign))

    assert isinstance(texts, ast.Dict)
    codes = [key.value for key in texts.keys if isinstance(key, ast.Constant)]
    assert [code for code in codes if code in DEFINITION_TEXTS] == []
