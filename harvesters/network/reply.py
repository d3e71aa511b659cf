"""A response of a registry: read its body in bounded memory and time, raise the error that its status
and content mean, or parse it as XML, JSON or text. Errors describe what was received instead.
"""

from __future__ import annotations

import codecs
import gzip
import html
import io
import json
import re
import tomllib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from lxml import etree
from lxml.etree import _Element

from harvesters.errors import (
    ArchiveError,
    BotProtectionError,
    CharsetError,
    FetchError,
    ForbiddenError,
    LimitedError,
    NotFoundError,
    ParseError,
    TooLargeError,
    TransferError,
    UnavailableError,
    UnexpectedStatusError,
    WebPageError,
    parser_errors,
)
from harvesters.page_model import SourcePosition
from harvesters.reasons import Reason
from web.outbound_client import Deadline

USER_AGENT_TOKEN = "Stocktake"  # Our product token, as in the User-agent lines of a robots.txt.
_REDIRECT_STATUSES = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: *content* is decoded, *at* is its position in the archive.

    If the body was downloaded into a file (*path*), *content* is its beginning, and *file_digest* a
    digest of the whole. A reply ``without_content`` has the digest too.
    """

    url: str
    status: int
    headers: httpx.Headers
    content: bytes
    at: SourcePosition | None = None
    path: Path | None = None
    file_digest: str = ""

    @property
    def not_modified(self) -> bool:
        """Return whether nothing has changed (304): as the registry reports, or by the digest of
        the body.
        """
        return self.status == 304

    @property
    def digest(self) -> str:
        return self.file_digest or blake2b(self.content, digest_size=8).hexdigest()

    def without_content(self) -> Reply:
        """Return the response with the digest of its body in place of the body, so that a body that
        was parsed takes no memory.
        """
        return replace(self, content=b"", file_digest=self.digest)

    @property
    def media_type(self) -> str:
        """Return the media type in lower case without parameters, empty if none was sent."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()


def merge_responses(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Add up responses: their ``count``, decoded ``bytes`` and ``milliseconds``; the ``slowest`` is
    the larger one.

    >>> merge_responses({}, {"count": 1, "bytes": 9, "milliseconds": 30, "slowest": 30})["slowest"]
    30
    """
    sums = {
        name: one.get(name, 0) + other.get(name, 0) for name in ("count", "bytes", "milliseconds")
    }
    return {**sums, "slowest": max(one.get("slowest", 0), other.get("slowest", 0))}


def is_redirect(reply: Reply) -> bool:
    return reply.status in _REDIRECT_STATUSES and "location" in reply.headers


# Nothing is tried twice (++, ?>): a body of blanks or comments must not cost more than its length.
_HTML = re.compile(
    rb"\s*+(?:<\?xml[^>]*+>\s*+)?+(?>(?><!--.*?-->)\s*+)*+<(?:!doctype\s+html|html|head|body|title|meta|div|p)\b",
    re.IGNORECASE | re.DOTALL,
)
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{0,400})", re.IGNORECASE)
_HEAD_BYTES = 4096  # Bytes that show whether a body is an HTML page.
_TITLE_BYTES = 64 * 1024  # Bytes of a page that are searched for its title.


def is_html(content: bytes) -> bool:
    """Return whether *content* is an HTML page.

    >>> is_html(b"<!DOCTYPE html><title>Maintenance</title>"), is_html(b"<OAI-PMH>")
    (True, False)
    """
    return bool(_HTML.match(content[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8)))


def page_title(content: bytes) -> str:
    """Return a page's title on one line, empty if it has none.

    >>> page_title(b"<html><head><title> We are\\nback &amp; soon </title>")
    'We are back & soon'
    """
    match = _TITLE.search(content[:_TITLE_BYTES])
    return (
        " ".join(html.unescape(match.group(1).decode("utf-8", "replace")).split())[:120]
        if match
        else ""
    )


def web_page_reason(url: str, content: bytes, expected: str) -> Reason:
    """Return the reason why the page at *url* is not what was *expected*, such as "JSON" or "a
    table".
    """
    title = page_title(content)
    return Reason(
        '%(url)s: answered with an HTML page titled "%(title)s" where %(expected)s was '
        "expected; open it in a browser"
        if title
        else "%(url)s: answered with an HTML page where %(expected)s was expected; open it in a "
        "browser",
        url=url,
        title=title,
        expected=Reason(expected),  # The catalogues translate it, unless it is an abbreviation.
    )


def empty_reason(url: str, expected: str) -> Reason:
    """Return the reason why the empty body of *url* is not what was *expected*."""
    return Reason(
        "%(url)s: empty response; expected %(expected)s",
        url=url,
        expected=Reason(expected),
    )


_SCANNED_BYTES = 64 * 1024  # Bytes of a page that are searched for a vendor's marks.
_DENIED_STATUSES = frozenset((401, 403, 405, 406))
# A challenge may have any of these statuses.
_CHALLENGE_STATUSES = frozenset((200, 202, 429, 503, *_DENIED_STATUSES))


@cache
def _vendors() -> Mapping[str, Mapping[str, Any]]:
    table = files("harvesters.network").joinpath("bot_protection.toml")
    return tomllib.loads(table.read_text(encoding="utf-8"))


def detect_bot_protection(
    status: int, headers: Mapping[str, str], content: bytes
) -> tuple[str, str] | None:
    """Return the vendor whose bot protection sent this response, and the rule by which its owner
    allows us, "" if none is known; None if the registry itself sent it.
    """
    if status not in _CHALLENGE_STATUSES:
        return None
    is_denied, page = status in _DENIED_STATUSES, ""
    if is_denied or is_html(content):
        page = content[:_SCANNED_BYTES].decode("utf-8", "replace").lower()
    for name, vendor in _vendors().items():
        marks = [*vendor.get("challenge", ()), *(vendor.get("block", ()) if is_denied else ())]
        has_header = any(
            re.search(pattern, headers.get(header, ""), re.IGNORECASE)
            for header, pattern in vendor.get("headers", {}).items()
        )
        if has_header or any(mark in page for mark in marks):
            return name, vendor.get("rule", "")
    return None


def unblock_instructions(rule: str, address: str, agent: str) -> Reason:
    """Return what to send to the publisher: our identity, and the rules that allow us at *address*."""
    parts = urlsplit(address)
    host, path = parts.hostname or "", parts.path or "/"
    return Reason(
        "ask its publisher to allow %(page)s to the User-Agent %(token)s/; we are "
        '"%(agent)s". In its firewall: %(rule)s. In its robots.txt: "User-agent: %(token)s" '
        'and on the next line "Allow: %(path)s".'
        if rule
        else "ask its publisher to allow %(page)s to the User-Agent %(token)s/; we are "
        '"%(agent)s". In its robots.txt: "User-agent: %(token)s" and on the next line '
        '"Allow: %(path)s".',
        page=host + path,
        token=USER_AGENT_TOKEN,
        agent=agent,
        path=path,
        rule=rule.format(host=host, path=path, token=USER_AGENT_TOKEN),
    )


# Those from 520 on are Cloudflare's, for a registry that it does not reach.
_UNAVAILABLE_STATUSES = {
    500,
    502,
    503,
    504,
    520,
    521,
    522,
    523,
    524,
    525,
    526,
    527,
    530,
}
# The message in the JSON of an error. The JSON is searched and not parsed, since it is not trusted.
_MESSAGE = re.compile(
    r'"(?:message|detail|details|error|error_description|title|reason)"\s*:\s*"((?:[^"\\]|\\.)+)"'
)
_QUOTED_BYTES, _QUOTED = 4096, 200  # Bytes of a body that are searched, characters that are quoted.
# The name of the format that a request asks for, by a part of the media type.
_KINDS = {"json": "JSON", "xml": "XML", "csv": "a table"}


# The error and the remedy by status.
_URL_IS_WRONG = (
    "%(url)s: answered %(status)s; correct the source's url, or ask the registry where it is now"
)
_NOT_LET_IN = (
    "%(url)s: answered %(status)s; correct the source's url, or ask the registry for access"
)
_ERRORS: Mapping[int, tuple[type[FetchError], str]] = {
    401: (ForbiddenError, _NOT_LET_IN),
    403: (ForbiddenError, _NOT_LET_IN),
    404: (NotFoundError, _URL_IS_WRONG),
    410: (NotFoundError, _URL_IS_WRONG),
}


def check_response(reply: Reply, accept: str, agent: str) -> None:
    """Raise a FetchError unless the status is 200 or 304, for bot protection, and for a web page if
    *accept* asks for data.
    """
    if reply.status == 304:
        return
    if vendor := detect_bot_protection(reply.status, reply.headers, reply.content):
        raise BotProtectionError(
            "%(url)s: answered %(status)s by bot protection (%(vendor)s), so the registry was "
            "not reached; %(remedy)s",
            url=reply.url,
            status=str(reply.status),
            vendor=vendor[0],
            remedy=unblock_instructions(vendor[1], reply.url, agent),
        )
    if reply.status != 200:
        raise _status_error(reply)
    if accept != "*/*" and "html" not in accept and is_html(reply.content):
        expected = next((name for part, name in _KINDS.items() if part in accept), "data")
        raise WebPageError(web_page_reason(reply.url, reply.content, expected))


def retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Parse a Retry-After header, seconds or an HTTP date, into seconds; None if there is none.

    A date is relative to the response's Date header, since the registry's clock may be wrong, or
    else to *now*.

    Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after

    >>> retry_after("120", None, datetime(2026, 1, 1, tzinfo=UTC))
    120.0
    >>> retry_after("Thu, 01 Jan 2026 00:00:30 GMT", None, datetime(2026, 1, 1, tzinfo=UTC))
    30.0
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    when = _date(text)
    return None if when is None else max(0.0, (when - (_date(date or "") or now)).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


def _status_error(reply: Reply) -> FetchError:
    text = server_text(reply.content)
    status = f'{reply.status} ("{text}")' if text else str(reply.status)
    if reply.status != 429 and reply.status not in _UNAVAILABLE_STATUSES:
        kind, cause = _ERRORS.get(
            reply.status, (UnexpectedStatusError, "%(url)s: answered %(status)s")
        )
        return kind(Reason(cause, url=reply.url, status=status))
    headers = reply.headers
    after = retry_after(headers.get("retry-after"), headers.get("date"), datetime.now(UTC))
    reason = Reason(
        "%(url)s: answered %(status)s and asks to retry in %(seconds)s seconds"
        if after
        else "%(url)s: answered %(status)s",
        url=reply.url,
        status=status,
        seconds=round(after or 0),
    )
    return LimitedError(reason, after) if reply.status == 429 else UnavailableError(reason, after)


def server_text(content: bytes) -> str:
    """Return the text of an error's body, shortened: the message in its JSON, or else the body
    itself; "" for a web page.

    >>> server_text(b'{"status": 400, "error": {"message": "from + size is over 10000"}}')
    'from + size is over 10000'
    """
    if is_html(content):
        return ""
    text = content[:_QUOTED_BYTES].decode("utf-8", "replace")
    message = _MESSAGE.search(text)
    words = " ".join((message[1] if message else text).split())
    return "".join(filter(str.isprintable, words))[:_QUOTED]


def check_robots_response(reply: Reply) -> None:
    """Raise a FetchError for 429 and 5xx, when no requests are allowed; any other 4xx means that
    there is no robots.txt.

    Source: https://www.rfc-editor.org/rfc/rfc9309#section-2.3.1
    """
    if reply.status == 429 or reply.status >= 500:
        raise _status_error(reply)


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
_DECODED_BYTES = 1 << 20  # Bytes that are decoded at once.
_C1_CONTROL = re.compile("[\x80-\x9f]")
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


def load_json(reply: Reply) -> Any:
    """Parse the body as JSON; a byte order mark is ignored.

    What JSON forbids but many programs write (NaN, half of a surrogate pair) is accepted here, and
    rejected by ``dump_json`` in the one record that contains it. Integers of any size keep their
    digits.
    """
    content = refuse_html(reply, "JSON")
    with parser_errors(
        Reason("%(url)s: cannot be read as %(format)s", url=reply.url, format="JSON")
    ):
        if not _LARGE_NUMBER.search(content):
            # After an error the slower parser reads it: it accepts more, and its errors say more.
            with suppress(orjson.JSONDecodeError):
                return orjson.loads(content.removeprefix(codecs.BOM_UTF8))
        try:
            text = content.decode(text_charset(reply, "utf-8")).removeprefix("\ufeff")
            return json.loads(text, parse_constant=InvalidJson, parse_int=_integer)
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


def text_charset(reply: Reply, charset: str | None = None) -> str:
    """Return the charset of a body: that of its byte order mark, else *charset*; None tries UTF-8,
    then that of the Content-Type header. Raises CharsetError at bytes that are in none of these.
    """
    named = marked_charset(reply) or charset
    return fitting_charset(reply, (named,) if named else ("utf-8", declared_charset(reply)))


def fitting_charset(reply: Reply, names: Iterable[str | None]) -> str:
    """Return the first of *names* in which a body is; raises CharsetError if it is in none."""
    known, faults = [*filter(None, names)], list[str]()
    # A text that is called ISO-8859-1 is windows-1252 for all browsers: https://encoding.spec.whatwg.org/#names-and-labels
    if any(is_charset(name) and codecs.lookup(name).name == "iso8859-1" for name in known):
        known.append("cp1252")
    for name in dict.fromkeys(known):
        fault = _decoding_fault(reply, name)
        if fault is None:
            return name
        faults.append(fault)
    raise CharsetError(
        "%(url)s: its text is %(faults)s; name its charset in the options of the source definition",
        url=reply.url,
        faults=" and ".join(faults),
    )


def _decoding_fault(reply: Reply, name: str) -> str | None:
    """Return where a body is not in a charset; None if it is. A charset of one byte a character is
    also wrong if it leaves control characters of C1, which texts do not have.
    """
    if not is_charset(name):
        return f"in {name!r}, which is not a charset"
    is_single = not codecs.lookup(name).name.startswith("utf")
    with reply.path.open("rb") if reply.path else io.BytesIO(reply.content) as file:
        try:
            for text in codecs.iterdecode(iter(lambda: file.read(_DECODED_BYTES), b""), name):
                if is_single and (control := _C1_CONTROL.search(text)):
                    return (
                        f"not {name}, in which it has the control character U+{ord(control[0]):04X}"
                    )
        except UnicodeDecodeError as error:
            # The sequence may begin in the previous chunk.
            offset = file.tell() - len(error.object) + error.start
            return (
                f"not {name} at byte {offset} ({error.object[error.start : error.start + 1].hex()})"
            )
        except UnicodeError as error:
            return f"not {name} before byte {file.tell()} ({error})"
    return None


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


# ---- the bodies of responses

OFFERED = "gzip"  # Every server has it, and each further encoding is one more kind of bomb.
_OUTPUT_CHUNK = 64 * 1024  # Bytes that are decompressed at once.
_NO_ENCODING, _GZIP = ("", "identity"), (OFFERED, "x-gzip")


class _Parts(io.RawIOBase):
    """The parts of a body as a file."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts, self._left = iter(parts), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(filter(None, self._parts), b"")
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def decode_content(parts: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Decode a body by its Content-Encoding, in chunks of at most 64 KiB: gzip with any number of
    members, after which zeros are padding. Raise ValueError if it is invalid.
    """
    name = encoding.strip().lower()
    if name in _NO_ENCODING:
        yield from parts
        return
    if name not in _GZIP:
        raise ValueError(f"encoded as {name[:40]!r}, which was not requested")
    with gzip.GzipFile(fileobj=io.BufferedReader(_Parts(parts))) as file:
        try:
            while chunk := file.read1(_OUTPUT_CHUNK):
                yield chunk
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(str(error)) from error


START = 256 * 1024  # Bytes at the beginning of a file that show its format.
# An encoded body is refused once it decodes to more bytes than this, and to more than _RATIO times its
# size: it would else fill the disk up to the limit of a file. A gzip bomb grows 230 to 1,030 times.
_BOMB = 256 * 1024 * 1024
_RATIO = 200


def read_body(
    response: httpx.Response, size: int, deadline: Deadline, path: Path | None = None
) -> tuple[bytes, str]:
    """Read a body of at most *size* bytes, as received and decoded, into the file at *path* if there
    is one. Return the body, or the beginning of the file, and a hexadecimal digest of the whole; an
    incomplete body is never returned.

    Raises TooLargeError or TransferError, and ArchiveError if the disk is full.
    """
    digest = blake2b(digest_size=8)
    try:
        with path.open("w+b") if path else io.BytesIO() as file:
            for part in _decoded_parts(response, size, deadline):
                digest.update(part)
                file.write(part)
            file.seek(0)
            return file.read(START if path else -1), digest.hexdigest()
    except OSError as error:
        raise ArchiveError(
            "%(url)s: cannot be stored in %(folder)s: %(error)s; free space, then run again",
            url=str(response.url),
            folder=str(path and path.parent),
            error=error.strerror or "",
        ) from error


def _decoded_parts(response: httpx.Response, size: int, deadline: Deadline) -> Iterator[bytes]:
    """Yield the decoded body in parts. Raise TransferError if it is truncated, too slow, or does not
    match its encoding, TooLargeError over *size* bytes. The limits also apply to encoded data that
    decodes to nothing.
    """
    url, received, raw = str(response.url), 0, 0

    def raw_parts() -> Iterator[bytes]:
        nonlocal raw
        assert isinstance(response.stream, httpx.SyncByteStream)
        for part in response.stream:
            raw += len(part)
            _check(url, raw, size, deadline)
            yield part

    try:
        for part in decode_content(raw_parts(), response.headers.get("content-encoding", "")):
            received += len(part)
            _check(url, received, size, deadline)
            if received > max(_BOMB, _RATIO * raw):
                raise ValueError(f"it decodes to more than {_RATIO} times its size")
            yield part
    except ValueError as error:
        text = "%(url)s: its body is not in the encoding that it declares: %(error)s"
        raise TransferError(text, "undecodable", url=url, error=str(error)) from error
    except httpx.TimeoutException as error:
        text = "%(url)s: stalled after %(size)s bytes: %(error)s"
        why = str(error) or type(error).__name__
        raise TransferError(text, "stalled", url=url, size=received, error=why) from error
    except httpx.TransportError as error:
        text = "%(url)s: broke off after %(size)s bytes: %(error)s"
        fault = Reason(text, url=url, size=received, error=str(error))
        raise TransferError(fault, "truncated") from error


def _check(url: str, received: int, size: int, deadline: Deadline) -> None:
    if received > size:
        raise TooLargeError(
            "%(url)s: larger than %(limit)s bytes; request smaller pages in the options of the "
            "source definition",
            url=url,
            limit=size,
        )
    if deadline.is_over:
        raise TransferError("%(url)s: the response exceeded its time limit", "stalled", url=url)
