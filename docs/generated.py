"""Insert into a page of the site what the program knows, while the site is built.

``<!-- generated: NAME -->`` on a line of its own stands for a table, and ``<!-- default -->`` in a row
for the default of the key in the row's first cell. Below a heading that names a command or a setting
come its help text and options. A page that names something unknown, or leaves something out, is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from functools import lru_cache, partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer.main

from command_line.commands import LazyCommand
from command_line.settings import Settings
from harvesters.admin.actions import OPERATIONS
from harvesters.admin.app import create_admin
from harvesters.admin.context import AdminContext
from harvesters.mappings.mapping import MAPPINGS
from harvesters.options import Options
from harvesters.page_model import Payload
from harvesters.participation.app import create_submissions
from harvesters.participation.submitters import SubmissionContext
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.source import Limits as HarvestLimits
from harvesters.source import Source
from publisher.app import create_app
from publisher.catalog.openapi import openapi_description
from publisher.limits import Limits as QueryLimits
from publisher.releases.tables import TABLES
from publisher.store.query_service import QueryService
from shapes.rules import rules
from stocktake import app
from vocab.iris import Iris
from vocab.schemes import concepts, crosswalks, ontology_triples, schemes
from vocab.terms import DCT, RDFS, SKOS

DOCS = Path(__file__).parent
_MARK = re.compile(r"^<!-- generated: ([^\n]+) -->$", re.MULTILINE)
_HEADING = re.compile(r"^## `([^`\n]+)`$", re.MULTILINE)
_DEFAULT = re.compile(r"^(\| `(\w+)` \|(?:[^\n]*\|)? )<!-- default -->", re.MULTILINE)
_DECISION = re.compile(r"# (\d+)\. (.+)\n+(\d{4}-\d\d-\d\d), (.+?)\.?\n")
_PREFIXED = re.compile(r"\b((?:wsis|ops|dct|adms|foaf|org):\w+)")
_PAYLOADS = {Payload.ROW: "rows", Payload.XML: "XML elements", Payload.GRAPH: "graphs"}
COMMANDS_ONLY = ("backup", "restore", "upgrade", "mirror", "verify")
_SIZES = {1 << 30: "GiB", 1 << 20: "MiB"}


class PageError(ValueError):
    """A page that names what the program does not have, or leaves out what it has."""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown.

    >>> print(table(("a", "b"), [("1", "x | y")]))
    | a | b |
    |---|---|
    | 1 | x \\| y |
    """
    heads = [*head]
    lines = [
        heads,
        ["---"] * len(heads),
        *([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows),
    ]
    return (
        "\n".join("| " + " | ".join(line) + " |" for line in lines)
        .replace("| --- ", "|---")
        .replace("--- |", "---|")
    )


def code(value: object) -> str:
    """Return a value as code, and "none" for one that is missing or empty."""
    if value is None or value is MISSING or value in ("", (), {}, [], inf, -inf):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and (
        unit := next((size for size in _SIZES if value >= size and value % size == 0), None)
    ):
        return f"{value // unit} {_SIZES[unit]}"
    if isinstance(value, int | float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:g}"
    return f"`{value}`"


def decisions() -> str:
    """Return the table of decision records: number, title, date and status."""
    rows = []
    for file in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        match = _DECISION.match(file.read_text(encoding="utf-8"))
        if match is None:
            raise PageError(
                f"{file}: begin with '# NUMBER. TITLE', an empty line, and 'YYYY-MM-DD, accepted'"
            )
        number, title, date, status = match.groups()
        rows.append((number, f"[{title}]({file.name})", date, status))
    return table(("number", "title", "date", "status"), rows)


def options(model: type[Options]) -> str:
    """Return the table of a protocol's or a mapping's options."""
    if not model.model_fields:
        return "No options."
    cells = []
    for name, field in model.names().items():
        item = model.model_fields[field]
        default = "required" if item.is_required() else code(item.default)
        cells.append((f"`{name}`", item.description or "", default))
    return table(("option", "meaning", "default"), cells)


def _first_sentence(folder: str, name: str) -> str:
    """Return the first sentence of an entry's page."""
    file = DOCS / "reference" / folder / f"{name}.md"
    if not file.exists():
        raise PageError(f"{file} is missing")
    paragraph = file.read_text(encoding="utf-8").split("\n\n")[1].replace("\n", " ")
    sentence = re.split(r"(?<=[.])(?= [A-Z])", paragraph)[0].removesuffix(".")
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", sentence)  # its links lead from another folder


def protocols() -> str:
    """Return the list of protocols."""
    rows = [
        (
            f"[`{name}`](protocols/{name}.md)",
            _first_sentence("protocols", name),
            _PAYLOADS[protocol.payload_type]
            + (", or as the source definition says" if protocol.payload_type_for else ""),
            "yes" if protocol.incremental else "no",
        )
        for name, protocol in PROTOCOLS.items()
    ]
    return table(("protocol", "reads", "yields", "can request changes only"), rows)


def mappings() -> str:
    """Return the list of mappings."""
    rows = [
        (
            f"[`{name}`](mappings/{name}.md)",
            _first_sentence("mappings", name),
            ", ".join(word for payload, word in _PAYLOADS.items() if payload in mapping.accepts),
            mapping.kind,
        )
        for name, mapping in MAPPINGS.items()
    ]
    return table(("mapping", "maps", "from", "to, by default"), rows)


def rule_table(prefix: str) -> str:
    """Return the rules whose names begin with *prefix*."""
    rows = [
        (f"`{rule.name}`", rule.message, str(rule.severity.value), rule.remedy)
        for rule in rules().values()
        if rule.name.startswith(prefix)
    ]
    if not rows:
        raise PageError(f"no rule begins with {prefix}")
    return table(("rule", "message", "severity", "what to do"), rows)


def column_tables() -> str:
    """Return each table of a release with its columns."""
    parts = []
    for item in TABLES.values():
        rows = [
            (
                f"`{column.name}`",
                column.type,
                "" if column.required else "yes",
                column.full_description,
            )
            for column in item.columns
        ]
        key = f" Key: {', '.join(f'`{name}`' for name in item.key)}." if item.key else ""
        parts.append(
            f"## `{item.name}`\n\nOne row: {item.row}.{key}\n\n{table(('column', 'type', 'may be empty', 'content'), rows)}"
        )
    return "\n\n".join(parts)


def offered() -> str:
    """Return the table of operations: who may do each, and where it is offered."""
    rows = [
        (
            item.name.replace("_", " "),
            f"`{item.scope.label}`",
            *(
                f"`{place}`" if place else ""
                for place in (f"stocktake {item.command}" * bool(item.command), item.api, item.form)
            ),
        )
        for item in OPERATIONS
    ]
    rows += [(name, "", f"`stocktake {name}`", "", "") for name in COMMANDS_ONLY]
    return table(("operation", "permission", "command", "API", "form"), rows)


def _commands(group: Any, path: str = "stocktake") -> Iterator[tuple[str, Any]]:
    """Yield each command that does something, by the words that call it."""
    if not hasattr(group, "commands"):
        yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from _commands(
            command.load() if isinstance(command, LazyCommand) else command, f"{path} {name}"
        )


def _command(path: str, command: Any) -> str:
    """Return the help of a command: its sentence, its usage and its options."""
    arguments = [parameter for parameter in command.params if not parameter.opts[0].startswith("-")]
    flags = [
        parameter
        for parameter in command.params
        if parameter.opts[0].startswith("-") and parameter.opts[0] != "--help"
    ]
    usage = " ".join(
        [path, *(_usage(parameter) for parameter in arguments), *(["[OPTIONS]"] if flags else [])]
    )
    rows = [
        (f"`{_usage(parameter)}`", parameter.help or "", "" if parameter.required else "none")
        for parameter in arguments
    ]
    rows += [
        (
            f"`{'`, `'.join([*flag.opts, *flag.secondary_opts])}`",
            flag.help or "",
            _flag_default(flag),
        )
        for flag in flags
    ]
    parts = [
        command.help.strip(),
        f"```text\n{usage}\n```",
        table(("argument or option", "meaning", "default"), rows) if rows else "",
    ]
    return "\n\n".join(filter(None, parts))


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name).strip("[].").upper()
    name += "..." if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"


def _flag_default(flag: Any) -> str:
    if flag.required:
        return "required"
    return (
        ""
        if flag.is_flag or "Default:" in flag.help or "(default:" in flag.help
        else code(str(flag.default) if isinstance(flag.default, int) else flag.default)
    )


def _setting(variable: str) -> str:
    """Return a setting's option, default and help."""
    option = next(
        parameter
        for parameter in typer.main.get_command(app).params
        if parameter.envvar == variable
    )
    text = Settings.VARIABLES[variable]
    default = "" if "Default:" in text else f" Default: {code(option.default)}."
    return f"Option `{option.opts[0]}`. {text}{default}"


def _insert(source: str, page: str, texts: Mapping[str, str]) -> str:
    """Return a section for each of *texts*, with what *source* says below the heading that names it
    in backticks; raises PageError for a heading that names none.
    """
    start, *parts = _HEADING.split(source)
    written = dict(zip(parts[::2], parts[1::2], strict=True))
    if unknown := sorted(set(written) - set(texts)):
        raise PageError(f"{page}: unknown headings: {', '.join(unknown)}")
    return start + "\n\n".join(
        f"## `{name}`\n\n{text}\n\n{written.get(name, '').strip()}" for name, text in texts.items()
    )


def _fill_defaults(source: str, page: str, defaults: Mapping[str, object]) -> str:
    """Write the default of each key into its row; raises PageError if a key has no row."""
    filled = {match[2] for match in _DEFAULT.finditer(source)}
    if missing := sorted(filled ^ set(defaults)):
        raise PageError(f"{page}: unknown or missing rows with a default: {', '.join(missing)}")
    return _DEFAULT.sub(lambda match: f"{match[1]}{code(defaults[match[2]])}", source)


def _defaults(*kinds: Any) -> dict[str, object]:
    """Return the defaults of the fields that have one."""
    return {
        item.name: item.default if item.default is not MISSING else ""
        for kind in kinds
        for item in fields(kind)
        if item.default is not MISSING or item.default_factory is not MISSING
    }


def terms(ontology: str = "ns", prefix: str = "wsis") -> str:
    """Return the table of an ontology's terms, in the order of the file; raises PageError for a
    term without a comment.
    """
    namespace = f"{Iris().base}{ontology}#"
    comments: dict[str, str] = {}
    for triple in ontology_triples(ontology):
        subject = getattr(triple.subject, "value", "")
        if subject.startswith(namespace):
            name = subject.removeprefix(namespace)
            comments.setdefault(name, "")
            if (
                triple.predicate.value == f"{RDFS}comment"
                and getattr(triple.object, "language", None) == "en"
            ):
                comments[name] = getattr(triple.object, "value", "")
    if missing := sorted(name for name, comment in comments.items() if not comment):
        raise PageError(f"{ontology}: no rdfs:comment for {', '.join(missing)}")
    return table(
        ("term", "meaning"),
        [
            (f"`{prefix}:{name}`", _PREFIXED.sub(r"`\1`", comment))
            for name, comment in comments.items()
        ],
    )


def scheme_sections() -> str:
    """Return a section for each concept scheme, with its codes if they are few; crosswalks last."""
    parts = []
    for name in sorted(schemes(), key=lambda name: (name in crosswalks(), name)):
        subject = f"{Iris().base}scheme/{name}"
        texts: dict[str, str] = {}
        for triple in ontology_triples(f"scheme/{name}"):
            if (
                getattr(triple.subject, "value", None) == subject
                and getattr(triple.object, "language", None) == "en"
            ):
                texts.setdefault(triple.predicate.value, getattr(triple.object, "value", ""))
        note = texts.get(f"{SKOS}editorialNote", "")
        text = texts.get(f"{DCT}description") or f"{texts[f'{DCT}title']}. {note}".strip()
        codes = [code for item in concepts(name).values() for code in item.notations[:1]]
        few = (
            f"\n\nCodes: {', '.join(f'`{code}`' for code in codes)}." if 0 < len(codes) < 21 else ""
        )
        parts.append(f"### {name}\n\n" + _PREFIXED.sub(r"`\1`", text) + few)
    return "\n\n".join(parts)


@lru_cache(maxsize=1)
def _descriptions() -> list[tuple[str, str, dict[str, Any]]]:
    """Return the OpenAPI descriptions, each with the start of its paths and its form of a result."""
    site = AdminContext(DOCS, DOCS, "sqlite://", Iris().base)
    submissions = create_submissions(SubmissionContext(DOCS, DOCS, "sqlite://", Iris().base))
    with TemporaryDirectory() as folder:
        public = create_app(QueryService(Path(folder), Iris()))
    text = "{summary}. {description}"
    return [
        ("/admin", "{description}", create_admin(site).openapi()),
        ("", text, submissions.openapi()),
        ("", text, openapi_description(public, "")),
    ]


def api(pattern: str, page: str) -> str:
    """Return the operations of the three OpenAPI descriptions whose paths match *pattern*."""
    rows = [
        (f"`{method.upper()} {prefix}{path}`", " ".join(text.format_map(item).split()))
        for prefix, text, description in _descriptions()
        for path, operations in description["paths"].items()
        for method, item in operations.items()
        if re.match(pattern, f"{prefix}{path}")
    ]
    if not rows:
        raise PageError(f"{page}: no path matches {pattern}")
    return table(("operation", "result"), rows)


TABLE_MAKERS: Mapping[str, Callable[[], str]] = {
    "decisions": decisions,
    "protocols": protocols,
    "mappings": mappings,
    "columns": column_tables,
    "terms": terms,
    "operations": partial(terms, "operations", "ops"),
    "offered": offered,
    "schemes": scheme_sections,
}


def _generated(name: str, page: str) -> str:
    kind, _, argument = name.partition(" ")
    if kind == "rules":
        return rule_table(argument)
    if kind == "api":
        return api(argument, page)
    if name == "options":
        folder, _, entry = page.removeprefix("reference/").partition("/")
        return options(
            PROTOCOLS[entry].options if folder == "protocols" else MAPPINGS[entry].options
        )
    if name not in TABLE_MAKERS:
        raise PageError(f"{page}: nothing is generated by the name {name!r}")
    return TABLE_MAKERS[name]()


def generate(page: str, source: str) -> str:
    """Return the text of a page with all that is generated in it; raises PageError."""
    if page == "reference/commands":
        source = _insert(
            source,
            page,
            {
                path: _command(path, command)
                for path, command in _commands(typer.main.get_command(app))
            },
        )
    elif page == "reference/settings":
        source = _insert(
            source, page, {variable: _setting(variable) for variable in Settings.VARIABLES}
        )
    elif page == "reference/limits":
        source = _fill_defaults(source, page, _defaults(QueryLimits))
    elif page == "reference/sources":
        defaults = _defaults(Source, HarvestLimits)
        # tables, and what is in no definition
        apart = ("limits", "notify", "words", "decisions")
        source = _fill_defaults(
            source, page, {name: value for name, value in defaults.items() if name not in apart}
        )
    elif page == "reference/shapes":
        prefixes = [name.removeprefix("rules ") for name in _MARK.findall(source)]
        if left := [
            rule.name for rule in rules().values() if not rule.name.startswith(tuple(prefixes))
        ]:
            raise PageError(f"{page}: no table has the rules {', '.join(left)}")
    return _MARK.sub(lambda match: _generated(match[1], page), source)
