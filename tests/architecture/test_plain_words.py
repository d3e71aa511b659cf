from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from codebase import parse_file

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "vocab", "shapes", "journal", "languages", "web", "harvesters", "publisher", "command_line", "demo", "benchmarks", "tests",
)  # fmt: skip
# Words with another meaning here than everywhere else, and pronouns. In identifiers they are parts
# between underscores or capitals.
IN_NAMES = {
    *(
        "told",
        "tell",
        "tells",
        "telling",
        "shelf",
        "shelves",
        "outlet",
        "outlets",
        "desk",
        "wing",
        "hall",
        "judge",
        "judges",
        "judged",
        "judging",
    ),
    *(
        "verdict",
        "verdicts",
        "bench",
        "craft",
        "errand",
        "errands",
        "mend",
        "mended",
        "tidings",
        "tides",
        "scribe",
        "tongue",
    ),
    *("cure", "cures"),  # what to do about an error is its remedy
    *("door", "doors", "deed", "deeds"),
}
PRONOUNS = {"it", "its"}  # a noun says more; the name of a test may be a sentence with these words
# Participles and other words that stand in place of a noun.
WHOLE_NAMES = PRONOUNS | {
    "held", "shown", "said", "met", "came", "stands", "wish", "fare", "made", "kept", "found", "taken",
}  # fmt: skip
# Fields of JSON documents, which keep their names, and the files that may name them.
STORED = {"kept": "publisher/portal/releases.py"}
IN_TEXTS = re.compile(
    r"\b(?:told|telling|shelf|shelves|outlets?|desk|wings?|judges?|judged|judging|verdicts?|errands?|taken up|takes up|mend|mends|mended|"
    r"laid out|put back|set right|front door|tidings|tides|scribe|comes to nothing|not heard of|cures?|what_to_do)\b",
    re.IGNORECASE,
)
AT_START = ("Give ", "Tell ", "Gives ", "Tells ")  # no docstring starts with these
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def _identifiers(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            if node.attr != "tell":  # a file's method `tell` returns the position in it
                yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).rpartition(".")[2]


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    return (
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def retired(file: Path) -> set[str]:
    """Return the retired words of a file: in names and texts of Python, in messages of a
    translation, in any line of another file.
    """
    if file.suffix == ".py":
        nodes = [*ast.walk(parse_file(file))]
        names = {*_identifiers(nodes)}
        parts = {part.lower() for name in names for part in _PART.findall(name)}
        texts = [*_texts(nodes)]
        starts = {
            start.strip().lower() for text in texts for start in AT_START if text.startswith(start)
        }
        whole = {name.strip("_") for name in names} & WHOLE_NAMES
        whole -= {name for name, path in STORED.items() if file == ROOT / path}
        return (
            (parts & IN_NAMES)
            | whole
            | starts
            | {match.lower() for text in texts for match in IN_TEXTS.findall(text)}
        )
    content = file.read_text(encoding="utf-8")
    if file.suffix == ".po":
        content = "\n".join(re.findall(r"^msgid (.*(?:\n\".*)*)", content, re.MULTILINE))
    return {match.lower() for match in IN_TEXTS.findall(content)}


def _files() -> Iterator[Path]:
    for package in PACKAGES:
        for pattern in (
            "*.py",
            "*.html",
            "*.xml",
            "*.po",
            "*.typ",
            "*.rq",
            "*.sql",
            "*.js",
            "*.css",
        ):
            yield from (
                file
                for file in (ROOT / package).rglob(pattern)
                if "static" not in file.parts and "node_modules" not in file.parts
            )
    yield from (ROOT / "docs").rglob("*.md")
    yield from [
        ROOT / "stocktake.py", ROOT / "hatch_build.py", *(ROOT / "docs").rglob("*.py"), *ROOT.glob("*.md"), ROOT / "Makefile",
    ]  # fmt: skip


PROGRAM = (
    "vocab", "shapes", "journal", "languages", "web", "harvesters", "publisher", "command_line", "demo",
)  # fmt: skip
RETIRED_NAMES = {
    kind: {name for line in lines if line.startswith(f"{kind} ") for name in line.split()[1:]}
    for lines in [
        (Path(__file__).parent / "retired_names.txt").read_text(encoding="utf-8").splitlines()
    ]
    for kind in ("class", "function", "module")
}
FILES = {str(file.relative_to(ROOT)): file for file in sorted(_files()) if file != Path(__file__)}


def test_no_file_has_a_retired_word() -> None:
    faults = {name: words for name, file in FILES.items() if (words := retired(file))}

    assert len(FILES) > 900
    assert faults == {}, "use the terms of docs/glossary.md"


def _definitions(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield "class", node.name.lstrip("_")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield "function", node.name.lstrip("_")


def test_no_class_function_or_module_has_a_retired_name() -> None:
    files = [
        file
        for package in PROGRAM
        for file in sorted((ROOT / package).rglob("*.py"))
        if "node_modules" not in file.parts
    ]
    named = [(file, "module", file.stem) for file in files]
    named += [(file, *item) for file in files for item in _definitions(parse_file(file))]

    assert len(named) > 5000
    assert [
        f"{file.relative_to(ROOT)}: {kind} {name}"
        for file, kind, name in named
        if name in RETIRED_NAMES[kind]
    ] == []


def test_a_retired_name_is_noticed() -> None:
    tree = ast.parse("def it(): ...\nclass Door: ...\ndef items(): ...")

    assert [(kind, name) for kind, name in _definitions(tree) if name in RETIRED_NAMES[kind]] == [
        ("function", "it"),
        ("class", "Door"),
    ]


def test_no_docstring_begins_with_the_name_of_its_file() -> None:
    starts = {
        name: (ast.get_docstring(parse_file(file)) or "")
        .partition(":")[0]
        .lower()
        .removeprefix("the ")
        for name, file in FILES.items()
        if file.suffix == ".py"
    }

    assert len(starts) > 700
    stems = {
        name: Path(name).stem.removeprefix("test_").replace("_", " ").rstrip("s") for name in starts
    }
    assert [name for name, start in starts.items() if start.rstrip("s") == stems[name]] == []
