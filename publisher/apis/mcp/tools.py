"""What an assistant can ask: read-only tools, each answered from a release by a SPARQL query that
its link runs again.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from languages.request_locale import use_language
from publisher.apis.mcp.ontology_check import check_terms
from publisher.apis.mcp.pinned import NothingFound, Part, PinnedAnswer, PinnedRelease, pin_release
from publisher.errors import QueryError
from publisher.portal.dependencies import source_titles
from publisher.portal.facet_labels import FacetLabels, facet_title
from publisher.projections.facets import filter_query
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter
from publisher.projections.search.query import MAX_LENGTH
from publisher.projections.search.searcher import open_searcher, suggest_spelling
from publisher.rdf.results import iri, is_iri
from publisher.releases.metadata import title as release_title
from publisher.store.queries import query as stored_query
from publisher.store.query_service import QueryService
from vocab.countries import AREA, country
from vocab.initiative import Basis
from vocab.iris import KINDS

Filters = Mapping[str, Sequence[str]]
OVERVIEW = ("kind", "source", "language", "basis", "year")  # facets of the overview
MAX_RESULTS = 100  # of a search
MAX_VALUES = 50  # of a facet in a filter
NEAREST = 3  # suggestions for an unknown code
_TIES = {facet.link_property for facet in FACETS.values() if facet.link_property}


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools over *service* for *client*, whose quota they use; links begin with *host*. All
    raise PublisherError.
    """

    service: QueryService
    host: str
    client: str = ""

    async def what_is_here(self, release: int | None) -> PinnedAnswer:
        """Return the registries, counts, dates, licences, languages and the vocabulary."""
        pinned, names = await self._pin(release), await self._names()
        parts = [await self._ask_total(pinned, Filter())]
        for facet in OVERVIEW:
            parts.append((await self._count(pinned, Filter(bases=tuple(Basis)), facet, names))[0])
        registries, _ = await pinned.ask("registries", stored_query("sources"))
        years = sorted(code for code in _first_column(parts[-1]["data"]) if code > "0000")
        summary = (
            f"{release_title(pinned.release)}: {parts[0]['data'].split()[1]} things of {len(pinned.release.sources)} registries"
            f"{f', of the years {years[0]} to {years[-1]}' if years else ''}. Kinds: {', '.join(KINDS)}. Facets for count and filters: "
            f"{', '.join(FACETS)}. Vocabulary: the resources stocktake://vocabulary and stocktake://examples, "
            f"and {self.host}/ns. Tools answer from releases only; data that are newer than the release are not in the answers."
        )
        return await pinned.answer(
            summary, [*parts, registries], [basis.value for basis in Basis], []
        )

    async def search(
        self,
        words: str,
        filters: Filters,
        bases: Sequence[str],
        limit: int,
        offset: int,
        release: int | None,
    ) -> PinnedAnswer:
        """Return the things whose texts have *words* and that match *filters*, the best first, and
        their number.
        """
        if not words.strip() or len(words) > MAX_LENGTH:
            raise QueryError(
                f"words must have 1 to {MAX_LENGTH} characters; count and query need no words"
            )
        pinned, names = await self._pin(release), await self._names()
        chosen = await self._filter(pinned, filters, bases, names, words=words.strip())
        try:
            text = filter_query.total(chosen, self.service.iris, has_parts=await pinned.has_parts())
            total, note = await pinned.ask("total", text)
            text = filter_query.result_table(
                chosen, self.service.iris, max(1, min(limit, MAX_RESULTS)), max(0, offset)
            )
            table, _ = await pinned.ask("results", text)
        except NothingFound as error:
            raise NothingFound(await self._nothing(pinned, words, error)) from error
        having = "have words similar to" if "similar" in note else "have the words"
        summary = f"{total['data'].split()[1]} things {having} {words.strip()!r}; the table lists the best."
        return await pinned.answer(
            summary, [total, table], _values(chosen.bases), list(chosen.codes("source")), note
        )

    async def describe(self, thing: str, release: int | None) -> PinnedAnswer:
        """Return all statements about a thing, with the graph of its record; *thing* is its IRI or
        the path of its page.
        """
        pinned, iris = await self._pin(release), self.service.iris
        address = self._address(thing)
        kind, _, rest = address.removeprefix(f"{iris.base}id/").partition("/")
        if address.startswith(f"{iris.base}id/") and kind != "organization" and kind in KINDS:
            text = (
                f"{stored_query('graph')}VALUES ?graph {{ {iri(f'{iris.base}record/{rest}')} }}\n"
            )
        else:
            text, rest = f"{stored_query('about')}VALUES ?subject {{ {iri(address)} }}\n", ""
        sources = [rest.partition("/")[0]] if rest else []
        try:
            part, note = await pinned.ask("statements", text, "tsv")
        except NothingFound as error:
            raise NothingFound(
                f"release {pinned.release.number} says nothing about {address}; search finds things by words"
            ) from error
        return await pinned.answer(
            f"What is said of {address}.", [part], _mentioned(part["data"]), sources, note
        )

    async def count(
        self, by: str, filters: Filters, bases: Sequence[str], release: int | None
    ) -> PinnedAnswer:
        """Return the number of things that match *filters*, in total and by the codes of the facet
        *by* ("": only the total).
        """
        pinned, names = await self._pin(release), await self._names()
        chosen = await self._filter(pinned, filters, bases, names)
        parts = [await self._ask_total(pinned, chosen)]
        summary = f"{parts[0]['data'].split()[1]} things match."
        if by:
            part, facet = await self._count(pinned, chosen, _facet(by), names)
            parts.append(part)
            summary += f" The table counts them by {facet}; a thing with several codes counts for each, and the filter of {by} is left out."
        return await pinned.answer(
            summary, parts, _values(chosen.bases), list(chosen.codes("source"))
        )

    async def query(self, sparql: str, suffix: str, release: int | None) -> PinnedAnswer:
        """Return the result of a SPARQL query, after its properties and classes were checked
        against the ontology.
        """
        pinned = await self._pin(release)
        terms = await check_terms(self.service, sparql)
        part, note = await pinned.ask("result", sparql, suffix)
        basis = _mentioned(" ".join([*terms.properties, part["data"]]))
        return await pinned.answer("The result of the query.", [part], basis, [], note)

    async def cite(self, thing: str, release: int | None) -> PinnedAnswer:
        """Return how a release is cited, and the title of *thing* in it unless that is ""."""
        pinned = await self._pin(release)
        parts, sources, release_ = [pinned.file("CITATION.cff")], list[str](), pinned.release
        text = f"{release_title(release_)}, {release_.day}. {release_.iri}"
        if thing:
            described = await self.describe(thing, release_.number)
            parts, sources = [*parts, *described["parts"]], list(described["licences"])
            text = f"{self._address(thing)}. In: {text}"
        return await pinned.answer(f"Cite as: {text}", parts, [], sources)

    async def _pin(self, release: int | None) -> PinnedRelease:
        return await pin_release(self.service, release, self.host, self.client)

    async def _names(self) -> FacetLabels:
        return FacetLabels(self.service.iris, await source_titles(self.service))

    async def _ask_total(self, pinned: PinnedRelease, chosen: Filter) -> Part:
        text = filter_query.total(chosen, self.service.iris, has_parts=await pinned.has_parts())
        return (await pinned.ask("total", text))[0]

    async def _count(
        self, pinned: PinnedRelease, chosen: Filter, facet: str, names: FacetLabels
    ) -> tuple[Part, str]:
        """Return the counts of a facet, and its title."""
        try:
            text = filter_query.counts(
                chosen, facet, self.service.iris, has_parts=await pinned.has_parts()
            )
            part, _ = await pinned.ask(f"by {facet}", text)
        except NothingFound as error:
            raise NothingFound(
                f"nothing that matches has a value of the facet {facet}; leave out filters"
            ) from error
        with use_language("en"):
            values = _first_column(part["data"])
            part["labels"] = {
                value: names.short(facet, FACETS[facet].code(value, self.service.iris))
                for value in values
            }
            return part, facet_title(facet)

    async def _filter(
        self,
        pinned: PinnedRelease,
        filters: Filters,
        bases: Sequence[str],
        names: FacetLabels,
        words: str = "",
    ) -> Filter:
        """Return the filter; a code may be given by its English name. Raises QueryError with the
        nearest names.
        """
        known = {basis.value: basis for basis in Basis}
        if unknown := [name for name in bases if name not in known]:
            raise QueryError(f"unknown basis {unknown[0][:40]!r}; choose of {', '.join(known)}")
        chosen: dict[str, tuple[str, ...]] = {}
        for facet, values in filters.items():
            if len(values) > MAX_VALUES:
                raise QueryError(f"the filter {facet[:40]} has more than {MAX_VALUES} values")
            codes = await self._codes(pinned, _facet(facet), names)
            chosen[facet] = tuple(sorted({_code(facet, value, codes) for value in values}))
        pairs = tuple(sorted((facet, codes) for facet, codes in chosen.items() if codes))
        return Filter(pairs, tuple(known[name] for name in bases) or (Basis.DECLARED,), words=words)

    async def _codes(self, pinned: PinnedRelease, facet: str, names: FacetLabels) -> dict[str, str]:
        """Return the codes of a facet in the release, with their names."""
        part, _ = await self._count(pinned, Filter(bases=tuple(Basis)), facet, names)
        return {
            FACETS[facet].code(value, self.service.iris): label
            for value, label in part["labels"].items()
        }

    async def _nothing(self, pinned: PinnedRelease, words: str, error: NothingFound) -> str:
        snapshot = await pinned.snapshot()
        searcher = open_searcher(snapshot.path)
        similar = await asyncio.to_thread(suggest_spelling, words, searcher) if searcher else None
        return f"{error}. {f'Did you mean {similar!r}?' if similar else 'Use fewer or other words, or another language.'}"

    def _address(self, thing: str) -> str:
        """Return the IRI of a thing by its IRI or by an address or path of its page."""
        base, path = self.service.iris.base, thing.strip().removeprefix(self.host)
        for form in ("/page/", "/id/", "/data/"):
            if path.startswith(form):
                path = f"{base}id/{path.removeprefix(form)}"
        if not is_iri(path):
            raise QueryError(
                f"{thing[:80]!r} is neither an IRI nor the path of a page, such as /id/initiative/demo/1"
            )
        return path


def _facet(name: str) -> str:
    if name not in FACETS:
        nearest = get_close_matches(name, FACETS, NEAREST, 0.5)
        raise QueryError(
            f"unknown facet {name[:40]!r}; {f'did you mean {nearest[0]}?' if nearest else 'facets: ' + ', '.join(FACETS)}"
        )
    return name


def _code(facet: str, value: str, codes: Mapping[str, str]) -> str:
    """Return the code that *value* is, or names in English. Raises QueryError with the nearest
    ones.
    """
    text = value.strip()
    if text in codes:
        return text
    area = country(text) if facet == "country" else None
    if area and area.removeprefix(AREA) in codes:
        return area.removeprefix(AREA)
    by_name = {
        name.casefold(): code
        for code, label in codes.items()
        for name in (code, label, label.partition(" ")[2])
        if name
    }
    if text.casefold() in by_name:
        return by_name[text.casefold()]
    nearest = get_close_matches(text.casefold(), by_name, NEAREST, 0.4)
    known = ", ".join(f"{by_name[name]} ({codes[by_name[name]]})" for name in nearest) or ", ".join(
        sorted(codes)[:10]
    )
    raise QueryError(f"nothing has the {facet} {text[:60]!r}; nearest: {known}")


def _first_column(data: str) -> list[str]:
    return [row[0] for row in list(csv.reader(io.StringIO(data)))[1:]]


def _values(bases: Iterable[Basis]) -> list[str]:
    return [basis.value for basis in bases]


def _mentioned(text: str) -> list[str]:
    """Return how the links that *text* mentions were made, by the names of their properties."""
    return [
        basis.value
        for basis in Basis
        if any(
            f"#{tie if basis is Basis.DECLARED else basis.value + tie[0].upper() + tie[1:]}" in text
            for tie in _TIES
        )
    ]
