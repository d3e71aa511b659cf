"""Import the module of a command only when the command runs, so that ``--help`` starts quickly."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


class LazyCommand(TyperCommand):
    """A command or group named *name* of the Typer app *app* in *module*.

    *target* is "" for the app itself, else the name of one of its commands.
    """

    def __init__(self, name: str, module: str, app: str, target: str, help: str, panel: str) -> None:
        super().__init__(name=name, callback=None, help=help, rich_help_panel=panel)
        self._module, self._app, self._target = module, app, target

    def load(self) -> Any:
        """Import the module and return the real command.

        Meanwhile nothing is garbage: the collector, which takes a tenth of the time, stands still, and never looks at these objects later.
        """
        gc.disable()
        try:
            module = import_module(self._module)
            gc.freeze()
        finally:
            gc.enable()
        group: Any = get_group(getattr(module, self._app))
        return group.commands[self._target] if self._target else group

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse *args* with the real command, which is the command of the returned context."""
        return self.load().make_context(info_name, args, parent, **extra)


def lazy_group(
    commands: Mapping[str, tuple[str, str, str, str]], panels: Mapping[str, Sequence[str]]
) -> type[TyperGroup]:
    """Return a group class with *commands*: by name the module, its app, the command in it, and the help.

    *panels* has each command once, in the order of ``--help``, by the heading above it.
    """

    class LazyGroup(TyperGroup):
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            for panel, names in panels.items():
                for name in names:
                    self.commands[name] = LazyCommand(name, *commands[name], panel)

    return LazyGroup
