"""The regular expressions of the program: read from its source, and tried with strings that make a
backtracking matcher slow.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

sre: Any = importlib.import_module("re._constants")
_parser: Any = importlib.import_module("re._parser")

METHODS = ("match", "fullmatch", "search", "finditer", "findall", "split", "sub", "subn")
MAKERS = ("compile", *METHODS)
# Characters of a string: a linear pattern needs 2 ms for it, a quadratic one 0.13 s or more.
LENGTH = 12_000
SECONDS = 0.06  # of processor time for one string
_SAMPLES = {sre.CATEGORY_DIGIT: "1", sre.CATEGORY_SPACE: " ", sre.CATEGORY_WORD: "a",
            sre.CATEGORY_NOT_DIGIT: "a", sre.CATEGORY_NOT_SPACE: "a", sre.CATEGORY_NOT_WORD: "-"}  # fmt: skip
_COMMON = " \n\t\"'<>a1-_.:,;/=&#@"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of the source, its *place*, and the *methods* by which it is used there."""

    place: str
    text: str
    is_bytes: bool
    flags: int
    methods: tuple[str, ...]


def patterns(trees: Mapping[str, ast.Module]) -> tuple[list[Pattern], list[str]]:
    """Return all patterns of modules, by their dotted names, and the places of those whose text is
    known only when the program runs.
    """
    results: list[Pattern] = []
    unknown: list[str] = []
    used = {module: _used([tree]) for module, tree in trees.items()}
    anywhere = _used(trees.values())
    for module, tree in trees.items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _maker(node)]
        names = {
            id(node.value): _targets(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
        }
        names |= _unpacked(tree)
        space = vars(importlib.import_module(module)) if calls else {}
        for call in calls:
            position = f"{module}:{call.lineno}"
            try:
                pattern = _evaluated(call, space)
            except NameError:
                unknown.append(position)
                continue
            maker = _maker(call)
            here = {
                method
                for name in names.get(id(call), ())
                for method in used[module].get(name) or anywhere.get(name, set())
            }
            methods = tuple(sorted(here)) if maker == "compile" else (maker,)
            text = (
                pattern.pattern.decode("latin-1")
                if isinstance(pattern.pattern, bytes)
                else pattern.pattern
            )
            results.append(
                Pattern(
                    position,
                    text,
                    isinstance(pattern.pattern, bytes),
                    pattern.flags,
                    methods or ("search",),
                )
            )
    return results, unknown


def _maker(call: ast.Call) -> str:
    func = call.func
    is_re = (
        isinstance(func, ast.Attribute)
        and isinstance(func.value, ast.Name)
        and func.value.id == "re"
        and func.attr in MAKERS
    )
    return func.attr if is_re and isinstance(func, ast.Attribute) else ""


def _targets(node: ast.Assign) -> tuple[str, ...]:
    return tuple(target.id for target in node.targets if isinstance(target, ast.Name))


def _unpacked(tree: ast.Module) -> dict[int, tuple[str, ...]]:
    """Return the names of ``A, B = re.compile(...), re.compile(...)``."""
    named: dict[int, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Tuple)
            and isinstance(node.targets[0], ast.Tuple)
        ):
            for name, value in zip(node.targets[0].elts, node.value.elts, strict=False):
                if isinstance(name, ast.Name):
                    named[id(value)] = (name.id,)
    return named


def _evaluated(call: ast.Call, space: Mapping[str, Any]) -> re.Pattern[Any]:
    maker = _maker(call)
    flags = [keyword.value for keyword in call.keywords if keyword.arg == "flags"]
    flags += (
        call.args[1:2]
        if maker == "compile"
        else call.args[2:3]
        if maker in {"match", "fullmatch", "search"}
        else []
    )
    parts = [
        eval(compile(ast.Expression(item), "pattern", "eval"), dict(space))
        for item in (call.args[0], *flags)
    ]
    return re.compile(*parts)


def _used(trees: Iterable[ast.Module]) -> dict[str, set[str]]:
    """Return the methods by which patterns are used anywhere, by the patterns' names."""
    used: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in METHODS
                and isinstance(node.value, ast.Name | ast.Attribute)
            ):
                name = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                used.setdefault(name, set()).add(node.attr)
    return used


def pumped(pattern: Pattern) -> Iterator[str]:
    """Return strings of a pattern's own alphabet, and strings that reach each of its repetitions,
    repeat it, and then fail.
    """
    tree = _parser.parse(
        pattern.text.encode("latin-1") if pattern.is_bytes else pattern.text,
        pattern.flags & ~re.DEBUG,
    )
    letters = sorted({*_letters(tree), *_COMMON})
    bodies = dict.fromkeys(letters)
    begins = dict.fromkeys(("",))
    for prefix, body in _repeated(tree, "", pattern.flags):
        begins[prefix[-200:]] = None
        bodies |= dict.fromkeys(item for item in body if item)
    if len(begins) + len(bodies) == 1 + len(letters) and not any(
        True for _ in _repeated(tree, "", pattern.flags)
    ):
        return  # the pattern repeats nothing
    own = [body for body in bodies if len(body) > 1][:8] + letters[:8]
    pairs = [a + b for a in own for b in own if a != b]
    for begin in list(begins)[:10]:
        if begin:
            yield begin * (LENGTH // len(begin)) + "\0"
        for body in [*list(bodies)[:40], *(() if begin else pairs)]:
            yield begin + body * (LENGTH // len(body)) + "\0"


def _letters(tree: Any) -> Iterator[str]:
    """Return the characters that a pattern names, and one for each class."""
    for kind, value in tree:
        if kind in (sre.LITERAL, sre.NOT_LITERAL):
            yield chr(value)
        elif kind is sre.IN:
            yield from _letters(value)
        elif kind is sre.RANGE:
            yield from {chr(value[0]), chr(value[1])}
        elif kind is sre.CATEGORY:
            yield _SAMPLES.get(value, "a")
        else:
            for inner in _inner(kind, value):
                yield from _letters(inner)


def _inner(kind: Any, value: Any) -> list[Any]:
    if kind is sre.BRANCH:
        return list(value[1])
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        return [value[2]]
    if kind is sre.SUBPATTERN:
        return [value[3]]
    if kind in (sre.ASSERT, sre.ASSERT_NOT):
        return [value[1]]
    return [value] if kind is sre.ATOMIC_GROUP else []


def _repeated(tree: Any, prefix: str, flags: int) -> Iterator[tuple[str, list[str]]]:
    """Return each repetition as the shortest text before it, and texts that it repeats."""
    for kind, value in tree:
        for inner in _inner(kind, value):
            if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT) and value[1] > 8:
                yield (
                    prefix, [*_variants(inner), *(a + b for a in _variants(inner) for b in _variants(inner) if a != b)],
                )  # fmt: skip
            yield from _repeated(inner, prefix, flags)
        prefix += _shortest([(kind, value)])


def _variants(tree: Any) -> list[str]:
    """Return some texts that a part matches: the shortest, and the shortest with each of its first
    branch's or class's members.
    """
    results = [_shortest(tree)]
    if len(tree) == 1:
        kind, value = tree[0]
        if kind is sre.IN:
            results += list(_letters(value))[:12]
        elif kind is sre.BRANCH:
            results += [_shortest(item) for item in value[1]]
        elif kind is sre.SUBPATTERN:
            results += _variants(value[3])
    if len(tree) > 1:
        results.append("".join(_shortest([item], 2) for item in tree))
    return list(dict.fromkeys(item for item in results if item))[:16]


def _shortest(tree: Any, least: int = 0) -> str:
    """Return a short text that a part matches; lookaheads and lookbehinds are left out."""
    text = ""
    for kind, value in tree:
        if kind is sre.LITERAL:
            text += chr(value)
        elif kind is sre.NOT_LITERAL or kind is sre.ANY:
            text += "a" if value != ord("a") else "b"
        elif kind is sre.IN:
            text += _member(value)
        elif kind is sre.BRANCH:
            text += min((_shortest(item) for item in value[1]), key=len)
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            text += _shortest(value[2]) * min(max(value[0], least), 64)
        elif kind is sre.SUBPATTERN:
            text += _shortest(value[3])
        elif kind is sre.ATOMIC_GROUP:
            text += _shortest(value)
    return text


def _member(members: Any) -> str:
    if members[0][0] is not sre.NEGATE:
        return next(_letters(members))
    excluded = re.compile(
        "[" + "".join(re.escape(letter) for letter in _letters(members[1:])) + "]"
    )
    return next(item for item in "a1-_.x ~é" if not excluded.match(item))


class TooSlow(Exception):
    """Matching a string took longer than SECONDS."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise TooSlow


def slow(pattern: Pattern) -> list[str]:
    """Return the strings that take longer than SECONDS of processor time, shortened to be read."""
    content = pattern.text.encode("latin-1") if pattern.is_bytes else pattern.text
    compiled = re.compile(content, pattern.flags)
    signal.signal(signal.SIGVTALRM, _stop)
    results = []
    for text in dict.fromkeys(pumped(pattern)):
        subject = text.encode("latin-1", "replace") if pattern.is_bytes else text
        for method in pattern.methods:
            try:
                signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
                try:
                    _run(compiled, method, subject)
                finally:  # the signal may arrive here too
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            except TooSlow:
                results.append(f"{method} of {text[:40]!r}... to ...{text[-12:]!r}")
        if len(results) >= 3:
            break
    return results


def _run(compiled: Any, method: str, subject: Any) -> None:
    if method in {"match", "fullmatch", "search"}:
        getattr(compiled, method)(subject)
    else:
        for _ in compiled.finditer(subject):
            pass


def main() -> None:
    """Read patterns as lines of JSON, and write the place of each with the strings that are too
    slow for it.
    """
    for line in sys.stdin:
        fields = json.loads(line)
        pattern = Pattern(**{**fields, "methods": tuple(fields["methods"])})
        print(json.dumps([pattern.place, slow(pattern)]), flush=True)


if __name__ == "__main__":
    main()
