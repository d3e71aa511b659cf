"""The tables of all commands, and groups that import the module of a command only when it runs, so
that ``--help`` starts quickly.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from typer import Context, Typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

_HELP_WANTED = "stocktake.help-wanted"


def import_quickly(module: str) -> Any:
    """Import *module* and return it.

    An import leaves no garbage, so the garbage collector, which takes a tenth of the time, is off
    meanwhile and ignores the imported objects later.
    """
    gc.disable()
    try:
        imported = import_module(module)
        gc.freeze()
    finally:
        gc.enable()
    return imported


def read_help(module: str, app: str, target: str) -> str:
    """Return the help of a command, or of an app without *target*, from the source of its module,
    which is not imported.
    """
    file = Path(__file__).parents[1].joinpath(*module.split(".")).with_suffix(".py")
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        is_operation = isinstance(node, ast.FunctionDef) and node.name == app and not target
        if isinstance(node, ast.FunctionDef) and (
            is_operation or target in _command_names(node, app)
        ):
            return ast.get_docstring(node) or ""
        if isinstance(node, ast.Assign) and not target and ast.unparse(node.targets[0]) == app:
            assert isinstance(node.value, ast.Call)
            texts = {item.arg: item.value for item in node.value.keywords}
            return str(ast.literal_eval(texts["help"]))
    raise LookupError(f"{module} has no command {target or app}")


def _command_names(function: ast.FunctionDef, app: str) -> Iterator[str]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == f"{app}.command":
            names = [item.value for item in decorator.args if isinstance(item, ast.Constant)]
            yield str(names[0]) if names else function.name.replace("_", "-")


class LazyCommand(TyperCommand):
    """A command or group *name* at *place*: ``module:app``, ``module:app.command`` or
    ``module:operation``.
    """

    def __init__(self, name: str, place: str, panel: str) -> None:
        super().__init__(name=name, callback=None, rich_help_panel=panel)
        self._module, _, rest = place.partition(":")
        self._app, _, self._target = rest.partition(".")

    def describe(self) -> None:
        """Set the first sentence of the help, for the list of commands."""
        text = read_help(self._module, self._app, self._target).partition("\n\n")[0]
        self.short_help = f"{' '.join(text.split()).partition('. ')[0].rstrip('.')}."

    def load(self) -> Any:
        """Import the module and return the real command."""
        loaded = getattr(import_quickly(self._module), self._app)
        if not isinstance(loaded, Typer):
            return import_module("command_line.operations").make_command(loaded)
        group: Any = get_group(loaded)
        return group.commands[self._target] if self._target else group

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse *args* with the real command, which is the command of the returned context.

        The settings are checked here if ``configure`` postponed it: by now no help text was asked
        for.
        """
        context = self.load().make_context(info_name, args, parent, **extra)
        if parent is not None and callable(parent.obj):
            context.obj = parent.obj = parent.obj()
        return context


def is_help_wanted(context: Context) -> bool:
    """Return whether the last word of the command line is ``--help``, so that the command probably
    prints its help and ends.
    """
    return bool(context.meta.get(_HELP_WANTED))


def lazy_group(panels: Mapping[str, Mapping[str, str]], default: str = "") -> type[TyperGroup]:
    """Return a group class with the place of each command by its name, below the headings of
    ``--help``. *default* is the command that runs if none is named.
    """

    class LazyGroup(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            ctx.meta[_HELP_WANTED] = args[-1:] == ["--help"]
            is_named = bool(args) and (args[0] in self.commands or args[0] == "--help")
            return super().parse_args(ctx, [default, *args] if default and not is_named else args)

        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            for panel, places in panels.items():
                for name, place in places.items():
                    self.commands[name] = LazyCommand(name, place, panel)

        def format_help(self, ctx: Any, formatter: Any) -> None:
            for command in self.commands.values():
                if isinstance(command, LazyCommand):
                    command.describe()
            super().format_help(ctx, formatter)

    return LazyGroup


# The place of each command, below its heading in `stocktake --help`: its module, and the app in the
# module; after a point the command in the app, unless the whole app is meant.
COMMANDS = {
    "Run": {
        "demo": "command_line.demo:app.demo",
        "serve": "command_line.services:app.serve",
        "up": "command_line.services:app.up",
        "schedule": "command_line.schedule:app.schedule",
        "worker": "command_line.schedule:app.worker",
        "mirror": "command_line.services:app.mirror",
        "mcp": "command_line.query:app.mcp",
    },
    "Harvest": {
        "sources": "command_line.commands:sources",
        "preflight": "command_line.inspection:app.preflight",
        "harvest": "command_line.harvest:app.harvest",
        "remap": "command_line.harvest:app.remap",
        "runs": "command_line.commands:runs",
        "plans": "command_line.commands:plans",
        "explain": "command_line.inspection:app.explain",
        "archive": "command_line.runs:archive",
    },
    "Curate": {
        "identity": "command_line.commands:identity",
        "crosswalk": "command_line.commands:crosswalk",
        "inbox": "command_line.curation:inbox",
        "prizes": "command_line.commands:prizes",
        "shapes": "command_line.vocabulary:shapes",
        "vocabulary": "command_line.vocabulary:vocabulary",
    },
    "Publish": {
        "release": "command_line.releases:app.release",
        "report": "command_line.releases:app.report",
        "dump": "command_line.releases:app.dump",
        "export": "command_line.releases:export",
        "query": "command_line.query:app.query",
        "diff": "command_line.queries:app.diff",
        "examples": "command_line.queries:example_queries",
    },
    "Maintain": {
        "keys": "command_line.commands:keys",
        "verify": "command_line.maintenance:app.verify",
        "store": "command_line.maintenance:store",
        "backup": "command_line.backup:app.backup",
        "restore": "command_line.backup:app.restore",
        "upgrade": "command_line.maintenance:app.upgrade",
    },
}


def _group(help: str, commands: Mapping[str, str], default: str = "") -> Typer:
    group = lazy_group({"Commands": commands}, default)
    return Typer(cls=group, no_args_is_help=not default, help=help)


sources = _group(
    help="Source definitions: list, check, preview, report, hold, clear, retire, forget.",
    commands={
        "list": "command_line.runs:app.list",
        "check": "command_line.runs:app.check",
        "preview": "command_line.inspection:app.preview",
        "report": "command_line.inspection:app.report",
        "hold": "harvesters.runs.operations:hold",
        "release": "harvesters.runs.operations:release",
        "clear": "harvesters.runs.operations:clear",
        "retire": "harvesters.runs.operations:retire",
        "resume": "harvesters.runs.operations:resume",
        "forget": "command_line.inspection:app.forget",
    },
)
runs = _group(
    help="Runs and their results. Default command: list.",
    commands={
        "list": "command_line.runs:runs.list",
        "show": "command_line.runs:runs.show",
        "log": "command_line.runs:runs.log",
    },
    default="list",
)
plans = _group(
    help="Plans that await approval.",
    commands={
        "list": "command_line.runs:plans.list",
        "show": "command_line.runs:plans.show",
        "approve": "harvesters.runs.operations:approve",
        "reject": "harvesters.runs.operations:reject",
        "undo": "harvesters.runs.operations:undo",
    },
)
identity = _group(
    help="One initiative, organization or document in several registries: match, decide, undo.",
    commands={
        "match": "command_line.identity:app.match",
        "queue": "command_line.identity:app.queue",
        "show": "command_line.identity:app.show",
        "decide": "harvesters.runs.operations:decide_pair",
        "decide-all": "command_line.identity:app.decide-all",
        "decisions": "command_line.identity:app.decisions",
        "publish": "command_line.identity:app.publish",
        "export": "command_line.identity:app.export",
        "import": "command_line.identity:app.import",
    },
)
crosswalk = _group(
    help="Words that no crosswalk translates.",
    commands={
        "gaps": "command_line.curation:crosswalk.gaps",
        "add": "harvesters.runs.operations:translate",
    },
)
prizes = _group(
    help="Contests for prizes: editions, experts, nominations and results.",
    commands={
        "add": "command_line.curation:prizes.add",
        "show": "command_line.curation:prizes.show",
        "expert": "harvesters.admin.actions:change_expert",
        "stage": "harvesters.admin.actions:decide_stage",
    },
)
keys = _group(
    help="Keys of the admin pages and API.",
    commands={
        "create": "command_line.operations:app.create",
        "list": "command_line.operations:app.list",
        "revoke": "harvesters.admin.actions:revoke_key",
    },
)
