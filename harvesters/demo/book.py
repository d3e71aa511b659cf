"""Books: a registry's records, written once into a file and served as slices of it, so that serving costs next to nothing."""

from __future__ import annotations

import mmap
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise

from harvesters.demo import forms
from harvesters.demo.fate import Age, Registry, fates, written
from harvesters.demo.generate import make

_ALWAYS = 1 << 40  # seconds: later than any datestamp


class Book:
    """A registry at an age. *keys*, *touched* (seconds since 1970) and *groups* (OAI-PMH sets) go by position, not by number.

    The bytes lie in an unnamed temporary file, so that a hundred thousand records are no load on memory.
    """

    def __init__(self, registry: Registry, age: Age) -> None:
        self.registry = registry
        self.age = age
        self.keys: list[str] = []
        self.touched = array("q")
        self.groups: list[tuple[str, ...]] = []
        self._ends = array("Q", [0])
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 open as long as the book is
        for fragment in self._fragments():
            self._ends.append(self._ends[-1] + len(fragment))
            self._file.write(fragment)
        self._file.flush()
        self._bytes = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if self.keys else b""
        self._chosen: dict[tuple[int, int, str], Sequence[int]] = {}
        self._ordered: dict[bool, Sequence[int]] = {}
        self.places = {key: place for place, key in enumerate(self.keys)}

    def _fragments(self) -> Iterator[bytes]:
        form = forms.FORMS.get(self.registry.name, forms.json)
        named = self.registry.name == "oai"  # only OAI-PMH tells of the deleted, and has sets
        for fate in fates(self.registry, self.age):
            if fate.deleted and not named:
                continue
            project = make(self.registry.seed, fate.number) if fate.deleted else written(self.registry, fate)
            self.keys.append(project["id"])
            self.touched.append(fate.touched)
            if named:
                self.groups.append(tuple(forms.sets(project)))
            yield form(project, fate)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def newest(self) -> int:
        """Tell when the registry last changed."""
        return max(self.touched, default=0)

    def one(self, place: int) -> bytes:
        """Give the bytes of the record at *place*."""
        return self._bytes[self._ends[place] : self._ends[place + 1]]

    def all(self, places: Sequence[int]) -> bytes:
        """Give the bytes of many records, one slice where they lie together."""
        if not places:
            return b""
        if isinstance(places, range) or all(b - a == 1 for a, b in pairwise(places)):
            return self._bytes[self._ends[places[0]] : self._ends[places[-1] + 1]]
        return b"".join([self.one(place) for place in places])

    def select(self, start: int = 0, until: int = _ALWAYS, group: str = "") -> Sequence[int]:
        """List the places of what was touched from *start* to *until* (seconds, both included), in the set *group* or below it."""
        if start <= 0 and until >= _ALWAYS and not group:
            return range(len(self))
        wanted = (start, until, group)
        if wanted not in self._chosen:
            found = (place for place, when in enumerate(self.touched) if start <= when <= until)
            self._chosen[wanted] = [place for place in found if not group or self._within(place, group)]
        return self._chosen[wanted]

    def by_time(self, places: Sequence[int], newest_first: bool) -> Sequence[int]:
        """Order *places* by when they were touched; the order of all is kept."""
        if not isinstance(places, range):
            return sorted(places, key=self.touched.__getitem__, reverse=newest_first)
        if newest_first not in self._ordered:
            self._ordered[newest_first] = sorted(places, key=self.touched.__getitem__, reverse=newest_first)
        return self._ordered[newest_first]

    def _within(self, place: int, group: str) -> bool:
        return any(spec == group or spec.startswith(f"{group}:") for spec in self.groups[place])

    def close(self) -> None:
        """Give the temporary file back."""
        if isinstance(self._bytes, mmap.mmap):
            self._bytes.close()
        self._file.close()
