"""Parse a response's body as XML, JSON or text; errors describe what was received instead."""

from __future__ import annotations

import codecs
import json
import re
from contextlib import suppress
from functools import lru_cache
from typing import Any

import orjson
from lxml import etree
from lxml.etree import _Element

from harvesters.errors import CharsetError, ParseError, WebPageError
from harvesters.network.reply import Reply
from harvesters.network.response_check import empty_reason, is_html, web_page_reason
from harvesters.parsing import parser_errors
from harvesters.reasons import Reason

# Python's own notations of text. No server sends them, and two of them take quadratic time.
_NOTATIONS = frozenset(("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"))


@lru_cache(maxsize=256)
def is_charset(name: str) -> bool:
    """Return whether *name* is a charset that Python can decode, and not one of its compressions and
    notations.

    >>> is_charset("utf-8"), is_charset("windows-1252"), is_charset("zlib"), is_charset("punycode"), is_charset("none such")
    (True, True, False, False, False)
    """
    try:
        bytes(4).decode(name)  # Four bytes are one character of UTF-32 too.
        return codecs.lookup(name).name.replace("_", "-") not in _NOTATIONS
    # The name is unknown, is not a text encoding, or has a null character.
    except (LookupError, ValueError):
        return False


_PROLOGUE = re.compile(rb"(?>\s++|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL | re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:\-]+)", re.IGNORECASE)
# Integers that may need more than 64 bits: orjson would round them.
_LARGE_NUMBER = re.compile(rb"[:\[,\s](?:-\d{19}|\d{20})")
_DIGITS = 4000  # Digits of an integer: Python reads and writes no more than 4300.
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


def parse_xml(reply: Reply) -> _Element:
    """Parse the body as XML, without comments and processing instructions; broken XML is not
    repaired.

    A DOCTYPE is refused before anything is expanded: no registry's protocol needs one, and XML
    attacks use entities.
    """
    content = refuse_html(reply, "XML").removeprefix(codecs.BOM_UTF8)
    refuse_doctype(reply)
    subject = Reason("%(url)s: not well-formed XML", url=reply.url)
    return parse_xml_bytes(content, reply.url, subject)


def parse_xml_bytes(content: bytes, url: str, subject: Reason) -> _Element:
    """Parse XML without comments and processing instructions. Raise ParseError if it has a DOCTYPE,
    or, beginning with *subject*, if it is not well-formed.
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    with parser_errors(subject):
        root = etree.fromstring(content, parser, base_url=url)
    if _has_doctype(root):
        raise doctype_error(url)
    return root


def refuse_doctype(reply: Reply, root: _Element | None = None) -> None:
    """Raise ParseError if the body is XML with a DOCTYPE: before it is parsed, or at its *root*,
    since a body in another charset shows none before.
    """
    is_declared = root is not None and _has_doctype(root)
    if is_declared or _PROLOGUE.match(reply.content.removeprefix(codecs.BOM_UTF8)):
        raise doctype_error(reply.url)


def _has_doctype(root: _Element) -> bool:
    return root.getroottree().docinfo.internalDTD is not None


def doctype_error(url: str) -> ParseError:
    return ParseError(
        "%(url)s: its XML has a DOCTYPE, which is refused: it can hide entities", url=url
    )


class InvalidJson:
    """NaN, Infinity or an overlong number, which are not JSON; only the record that contains it is
    invalid.
    """

    def __init__(self, word: str) -> None:
        self.description = word


def load_json(reply: Reply, charset: str = "utf-8") -> Any:
    """Parse the body as JSON; a byte order mark is ignored.

    What JSON forbids but many programs write (NaN, half of a surrogate pair) is accepted here, and
    rejected by ``dump_json`` in the one record that contains it. Integers of any size keep their
    digits.
    """
    content = refuse_html(reply, "JSON")
    with parser_errors(
        Reason("%(url)s: cannot be read as %(format)s", url=reply.url, format="JSON")
    ):
        if charset == "utf-8" and not _LARGE_NUMBER.search(content):
            # After an error the slower parser reads it: it accepts more, and its errors say more.
            with suppress(orjson.JSONDecodeError):
                return orjson.loads(content.removeprefix(codecs.BOM_UTF8))
        try:
            return json.loads(
                decode_text(reply, charset), parse_constant=InvalidJson, parse_int=_integer
            )
        except json.JSONDecodeError as error:
            is_json = reply.media_type in {"", "application/json"}
            raise ParseError(
                "%(url)s: not JSON: %(error)s at line %(line)s, column %(column)s"
                if is_json
                else "%(url)s: not JSON: %(error)s at line %(line)s, column %(column)s; it was sent as %(type)s",
                url=reply.url,
                error=error.msg,
                line=error.lineno,
                column=error.colno,
                type=reply.media_type,
            ) from error


def _integer(digits: str) -> int | InvalidJson:
    return (
        int(digits) if len(digits) <= _DIGITS else InvalidJson(f"a number of {len(digits)} digits")
    )


def dump_json(value: Any) -> bytes:
    """Return *value* as canonical JSON with sorted keys. Raise ValueError if it is not valid JSON,
    or nested more than 254 deep.
    """
    try:
        # The bytes are copied, since orjson's own keep a buffer of up to four times their length.
        return bytes(memoryview(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)))
    except TypeError as error:
        if "recursion" in str(error).lower():
            raise ValueError("values nested more than 254 deep") from error
    try:
        return json.dumps(
            value, sort_keys=True, ensure_ascii=False, allow_nan=False, default=_refuse
        ).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"half of a surrogate pair at character {error.start}") from error
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def load_dumped(content: bytes) -> Any:
    """Return the value that ``dump_json`` wrote; integers of any size keep their digits. Raises
    ParseError for other bytes.
    """
    with parser_errors("JSON"):
        return json.loads(content) if _LARGE_NUMBER.search(content) else orjson.loads(content)


def _refuse(value: object) -> None:
    raise ValueError(
        f"{value.description}, which is not JSON"
        if isinstance(value, InvalidJson)
        else f"a {type(value).__name__}, which is not JSON"
    )


def decode_text(reply: Reply, charset: str | None = None) -> str:
    """Decode the body by its byte order mark, else by *charset*; None tries UTF-8, then the charset
    of the Content-Type header.

    Raises CharsetError at bytes that are invalid in that charset; no charset is guessed.
    """
    content, named = reply.content, marked_charset(reply) or charset
    names = [named] if named else ["utf-8", declared_charset(reply) or "utf-8"]
    faults: list[str] = []
    for name in dict.fromkeys(names):
        if not is_charset(name):
            faults.append(f"in {name!r}, which is not a charset")
            continue
        try:
            return content.decode(name).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            faults.append(
                f"not {name} at byte {error.start} ({content[error.start : error.start + 1].hex()})"
            )
        except UnicodeError as error:
            faults.append(f"not {name} ({error})")
    raise CharsetError(
        "%(url)s: its text is %(faults)s; name its charset in the options of the source definition",
        url=reply.url,
        faults=" and ".join(faults),
    )


def declared_charset(reply: Reply) -> str | None:
    """Return the charset of the Content-Type header, in lower case; None if there is none."""
    match = _CHARSET.search(reply.headers.get("content-type", ""))
    return match.group(1).lower() if match else None


def marked_charset(reply: Reply) -> str | None:
    """Return the charset of the byte order mark; None if there is none."""
    return next((name for mark, name in _BOMS if reply.content.startswith(mark)), None)


def refuse_html(reply: Reply, expected: str) -> bytes:
    """Return the body. Raise ParseError if it is empty, WebPageError if it is a web page and not
    what was *expected*.
    """
    if not reply.content.strip():
        raise ParseError(empty_reason(reply.url, expected))
    if is_html(reply.content):
        raise WebPageError(web_page_reason(reply.url, reply.content, expected))
    return reply.content
