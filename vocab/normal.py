"""Normal forms of words: what makes two spellings of one name the same key."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 1000  # characters: no name is longer (the longest title of a target has 747), and no longer text is remembered

_GAPS = re.compile(r"[\W_]+")
# Words that come and go between the forms of one name: "Tanzania, United Republic of" and "the United Republic of Tanzania".
_SMALL = frozenset(("the", "of", "and"))


def fold(text: str) -> str:
    r"""Give the key of a name: compatibility forms, case, accents and punctuation do not count.

    >>> fold("Côte d'Ivoire"), fold("  E-Health. "), fold("\uff33DG")
    ('cote d ivoire', 'e health', 'sdg')
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    if not plain.isascii():
        plain = "".join(char for char in plain if not unicodedata.combining(char))
    return _GAPS.sub(" ", plain).strip()


def bag(key: str) -> str:
    """Give the key of a name whose words may be inverted: the words of a folded *key*, sorted, without small ones.

    >>> bag("tanzania united republic of") == bag("the united republic of tanzania")
    True
    """
    return " ".join(sorted(word for word in key.split() if word not in _SMALL))
