"""What a source definition names: protocols and mappings, whose modules are imported at first use, and
their options, a pydantic model each; and the faults of definitions, which say where they are and
what to write instead.

A protocol reads its own options with ``options = CkanOptions.of(source)`` and then, e.g.,
``options.rows``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property, reduce
from importlib.metadata import EntryPoint, entry_points
from itertools import groupby
from math import inf
from typing import Annotated, Any, Protocol, Self, TypeVar

import structlog
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
)
from pydantic_core import ErrorDetails

from harvesters.errors import ParseError, SourceDefinitionError, message, parser_errors
from harvesters.reasons import Reason

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a TOML table",
    "mapping_type": "a TOML table",
    "dataclass_type": "a TOML table",
}
_MINIMA = {0: "a number from 0 up", 1: "a number from 1 up"}


def one_of(names: Iterable[str]) -> AfterValidator:
    """Return the check that a text is one of *names*."""
    known = tuple(names)

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(lambda key: not_one_of(key, value, known))
        return value

    return AfterValidator(check)


def _check_regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        text = str(error)
        raise ValueError(
            lambda key: Reason(
                "%(where)s is no regular expression: %(error)s", where=key, error=text
            )
        ) from error
    return value


def as_tuple(value: object) -> object:
    """Return one text or a list as a tuple, anything else as it is."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def must_be(kind: str, is_valid: Callable[[Any], bool]) -> PlainValidator:
    """Return the check of a value that must be of *kind*, such as "a mail address"."""

    def check(value: Any) -> Any:
        if not is_valid(value):
            raise ValueError(lambda key: expected(key, value, kind))
        return value

    return PlainValidator(check)


def is_number(value: object, most: float = inf) -> bool:
    """Return whether a value is a number from 0 to *most*."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Regex = Annotated[str, AfterValidator(_check_regex)]
# One text, or a list of texts.
Texts = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]


class _HasOptions(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


class Options(BaseModel):
    """The options of a protocol or mapping: a field each, with its default and a description for
    the documentation. The table of a source definition also holds those of the other of the two.

    A validator of a field or of the model raises ValueError with a Reason, or with a function that
    returns it for the name of the value.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    @classmethod
    def of(cls, source: _HasOptions) -> Self:
        """Return the options of *source*; raises SourceDefinitionError with each fault.

        >>> from types import SimpleNamespace
        >>> class Pages(Options):
        ...     rows: Positive = Field(100, description="The number of records per page.")
        >>> Pages.of(SimpleNamespace(name="kenya", options={"rows": 20})).rows
        20
        >>> Pages.of(SimpleNamespace(name="kenya", options={"rows": 0}))
        Traceback (most recent call last):
        harvesters.errors.SourceDefinitionError: kenya: option 'rows' is 0; write a number from 1 up
        """
        try:
            return cls.model_validate(dict(source.options))
        except ValidationError as error:
            faults = [located(source.name, fault) for fault in cls._faults(error, source.options)]
            raise SourceDefinitionError(*faults) from error

    @classmethod
    def names(cls) -> dict[str, str]:
        """Return the names of the fields by those of the options, which differ where a model has
        an attribute of that name.
        """
        return {item.alias or name: name for name, item in cls.model_fields.items()}

    @classmethod
    def _faults(cls, error: ValidationError, values: Mapping[str, Any]) -> Iterator[Reason]:
        details = error.errors(include_url=False)
        for name, group in groupby(details, lambda detail: str(next(iter(detail["loc"]), ""))):
            errors = [*group]
            if errors[0]["type"] == "missing":
                text = cls.model_fields[cls.names()[name]].description
                yield Reason(
                    "option %(name)s is missing: %(help)s", name=repr(name), help=str(text)
                )
            elif isinstance(values.get(name), dict) and len(errors[0]["loc"]) > 1:
                for item in errors:
                    key = ".".join(map(str, item["loc"]))
                    yield value_fault(option_named(key), item["input"], [item])
            else:
                yield value_fault(option_named(name), values.get(name), errors)


def value_fault(key: str | Reason, value: object, errors: list[ErrorDetails]) -> Reason:
    """Return the fault of the value of *key*, about which pydantic raised *errors*: one for each
    type that it may have.
    """
    if cause := errors[0].get("ctx", {}).get("error"):
        fault: Reason = cause.args[0] if isinstance(cause.args[0], Reason) else cause.args[0](key)
        return fault
    kinds = {kind.text: kind for kind in map(_kind, errors)}
    return expected(key, value, reduce(_either, kinds.values()))


def _either(first: Reason, second: Reason) -> Reason:
    return Reason("%(first)s or %(second)s", first=first, second=second)


def _kind(error: ErrorDetails) -> Reason:
    """Return what to write instead of a value that is of another kind."""
    if any(isinstance(part, int) for part in error["loc"]):
        return Reason("a list of texts")
    if error["type"] in ("tuple_type", "too_short"):
        return _either(Reason("text"), Reason("a list"))
    if error["type"] == "greater_than_equal":
        return Reason(_MINIMA[error["ctx"]["ge"]])
    return Reason(_KINDS[error["type"]])


def located(where: str | Reason, fault: Reason) -> Reason:
    """Return a fault with the file, source or key where it is.

    >>> located("kenya", expected("pause", -1, "a number from 0 up")).text
    'kenya: pause is -1; write a number from 0 up'
    """
    return Reason("%(where)s: %(fault)s", where=where, fault=fault)


def expected(key: str | Reason, value: object, kind: str | Reason) -> Reason:
    """Return the fault of a value that must be of another *kind*, such as "text"."""
    needed = Reason(kind) if isinstance(kind, str) else kind
    return Reason("%(key)s is %(value)s; write %(kind)s", key=key, value=repr(value), kind=needed)


def not_one_of(key: str | Reason, value: object, names: Iterable[str]) -> Reason:
    """Return the fault of a value that is none of *names*."""
    return Reason(
        "%(key)s is %(value)s; use one of %(names)s",
        key=key,
        value=repr(value),
        names=", ".join(names),
    )


def option_named(name: str) -> Reason:
    """Return how a fault names an option."""
    return Reason("option %(name)s", name=repr(name))


def suggestion(name: str, known: Iterable[str]) -> Reason:
    """Return the known name that is most like *name* as a question, or all of them.

    >>> suggestion("oai", ["oai-pmh", "ckan"]).text
    "did you mean 'oai-pmh'?"
    >>> suggestion("sparkle", ["oai-pmh", "ckan"]).text
    'known are ckan, oai-pmh'
    """
    names = sorted(known)
    begins = [other for other in names if name and other.startswith(f"{name}-")]
    close = begins or get_close_matches(name, names, n=1, cutoff=0.7)
    return (
        Reason("did you mean %(name)s?", name=repr(close[0]))
        if close
        else Reason("known are %(names)s", names=", ".join(names))
    )


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
        self._own = {
            name: EntryPoint(name, f"{module}:{attribute}", group)
            for name, module in modules.items()
        }
        self._group, self._kind, self._entries = group, kind, dict[str, Entry]()

    @cached_property
    def _plugins(self) -> Mapping[str, EntryPoint]:
        plugins = {point.name: point for point in entry_points(group=self._group)}
        for name in plugins.keys() & self._own.keys():
            package = _package(plugins.pop(name))
            log.warning("plugin ignored: its name is taken", name=name, package=package)
        return plugins

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            self._entries[name] = self._load(self._own.get(name) or self._plugins[name])
        return self._entries[name]

    def _load(self, point: EntryPoint) -> Entry:
        try:
            with parser_errors(point.value):
                entry = point.load()
                if not isinstance(entry, self._kind):
                    raise ValueError(f"{point.value} is no {self._kind.__name__}")
                return entry
        except ParseError as error:
            raise SourceDefinitionError(
                Reason(
                    "the plugin %(name)s of the package %(package)s cannot be used: %(error)s; "
                    "update the package, or uninstall it",
                    name=repr(point.name),
                    package=_package(point),
                    error=message(error.__cause__ or error),
                )
            ) from error

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._plugins

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from sorted(self._plugins)

    def __len__(self) -> int:
        return len(self._own) + len(self._plugins)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.module
