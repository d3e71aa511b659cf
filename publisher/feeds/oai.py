"""``/oai``: OAI-PMH for repositories and aggregators that harvest all records or a set.

The change history answers all but the content of records. All pages of a list show the state at one
position of the journal: later commits neither hide nor repeat a record. Each page has a token with
all that the next page needs, so the server keeps no state. A token outlives restarts and releases,
and every publisher of the journal accepts it: its positions in the journal never change. Its
checksum is no protection: it detects truncated tokens and those of another journal. A forged token
gives access to public data only.

The metadata formats are Dublin Core, DataCite's metadata schema 4.5 (also in the envelope of
DataCite's own provider) and all statements as RDF/XML.

Sources: https://www.openarchives.org/OAI/openarchivesprotocol.html (2.0),
http://www.openarchives.org/OAI/2.0/oai_dc.xsd, https://schema.datacite.org/meta/kernel-4.5/,
https://www.openarchives.org/OAI/2.0/guidelines-provenance.htm
"""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson
from anyio import from_thread
from fastapi import APIRouter, Depends, Query
from markupsafe import Markup
from pydantic import Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from journal.journal import Journal
from publisher.errors import NotReady
from publisher.feeds.records import (
    ChangedRecord,
    Changes,
    ChangesDep,
    instant,
    macro,
    render,
    set_title,
)
from publisher.history.change_reader import ALL, Change, ChangeType
from publisher.pages import PagesDep
from publisher.rdf import Row, replace_invalid_characters
from publisher.store.descriptions import serialize_description
from publisher.store.query_service import query
from web.endpoints import contents, get, problems
from web.respond import GRAPHS, origin, respond

RECORDS_PER_PAGE = 100  # some 300 kB of oai_dc
HEADERS_PER_PAGE = 1_000
_SIGNATURE_BYTES = 16  # first bytes of SHA-256
# The required and the optional arguments of each verb, and whether a resumption token may replace
# them.
_LIST = ({"metadataPrefix"}, {"from", "until", "set"}, True)
VERBS: dict[str, tuple[set[str], set[str], bool]] = {
    "Identify": (set(), set(), False),
    "ListMetadataFormats": (set(), {"identifier"}, False),
    "ListSets": (set(), set(), True),
    "GetRecord": ({"identifier", "metadataPrefix"}, set(), False),
    "ListIdentifiers": _LIST,
    "ListRecords": _LIST,
}
_NAME = r"[A-Za-z0-9_.!~*'()-]+"
_PATTERNS = {
    "metadataPrefix": re.compile(rf"\A{_NAME}\Z"),
    "set": re.compile(rf"\A{_NAME}(?::{_NAME})*\Z"),
}
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?\Z", re.ASCII)

Position = Annotated[int, Field(ge=0, lt=2**53)]

# The vocabulary of resourceTypeGeneral has no word for a project before 4.6.
_GENERAL_TYPES = {"initiative": "Other", "event": "Event", "document": "Text", "post": "Text"}
_YEAR = re.compile(r"\d{4}", re.ASCII)
router = APIRouter()


class MetadataFormat(NamedTuple):
    """A metadata format: its schema and namespace, and the function that writes a record."""

    schema: str
    namespace: str
    write: Callable[[ChangedRecord], Markup]


def _dublin_core(record: ChangedRecord) -> Markup:
    return macro("oai_dc.xml", "metadata")(record)


def _datacite(record: ChangedRecord, *, is_wrapped: bool) -> Markup:
    """Missing mandatory properties have DataCite's code for unavailable values (appendix 3); the
    year of publication is the nearest year that is known.
    """
    dates = filter(None, (record.first(name) for name in ("issued", "start", "modified")))
    year = next((match[0] for date in dates if (match := _YEAR.match(date))), "0000")
    general_type = _GENERAL_TYPES.get(record.change.kind, "Other")
    return macro("datacite.xml", "metadata")(record, is_wrapped, year, general_type)


def _rdf(record: ChangedRecord) -> Markup:
    text = replace_invalid_characters(serialize_description(record, GRAPHS["rdf"])).decode()
    return Markup(text.partition("?>")[2].lstrip())


FORMATS = {
    "oai_dc": MetadataFormat(
        "http://www.openarchives.org/OAI/2.0/oai_dc.xsd",
        "http://www.openarchives.org/OAI/2.0/oai_dc/",
        _dublin_core,
    ),
    "datacite": MetadataFormat(
        "http://schema.datacite.org/meta/kernel-4.5/metadata.xsd",
        "http://datacite.org/schema/kernel-4",
        partial(_datacite, is_wrapped=False),
    ),
    "oai_datacite": MetadataFormat(
        "http://schema.datacite.org/oai/oai-1.1/oai.xsd",
        "http://schema.datacite.org/oai/oai-1.1/",
        partial(_datacite, is_wrapped=True),
    ),
    "rdf": MetadataFormat(
        "http://www.openarchives.org/OAI/2.0/rdf.xsd",
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        _rdf,
    ),
}
# The namespace of the metadata that each mapping reads; other mappings read any.
_NAMESPACES = {
    "oai_dc": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    "datacite": "http://datacite.org/schema/kernel-4",
    "mods": "http://www.loc.gov/mods/v3",
    "dcat": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}


def describe_origin(
    record: ChangedRecord, repositories: Mapping[str, str]
) -> dict[str, str] | None:
    """Return the origin of a record that was harvested from one of *repositories* (base URLs by the
    IRI of the source), None if it was not, or if its datestamp or format is not published.

    It has one level: the repository at which it was harvested. Those before it are in the record,
    without the dates that a level needs.
    """
    names = {
        "identifier": "dct:identifier",
        "datestamp": "dct:date",
        "harvested": "dct:modified",
        "mapping": "ops:mapping",
    }
    origin = {
        key: term.value for key, name in names.items() if (term := record.one(name, record.iri))
    }
    repository = repositories.get(record.iris.source(record.source))
    namespace = _NAMESPACES.get(origin.get("mapping", ""))
    if not repository or not namespace or len(origin) < len(names):
        return None
    return {**origin, "repository": repository, "namespace": namespace}


class OaiError(Exception):
    """An error of the protocol; *code* is one of its error codes (section 3.6)."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def _check(is_valid: object, code: str, detail: str) -> None:
    if not is_valid:
        raise OaiError(code, detail)


class ResumptionToken(NamedTuple):
    """The rest of a list: of *verb*, *prefix* and the set *set_name*, the changes numbered above
    *after* up to *last*.

    The list is that of the change *sequence* at the journal entry *entry*. *done* of *total* records
    were on earlier pages.
    """

    verb: str
    prefix: str
    set_name: str
    after: Position
    last: Position
    sequence: Position
    entry: Position
    done: Position
    total: Position


_TOKEN = TypeAdapter(ResumptionToken)


async def oai_parameters(
    verb: Annotated[
        str | None, Query(description="The request", json_schema_extra={"enum": list(VERBS)})
    ] = None,
    identifier: Annotated[str | None, Query(description="The OAI identifier of a record")] = None,
    metadataPrefix: Annotated[
        str | None,
        Query(description="The format of records", json_schema_extra={"enum": list(FORMATS)}),
    ] = None,
    since: Annotated[
        str | None,
        Query(alias="from", description="Only records changed since this UTC day or second"),
    ] = None,
    until: Annotated[
        str | None, Query(description="Only records changed until this UTC day or second")
    ] = None,
    set_spec: Annotated[
        str | None, Query(alias="set", description="Only records of this set, such as `goal:3`")
    ] = None,
    resumptionToken: Annotated[
        str | None,
        Query(
            description="The token of the previous response; the only other argument is the verb"
        ),
    ] = None,
) -> None:
    """Declare the arguments. They are read from the URL or the body, and the protocol's own errors
    answer invalid ones.
    """


async def get_query(request: Request) -> bytes:
    """Return the query of the URL or, of a POST, the body."""
    return await request.body() if request.method == "POST" else request.url.query.encode()


@get(
    router,
    "/oai",
    operation_id="oai",
    summary="Answer a request of OAI-PMH 2.0",
    tags=["watch"],
    dependencies=[Depends(oai_parameters)],
    response_class=Response,
    response_description="The answer, or an error of the protocol",
    responses=contents("text/xml") | problems(503),
)
@router.post("/oai", include_in_schema=False)
def oai(
    request: Request,
    changes: ChangesDep,
    pages: PagesDep,
    sent: Annotated[bytes, Depends(get_query)],
) -> Response:
    """Repositories and aggregators harvest all records or a set."""
    arguments, answer = dict[str, str](), dict[str, Any]()
    try:
        arguments = parse_arguments(sent)
        answer = _answer(changes, arguments)
    except OaiError as error:
        answer["error"] = error
        # Section 3.6: the request element of such errors has no attributes.
        arguments = {} if error.code in ("badVerb", "badArgument") else arguments
    values = {
        **dict.fromkeys(("formats", "sets", "headers", "records"), ()),
        **dict.fromkeys(("error", "token", "following", "earliest")),
        "arguments": arguments,
        "verb": arguments.get("verb"),
        "url": origin(request) + "/oai",
        "name": pages.branding.name,
        "email": _email(request.app.state.contact, changes.iris.base),
        "base": changes.iris.base,
        "time": instant(int(time.time())),
        **answer,
    }
    data = render("oai.xml", **values)
    headers = {"Cache-Control": "no-cache"}
    return respond(request, data, "text/xml; charset=utf-8", headers=headers)


def _email(contact: str, base: str) -> str:
    """Return the e-mail address in *contact*, else the one that every host should have (RFC 2142,
    section 5).
    """
    email = contact.removeprefix("mailto:")
    is_email = "@" in email and "." in email.partition("@")[2] and " " not in email
    return email if is_email else f"postmaster@{urlsplit(base).hostname}"


def parse_arguments(sent: bytes) -> dict[str, str]:
    """Return the checked arguments of a request, with its verb (sections 3.1.1 and 4); raises
    OaiError if the verb does not have them.
    """
    try:
        text = sent.decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:
        raise OaiError("badArgument", f"The arguments cannot be parsed: {error}") from error
    arguments = dict(pairs)
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    code = "badVerb" if "verb" in repeated else "badArgument"
    _check(not repeated, code, f"{', '.join(repeated)} occurs more than once")
    verb, names = arguments.get("verb", ""), arguments.keys() - {"verb"}
    _check(verb in VERBS, "badVerb", f"The verb is one of {', '.join(VERBS)}")
    required, optional, resumes = VERBS[verb]
    if resumes and "resumptionToken" in names:
        _check(len(names) == 1, "badArgument", "With a resumptionToken there is no other argument")
        return arguments
    usage = f"{verb} needs {sorted(required)} and may have {sorted(optional)}"
    _check(required <= names <= required | optional, "badArgument", usage)
    for name, value in arguments.items():
        is_valid = _PATTERNS[name].match(value) if name in _PATTERNS else value
        _check(is_valid, "badArgument", f"{value!r} cannot be the value of {name}")
    return arguments


def parse_bounds(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """Read the arguments ``from`` and ``until`` (section 3.3) as the first second that counts and
    the first that does not; raises OaiError.

    >>> parse_bounds("1970-01-01", "1970-01-01"), parse_bounds(None, "1970-01-01T00:00:09Z")
    ((0, 86400), (None, 10))
    """
    if since and until:
        _check(len(since) == len(until), "badArgument", "from and until are of one granularity")
        _check(since <= until, "badArgument", "from is later than until")
    return _parse_date(since), _parse_date(until, 86_400, 1)


def _parse_date(text: str | None, day: int = 0, second: int = 0) -> int | None:
    """Return the begin of a day or a second in seconds since 1970, plus *day* or *second*."""
    if text is None:
        return None
    with suppress(ValueError):
        if _DATE.match(text):
            begin = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
            return begin + (second if "T" in text else day)
    raise OaiError("badArgument", f"{text!r} is no date; write YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ")


def _answer(changes: Changes, arguments: dict[str, str]) -> dict[str, Any]:
    """Return the values of the template for the verb in *arguments*; raises OaiError."""
    verb, history = arguments["verb"], changes.history
    is_known = arguments.get("metadataPrefix", "oai_dc") in FORMATS
    _check(is_known, "cannotDisseminateFormat", f"The formats are {', '.join(FORMATS)}")
    match verb:
        case "Identify":
            first = history.changes(ALL, 0, 1, 1)
            return {"earliest": first[0].announced_at if first else int(time.time())}
        case "ListMetadataFormats":
            if "identifier" in arguments:
                _change(changes, arguments["identifier"])
            return {"formats": FORMATS.items()}
        case "ListSets":
            return {"sets": _sets(changes, arguments)}
        case "GetRecord":
            change = _change(changes, arguments["identifier"])
            return {"records": _records(changes, [change], arguments["metadataPrefix"])}
        case _:
            return _list(changes, arguments)


def _sets(changes: Changes, arguments: dict[str, str]) -> list[tuple[str, str]]:
    """Return the names of the sets with their titles."""
    if "resumptionToken" in arguments:
        read_token(arguments["resumptionToken"], "ListSets", changes.service.journal)
    names, base = changes.history.set_names(), changes.iris.source("")
    _check(names, "noSetHierarchy", "There are no sets before the first record")
    registries = {
        f"source:{row['source'].value.removeprefix(base)}": f"Registry: {row['title'].value}"
        for row in _rows(changes, "sources")
    }
    return [(name, registries.get(name) or set_title(name, changes.iris)) for name in names]


def _rows(changes: Changes, name: str) -> list[Row]:
    """Return the rows of a query; this runs in a thread of the event loop."""
    return from_thread.run(changes.service.rows, query(name))


def _change(changes: Changes, identifier: str) -> Change:
    name = identifier.removeprefix(changes.iris.record("", "")[:-1])
    change = changes.history.latest_change(name, changes.watermark.sequence)
    if change is None or name == identifier:
        raise OaiError("idDoesNotExist", f"There is no record {identifier}")
    return change


def _list(changes: Changes, arguments: dict[str, str]) -> dict[str, Any]:
    """Return a page of headers or records, with the token of the next page."""
    verb, text = arguments["verb"], arguments.get("resumptionToken")
    journal = changes.service.journal
    token = read_token(text, verb, journal) if text else _begin_list(changes, arguments)
    # Another publisher of the journal, which is ahead of this one, issued the token.
    if token.entry > (newest := changes.watermark.entry):
        raise NotReady(
            f"the list is of journal entry {token.entry}, but this copy is only at {newest}; try again in a moment"
        )
    page_size = RECORDS_PER_PAGE if verb == "ListRecords" else HEADERS_PER_PAGE
    page = changes.history.changes(
        token.set_name, token.after, token.last, page_size, token.sequence
    )
    done, following = token.done + len(page), ""
    if page and done < token.total:
        following = write_token(token._replace(after=page[-1].number, done=done), journal)
    return {
        # Section 3.5: only the last page of several has a token without a text.
        "token": token if text or following else None,
        "following": following,
        "headers": page if verb == "ListIdentifiers" else (),
        "records": _records(changes, page, token.prefix) if verb == "ListRecords" else (),
    }


def _begin_list(changes: Changes, arguments: dict[str, str]) -> ResumptionToken:
    since, until = parse_bounds(arguments.get("from"), arguments.get("until"))
    set_name, history = arguments.get("set", ALL), changes.history
    sequence = changes.watermark.sequence
    begin = history.last_announced_before(since) if since else 0
    end = min(sequence, history.last_announced_before(until)) if until else sequence
    after, last = (history.last_number(set_name, bound) for bound in (begin, end))
    total = history.count(set_name, after, last, sequence)
    _check(total, "noRecordsMatch", "No record is in this set and in these bounds of time")
    return ResumptionToken(
        verb=arguments["verb"],
        prefix=arguments["metadataPrefix"],
        set_name=set_name,
        after=after,
        last=last,
        sequence=sequence,
        entry=changes.watermark.entry,
        done=0,
        total=total,
    )


def _records(changes: Changes, page: Sequence[Change], prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the records of *page* in a format; a deleted one has no metadata."""
    alive = [change for change in page if change.change_type is not ChangeType.DELETED]
    rows = _rows(changes, "oai-repositories") if alive else []
    repositories = {row["source"].value: row["url"].value for row in rows}
    records = changes.records(alive)
    for change in page:
        record = next(records) if change.change_type is not ChangeType.DELETED else None
        yield {
            "change": change,
            "metadata": record and FORMATS[prefix].write(record),
            "origin": record and describe_origin(record, repositories),
        }


def write_token(token: ResumptionToken, journal: Journal) -> str:
    """Write a token, signed with the id of its entry: all publishers of a journal have the same."""
    payload, entry = orjson.dumps([*token]), journal.entry(token.entry)
    signature = hmac.digest(entry.id.encode() if entry else b"", payload, "sha256")
    return urlsafe_b64encode(signature[:_SIGNATURE_BYTES] + payload).decode().rstrip("=")


def read_token(text: str, verb: str, journal: Journal) -> ResumptionToken:
    """Parse a token of *verb*; raises OaiError if it was not issued for this journal."""
    with suppress(ValueError):
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        token = _TOKEN.validate_json(data[_SIGNATURE_BYTES:], strict=True)
        is_ahead = journal.entry(token.entry) is None
        if token.verb == verb and (is_ahead or write_token(token, journal) == text):
            return token
    raise OaiError(
        "badResumptionToken", "The token was not issued here for this verb; begin the list again"
    )
