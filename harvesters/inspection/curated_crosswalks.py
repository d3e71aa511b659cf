"""Add a curator's translation of a registry's word to the table beside its definition."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from harvesters.errors import SourceDefinitionError
from harvesters.source import read_word_table, word_table
from journal.atomic_file import replace_file
from journal.file_lock import FileLock
from vocab.curated_words import CuratedWord, fault_of, short_name, write_words
from vocab.iris import BASE
from vocab.normalization import fold


def add_word(folder: Path, source: str, item: CuratedWord, base: str = BASE) -> Path:
    """Write a word with its concept, short or an IRI under *base*, to the table of *source*; an earlier choice for it is replaced.

    Return the file. Raises SourceDefinitionError if the concept is unknown, or with each line of the table that cannot be read.
    """
    item = replace(item, word=" ".join(item.word.split()), concept=short_name(item.concept.strip(), base))
    item = replace(item, day=item.day or f"{date.today()}")
    if fault := fault_of(item):
        raise SourceDefinitionError(f"{item.word[:80] or 'no word'}: {fault}")
    file = word_table(folder, source)
    try:
        file.parent.mkdir(exist_ok=True)
        with FileLock(file.with_name(f".{file.name}.lock"), wait=True):
            words, faults = read_word_table(file)
            if faults:
                raise SourceDefinitionError("\n".join(faults))
            others = [word for word in words if fold(word.word) != fold(item.word)]
            replace_file(file, write_words([*others, item]))
    except OSError as error:
        raise SourceDefinitionError(f"{file}: {error.strerror}; nothing was stored") from error
    return file
