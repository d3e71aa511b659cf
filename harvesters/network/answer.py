"""Answers: what a reply's body is, read as XML, JSON or text, or refused with a message that says what came instead."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

import orjson
from lxml import etree
from lxml.etree import _Element

from harvesters.errors import CharsetError, ParseError, WebPageError
from harvesters.network.fetch import Reply
from harvesters.network.markup import is_page, told

_PROLOGUE = re.compile(rb"(?>\s++|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:\-]+)", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


def xml(reply: Reply) -> _Element:
    """Parse the body as XML, without comments and processing instructions; nothing is recovered from broken XML.

    A DOCTYPE is refused before anything is expanded: no registry's protocol needs one, and entities are how XML attacks.
    """
    content = refuse_html(reply, "XML").removeprefix(codecs.BOM_UTF8)
    refuse_doctype(reply)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise ParseError(f"{reply.url}: not well-formed XML: {getattr(error, 'msg', error)}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise ParseError(f"{reply.url}: its XML has a DOCTYPE, which is refused: it can hide entities")
    return root


def refuse_doctype(reply: Reply) -> None:
    """Refuse XML with a DOCTYPE before anything of it is read; raises ParseError."""
    if _PROLOGUE.match(reply.content.removeprefix(codecs.BOM_UTF8)):
        raise ParseError(f"{reply.url}: its XML has a DOCTYPE, which is refused: it can hide entities")


class NotJson:
    """Stands for NaN or Infinity, which are no JSON, so that only the record that holds it is unreadable."""

    def __init__(self, word: str) -> None:
        self.word = word


def load_json(reply: Reply, charset: str = "utf-8") -> Any:
    """Parse the body as JSON; a byte order mark is passed over.

    What JSON forbids but many programs write (NaN, half of a surrogate pair) comes through, to be found by ``dump_json``
    in the one record that holds it.
    """
    content = refuse_html(reply, "JSON")
    if charset == "utf-8":
        try:
            return orjson.loads(content.removeprefix(codecs.BOM_UTF8))
        except orjson.JSONDecodeError:
            pass  # the slower reader takes more, and tells more
    try:
        return json.loads(decode(reply, charset), parse_constant=NotJson)
    except json.JSONDecodeError as error:
        raise ParseError(f"{reply.url}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}{_sent(reply)}") from error
    except (ValueError, RecursionError) as error:
        raise ParseError(f"{reply.url}: not JSON that can be read: {error}") from error


def dump_json(value: Any) -> bytes:
    """Write *value* canonically, with sorted keys; raises ValueError where it holds what is no JSON."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        pass
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, default=_refuse).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"half of a surrogate pair at character {error.start}") from error
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _refuse(value: object) -> None:
    raise ValueError(f"{value.word}, which is no JSON" if isinstance(value, NotJson) else f"a {type(value).__name__}, which is no JSON")


def decode(reply: Reply, charset: str | None = None) -> str:
    """Decode the body: by its byte order mark, else by *charset*; None tries UTF-8, then the charset of the reply's header.

    Raises CharsetError at bytes that are not in that charset: none is guessed.
    """
    content = reply.content
    marked = next((name for mark, name in _BOMS if content.startswith(mark)), None)
    names = [marked] if marked else [charset] if charset else ["utf-8", *_declared(reply)]
    faults: list[str] = []
    for name in names:
        try:
            return content.decode(name).removeprefix("\ufeff")
        except LookupError:
            faults.append(f"there is no charset {name!r}")
        except UnicodeDecodeError as error:
            faults.append(f"not {name} at byte {error.start} ({content[error.start : error.start + 1].hex()})")
    raise CharsetError(f"{reply.url}: its text is {' and '.join(faults)}; name its charset in the card's options")


def _declared(reply: Reply) -> list[str]:
    found = _CHARSET.search(reply.headers.get("content-type", ""))
    return [found.group(1).lower()] if found and found.group(1).lower() not in {"utf-8", "utf8"} else []


def refuse_html(reply: Reply, wanted: str) -> bytes:
    """Give the body; raises ParseError where it is empty, or a web page where *wanted* was expected."""
    if not reply.content.strip():
        raise ParseError(f"{reply.url}: answered with nothing where {wanted} was expected")
    if is_page(reply.content):
        raise WebPageError(f"{reply.url}: answered with {told(reply.content)} where {wanted} was expected; open it in a browser")
    return reply.content


def _sent(reply: Reply) -> str:
    return f"; it was sent as {reply.media_type}" if reply.media_type not in {"", "application/json"} else ""
