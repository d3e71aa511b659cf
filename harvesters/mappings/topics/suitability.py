"""Say why a text is not one that a classifier should read."""

from __future__ import annotations

import unicodedata
from collections import Counter

LONGEST = 100_000  # A text of more characters is a document, not a description.
FEWEST = 20  # A text of fewer letters says too little.
_MOST_CONTROL = 0.01  # The only control characters of a text are tabs and ends of lines.
_MAIN_SCRIPT = 0.6  # The most frequent script has at least this share of the letters.
_SAMPLE = 2000  # Only so many characters are looked at.
# The model was trained on the languages of XLM-RoBERTa (https://arxiv.org/abs/1911.02116,
# appendix A).
_LANGUAGES = """
    af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id is it ja jv ka kk km kn
    ko ku ky la lo lt lv mg mk ml mn mr ms my nb ne nl nn no om or pa pl ps pt ro ru sa sd si sk sl so sq sr su sv sw ta te th tl tr ug uk
    ur uz vi xh yi zh
"""
LANGUAGES = frozenset(_LANGUAGES.split())


def unsuitable(text: str, language: str | None) -> str:
    """Return why no topic should be suggested from a *text* in a *language* (BCP 47; None:
    unknown), "" if it can be.

    >>> unsuitable("x", "en")
    'the text has 1 letter; 20 are needed'
    """
    if len(text) > LONGEST:
        return f"the text has {len(text):,} characters; {LONGEST:,} are read"
    sample = text[:_SAMPLE]
    control = sum(
        unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") and char not in "\t\n\r"
        for char in sample
    )
    letters = [char for char in sample if char.isalpha()]
    if control > _MOST_CONTROL * len(sample):
        return "the text has control characters"
    if len(letters) < FEWEST:
        return f"the text has {len(letters)} letter{'' if len(letters) == 1 else 's'}; {FEWEST} are needed"
    if _main_share(letters) < _MAIN_SCRIPT:
        return "the text mixes scripts"
    if not language:
        return "the language of the text is unknown"
    if language.partition("-")[0].lower() not in LANGUAGES:
        return f"the model does not know the language {language}"
    return ""


def _main_share(letters: list[str]) -> float:
    scripts = Counter(_script(char) for char in letters)
    return scripts.most_common(1)[0][1] / len(letters)


def _script(char: str) -> str:
    """Return the first word of a character's name, which is its script; those of Japanese and
    Korean texts count as one with Chinese.
    """
    name = unicodedata.name(char, "").partition(" ")[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "HANGUL") else name
