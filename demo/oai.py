"""Serve OAI-PMH 2.0: six verbs, stateless resumption tokens, sets, both granularities, all errors.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from demo.record_index import RecordIndex
from demo.scenario import Fault, format_time
from demo.serializers import OAI_ID, xml

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
_ARGUMENTS = {  # arguments by verb
    "Identify": frozenset[str](), "ListMetadataFormats": frozenset({"identifier"}), "ListSets": frozenset({"resumptionToken"}),
    "GetRecord": frozenset({"identifier", "metadataPrefix"}), "ListRecords": _LIST, "ListIdentifiers": _LIST,
}  # fmt: skip
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?\Z")
_FIRST_DAY = "2023-01-01T00:00:00Z"


class OaiError(Exception):
    """A request that the protocol answers with an error code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Window:
    """The contents of a resumption token: the list's arguments and the position in it."""

    start: str = ""
    until: str = ""
    group: str = ""
    cursor: int = 0

    def token(self, verb: str, version: int) -> str:
        return "~".join((verb, str(version), self.start, self.until, self.group, str(self.cursor)))


def answer(index: RecordIndex, pairs: Sequence[tuple[str, str]], url: str, page: int) -> bytes:
    """Return the response to a request, given as its arguments in order, with at most *page*
    records.
    """
    arguments = dict(pairs)
    attributes = "".join(f' {name}="{xml(text)}"' for name, text in arguments.items())
    try:
        body = _verb(index, pairs, url, page)
    except OaiError as error:
        if error.code in {"badVerb", "badArgument"}:
            attributes = ""  # section 3.6: omitted for these errors
        body = f'<error code="{error.code}">{xml(str(error))}</error>'.encode()
    head = f"{_HEAD}<responseDate>{format_time(int(index.state.now.timestamp()))}</responseDate><request{attributes}>{xml(url)}</request>\n"
    return head.encode() + body + b"\n</OAI-PMH>\n"


def _verb(index: RecordIndex, pairs: Sequence[tuple[str, str]], url: str, page: int) -> bytes:
    arguments = dict(pairs)
    verb = arguments.pop("verb", "")
    if verb not in _ARGUMENTS or [name for name, _ in pairs].count("verb") > 1:
        raise OaiError("badVerb", f"verb is missing, repeated or none of {', '.join(_ARGUMENTS)}")
    _check(verb, arguments, len(pairs) - 1)
    if verb in {"ListRecords", "ListIdentifiers"}:
        return _list(index, verb, arguments, page)
    if verb == "GetRecord":
        return (
            b"<GetRecord>" + index.read(_position(index, arguments["identifier"])) + b"</GetRecord>"
        )
    if verb == "ListMetadataFormats":
        if "identifier" in arguments:
            _position(index, arguments["identifier"])
        return f"<ListMetadataFormats>{_FORMAT}</ListMetadataFormats>".encode()
    return _sets(index, arguments) if verb == "ListSets" else _identify(index, url)


def _check(verb: str, arguments: dict[str, str], count: int) -> None:
    if count != len(arguments):
        raise OaiError("badArgument", "an argument is repeated")
    for name in arguments:
        if name not in _ARGUMENTS[verb]:
            raise OaiError("badArgument", f"{verb} takes no {name}")
    if "resumptionToken" in arguments:
        if len(arguments) > 1:
            raise OaiError("badArgument", "resumptionToken is an exclusive argument")
        return
    needed = {
        "GetRecord": ("identifier", "metadataPrefix"),
        "ListRecords": ("metadataPrefix",),
        "ListIdentifiers": ("metadataPrefix",),
    }
    for name in needed.get(verb, ()):
        if not arguments.get(name):
            raise OaiError("badArgument", f"{verb} needs {name}")
    if arguments.get("metadataPrefix", "oai_dc") != "oai_dc":
        raise OaiError(
            "cannotDisseminateFormat", f"no {arguments['metadataPrefix']} here; ask for oai_dc"
        )


def _position(index: RecordIndex, identifier: str) -> int:
    position = (
        index.positions.get(identifier.removeprefix(OAI_ID))
        if identifier.startswith(OAI_ID)
        else None
    )
    if position is None:
        raise OaiError("idDoesNotExist", f"{identifier} is not known here")
    return position


def _identify(index: RecordIndex, url: str) -> bytes:
    return (
        f"<Identify><repositoryName>Demo registry of initiatives</repositoryName><baseURL>{xml(url)}</baseURL>"
        "<protocolVersion>2.0</protocolVersion><adminEmail>office@demo.example.org</adminEmail>"
        f"<earliestDatestamp>{_FIRST_DAY}</earliestDatestamp><deletedRecord>persistent</deletedRecord>"
        "<granularity>YYYY-MM-DDThh:mm:ssZ</granularity></Identify>"
    ).encode()


def _sets(index: RecordIndex, arguments: dict[str, str]) -> bytes:
    if "resumptionToken" in arguments:
        raise OaiError("badResumptionToken", "the sets come in one answer")
    specs = {spec for group in index.sets for spec in group}
    specs |= {spec.rpartition(":")[0] for spec in specs}
    entries = "".join(
        f"<set><setSpec>{name}</setSpec><setName>{name}</setName></set>" for name in sorted(specs)
    )
    return f"<ListSets>{entries}</ListSets>".encode()


def _window(index: RecordIndex, verb: str, arguments: dict[str, str]) -> _Window:
    if "resumptionToken" not in arguments:
        return _Window(
            arguments.get("from", ""), arguments.get("until", ""), arguments.get("set", "")
        )
    parts = arguments["resumptionToken"].split("~")
    if len(parts) != 6 or parts[:2] != [verb, str(index.state.version)] or not parts[5].isdecimal():
        raise OaiError("badResumptionToken", "the token is none of ours or has expired")
    return _Window(parts[2], parts[3], parts[4], int(parts[5]))


def _second(text: str, name: str) -> int:
    """Parse a date of either granularity; a day as *until* includes its last second."""
    try:
        if not _DATE.match(text):
            raise ValueError(text)
        time = datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=UTC)
    except ValueError as error:
        raise OaiError(
            "badArgument", f"{name} is no date: write YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ"
        ) from error
    return int(
        (time + timedelta(seconds=86399 if name == "until" and len(text) == 10 else 0)).timestamp()
    )


def _select(index: RecordIndex, window: _Window) -> Sequence[int]:
    terms = {
        name: _second(text, name)
        for name, text in (("start", window.start), ("until", window.until))
        if text
    }
    if window.start and window.until:
        if len(window.start) != len(window.until):
            raise OaiError("badArgument", "from and until differ in granularity")
        if terms["start"] > terms["until"]:
            raise OaiError("badArgument", "from is later than until")
    return [] if Fault.EMPTY in index.state.faults else index.select(**terms, set_spec=window.group)


def _list(index: RecordIndex, verb: str, arguments: dict[str, str], page: int) -> bytes:
    window = _window(index, verb, arguments)
    selected = _select(index, window)
    if not selected:
        raise OaiError("noRecordsMatch", "nothing matches")
    endless = Fault.ENDLESS in index.state.faults
    if window.cursor >= len(selected) and not endless:
        raise OaiError("badResumptionToken", "the token points behind the end")
    first = 0 if Fault.REPEAT in index.state.faults else window.cursor
    overlap = int(Fault.TWICE in index.state.faults and first > 0)
    positions = selected[first - overlap : first + page]
    body = (
        index.read_many(positions)
        if verb == "ListRecords"
        else b"".join(_header(index.read(position)) for position in positions)
    )
    return (
        f"<{verb}>".encode()
        + body
        + _token(index, verb, window, len(selected), page, endless)
        + f"</{verb}>".encode()
    )


def _header(record: bytes) -> bytes:
    return record[record.index(b"<header") : record.index(b"</header>") + 9]


def _token(
    index: RecordIndex, verb: str, window: _Window, total: int, page: int, endless: bool
) -> bytes:
    """Return the resumption token: none if one page holds all, an empty one at the end of a list."""
    after = page if Fault.TOKEN in index.state.faults else window.cursor + page
    if total <= page and not endless:
        return b""
    text = (
        xml(replace(window, cursor=after).token(verb, index.state.version))
        if after < total or endless
        else ""
    )
    if Fault.SHRINK in index.state.faults and window.cursor:
        total -= total // 10
    return f'<resumptionToken completeListSize="{total}" cursor="{window.cursor}">{text}</resumptionToken>'.encode()
