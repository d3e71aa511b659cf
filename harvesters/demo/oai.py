"""OAI-PMH 2.0, the repository's side: six verbs, stateless resumption tokens, sets, both granularities, all errors.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from harvesters.demo.book import Book
from harvesters.demo.fate import Fault, stamp
from harvesters.demo.forms import OAI_ID, xml

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/'
    ' http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd">\n'
)
_FORMAT = (
    "<metadataFormat><metadataPrefix>oai_dc</metadataPrefix><schema>http://www.openarchives.org/OAI/2.0/oai_dc.xsd</schema>"
    "<metadataNamespace>http://www.openarchives.org/OAI/2.0/oai_dc/</metadataNamespace></metadataFormat>"
)
_LIST = frozenset({"from", "until", "set", "resumptionToken", "metadataPrefix"})
_TAKES = {  # verb: what it may be given
    "Identify": frozenset[str](), "ListMetadataFormats": frozenset({"identifier"}), "ListSets": frozenset({"resumptionToken"}),
    "GetRecord": frozenset({"identifier", "metadataPrefix"}), "ListRecords": _LIST, "ListIdentifiers": _LIST,
}  # fmt: skip
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?\Z")
_FIRST_DAY = "2023-01-01T00:00:00Z"


class Refused(Exception):
    """A request that the protocol answers with an error code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Window:
    """What a resumption token says: the list's terms and how far it has come."""

    start: str = ""
    until: str = ""
    group: str = ""
    cursor: int = 0

    def token(self, verb: str, version: int) -> str:
        return "~".join((verb, str(version), self.start, self.until, self.group, str(self.cursor)))


def answer(book: Book, pairs: Sequence[tuple[str, str]], url: str, page: int) -> bytes:
    """Answer a request, given as its arguments in order, with a page of at most *page* records."""
    given = dict(pairs)
    attributes = "".join(f' {name}="{xml(text)}"' for name, text in given.items())
    try:
        body = _verb(book, pairs, url, page)
    except Refused as refused:
        if refused.code in {"badVerb", "badArgument"}:
            attributes = ""  # section 3.6: they must not be repeated
        body = f'<error code="{refused.code}">{xml(str(refused))}</error>'.encode()
    head = f"{_HEAD}<responseDate>{stamp(int(book.age.now.timestamp()))}</responseDate><request{attributes}>{xml(url)}</request>\n"
    return head.encode() + body + b"\n</OAI-PMH>\n"


def _verb(book: Book, pairs: Sequence[tuple[str, str]], url: str, page: int) -> bytes:
    given = dict(pairs)
    verb = given.pop("verb", "")
    if verb not in _TAKES or [name for name, _ in pairs].count("verb") > 1:
        raise Refused("badVerb", f"verb is missing, repeated or none of {', '.join(_TAKES)}")
    _check(verb, given, len(pairs) - 1)
    if verb in {"ListRecords", "ListIdentifiers"}:
        return _list(book, verb, given, page)
    if verb == "GetRecord":
        return b"<GetRecord>" + book.one(_place(book, given["identifier"])) + b"</GetRecord>"
    if verb == "ListMetadataFormats":
        if "identifier" in given:
            _place(book, given["identifier"])
        return f"<ListMetadataFormats>{_FORMAT}</ListMetadataFormats>".encode()
    return _sets(book, given) if verb == "ListSets" else _identify(book, url)


def _check(verb: str, given: dict[str, str], count: int) -> None:
    if count != len(given):
        raise Refused("badArgument", "an argument is repeated")
    for name in given:
        if name not in _TAKES[verb]:
            raise Refused("badArgument", f"{verb} takes no {name}")
    if "resumptionToken" in given:
        if len(given) > 1:
            raise Refused("badArgument", "resumptionToken is an exclusive argument")
        return
    needed = {"GetRecord": ("identifier", "metadataPrefix"), "ListRecords": ("metadataPrefix",), "ListIdentifiers": ("metadataPrefix",)}
    for name in needed.get(verb, ()):
        if not given.get(name):
            raise Refused("badArgument", f"{verb} needs {name}")
    if given.get("metadataPrefix", "oai_dc") != "oai_dc":
        raise Refused("cannotDisseminateFormat", f"no {given['metadataPrefix']} here; ask for oai_dc")


def _place(book: Book, identifier: str) -> int:
    place = book.places.get(identifier.removeprefix(OAI_ID)) if identifier.startswith(OAI_ID) else None
    if place is None:
        raise Refused("idDoesNotExist", f"{identifier} is not known here")
    return place


def _identify(book: Book, url: str) -> bytes:
    return (
        f"<Identify><repositoryName>Demo registry of initiatives</repositoryName><baseURL>{xml(url)}</baseURL>"
        "<protocolVersion>2.0</protocolVersion><adminEmail>office@demo.example.org</adminEmail>"
        f"<earliestDatestamp>{_FIRST_DAY}</earliestDatestamp><deletedRecord>persistent</deletedRecord>"
        "<granularity>YYYY-MM-DDThh:mm:ssZ</granularity></Identify>"
    ).encode()


def _sets(book: Book, given: dict[str, str]) -> bytes:
    if "resumptionToken" in given:
        raise Refused("badResumptionToken", "the sets come in one answer")
    specs = {spec for group in book.groups for spec in group}
    specs |= {spec.rpartition(":")[0] for spec in specs}
    return f"<ListSets>{''.join(f'<set><setSpec>{it}</setSpec><setName>{it}</setName></set>' for it in sorted(specs))}</ListSets>".encode()


def _window(book: Book, verb: str, given: dict[str, str]) -> _Window:
    if "resumptionToken" not in given:
        return _Window(given.get("from", ""), given.get("until", ""), given.get("set", ""))
    parts = given["resumptionToken"].split("~")
    if len(parts) != 6 or parts[:2] != [verb, str(book.age.version)] or not parts[5].isdecimal():
        raise Refused("badResumptionToken", "the token is none of ours or has expired")
    return _Window(parts[2], parts[3], parts[4], int(parts[5]))


def _second(text: str, name: str) -> int:
    """Read a date of either granularity; a day *until* lasts to its last second."""
    try:
        if not _DATE.match(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=UTC)
    except ValueError as error:
        raise Refused("badArgument", f"{name} is no date: write YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ") from error
    return int((moment + timedelta(seconds=86399 if name == "until" and len(text) == 10 else 0)).timestamp())


def _select(book: Book, window: _Window) -> Sequence[int]:
    terms = {name: _second(text, name) for name, text in (("start", window.start), ("until", window.until)) if text}
    if window.start and window.until:
        if len(window.start) != len(window.until):
            raise Refused("badArgument", "from and until differ in granularity")
        if terms["start"] > terms["until"]:
            raise Refused("badArgument", "from is later than until")
    return [] if Fault.EMPTY in book.age.faults else book.select(**terms, group=window.group)


def _list(book: Book, verb: str, given: dict[str, str], page: int) -> bytes:
    window = _window(book, verb, given)
    chosen = _select(book, window)
    if not chosen:
        raise Refused("noRecordsMatch", "nothing matches")
    endless = Fault.ENDLESS in book.age.faults
    if window.cursor >= len(chosen) and not endless:
        raise Refused("badResumptionToken", "the token points behind the end")
    first = 0 if Fault.REPEAT in book.age.faults else window.cursor
    back = int(Fault.TWICE in book.age.faults and first > 0)
    places = chosen[first - back : first + page]
    body = book.all(places) if verb == "ListRecords" else b"".join(_header(book.one(place)) for place in places)
    return f"<{verb}>".encode() + body + _token(book, verb, window, len(chosen), page, endless) + f"</{verb}>".encode()


def _header(record: bytes) -> bytes:
    return record[record.index(b"<header") : record.index(b"</header>") + 9]


def _token(book: Book, verb: str, window: _Window, total: int, page: int, endless: bool) -> bytes:
    """Write the resumption token: none where one page holds all, an empty one at the end of a list."""
    after = page if Fault.TOKEN in book.age.faults else window.cursor + page
    if total <= page and not endless:
        return b""
    text = xml(replace(window, cursor=after).token(verb, book.age.version)) if after < total or endless else ""
    if Fault.SHRINK in book.age.faults and window.cursor:
        total -= total // 10
    return f'<resumptionToken completeListSize="{total}" cursor="{window.cursor}">{text}</resumptionToken>'.encode()
