"""Serve OAI-PMH 2.0: six verbs, stateless resumption tokens, sets, both granularities, all errors.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
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
_FIRST_DAY = "2023-01-01T00:00:00Z"


Arguments: TypeAlias = Mapping[str, str]


class OaiError(Exception):
    """A request that the protocol answers with an error: its code, and a text."""


def _expect(is_met: object, code: str, text: str) -> None:
    if not is_met:
        raise OaiError(code, text)


def answer(index: RecordIndex, pairs: Sequence[tuple[str, str]], url: str, page: int) -> bytes:
    """Return the response to a request with the arguments *pairs*, in their order, with at most
    *page* records.
    """
    arguments = dict(pairs)
    attributes = "".join(f' {name}="{xml(text)}"' for name, text in arguments.items())
    try:
        body = _answer(index, arguments, pairs, url, page)
    except OaiError as error:
        code, text = error.args
        if code in {"badVerb", "badArgument"}:
            attributes = ""  # section 3.6: they are omitted for these errors
        body = f'<error code="{code}">{xml(text)}</error>'.encode()
    head = f"{_HEAD}<responseDate>{format_time(int(index.state.now.timestamp()))}</responseDate><request{attributes}>{xml(url)}</request>\n"
    return head.encode() + body + b"\n</OAI-PMH>\n"


def _answer(
    index: RecordIndex,
    arguments: dict[str, str],
    pairs: Sequence[tuple[str, str]],
    url: str,
    page: int,
) -> bytes:
    verb = arguments.pop("verb", "")
    is_one = [name for name, _ in pairs].count("verb") == 1 and verb in _VERBS
    _expect(is_one, "badVerb", f"verb is missing, repeated or none of {', '.join(_VERBS)}")
    needed, optional, respond = _VERBS[verb]
    # A token takes the place of all other arguments.
    is_next = {*arguments} == {"resumptionToken"} <= optional
    is_first = needed <= arguments.keys() <= needed | optional - {"resumptionToken"}
    names = ", ".join(sorted(needed | optional)) or "no arguments"
    is_right = len(pairs) - 1 == len(arguments) and (is_next or is_first)
    _expect(is_right, "badArgument", f"{verb} takes {names}, each once")
    format_ = arguments.get("metadataPrefix", "oai_dc")
    _expect(format_ == "oai_dc", "cannotDisseminateFormat", f"no {format_} here; ask for oai_dc")
    return respond(index, arguments, verb=verb, url=url, page=page)


def _position(index: RecordIndex, identifier: str) -> int:
    own, _, key = identifier.partition(OAI_ID)
    _expect(not own and key in index.positions, "idDoesNotExist", f"{identifier} is not known here")
    return index.positions[key]


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
    _expect(not arguments, "badResumptionToken", "the sets come in one answer")
    specs = {spec for group in index.sets for spec in group}
    entries = "".join(
        f"<set><setSpec>{name}</setSpec><setName>{name}</setName></set>"
        for name in sorted(specs | {spec.rpartition(":")[0] for spec in specs})
    )
    return f"<ListSets>{entries}</ListSets>".encode()


def _record(index: RecordIndex, arguments: Arguments, **_: object) -> bytes:
    position = _position(index, arguments["identifier"])
    return b"<GetRecord>" + index.read(position) + b"</GetRecord>"


def _second(text: str, name: str) -> int:
    """Parse a date of either granularity; a day as *until* includes its last second."""
    whole = f"{text}T{'00:00:00' if name == 'from' else '23:59:59'}Z" if len(text) == 10 else text
    try:
        return int(datetime.strptime(whole, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        text = f"{name} is not a date: write YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ"
        raise OaiError("badArgument", text) from error


def _select(index: RecordIndex, since: str, until: str, group: str) -> Sequence[int]:
    bounds = (("start", "from", since), ("until", "until", until))
    terms = {term: _second(text, name) for term, name, text in bounds if text}
    is_one = not (since and until) or len(since) == len(until)
    _expect(is_one, "badArgument", "from and until differ in granularity")
    is_right = len(terms) < 2 or terms["start"] <= terms["until"]
    _expect(is_right, "badArgument", "from is later than until")
    return index.select(**terms, set_spec=group)


def _list(index: RecordIndex, arguments: Arguments, *, verb: str, page: int, **_: object) -> bytes:
    """Return a page of a list, with a resumption token: none if the list has one page, an empty one
    at the end of a longer list. A token has the verb, the version, the arguments and the position.
    """
    faults, version = index.state.faults, str(index.state.version)
    first = "~".join((verb, version, *(arguments.get(name, "") for name in _WINDOW), "0"))
    *window, at = arguments.get("resumptionToken", first).split("~")
    is_known = len(window) == 5 and window[:2] == [verb, version] and at.isdecimal()
    _expect(is_known, "badResumptionToken", "the token is unknown or has expired")
    selected, cursor = _select(index, *window[2:]), int(at)
    _expect(selected, "noRecordsMatch", "nothing matches")
    total, is_endless = len(selected), Fault.ENDLESS in faults
    is_inside = cursor < total or is_endless
    _expect(is_inside, "badResumptionToken", "the token points behind the end")
    records = [index.read(position) for position in index.slice(selected, cursor, page)]
    body = b"".join(records if verb == "ListRecords" else map(_header, records))
    if total > page or is_endless:
        after = page + (0 if Fault.TOKEN in faults else cursor)
        text = xml("~".join((*window, str(after)))) if after < total or is_endless else ""
        size = index.total(selected, cursor)
        body += f'<resumptionToken completeListSize="{size}" cursor="{cursor}">{text}</resumptionToken>'.encode()
    return f"<{verb}>".encode() + body + f"</{verb}>".encode()


def _header(record: bytes) -> bytes:
    return record[record.index(b"<header") : record.index(b"</header>") + 9]


_WINDOW = ("from", "until", "set")
_LIST = (frozenset({"metadataPrefix"}), frozenset({*_WINDOW, "resumptionToken"}), _list)
_NONE = frozenset[str]()
# The required arguments of each verb, the optional ones, and its handler.
_VERBS: Mapping[str, tuple[frozenset[str], frozenset[str], Callable[..., bytes]]] = {
    "Identify": (_NONE, _NONE, _identify),
    "ListMetadataFormats": (_NONE, frozenset({"identifier"}), _formats),
    "ListSets": (_NONE, frozenset({"resumptionToken"}), _sets),
    "GetRecord": (frozenset({"identifier", "metadataPrefix"}), _NONE, _record),
    "ListRecords": _LIST,
    "ListIdentifiers": _LIST,
}
