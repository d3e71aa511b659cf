"""Normalize names, so that different spellings have the same key, and cells, so that no spreadsheet
evaluates them.
"""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 1000  # Characters of a name or cached text; the longest title of a target has 747.

# The first characters of a cell that a spreadsheet would evaluate.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SEPARATORS = re.compile(r"[\W_]+")
# Words that differ between forms of one name: "Tanzania, United Republic of" and "the United
# Republic of Tanzania".
_STOP_WORDS = frozenset(("the", "of", "and"))


def fold(text: str) -> str:
    r"""Return the key of a name, without compatibility forms, case, accents and punctuation.

    >>> fold("Côte d'Ivoire"), fold("  E-Health. "), fold("\uff33DG")
    ('cote d ivoire', 'e health', 'sdg')
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    if not plain.isascii():
        plain = "".join(char for char in plain if not unicodedata.combining(char))
    return _SEPARATORS.sub(" ", plain).strip()


def sorted_words_key(key: str) -> str:
    """Return the sorted words of a folded *key* without stop words, for names whose words may be
    inverted.

    >>> sorted_words_key("tanzania united republic of") == sorted_words_key("the united republic of tanzania")
    True
    """
    return " ".join(sorted(word for word in key.split() if word not in _STOP_WORDS))


def escape_formula(cell: object) -> object:
    """Return a cell of a table that no spreadsheet evaluates as a formula.

    Source: https://owasp.org/www-community/attacks/CSV_Injection

    >>> escape_formula("=1+1"), escape_formula("a = b"), escape_formula(-1)
    ("'=1+1", 'a = b', -1)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
