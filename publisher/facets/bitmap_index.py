"""Query the precomputed bitmaps: which places have a mark, which come first in an order, which organizations work together.

A *place* is a thing's number in the order of addresses. The files are mapped, so that opening them costs nothing and processes share them.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, reduce
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from publisher.facets.bitmap_build import BITS

Array = NDArray[Any]
Terms = Iterable[tuple[int, str, str]]  # value, facet, code
NEAR = 2_000  # places of an order that are looked at one by one, before all of a set are marked


class BitmapIndex:
    """The files beside *tables*; *terms* give the meaning of the marks. Raises FileNotFoundError if they were not built."""

    def __init__(self, tables: Path, terms: Terms) -> None:
        self._folder = tables.parent
        self._marks: dict[str, dict[str, list[tuple[int, BitMap]]]] = {}
        self.things = self._file("thing")
        named = {value: (facet, code) for value, facet, code in terms}
        with self._folder.joinpath("marks.bin").open("rb") as file:
            held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self._folder.joinpath("marks.bin").stat().st_size else b""
        for mark, start, end in np.load(self._folder / "marks.npy").tolist():
            facet, code = named[mark >> BITS]
            self._marks.setdefault(facet, {}).setdefault(code, []).append((mark & (1 << BITS) - 1, BitMap.deserialize(held[start:end])))
        self._file = cache(self._file)  # type: ignore[method-assign]  # of this state alone

    def _file(self, name: str) -> Array:
        if name == "key-address":  # places are in that order
            return np.arange(len(self.things), dtype=np.uint32)
        numbers: Array = np.load(self._folder / f"{name}.npy", mmap_mode="r")
        return numbers

    def codes(self, facet: str) -> Iterable[str]:
        """Return the codes of a facet that some thing has."""
        return self._marks.get(facet, {}).keys()

    def ids_with(self, facet: str, codes: Iterable[str], bases: int) -> BitMap:
        """Return the places that have one of *codes* by a link of *bases*, the sum of their bits."""
        marks = self._marks.get(facet, {})
        return BitMap.union(BitMap(), *(bits for code in codes for basis, bits in marks.get(code, ()) if basis & bases))

    def count_codes(self, facet: str, within: BitMap | None, bases: int) -> dict[str, int]:
        """Count the places of each code of a facet, those *within* a set or all; a place has a code by one mark."""
        counts = {
            code: sum(len(bits) if within is None else within.intersection_cardinality(bits) for basis, bits in marks if basis & bases)
            for code, marks in self._marks.get(facet, {}).items()
        }
        return {code: things for code, things in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if things}

    def cross_tabulate(self, one: str, other: str, within: BitMap | None, bases: int) -> dict[tuple[str, str], int]:
        """Count the places that have a code of each of two facets."""
        cells = dict[tuple[str, str], int]()
        for code in self.codes(one):
            have = self.ids_with(one, (code,), bases)
            have = have if within is None else have & within
            cells |= {(code, second): things for second, things in self.count_codes(other, have, bases).items()} if have else {}
        return cells

    def examples(self, one: str, other: str, within: BitMap | None, bases: int) -> dict[tuple[str, str], int]:
        """Return the first place that has a code of each of two facets, by the two codes."""
        cells = dict[tuple[str, str], int]()
        seconds = {code: self.ids_with(other, (code,), bases) for code in self.codes(other)}
        for code in self.codes(one):
            have = self.ids_with(one, (code,), bases)
            have = have if within is None else have & within
            cells |= {(code, second): both[0] for second, ids in seconds.items() if (both := have & ids)}
        return cells

    def first_in_order(self, order: str, within: BitMap | None, offset: int, limit: int) -> list[int]:
        """Return at most *limit* places from *offset* in an order, *within* a set or of all."""
        return self._next_in_order(f"by-{order}", within, 0, limit + offset, down=False)[offset:].tolist()  # type: ignore[no-any-return]

    def next_in_order(self, name: str, within: BitMap | None, start: int, limit: int, down: bool = False) -> list[int]:
        """Return the first *limit* places *within* a set in the order *name*, from the *start*-th on, or *down* from before it."""
        return self._next_in_order(name, within, start, limit, down).tolist()  # type: ignore[no-any-return]  # numpy does not type lists

    def _next_in_order(self, name: str, within: BitMap | None, start: int, limit: int, down: bool) -> Array:
        order = self._file(name)
        order = order[:start][::-1] if down else order[start:]
        if within is None:
            return order[:limit]
        near = [place for place in order[:NEAR].tolist() if place in within]
        if len(near) >= limit or len(order) <= NEAR:
            return np.array(near[:limit], dtype=np.uint32)
        mask, parts, at, size = self.mask(within), list[Array](), 0, limit + NEAR
        while at < len(order) and limit > 0:
            part = order[at : at + size]
            parts.append(part[mask[part]][:limit])
            at, size, limit = at + size, size * 2, limit - len(parts[-1])
        return np.concatenate(parts)

    def mask(self, within: BitMap | None) -> Array:
        """Return for each place whether it is in a set."""
        members = np.full(len(self.things), within is None)
        if within:
            members[np.frombuffer(within.to_array(), dtype=np.uint32)] = True
        return members

    def length(self, name: str) -> int:
        """Count the places in the order *name*."""
        return len(self._file(name))

    def id_at(self, name: str, rank: int) -> int:
        """Return the place that is the *rank*-th in the order *name*."""
        return int(self._file(name)[rank])

    def ids_of(self, iris: Sequence[str]) -> list[int | None]:
        """Return the places of things by their IRIs, None for one that is unknown. IRIs are compared by 64 bits of a digest."""
        wanted = np.array([_digest(iri) for iri in iris], dtype=np.uint64)
        address, addressed = self._file("address"), self._file("addressed")
        if not len(address):
            return [None] * len(iris)
        at = np.minimum(np.searchsorted(address, wanted), len(address) - 1)
        return [place if same else None for place, same in zip(addressed[at].tolist(), (address[at] == wanted).tolist(), strict=True)]

    def ids_of_party(self, body: int) -> BitMap:
        """Return the places in which an organization takes part, by its number among organizations."""
        return BitMap(self._file("party")[self._file("body") == body].tolist())

    def top_parties(self, within: BitMap | None, limit: int) -> list[tuple[int, int]]:
        """Return the organizations that take part in most places: each one's number among organizations, and how many."""
        bodies = self._file("body")
        return _most(bodies if within is None else bodies[self.mask(within)[self._file("party")]], limit)

    def co_participants(self, within: BitMap | None, limit: int) -> list[tuple[int, int, int]]:
        """Return the pairs of organizations that take part in most places together: both numbers, and how many."""
        pairs, one, other = self._file("pair"), self._file("one"), self._file("other")
        ranked = _most(pairs if within is None else pairs[self.mask(within)[self._file("paired")]], limit)
        return [(int(one[pair]), int(other[pair]), things) for pair, things in ranked]

    def similar(self, place: int, kind: BitMap, facets: Iterable[str], limit: int) -> Iterator[int]:
        """Yield the places of a *kind* that share most codes of *facets* with a place, at least two of them; not itself."""
        shared = [BitMap()]  # at a number: the places that share at least so many
        every = (marks for facet in facets for marks in self._marks.get(facet, {}).values())
        for marks in (marks for marks in every if any(place in bits for _, bits in marks)):
            bits = kind & BitMap.union(BitMap(), *(bits for _, bits in marks))
            shared.append(BitMap())
            for number in range(len(shared) - 1, 1, -1):
                shared[number] |= shared[number - 1] & bits
            shared[1] |= bits
        seen = BitMap((place,))
        for bits in reversed(shared[2:]):
            fresh = bits - seen
            seen |= fresh
            for place_found in fresh[: max(0, limit)]:
                yield place_found
                limit -= 1


def _digest(iri: str) -> int:
    """Return what DuckDB's md5_number_lower gives."""
    return int.from_bytes(md5(iri.encode(), usedforsecurity=False).digest()[8:], "little")


def _most(numbers: Array, limit: int) -> list[tuple[int, int]]:
    """Return the most frequent numbers, the smaller first where they are as frequent: each and how often it is there."""
    if not len(numbers):
        return []
    counts = np.bincount(numbers)
    least = max(1, np.partition(counts, -limit)[-limit]) if limit < len(counts) else 1
    numbered = np.flatnonzero(counts >= least)
    ranked = numbered[np.lexsort((numbered, -counts[numbered]))][:limit]
    return [(int(number), int(counts[number])) for number in ranked]


def intersect(sets: Iterable[BitMap]) -> BitMap | None:
    """Return the intersection of *sets*; None, which means all places, if there are none."""
    smallest_first = sorted(sets, key=len)
    return reduce(BitMap.intersection, smallest_first) if smallest_first else None
