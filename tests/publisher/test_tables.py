"""Every number that pages show is that of the query which they link."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from followers import follower
from followers import level as follow
from rows import each
from small_world import CHANGED, KENYA, LEAD, add_clusters, record_rows

from journal.journal import Journal
from publisher.data import count_queries as asking
from publisher.data.properties import FACETS, KEYS
from publisher.data.tables import LAST, FacetIndex, Filter, make_filter, open_facet_index
from publisher.store.query_service import QueryService
from publisher.store.search.index import SearchUpdater
from publisher.store.snapshots import newest_snapshot
from vocab.initiative import Basis, Document, Initiative, Text
from vocab.iris import Iris

IRIS = Iris()
MINISTRY = IRIS.thing("organization", "demo", "ministry-of-health")

pytestmark = pytest.mark.asyncio(loop_scope="module")

WISHES = {
    "all": Filter(), "initiatives": make_filter(kind="initiative"), "a goal": make_filter(goal="3"),
    "two lines, one goal": make_filter(goal="3", kind="initiative").with_codes("line", "C2", "C7-ehea"),
    "a translated goal": make_filter(Basis.CROSSWALKED, goal="9"), "every basis": make_filter(*Basis, line="C2"),
    "a country and a year": make_filter(country="404", year="2023"), "a source and a language": make_filter(source="demo", language="fr"),
    "a region and a type of stakeholder": make_filter(region="africa", stakeholder="government"),
    "a prize": make_filter(prize="12", stage="champion", prizeyear="2025"), "nothing": make_filter(goal="17", status="ongoing"),
    "a party": Filter(party=MINISTRY),
    "a party's initiatives for a goal": Filter((("goal", ("4",)), ("kind", ("initiative",))), party=MINISTRY),
}  # fmt: skip


def atlas(key: str) -> str:
    return IRIS.thing("initiative", "atlas", key)


DEMO_2 = IRIS.thing("initiative", "demo", "2")
# These are a part of a part, a part of two wholes, a part of a whole by its French title, two parts
# of each other, and a part of a document that is itself a part.
PARTS = {
    "p6": (atlas("p2"),),
    "p7": ("https://elsewhere.example/projects/2", DEMO_2),
    "p8": ("Un autre atlas",),
    "p9": (atlas("p10"),),
    "p10": (atlas("p9"),),
    "p11": (IRIS.thing("document", "atlas", "d1"),),
}
MORE = (
    *(
        Initiative(
            key=key, titles=(Text(key, "en"),), countries=(KENYA,), parties=(LEAD,), part_of=wholes
        )
        for key, wholes in PARTS.items()
    ),
    Initiative(key="y", titles=(Text("Another atlas", "en"), Text("Un autre atlas", "fr"))),
    Document(key="d1", titles=(Text("A series", "en"),), part_of=(atlas("y"),)),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    level: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[QueryService]:
    data = Path(shutil.copytree(level, tmp_path_factory.mktemp("tables") / "data"))
    add_clusters(data)
    rows = [row for each in MORE for row in record_rows("atlas", each)]
    Journal(data / "journal").append(rows, run="run-5", time=CHANGED + timedelta(days=3))
    follow(follower(data, (SearchUpdater,)))
    async with QueryService(data, IRIS, readers=2, follow=False) as opened:
        await opened.wait_until_current(is_indexed=True)
        yield opened


@pytest.fixture
def tables(service: QueryService) -> FacetIndex:
    result = open_facet_index(service.current.path)
    assert result is not None
    return result


async def count_by_query(service: QueryService, query: str, *names: str) -> dict[Any, int]:
    rows = await service.rows(query)
    return {
        tuple(code(name, row[name].value) for name in names): int(row["things"].value)
        for row in rows
    }


def code(name: str, value: str) -> str:
    return FACETS[name].code(value, IRIS) if name in FACETS else value


@each("filters", WISHES)
async def test_a_total_is_that_of_its_query(
    service: QueryService, tables: FacetIndex, filters: str
) -> None:
    item = WISHES[filters]

    query = asking.total(item, IRIS, has_parts=tables.has_parts)
    assert tables.count_different(item) == (await count_by_query(service, query))[()]


async def test_parts_count_with_the_outermost_whole(tables: FacetIndex) -> None:
    by_source = tables.counts_once(make_filter(kind="initiative"))["source"]

    # Each of these counts once: the member of a cluster with p1; p2, p6 and p7 with a whole at the
    # other registry; p3 and p4; y with p8 and p11; p5, whose whole is not published; p9; and p10.
    assert (by_source["atlas"], by_source["atlas"].records) == (7, 13)


async def test_queries_are_short_where_there_are_no_parts(level: Path) -> None:
    snapshot = newest_snapshot(level / "store" / "snapshots")
    assert snapshot
    tables = open_facet_index(snapshot.path)

    assert tables
    assert not tables.has_parts
    assert "isPartOf" not in asking.total(Filter(), IRIS, has_parts=tables.has_parts)


DAILY = ("two lines, one goal",)  # test_figures.py compares all figures without filters.


@each("filters", DAILY)
async def test_the_counts_of_every_facet_are_those_of_their_queries(
    service: QueryService, tables: FacetIndex, filters: str
) -> None:
    await counts_are_those_of_queries(service, tables, WISHES[filters])


@pytest.mark.nightly
@each("filters", WISHES.keys() - DAILY)
async def test_the_counts_of_every_facet_by_other_filters_are_those_of_their_queries(
    service: QueryService, tables: FacetIndex, filters: str
) -> None:
    await counts_are_those_of_queries(service, tables, WISHES[filters])


async def counts_are_those_of_queries(
    service: QueryService, tables: FacetIndex, item: Filter
) -> None:
    counted = tables.counts_once(item)

    for facet in FACETS:
        query = asking.counts(item, facet, IRIS, has_parts=tables.has_parts)
        counts = await count_by_query(service, query, facet)
        assert (facet, {(code,): things for code, things in counted.get(facet, {}).items()}) == (
            facet,
            counts,
        )


@each("pair", list(combinations(("line", "country", "year", "stakeholder"), 2)))
async def test_two_facets_at_once_are_counted_as_their_query_counts_them(
    service: QueryService, tables: FacetIndex, pair: Any
) -> None:
    one, other = pair
    for item in (make_filter(kind="initiative"), make_filter(*Basis, region="africa")):
        query = asking.cross_tabulate(item, one, other, IRIS, has_parts=tables.has_parts)
        assert tables.cross_once(item, one, other) == await count_by_query(service, query, *pair)


async def test_organizations_and_those_that_work_together_are_counted_as_their_queries_count_them(
    service: QueryService, tables: FacetIndex
) -> None:
    for item in (Filter(), make_filter(country="404"), Filter(party=MINISTRY)):
        query = asking.organizations(item, IRIS, has_parts=tables.has_parts)
        counts = await count_by_query(service, query, "organization")
        query = asking.partners(item, IRIS, has_parts=tables.has_parts)
        pairs = await count_by_query(service, query, "one", "other")

        assert {(who,): things for who, _, things in tables.organizations(item, 100)} == counts
        assert {(one, other): things for one, other, things in tables.partners(item, 100)} == pairs
        assert pairs


@pytest.mark.nightly
@each("facet", FACETS)
async def test_what_is_filled_in_is_counted_as_its_query_counts_it(
    service: QueryService, tables: FacetIndex, facet: Any
) -> None:
    for item in (
        make_filter(kind="initiative"),
        make_filter(*Basis, kind="initiative", country="404"),
    ):
        assert {
            (source,): things for source, things in tables.coverage_by_source(item, facet).items()
        } == await count_by_query(
            service,
            asking.coverage_by_source(item, facet, IRIS, has_parts=tables.has_parts),
            "source",
        )


async def test_a_list_has_the_things_of_its_query(
    service: QueryService, tables: FacetIndex
) -> None:
    for item in WISHES.values():
        rows = await service.rows(asking.listing(item, IRIS))

        assert sorted(line.iri for line in tables.list_things(item, "newest", 1000)) == [
            row["thing"].value for row in rows
        ]


@each("filters", ["initiatives", "a party", "nothing"])
@each("key", KEYS)
async def test_a_list_that_goes_on_after_each_page_gives_each_thing_once_in_order_and_back_again(
    tables: FacetIndex, filters: str, key: Any
) -> None:
    item, (since, after), down = WISHES[filters], ("", ""), list[tuple[str, str]]()
    up = list[tuple[str, str]]()
    while page := tables.list_after(item, key, True, since, after, 7):
        up += page
        after, since = page[-1]
    since, after = LAST, LAST
    while page := tables.list_after(item, key, False, since, after, 7):
        down += page
        after, since = page[-1]

    assert sorted(iri for iri, _ in up) == sorted(
        line.iri for line in tables.list_things(item, "newest", 1000)
    )
    assert up == sorted(up, key=lambda pair: (pair[1], pair[0])) == down[::-1]


@pytest.mark.parametrize("order", ["newest", "title", "begins"])
async def test_a_page_of_a_list_is_a_part_of_the_whole_list_and_that_is_sorted(
    tables: FacetIndex, order: str
) -> None:
    by = {"newest": "changed", "title": "title", "begins": "begins"}[order]

    whole = tables.list_things(make_filter(kind="initiative"), order, 1000)
    parts = [
        line
        for offset in range(0, len(whole), 30)
        for line in tables.list_things(make_filter(kind="initiative"), order, 30, offset)
    ]

    results = [(getattr(line, by) or "").lower() for line in whole if getattr(line, by)]
    assert parts == whole
    assert results == sorted(results, reverse=order == "newest")


async def test_things_that_share_most_are_related_and_a_thing_is_not_to_itself(
    tables: FacetIndex,
) -> None:
    one = IRIS.thing("initiative", "demo", "3")

    result = tables.related(one, 6)

    shared = [
        {
            (facet, code)
            for facet in ("line", "goal", "country")
            for code in marks(tables, line.iri, facet)
        }
        for line in result
    ]
    own = {
        (facet, code) for facet in ("line", "goal", "country") for code in marks(tables, one, facet)
    }
    counted = [len(own & them) for them in shared]
    assert one not in [line.iri for line in result]
    assert counted == sorted(counted, reverse=True)
    assert (len(result), counted[0], counted[-1] >= 2) == (6, 3, True)


def marks(tables: FacetIndex, thing: str, facet: str) -> list[str]:
    filters = Filter(words="it", among=tables.numbers([thing]), bases=tuple(Basis))
    return list(tables.counts_once(filters).get(facet, {}))


async def test_what_begins_or_goes_on_in_a_time_is_listed_by_its_beginning(
    tables: FacetIndex,
) -> None:
    every = tables.list_things(make_filter(kind="initiative"), "begins", 1000)

    result = tables.events_between(make_filter(kind="initiative"), "2024-06-01", "2024-06-30")

    assert result == [
        item
        for item in every
        if item.begins
        and item.begins[:10] <= "2024-06-30"
        and (item.ends or item.begins)[:10] >= "2024-06-01"
    ]
    assert result
    assert (
        tables.past_events(make_filter(kind="initiative"), "2024-06-01", 5)
        == sorted(
            (
                item
                for item in every
                if item.begins and (item.ends or item.begins)[:10] < "2024-06-01"
            ),
            key=lambda item: (item.ends or item.begins or "")[:10],
            reverse=True,
        )[:5]
    )
    assert tables.events_between(
        make_filter(kind="initiative", goal="17"), "2023-01-01", "2023-01-01", 3
    ) == tables.list_things(make_filter(kind="initiative", goal="17"), "begins", 3)
