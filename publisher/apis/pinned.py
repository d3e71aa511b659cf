"""Query a release, and link to it: the link returns the bytes that a client received. The properties
and classes of a query are checked against those that are defined or in use, since a misspelt
property matches nothing, and an empty result looks like an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from rapidfuzz import process
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import URIRef
from typing_extensions import TypedDict

from publisher.data import count_queries
from publisher.errors import NotReady, QueryError, RowLimit
from publisher.rdf import namespaces
from publisher.sparql.endpoint import media_type, parse_request
from publisher.sparql.examples import examples
from publisher.sparql.rewriting import PROPERTY, rewrite
from publisher.store.columns.algebra import NotCompiled
from publisher.store.columns.compiler import parts_of
from publisher.store.columns.engine import parse
from publisher.store.descriptions import source_statuses
from publisher.store.query_service import QueryService, query
from publisher.store.releases import Release, find_release
from publisher.store.snapshots import Snapshot
from vocab.terms import RDF
from web.endpoints import Count, Instant
from web.middleware import MAX_QUERY_STRING

NEAREST = 3  # suggestions for an unknown term
_BUILT_IN = {("properties", iri) for iri in (PROPERTY, f"{RDF}type", f"{RDF}first", f"{RDF}rest")}


class UnknownTerm(QueryError):
    """The query uses a property or class that is not defined and not in use; the message names the
    nearest ones.
    """


def used_terms(text: str, base: str) -> set[tuple[str, str]]:
    """Return the IRIs in the query *text*, resolved against *base*, that are "properties" or
    "classes"; none of a query that only the engine can parse, and none of ``!(^x:p)``, which rdflib
    drops.

    >>> terms = used_terms("PREFIX x: <http://x/> SELECT * { ?s a x:C ; x:p/^x:q [ x:r ?o ] FILTER EXISTS { ?o <http://x/t> 1 } }", "")
    >>> sorted(iri for kind, iri in terms if kind == "properties" and not iri.startswith(RDF)), ("classes", "http://x/C") in terms
    (['http://x/p', 'http://x/q', 'http://x/r', 'http://x/t'], True)
    """
    terms = set[tuple[str, str]]()
    try:
        algebra = parse(text, base or None)
    except NotCompiled:
        return terms
    for part in parts_of(algebra.p, with_exists=True):
        rows = part.triples or () if isinstance(part, CompValue) else ()
        # A row of a pattern that is not translated, as of EXISTS, has several triples.
        for predicate, value in (
            pair for row in rows for pair in zip(row[1::3], row[2::3], strict=True)
        ):
            verbs = [str(item) for item in parts_of(predicate) if isinstance(item, URIRef)]
            terms.update(("properties", verb) for verb in verbs)
            if isinstance(value, URIRef) and verbs[-1:] == [f"{RDF}type"]:
                terms.add(("classes", str(value)))
    return terms


async def check_terms(service: QueryService, text: str) -> set[tuple[str, str]]:
    """Return the terms of the query *text*. Raises UnknownTerm if a property or class is not
    defined, not in use and in no example.
    """
    base, spaces = service.iris.base, namespaces(service.iris)
    terms = used_terms(text, base)
    rows = await service.rows(query("completions"))
    known = _BUILT_IN | {(row["kind"].value, row["iri"].value) for row in rows}
    if terms - known:
        # The examples may be about what no registry has yet, such as prizes.
        known |= {term for item in examples(service.iris) for term in used_terms(item.text, base)}
    for kind, iri in sorted(terms - known):
        local_names = {item: _local(item) for name, item in sorted(known) if name == kind}
        near = process.extract(_local(iri), local_names, processor=str.casefold, limit=NEAREST)
        nearest = ", ".join(_short(item, spaces) for _name, _score, item in near)
        word = "class" if kind == "classes" else "property"
        raise UnknownTerm(f"unknown {word} {_short(iri, spaces)}; nearest: {nearest}")
    return terms


def _local(iri: str) -> str:
    return iri.rstrip("/#").rpartition("#")[2].rpartition("/")[2].rpartition(":")[2]


def _short(iri: str, spaces: Mapping[str, str]) -> str:
    names = (
        f"{prefix}:{iri.removeprefix(space)} <{iri}>"
        for prefix, space in spaces.items()
        if iri.startswith(space)
    )
    return next(names, f"<{iri}>")


MAX_BYTES = 256 << 10  # the largest result: an assistant reads all of it
RETRY = 0.25  # seconds between attempts while the store of a release is being loaded


class NothingFound(QueryError):
    """The query has no result: that is an error, so that nobody takes it for an answer."""


class Part(TypedDict):
    """A result: *data* in the format *media*; *link* returns the same bytes, *query* is what it
    runs, "" for a file.

    *labels* are English names of codes and IRIs in *data*.
    """

    name: str
    data: str
    media: str
    link: str
    query: str
    labels: Mapping[str, str]


class SourceFreshness(TypedDict):
    """How fresh a registry is now: *state*, and when its last full harvest began, null before the
    first.
    """

    title: str | None
    state: str
    confirmed: str | None


class PinnedAnswer(TypedDict):
    """What a tool returns. *position* is the journal entry of the release, *published* the newest
    entry that is published.

    *licences* are by registry; *basis* is how the links to action lines, goals and targets in the
    data were made. *note* is a limit of a search, "" if there is none.
    """

    summary: str
    parts: list[Part]
    release: Count
    position: Count
    issued: Instant
    published: Count
    freshness: Mapping[str, SourceFreshness]
    licences: Mapping[str, str]
    basis: list[str]
    note: str


@dataclass(frozen=True, slots=True)
class PinnedRelease:
    """A *release* to query for *client*, whose quota it uses; links begin with *host*."""

    service: QueryService
    release: Release
    host: str
    client: str = ""

    async def ask(
        self, name: str, text: str, suffix: str = "csv", nothing: str = ""
    ) -> tuple[Part, str]:
        """Run the query *text*; return its result and a note on its searches.

        Raises NothingFound with the text *nothing* if the result is empty, RowLimit if it is larger
        than MAX_BYTES, and PublisherError.
        """
        link = f"{self.host}/sparql?" + urlencode(
            {"query": text, "format": suffix, "release": self.release.number}
        )
        if len(link) - len(self.host) > MAX_QUERY_STRING:
            raise QueryError(
                f"the query is too long for a link, which has at most {MAX_QUERY_STRING} bytes; shorten it"
            )
        iris, limits = self.service.iris, self.service.limits
        parsed = parse_request({"query": [text], "format": [suffix]}, None, iris.base, limits.rows)
        if parsed.volatile:
            raise QueryError(
                "NOW(), RAND(), UUID() and STRUUID() have another result each time; a result here must be repeatable"
            )
        snapshot = await self._snapshot(parsed.has_search)
        request = replace(parsed, snapshot=snapshot.path, release=self.release.number)
        request = await rewrite(self.service, request, snapshot)
        data = bytearray()
        with closing(await self.service.query(request, client=self.client)) as answer:
            async for chunk in answer.chunks():
                data += chunk
                if len(data) > MAX_BYTES:
                    raise RowLimit(
                        f"the result is larger than {MAX_BYTES >> 10} KiB; count, add LIMIT, or give the reader the link {link}"
                    )
        if not answer.rows and (answer.rows == 0 or not data.strip()):
            raise NothingFound(
                nothing
                or f"nothing found in release {self.release.number}; it may exist under another name or in newer data"
            )
        part = Part(
            name=name,
            data=data.decode(),
            media=media_type(answer.suffix),
            link=link,
            query=text,
            labels={},
        )
        return part, request.note

    async def has_parts(self) -> bool:
        """Return whether initiatives name wholes, with which they count."""
        part = (await self.ask("parts", count_queries.parts(self.service.iris)))[0]
        return part["data"].split()[1] != "0"

    def citation(self) -> Part:
        path = f"/releases/{self.release.number}/CITATION.cff"
        return Part(
            name="CITATION.cff",
            data=(self.service.data / path[1:]).read_text(encoding="utf-8"),
            media="application/yaml",
            link=self.host + path,
            query="",
            labels={},
        )

    async def answer(
        self, summary: str, parts: list[Part], basis: list[str], sources: list[str], note: str = ""
    ) -> PinnedAnswer:
        """Return the answer with these *parts*; *sources* are the names of the registries of its
        data, all if empty.
        """
        now, version = self.service.now(), self.service.published
        statuses = await source_statuses(self.service)
        return PinnedAnswer(
            summary=summary,
            parts=parts,
            release=self.release.number,
            position=self.release.position,
            issued=self.release.issued,
            published=version.position if version else 0,
            freshness={
                name: SourceFreshness(
                    title=status.title,
                    state=status.state(now).value,
                    confirmed=status.last_full_harvest,
                )
                for name, status in statuses.items()
                if not sources or name in sources
            },
            licences={
                item.name: item.licence
                for item in self.release.sources
                if not sources or item.name in sources
            },
            basis=basis,
            note=note,
        )

    async def _snapshot(self, texts: bool) -> Snapshot:
        """Return the store of the release; waits while it is being loaded."""
        deadline = asyncio.get_running_loop().time() + self.service.limits.wait
        while True:
            try:
                return await self.service.release(self.release.number, texts=texts)
            except NotReady:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(RETRY)


async def pin_release(
    service: QueryService, number: int | None, host: str, client: str = ""
) -> PinnedRelease:
    """Return release *number*, the newest if None. Raises ReleaseNotFound and Withdrawn."""
    release = await asyncio.to_thread(find_release, service.data, number)
    return PinnedRelease(service, release, host, client)
