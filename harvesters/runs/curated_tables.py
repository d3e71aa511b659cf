"""Tables of what curators decided, beside the source definitions: one line is written at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TypeVar

from harvesters.errors import SourceDefinitionError
from harvesters.options import located
from harvesters.reasons import Reason
from harvesters.source import decision_table, read_decision_table, read_word_table, word_table
from journal.atomic_file import replace_file
from journal.file_lock import FileLock
from vocab import curated_topics, curated_words
from vocab.curated_topics import TopicDecision, write_decisions
from vocab.curated_words import CuratedWord, RowFault, short_name, write_words
from vocab.iris import BASE
from vocab.normalization import fold

LineT = TypeVar("LineT")


def add_word(folder: Path, source: str, item: CuratedWord, base: str = BASE) -> Path:
    """Write a word with its concept, short or an IRI under *base*, to the table of *source*; an
    earlier choice for it is replaced.

    Return the file. Raises SourceDefinitionError if the concept is unknown, or with each line of
    the table that cannot be read.
    """
    word, concept = " ".join(item.word.split()), short_name(item.concept.strip(), base)
    item = replace(item, word=word, concept=concept, day=item.day or f"{date.today()}")
    _check(curated_words.fault_of(item), word)
    return _replace_line(
        word_table(folder, source),
        item,
        lambda other: fold(other.word) == fold(word),
        read_word_table,
        write_words,
    )


def add_decision(folder: Path, source: str, item: TopicDecision, base: str = BASE) -> Path:
    """Write a decision, its concept short or an IRI under *base*, to the table of *source*; an
    earlier one about the same is replaced.

    Return the file. Raises SourceDefinitionError if it is not valid, or with each line of the table
    that cannot be read.
    """
    concept, comment = short_name(item.concept.strip(), base), " ".join(item.comment.split())
    item = replace(item, concept=concept, day=item.day or f"{date.today()}", comment=comment)
    _check(curated_topics.fault_of(item), item.key)
    return _replace_line(
        decision_table(folder, source),
        item,
        lambda other: (other.key, other.concept) == (item.key, item.concept),
        read_decision_table,
        write_decisions,
    )


def _check(fault: RowFault | None, subject: str) -> None:
    if fault:
        reason = Reason(fault.code, **fault.values)
        raise SourceDefinitionError(located(subject[:80], reason) if subject else reason)


def _replace_line(
    file: Path,
    item: LineT,
    is_replaced: Callable[[LineT], bool],
    read: Callable[[Path], tuple[list[LineT], list[Reason]]],
    write: Callable[[Iterable[LineT]], str],
) -> Path:
    """Write *item* to the table *file*, in place of the lines that *is_replaced* accepts; one
    writer at a time. Return the file.

    Raises SourceDefinitionError with each line of the table that cannot be read, or if the file
    cannot be written; it is then unchanged.
    """
    try:
        file.parent.mkdir(exist_ok=True)
        with FileLock(file.with_name(f".{file.name}.lock"), wait=True):
            items, faults = read(file)
            if faults:
                raise SourceDefinitionError(*faults)
            replace_file(file, write([*(other for other in items if not is_replaced(other)), item]))
    except OSError as error:
        raise SourceDefinitionError(f"{file}: {error.strerror}; nothing was stored") from error
    return file
