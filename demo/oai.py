"""Serve OAI-PMH 2.0: six verbs, stateless resumption tokens, sets, both granularities, all errors.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from demo.records import OAI_ID, RecordIndex, xml
from demo.scenario import Fault, format_time

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/'
    ' http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd">\n'
)
_FORMAT = (
    "<metadataFormat><metadataPrefix>oai_dc</metadataPrefix><schema>http://www.openarchives.org/OAI/2.0/oai_dc.xsd</schema>"
    "<metadataNamespace>http://www.openarchives.org/OAI/2.0/oai_dc/</metadataNamespace></metadataFormat>"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?\Z")
_FIRST_DAY = "2023-01-01T00:00:00Z"


Arguments: TypeAlias = Mapping[str, str]


class OaiError(Exception):
    """A request that the protocol answers with an error code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Window:
    start: str = ""
    until: str = ""
    group: str = ""
    cursor: int = 0

    def token(self, verb: str, version: int) -> str:
        return "~".join((verb, str(version), self.start, self.until, self.group, str(self.cursor)))


def answer(index: RecordIndex, pairs: Sequence[tuple[str, str]], url: str, page: int) -> bytes:
    """Return the response to a request with the arguments *pairs*, in their order, with at most
    *page* records.
    """
    arguments = dict(pairs)
    attributes = "".join(f' {name}="{xml(text)}"' for name, text in arguments.items())
    try:
        verb = arguments.pop("verb", "")
        if verb not in _VERBS or [name for name, _ in pairs].count("verb") > 1:
            raise OaiError("badVerb", f"verb is missing, repeated or none of {', '.join(_VERBS)}")
        if len(pairs) - 1 != len(arguments):
            raise OaiError("badArgument", "an argument is repeated")
        _check(verb, arguments)
        body = _VERBS[verb][2](index, arguments, verb=verb, url=url, page=page)
    except OaiError as error:
        if error.code in {"badVerb", "badArgument"}:
            attributes = ""  # section 3.6: they are omitted for these errors
        body = f'<error code="{error.code}">{xml(str(error))}</error>'.encode()
    head = f"{_HEAD}<responseDate>{format_time(int(index.state.now.timestamp()))}</responseDate><request{attributes}>{xml(url)}</request>\n"
    return head.encode() + body + b"\n</OAI-PMH>\n"


def _check(verb: str, arguments: Arguments) -> None:
    needed, allowed, _ = _VERBS[verb]
    for name in arguments.keys() - {*needed, *allowed}:
        raise OaiError("badArgument", f"{verb} takes no {name}")
    if "resumptionToken" in arguments:
        if len(arguments) > 1:
            raise OaiError("badArgument", "resumptionToken is an exclusive argument")
        return
    for name in needed:
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


def _identify(index: RecordIndex, arguments: Arguments, *, url: str, **_: object) -> bytes:
    return (
        f"<Identify><repositoryName>Demo registry of initiatives</repositoryName><baseURL>{xml(url)}</baseURL>"
        "<protocolVersion>2.0</protocolVersion><adminEmail>office@demo.example.org</adminEmail>"
        f"<earliestDatestamp>{_FIRST_DAY}</earliestDatestamp><deletedRecord>persistent</deletedRecord>"
        "<granularity>YYYY-MM-DDThh:mm:ssZ</granularity></Identify>"
    ).encode()


def _formats(index: RecordIndex, arguments: Arguments, **_: object) -> bytes:
    if "identifier" in arguments:
        _position(index, arguments["identifier"])
    return f"<ListMetadataFormats>{_FORMAT}</ListMetadataFormats>".encode()


def _sets(index: RecordIndex, arguments: Arguments, **_: object) -> bytes:
    if "resumptionToken" in arguments:
        raise OaiError("badResumptionToken", "the sets come in one answer")
    specs = {spec for group in index.sets for spec in group}
    specs |= {spec.rpartition(":")[0] for spec in specs}
    entries = "".join(
        f"<set><setSpec>{name}</setSpec><setName>{name}</setName></set>" for name in sorted(specs)
    )
    return f"<ListSets>{entries}</ListSets>".encode()


def _record(index: RecordIndex, arguments: Arguments, **_: object) -> bytes:
    position = _position(index, arguments["identifier"])
    return b"<GetRecord>" + index.read(position) + b"</GetRecord>"


def _window(index: RecordIndex, verb: str, arguments: Arguments) -> _Window:
    if "resumptionToken" not in arguments:
        return _Window(
            arguments.get("from", ""), arguments.get("until", ""), arguments.get("set", "")
        )
    parts = arguments["resumptionToken"].split("~")
    if len(parts) != 6 or parts[:2] != [verb, str(index.state.version)] or not parts[5].isdecimal():
        raise OaiError("badResumptionToken", "the token is unknown or has expired")
    return _Window(parts[2], parts[3], parts[4], int(parts[5]))


def _second(text: str, name: str) -> int:
    """Parse a date of either granularity; a day as *until* includes its last second."""
    try:
        if not _DATE.match(text):
            raise ValueError(text)
        time = datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=UTC)
    except ValueError as error:
        raise OaiError(
            "badArgument", f"{name} is not a date: write YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ"
        ) from error
    return int(
        (time + timedelta(seconds=86399 if name == "until" and len(text) == 10 else 0)).timestamp()
    )


def _select(index: RecordIndex, window: _Window) -> Sequence[int]:
    bounds = (("start", window.start), ("until", window.until))
    terms = {name: _second(text, name) for name, text in bounds if text}
    if window.start and window.until:
        if len(window.start) != len(window.until):
            raise OaiError("badArgument", "from and until differ in granularity")
        if terms["start"] > terms["until"]:
            raise OaiError("badArgument", "from is later than until")
    return index.select(**terms, set_spec=window.group)


def _list(index: RecordIndex, arguments: Arguments, *, verb: str, page: int, **_: object) -> bytes:
    """Return a page of a list, with a resumption token: none if the list has one page, an empty one
    at the end of a longer list.
    """
    faults, window = index.state.faults, _window(index, verb, arguments)
    selected = _select(index, window)
    if not selected:
        raise OaiError("noRecordsMatch", "nothing matches")
    total, is_endless = len(selected), Fault.ENDLESS in faults
    if window.cursor >= total and not is_endless:
        raise OaiError("badResumptionToken", "the token points behind the end")
    records = [index.read(position) for position in index.slice(selected, window.cursor, page)]
    body = b"".join(records if verb == "ListRecords" else map(_header, records))
    if total > page or is_endless:
        after = page + (0 if Fault.TOKEN in faults else window.cursor)
        token = replace(window, cursor=after).token(verb, index.state.version)
        text = xml(token) if after < total or is_endless else ""
        size = index.total(selected, window.cursor)
        body += f'<resumptionToken completeListSize="{size}" cursor="{window.cursor}">{text}</resumptionToken>'.encode()
    return f"<{verb}>".encode() + body + f"</{verb}>".encode()


def _header(record: bytes) -> bytes:
    return record[record.index(b"<header") : record.index(b"</header>") + 9]


_LIST = (("metadataPrefix",), ("from", "until", "set", "resumptionToken"), _list)
# The required arguments of each verb, the optional ones, and its handler.
_VERBS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], Callable[..., bytes]]] = {
    "Identify": ((), (), _identify),
    "ListMetadataFormats": ((), ("identifier",), _formats),
    "ListSets": ((), ("resumptionToken",), _sets),
    "GetRecord": (("identifier", "metadataPrefix"), (), _record),
    "ListRecords": _LIST,
    "ListIdentifiers": _LIST,
}
