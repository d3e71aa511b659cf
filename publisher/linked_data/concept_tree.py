"""Order the concepts of a scheme as a tree."""

from __future__ import annotations

from publisher.rdf.results import Row


def concept_tree(rows: list[Row]) -> list[tuple[int, Row]]:
    """Return the concepts with their depth, ordered by notation, each below its broader concept."""
    known = {row["concept"].value for row in rows}
    below: dict[str | None, list[Row]] = {}
    for row in sorted(rows, key=_sort_key):
        parent = row["broader"].value if "broader" in row and row["broader"].value in known else None
        below.setdefault(parent, []).append(row)
    ordered: list[tuple[int, Row]] = []
    waiting = [(0, row) for row in reversed(below.get(None, []))]
    seen: set[str] = set()
    while waiting:
        depth, row = waiting.pop()
        if row["concept"].value not in seen:
            seen.add(row["concept"].value)
            ordered.append((depth, row))
            waiting += [(depth + 1, child) for child in reversed(below.get(row["concept"].value, []))]
    return ordered


def _sort_key(row: Row) -> tuple[list[tuple[int, str]], str]:
    """Return a key that sorts 4 before 10 and 4.2 before 4.a."""
    notation = row["notation"].value if "notation" in row else ""
    parts = "".join(char if char.isdigit() else f" {char} " for char in notation).split()
    return [(int(part), "") if part.isdigit() else (1 << 30, part) for part in parts], row["name"].value
