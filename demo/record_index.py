"""Serialize a registry's records once into a file, and serve slices of it."""

from __future__ import annotations

import mmap
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise

from demo import serializers
from demo.generate import generate_record
from demo.scenario import Fault, Registry, ScenarioState, record_histories, serialize_record

_ALWAYS = 1 << 40  # seconds; later than any datestamp


class RecordIndex:
    """A registry in a state. *keys*, *modified* (seconds since 1970) and *sets* (OAI-PMH) are by
    position, not by number.

    The bytes are in an unnamed temporary file, so that a hundred thousand records use little
    memory.
    """

    def __init__(self, registry: Registry, state: ScenarioState) -> None:
        self.registry = registry
        self.state = state
        self.keys: list[str] = []
        self.modified = array("q")
        self.sets: list[tuple[str, ...]] = []
        self._ends = array("Q", [0])
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 closed by close()
        for fragment in self._fragments():
            self._ends.append(self._ends[-1] + len(fragment))
            self._file.write(fragment)
        self._file.flush()
        self._bytes = (
            mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if self.keys else b""
        )
        self._selections: dict[tuple[int, int, str], Sequence[int]] = {}
        self._ordered: dict[bool, Sequence[int]] = {}
        self.positions = {key: position for position, key in enumerate(self.keys)}

    def _fragments(self) -> Iterator[bytes]:
        serialize = serializers.SERIALIZERS.get(self.registry.name, serializers.json)
        is_oai = self.registry.name == "oai"  # only OAI-PMH lists deleted records and has sets
        for history in record_histories(self.registry, self.state):
            if history.deleted and not is_oai:
                continue
            project = (
                generate_record(self.registry.seed, history.number)
                if history.deleted
                else serialize_record(self.registry, history)
            )
            self.keys.append(project["id"])
            self.modified.append(history.modified)
            if is_oai:
                self.sets.append(tuple(serializers.sets(project)))
            yield serialize(project, history)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def newest(self) -> int:
        return max(self.modified, default=0)

    def read(self, position: int) -> bytes:
        return self._bytes[self._ends[position] : self._ends[position + 1]]

    def read_many(self, positions: Sequence[int]) -> bytes:
        """Return the bytes of several records, in one slice if they are adjacent."""
        if not positions:
            return b""
        if isinstance(positions, range) or all(b - a == 1 for a, b in pairwise(positions)):
            return self._bytes[self._ends[positions[0]] : self._ends[positions[-1] + 1]]
        return b"".join([self.read(position) for position in positions])

    def select(self, start: int = 0, until: int = _ALWAYS, set_spec: str = "") -> Sequence[int]:
        """Return the positions of records modified from *start* to *until* (seconds, inclusive), in
        the set *set_spec* or below it.
        """
        if Fault.EMPTY in self.state.faults:
            return range(0)
        if start <= 0 and until >= _ALWAYS and not set_spec:
            return range(len(self))
        selection = (start, until, set_spec)
        if selection not in self._selections:
            self._selections[selection] = [
                position
                for position, when in enumerate(self.modified)
                if start <= when <= until and (not set_spec or self._in_set(position, set_spec))
            ]
        return self._selections[selection]

    def slice(self, positions: Sequence[int], first: int, size: int) -> Sequence[int]:
        """Return the *size* positions of the page that begins at *first*, with the faults that
        repeat records.
        """
        first = 0 if Fault.REPEAT in self.state.faults else first
        overlap = int(Fault.TWICE in self.state.faults and first > 0)
        return positions[first - overlap : first + size]

    def total(self, positions: Sequence[int], first: int) -> int:
        """Return the number of *positions*, or fewer from the second page on if the total shrinks."""
        count = len(positions)
        return count - count // 10 if Fault.SHRINK in self.state.faults and first else count

    def sort_by_time(self, positions: Sequence[int], newest_first: bool) -> Sequence[int]:
        """Return *positions* by modification time; the order of all is cached."""
        if isinstance(positions, range) and newest_first in self._ordered:
            return self._ordered[newest_first]
        ordered = sorted(positions, key=self.modified.__getitem__, reverse=newest_first)
        if isinstance(positions, range):
            self._ordered[newest_first] = ordered
        return ordered

    def _in_set(self, position: int, set_spec: str) -> bool:
        return any(
            spec == set_spec or spec.startswith(f"{set_spec}:") for spec in self.sets[position]
        )

    def close(self) -> None:
        if isinstance(self._bytes, mmap.mmap):
            self._bytes.close()
        self._file.close()
