"""Import the module of a command only when the command runs, so that ``--help`` starts quickly."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from typer import Context
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

_HELP_WANTED = "stocktake.help-wanted"


def import_quickly(module: str) -> Any:
    """Import *module* and return it.

    Meanwhile nothing is garbage. The garbage collector, which takes a tenth of the time, is off,
    and ignores these objects later.
    """
    gc.disable()
    try:
        imported = import_module(module)
        gc.freeze()
    finally:
        gc.enable()
    return imported


class LazyCommand(TyperCommand):
    """A command or group named *name* of the Typer app *app* in *module*.

    *target* is "" for the app itself, else the name of one of its commands.
    """

    def __init__(
        self, name: str, module: str, app: str, target: str, help: str, panel: str
    ) -> None:
        super().__init__(name=name, callback=None, help=help, rich_help_panel=panel)
        self._module, self._app, self._target = module, app, target

    def load(self) -> Any:
        """Import the module and return the real command."""
        group: Any = get_group(getattr(import_quickly(self._module), self._app))
        return group.commands[self._target] if self._target else group

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse *args* with the real command, which is the command of the returned context.

        If the settings are still to be checked, that is done once it is known that no help was
        printed.
        """
        context = self.load().make_context(info_name, args, parent, **extra)
        if parent is not None and callable(parent.obj):
            context.obj = parent.obj = parent.obj()
        return context


def is_help_wanted(context: Context) -> bool:
    """Return whether the last word of the command line is ``--help``: likely, but not surely, a
    help text is printed and all ends.
    """
    return bool(context.meta.get(_HELP_WANTED))


def lazy_group(
    commands: Mapping[str, tuple[str, str, str, str]],
    panels: Mapping[str, Sequence[str]],
    default: str = "",
) -> type[TyperGroup]:
    """Return a group class with *commands*: by name the module, its app, the command in it, and the
    help.

    *panels* has each command once, in the order of ``--help``, by the heading above it. *default*
    is the command that runs if none is named.
    """

    class LazyGroup(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            ctx.meta[_HELP_WANTED] = args[-1:] == ["--help"]
            is_named = bool(args) and (args[0] in self.commands or args[0] == "--help")
            return super().parse_args(ctx, [default, *args] if default and not is_named else args)

        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            for panel, names in panels.items():
                for name in names:
                    self.commands[name] = LazyCommand(name, *commands[name], panel)

    return LazyGroup
