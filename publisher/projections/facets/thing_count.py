"""Numbers of things and of records. The members of a cluster count as one thing."""

from __future__ import annotations


class ThingCount(int):
    """A number of things; *records* is the number of their records, which is greater where several
    describe one thing.

    >>> ThingCount(2, 3), ThingCount(2, 3).records, ThingCount(2, 3).has_duplicates, ThingCount(2, 3) + 1
    (2, 3, True, 3)
    """

    records: int

    def __new__(cls, things: int, records: int) -> ThingCount:
        count = super().__new__(cls, things)
        count.records = records
        return count

    def __reduce__(self) -> tuple[type[ThingCount], tuple[int, int]]:
        return ThingCount, (int(self), self.records)

    @property
    def has_duplicates(self) -> bool:
        return self.records != self


NONE = ThingCount(0, 0)
