from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from babel.messages.pofile import read_po
from rows import each
from simulated import open_client

from harvesters.errors import FetchError, NotFoundError, ParseError, error_reason
from harvesters.network.reply import Reply, load_json, parse_xml
from harvesters.options import _KINDS, _MINIMA
from harvesters.reasons import TEXTS, Reason
from journal.errors import ChainError, JournalError
from journal.journal import Journal
from journal.store import Origin, write_origin
from languages.translations import FOLDER, LANGUAGES, format_number, gettext, use_language

ROOT = Path(__file__).parents[2]
URL = "https://registry.example/records"


# In calls of these names, the argument at this position is an English text or a code.
CALLS = {
    "Reason": 0,
    "RowFault": 0,
    "must_be": 0,
    "expected": 2,
    "self.fault": 0,
}
PLACE = re.compile(r"%\((\w+)\)[sr]")
# The inbox serves programs, which it answers in English.
INBOX = "inbox_api.py"


@cache
def trees() -> Mapping[str, ast.Module]:
    """Return the syntax trees of the modules that have texts of reasons, by file."""
    names = ("harvesters", "journal", "vocab", "command_line")
    files = sorted(file for name in names for file in (ROOT / name).rglob("*.py"))
    return {str(file): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def text_of(call: ast.Call) -> ast.expr | None:
    """Return the text of a call, or None. An error with values has its text first."""
    name = ast.unparse(call.func)
    is_error = name.endswith("Error") and bool(call.keywords)
    number = 0 if is_error and name not in CALLS else CALLS.get(name)
    return None if number is None else call.args[number] if call.args else None


@cache
def calls_with_texts() -> list[tuple[str, ast.Call, list[str]]]:
    """Return each call that has a text, with its file and line, and the text or both texts of a
    choice.
    """
    calls = []
    for file, tree in trees().items():
        for node in ast.walk(tree):
            text = text_of(node) if isinstance(node, ast.Call) else None
            if not isinstance(node, ast.Call) or text is None:
                continue
            parts = [text.body, text.orelse] if isinstance(text, ast.IfExp) else [text]
            texts = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
            calls.append((f"{file}:{node.lineno}", node, texts))
    return calls


@cache
def texts_with_places() -> set[str]:
    """Return the texts with a place for a value, except docstrings and what commands print."""
    texts = set()
    for file, tree in trees().items():
        nodes = [] if file.endswith(INBOX) else [*ast.walk(tree)]
        strings = [node for node in nodes if isinstance(node, ast.Constant)]
        others = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        calls = (node for node in nodes if isinstance(node, ast.Call))
        others |= {
            id(text)
            for call in calls
            if ast.unparse(call.func) == "operation"
            for text in call.args
        }
        texts |= {str(node.value) for node in strings if id(node) not in others}
    return {text for text in texts if PLACE.search(text)}


def test_each_reason_has_the_values_of_its_text() -> None:
    faults, count = [], 0
    for where, node, texts in calls_with_texts():
        values, name = {key.arg for key in node.keywords}, ast.unparse(node.func)
        is_whole = name.endswith("Error") or (name == "Reason" and len(node.args) == 1)
        if is_whole and None not in values:
            needed = {name for text in texts for name in PLACE.findall(TEXTS.get(text, text))}
            faults += [where] if not needed <= values else []
            count += 1

    assert faults == []
    assert count > 100


@each("language", [tag for tag in LANGUAGES if tag != "en"])
def test_every_text_of_a_reason_is_in_every_catalogue(language: str) -> None:
    tables = (TEXTS, _KINDS, _MINIMA)
    texts = {
        *texts_with_places(),
        *(text for table in tables for text in table.values()),
    }
    texts |= {TEXTS.get(text, text) for _, _, parts in calls_with_texts() for text in parts}
    with (FOLDER / f"{language}.po").open("rb") as catalogue:
        messages = [item for item in read_po(catalogue, locale=language) if not item.fuzzy]
    known = {
        text: str(translated)
        for item in messages
        for text, translated in (
            [(item.id, item.string)]
            if isinstance(item.id, str)
            else zip(item.id, item.string or (), strict=False)
        )
        if translated
    }
    # Texts that begin with a slash are addresses, which are not translated.
    texts = {text for text in texts if not text.startswith("/")}
    needed = {text for text in texts if re.search("[a-z]", PLACE.sub("", text))}

    assert sorted(needed - known.keys()) == []
    for text in needed:
        assert {*PLACE.findall(known[text])} == {*PLACE.findall(text)}, text


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


def test_a_reason_within_a_reason_is_stored() -> None:
    reason = Reason(
        "the feed is not well-formed: %(error)s",
        error=Reason("%(url)s: answered %(status)s", url=URL, status="500"),
    )

    assert Reason.from_json(json.loads(json.dumps(asdict(reason)))) == reason
    assert pickle.loads(pickle.dumps(NotFoundError(reason))).reason == reason
    assert ParseError("a.json: broken").reason == Reason("other", text="a.json: broken")
    assert Reason.from_json({"code": "unheard_of", "values": {}}).text == "unheard_of"


def test_an_error_of_the_journal_has_its_reason_in_the_language(tmp_path: Path) -> None:
    entry = Journal(tmp_path / "journal").append([], run="a.1", time=NEW_YEAR)
    entry.path.write_bytes(entry.path.read_bytes()[:-20])

    with pytest.raises(ChainError) as caught:
        entry.check()

    reason = error_reason(caught.value)
    assert "ends before its commit" in reason.code or "cannot be read to its end" in reason.code
    assert reason.text == str(caught.value)
    assert in_language("ru", reason).startswith(f"запись 1 журнала: {entry.path} ")


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_entry_for_a_mirror_is_refused_with_a_reason_of_the_same_text(tmp_path: Path) -> None:
    journal, url = Journal(tmp_path / "journal"), "https://origin.example/"
    write_origin(journal.folder, Origin(url, url, 1, "2026-01-01T00:00:00Z"))

    check_append(
        journal, "journal %(folder)s is a mirror of %(url)s, so run %(run)s is not written"
    )


def test_an_entry_that_cannot_be_written_has_a_reason_of_the_same_text(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    first = journal.append([], run="a.1", time=NEW_YEAR)
    (first.path.parent / first.path.name.replace("1", "2", 1)).with_suffix(".part").mkdir()

    check_append(journal, "journal %(folder)s: run %(run)s could not be written: %(error)s; ")


def check_append(journal: Journal, text: str) -> None:
    with pytest.raises(JournalError) as caught:
        journal.append([], run="a.2", time=NEW_YEAR)

    reason = error_reason(caught.value)
    assert reason.code.startswith(text)
    assert reason.text == str(caught.value)
