"""Add a curator's translation of a registry's word to the table beside its definition."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from harvesters.errors import SourceDefinitionError
from harvesters.inspection.decision_tables import replace_line
from harvesters.options import located
from harvesters.reasons import Reason
from harvesters.source import read_word_table, word_table
from vocab.curated_words import CuratedWord, fault_of, short_name, write_words
from vocab.iris import BASE
from vocab.normalization import fold


def add_word(folder: Path, source: str, item: CuratedWord, base: str = BASE) -> Path:
    """Write a word with its concept, short or an IRI under *base*, to the table of *source*; an
    earlier choice for it is replaced.

    Return the file. Raises SourceDefinitionError if the concept is unknown, or with each line of
    the table that cannot be read.
    """
    item = replace(
        item, word=" ".join(item.word.split()), concept=short_name(item.concept.strip(), base)
    )
    item = replace(item, day=item.day or f"{date.today()}")
    if fault := fault_of(item):
        reason = Reason(fault.code, **fault.values)
        raise SourceDefinitionError(located(item.word[:80], reason) if item.word else reason)
    file = word_table(folder, source)
    replace_line(
        file, item, lambda other: fold(other.word) == fold(item.word), read_word_table, write_words
    )
    return file
