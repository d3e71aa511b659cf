"""Map names to entries whose modules are imported at first use, so that a program loads only the
modules that its sources need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

import structlog

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.parsing import message, parser_errors
from harvesters.reasons import Reason

Entry = TypeVar("Entry")

log = structlog.get_logger()


class LazyRegistry(Mapping[str, Entry]):
    """Entries of a *kind* by name: those of the program, and the entry points of *group* of
    installed packages.

    *modules* has the module of each entry of the program, *attribute* is the entry's name in its
    module. No package can take a name of these. Names are listed without an import, the program's
    first; ``values`` and ``items`` import all. An entry of a package that cannot be used raises
    SourceDefinitionError, which names the package.
    """

    def __init__(
        self, modules: Mapping[str, str], attribute: str, group: str, kind: type[Entry]
    ) -> None:
        self._modules, self._attribute, self._group, self._kind = modules, attribute, group, kind
        self._entries: dict[str, Entry] = {}

    @cached_property
    def _plugins(self) -> Mapping[str, EntryPoint]:
        plugins = {point.name: point for point in entry_points(group=self._group)}
        for name in plugins.keys() & self._modules.keys():
            package = _package(plugins.pop(name))
            log.warning("plugin ignored: its name is taken", name=name, package=package)
        return plugins

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            if name in self._modules:
                entry = getattr(import_module(self._modules[name]), self._attribute)
            else:
                entry = self._load(self._plugins[name])
            self._entries[name] = entry
        return self._entries[name]

    def _load(self, point: EntryPoint) -> Entry:
        fault = f"{point.value} is no {self._kind.__name__}"
        try:
            with parser_errors(point.value):
                entry = point.load()
            if isinstance(entry, self._kind):
                return entry
        except ParseError as error:
            fault = message(error.__cause__ or error)
        raise SourceDefinitionError(
            Reason(
                "the plugin %(name)s of the package %(package)s cannot be used: %(error)s; update "
                "the package, or uninstall it",
                name=repr(point.name),
                package=_package(point),
                error=fault,
            )
        )

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self._plugins

    def __iter__(self) -> Iterator[str]:
        yield from self._modules
        yield from sorted(self._plugins)

    def __len__(self) -> int:
        return len(self._modules) + len(self._plugins)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.module
