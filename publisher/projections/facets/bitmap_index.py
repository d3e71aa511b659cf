"""Query the precomputed bitmaps: the things of a mark, the first things of a sort order, the
organizations that work together.

The *index* of a thing is its number in the order of IRIs. The files are mapped into memory, which
processes share.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, reduce
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from publisher.projections.facets.bitmap_build import BITS
from publisher.projections.facets.facets import areas_within
from publisher.projections.facets.thing_count import ThingCount

Array = NDArray[Any]
Terms = Iterable[tuple[int, str, str]]  # value, facet, code
EVERY_BASIS = (1 << BITS) - 1  # of a mark without a basis
# things of a sort order that are tested one by one, before a mask of the whole set is built
SCANNED = 2_000


class BitmapIndex:
    """The files in the folder of *tables*; *terms* give the meaning of the marks. Raises
    FileNotFoundError if they were not built.
    """

    def __init__(self, tables: Path, terms: Terms) -> None:
        self._folder = tables.parent
        self._marks: dict[str, dict[str, list[tuple[int, BitMap]]]] = {}
        self.things = self._file("thing")
        named = {value: (facet, code) for value, facet, code in terms}
        with self._folder.joinpath("marks.bin").open("rb") as file:
            data = (
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                if self._folder.joinpath("marks.bin").stat().st_size
                else b""
            )
        for mark, start, end in np.load(self._folder / "marks.npy").tolist():
            facet, code = named[mark >> BITS]
            self._marks.setdefault(facet, {}).setdefault(code, []).append(
                (mark & (1 << BITS) - 1, BitMap.deserialize(data[start:end]))
            )
        if countries := self._marks.get("country"):
            self._marks["area"] = _areas(countries)
        self._file = cache(self._file)  # type: ignore[method-assign]  # per instance
        # the things that are in a cluster
        self._grouped = BitMap(array("I", self._file("member").tobytes()))

    def _file(self, name: str) -> Array:
        if name == "key-address":  # indexes are in that order
            return np.arange(len(self.things), dtype=np.uint32)
        numbers: Array = np.load(self._folder / f"{name}.npy", mmap_mode="r")
        return numbers

    def codes(self, facet: str) -> Iterable[str]:
        """Return the codes of a facet that at least one thing has."""
        return self._marks.get(facet, {}).keys()

    def ids_with(self, facet: str, codes: Iterable[str], bases: int) -> BitMap:
        """Return the indexes of the things with one of *codes*, linked by one of *bases* (a bit
        set).
        """
        marks = self._marks.get(facet, {})
        return BitMap.union(
            BitMap(),
            *(bits for code in codes for basis, bits in marks.get(code, ()) if basis & bases),
        )

    def count_once(self, facet: str, subset: BitMap | None, bases: int) -> dict[str, ThingCount]:
        """Count the things of each code of a facet, in the set *subset* or of all, the members of
        each cluster once, with the number of records; the most frequent first.
        """
        counts = dict[str, ThingCount]()
        for code, marks in self._marks.get(facet, {}).items():
            records = sum(
                len(bits) if subset is None else subset.intersection_cardinality(bits)
                for basis, bits in marks
                if basis & bases
            )
            if not records:
                continue
            copies = self.ids_with(facet, (code,), bases) & self._grouped
            copies = copies if subset is None else copies & subset
            counts[code] = ThingCount(
                records - (self.count_repeated(copies) if len(copies) > 1 else 0), records
            )
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def count_different(self, subset: BitMap | None) -> ThingCount:
        """Count the things in the set *subset*, or all, the members of each cluster once, with the
        number of records.
        """
        records = len(self.things) if subset is None else len(subset)
        return ThingCount(records - self.count_repeated(subset), records)

    def count_repeated(self, subset: BitMap | None) -> int:
        """Return how many things fewer there are in the set *subset*, or of all, if the members of
        each cluster count once.
        """
        members, clusters = self._file("member"), self._file("cluster")
        if subset is not None:
            chosen = np.frombuffer((subset & self._grouped).to_array(), dtype=np.uint32)
            clusters = clusters[np.searchsorted(members, chosen)]
        return len(clusters) - len(np.unique(clusters))

    def cross_tabulate(
        self, one: str, other: str, subset: BitMap | None, bases: int
    ) -> dict[tuple[str, str], ThingCount]:
        """Count the things that have a code of each of two facets, as `count_once` does."""
        cells = dict[tuple[str, str], ThingCount]()
        for code in self.codes(one):
            members = self.ids_with(one, (code,), bases)
            members = members if subset is None else members & subset
            cells |= (
                {
                    (code, second): things
                    for second, things in self.count_once(other, members, bases).items()
                }
                if members
                else {}
            )
        return cells

    def examples(
        self, one: str, other: str, subset: BitMap | None, bases: int
    ) -> dict[tuple[str, str], int]:
        """Return the index of the first thing that has a code of each of two facets, by the two
        codes.
        """
        cells = dict[tuple[str, str], int]()
        seconds = {code: self.ids_with(other, (code,), bases) for code in self.codes(other)}
        for code in self.codes(one):
            members = self.ids_with(one, (code,), bases)
            members = members if subset is None else members & subset
            cells |= {
                (code, second): both[0]
                for second, ids in seconds.items()
                if (both := members & ids)
            }
        return cells

    def first_in_order(
        self, order: str, subset: BitMap | None, offset: int, limit: int
    ) -> list[int]:
        """Return at most *limit* indexes from *offset* in a sort order, in the set *subset* or of
        all.
        """
        return self._next_in_order(  # type: ignore[no-any-return]
            f"by-{order}", subset, 0, limit + offset, down=False
        )[offset:].tolist()

    def next_in_order(
        self, name: str, subset: BitMap | None, start: int, limit: int, down: bool = False
    ) -> list[int]:
        """Return *limit* indexes of the set *subset* in the order *name*, from its position *start*
        on, or backwards with *down*.
        """
        return self._next_in_order(name, subset, start, limit, down).tolist()  # type: ignore[no-any-return]  # numpy does not type lists

    def _next_in_order(
        self, name: str, subset: BitMap | None, start: int, limit: int, down: bool
    ) -> Array:
        order = self._file(name)
        order = order[:start][::-1] if down else order[start:]
        if subset is None:
            return order[:limit]
        matches = [index for index in order[:SCANNED].tolist() if index in subset]
        if len(matches) >= limit or len(order) <= SCANNED:
            return np.array(matches[:limit], dtype=np.uint32)
        mask, parts, position, size = self.mask(subset), list[Array](), 0, limit + SCANNED
        while position < len(order) and limit > 0:
            part = order[position : position + size]
            parts.append(part[mask[part]][:limit])
            position, size, limit = position + size, size * 2, limit - len(parts[-1])
        return np.concatenate(parts)

    def mask(self, subset: BitMap | None) -> Array:
        """Return a boolean array: for each index whether it is in the set *subset*."""
        members = np.full(len(self.things), subset is None)
        if subset:
            members[np.frombuffer(subset.to_array(), dtype=np.uint32)] = True
        return members

    def length(self, name: str) -> int:
        """Count the things in the order *name*."""
        return len(self._file(name))

    def id_at(self, name: str, rank: int) -> int:
        """Return the index at position *rank* of the order *name*."""
        return int(self._file(name)[rank])

    def ids_of(self, iris: Sequence[str]) -> list[int | None]:
        """Return the indexes of things by IRI, None for unknown ones. IRIs are compared by a 64-bit
        digest.
        """
        digests = np.array([_digest(iri) for iri in iris], dtype=np.uint64)
        address, addressed = self._file("address"), self._file("addressed")
        if not len(address):
            return [None] * len(iris)
        position = np.minimum(np.searchsorted(address, digests), len(address) - 1)
        indexes, are_equal = addressed[position].tolist(), (address[position] == digests).tolist()
        return [
            index if is_equal else None for index, is_equal in zip(indexes, are_equal, strict=True)
        ]

    def ids_of_party(self, body: int) -> BitMap:
        """Return the indexes of the things in which an organization takes part, by its number among
        organizations.
        """
        return BitMap(self._file("party")[self._file("body") == body].tolist())

    def top_parties(self, subset: BitMap | None, limit: int) -> list[tuple[int, ThingCount]]:
        """Return the organizations that take part in most things: the number of each organization
        and its number of things, the members of each cluster once.
        """
        return self._most_frequent("body", "party", subset, limit)

    def co_participants(
        self, subset: BitMap | None, limit: int
    ) -> list[tuple[int, int, ThingCount]]:
        """Return the pairs of organizations that take part in most things together: both numbers
        and the number of things, as `top_parties` counts them.
        """
        one, other = self._file("one"), self._file("other")
        ranked = self._most_frequent("pair", "paired", subset, limit)
        return [(int(one[pair]), int(other[pair]), things) for pair, things in ranked]

    def _most_frequent(
        self, name: str, things: str, subset: BitMap | None, limit: int
    ) -> list[tuple[int, ThingCount]]:
        """Return the numbers in the file *name* with most things, which are in the file *things*;
        of equal ones the smaller first.
        """
        numbers, indexes = self._file(name), self._file(things)
        if subset is not None:
            chosen = self.mask(subset)[indexes]
            numbers, indexes = numbers[chosen], indexes[chosen]
        if not len(numbers):
            return []
        records = np.bincount(numbers)
        counts = records - self._repeated(numbers, indexes, len(records))
        least = max(1, np.partition(counts, -limit)[-limit]) if limit < len(counts) else 1
        numbered = np.flatnonzero(counts >= least)
        ranked = numbered[np.lexsort((numbered, -counts[numbered]))][:limit]
        return [
            (int(number), ThingCount(int(counts[number]), int(records[number])))
            for number in ranked
        ]

    def _repeated(self, numbers: Array, things: Array, size: int) -> Array:
        """Return for each of *size* numbers how many fewer things it has if the members of each
        cluster count once.
        """
        members, clusters = self._file("member"), self._file("cluster")
        if not len(members):
            return np.zeros(size, dtype=np.int64)
        position = np.minimum(np.searchsorted(members, things), len(members) - 1)
        grouped = members[position] == things
        number = numbers[grouped].astype(np.int64)
        cluster = clusters[position[grouped]].astype(np.int64)
        width = int(clusters.max()) + 1
        different = np.unique(number * width + cluster) // width
        return np.bincount(number, minlength=size) - np.bincount(different, minlength=size)

    def similar(self, index: int, kind: BitMap, facets: Iterable[str], limit: int) -> Iterator[int]:
        """Yield the other things in *kind* that share the most codes of *facets* with the thing
        *index*, at least two.
        """
        # index: number of shared codes; value: the things that share at least this number
        shared = [BitMap()]
        every = (marks for facet in facets for marks in self._marks.get(facet, {}).values())
        for marks in (marks for marks in every if any(index in bits for _, bits in marks)):
            bits = kind & BitMap.union(BitMap(), *(bits for _, bits in marks))
            shared.append(BitMap())
            for number in range(len(shared) - 1, 1, -1):
                shared[number] |= shared[number - 1] & bits
            shared[1] |= bits
        seen = BitMap((index,))
        for bits in reversed(shared[2:]):
            fresh = bits - seen
            seen |= fresh
            for other in fresh[: max(0, limit)]:
                yield other
                limit -= 1


def _areas(
    countries: Mapping[str, list[tuple[int, BitMap]]],
) -> dict[str, list[tuple[int, BitMap]]]:
    """Return the marks of the areas that contain others: the things that are in one of those."""
    areas = {
        code: [mark for one in codes for mark in countries.get(one, ())]
        for code, codes in areas_within().items()
    }
    return {
        code: [(EVERY_BASIS, BitMap.union(*(bits for _, bits in marks)))]
        for code, marks in areas.items()
        if marks
    }


def _digest(iri: str) -> int:
    """Return the same number as DuckDB's md5_number_lower."""
    return int.from_bytes(md5(iri.encode(), usedforsecurity=False).digest()[8:], "little")


def intersect(sets: Iterable[BitMap]) -> BitMap | None:
    """Return the intersection of *sets*; None, which means all things, if there are none."""
    smallest_first = sorted(sets, key=len)
    return reduce(BitMap.intersection, smallest_first) if smallest_first else None
