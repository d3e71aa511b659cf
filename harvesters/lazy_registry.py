"""A mapping from names to entries whose modules are imported at first use, so that a program loads
only what its sources need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TypeVar, cast

Entry = TypeVar("Entry")


class LazyRegistry(Mapping[str, Entry]):
    """Entries by name: *modules* has the module of each, *attribute* is the entry's name in its
    module.

    Names are listed in the order of *modules*, without an import; `values` and `items` import all.
    """

    def __init__(self, modules: Mapping[str, str], attribute: str) -> None:
        self._modules, self._attribute = modules, attribute
        self._entries: dict[str, Entry] = {}

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            self._entries[name] = cast(
                Entry, getattr(import_module(self._modules[name]), self._attribute)
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)
