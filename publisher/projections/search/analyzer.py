"""Split texts of any language into index terms.

Words are indexed without case, accents and vowel points, and also by their stems if there is a
stemmer for the language. Runs of scripts without spaces, and of Hangul, are indexed as overlapping
pairs of characters, so that any part of a run matches as a phrase.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

import Stemmer

MAX_WORD_LENGTH = 64  # characters; the rest of a longer word is dropped
_CACHED = 1 << 16  # words and stems: some 10 MB

# Snowball's stemmers (https://snowballstem.org/algorithms/) by language tag.
STEMMERS = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "eu": "basque",
    "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Japanese, Chinese
    "\u1100-\u11ff\uac00-\ud7af"  # Korean, whose particles are attached to the words
)
# 0640 is the tatweel
_POINTS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]"
)
_ALEF = str.maketrans("أإآٱى", "ااااي")  # letters with two spellings
# prefixes of Arabic words, as in the Light10 stemmer
_ARTICLE = re.compile("^(?:و?(?:ال|بال|كال|لل)|فال)(?=.{2})")
_ELISION = re.compile(r"\b(?:[cdjlmnst]|qu)['’](?=\w)|['’]s\b")  # l'eau, d'eau, women's


def _marks() -> str:
    """Return the marks that occur within words, such as the vowel signs of Hindi, which Python's
    \\w does not match.
    """
    marks = (
        chr(code)
        for code in range(0x300, 0x20000)
        if unicodedata.category(chr(code)) in ("Mn", "Mc")
    )
    return re.escape("".join(marks))


@cache
def _word() -> re.Pattern[str]:
    return re.compile(rf"[\w{_marks()}\u200c\u200d]+")


_HEBREW = "\u0590"  # first script whose composed words contain combining marks
_PLAIN = re.compile(r"\w+")  # eight times as fast as _word()
_PART = re.compile(rf"(?P<run>[{_UNSPACED}]+)|[^{_UNSPACED}]+")


def _pieces(text: str) -> list[str]:
    plain = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    if "'" in plain or "’" in plain:
        plain = _ELISION.sub(" ", plain)
    return (_PLAIN if plain.isascii() or max(plain) < _HEBREW else _word()).findall(plain)


def find_words(text: str) -> Iterator[re.Match[str]]:
    """Yield the words of *text*, as written."""
    return (_PLAIN if text.isascii() or not text or max(text) < _HEBREW else _word()).finditer(text)


def _parts(piece: str) -> Iterator[tuple[str, bool]]:
    for match in _PART.finditer(piece):
        word = match.group().strip("_\u200c\u200d")
        if word:
            yield word[:MAX_WORD_LENGTH] if match["run"] is None else word, match["run"] is not None


def tokens(text: str) -> list[tuple[str, bool]]:
    """Split *text* into words, and runs of a script without spaces (True); in lower case, composed.

    >>> tokens("L’eau: 水資源 C7-eHealth")
    [('eau', False), ('水資源', True), ('c7', False), ('ehealth', False)]
    """
    return [part for piece in _pieces(text) for part in _parts(piece)]


@lru_cache(_CACHED)
def fold(word: str) -> str:
    """Return a word without accents and vowel points.

    >>> fold("santé"), fold("größe"), fold("صِحَّة"), fold("हिन्दी")
    ('sante', 'große', 'صحة', 'हिन्दी')
    """
    if word.isascii():
        return word
    return unicodedata.normalize(
        "NFC", _POINTS.sub("", unicodedata.normalize("NFD", word))
    ).translate(_ALEF)


def character_pairs(run: str) -> list[str]:
    """Return the overlapping pairs of characters of a run, and its last character alone.

    >>> character_pairs("水資源")
    ['水資', '資源', '源']
    """
    return [run[index : index + 2] for index in range(len(run))]


@cache
def _stemmer(name: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(name, 0)


@lru_cache(_CACHED)
def stem(word: str, language: str) -> str:
    """Return the index term of a word's stem, which begins with the language. STEMMERS must contain
    the language.

    >>> stem("cliniques", "fr"), stem("clinics", "en")
    ('fr:cliniqu', 'en:clinic')
    """
    bare = _ARTICLE.sub("", fold(word)) if language == "ar" else word
    return f"{language}:{fold(_stemmer(STEMMERS[language]).stemWord(bare))}"


def primary_language(tag: str | None) -> str:
    """Return the language of a tag without script and region; a text without a tag counts as
    English.

    >>> primary_language("zh-hans"), primary_language(None)
    ('zh', 'en')
    """
    return (tag or "en").partition("-")[0].lower()


def tokenize(text: str, language: str) -> tuple[str, str]:
    """Return the index terms of a text: its words in order, and their stems, each joined by spaces.

    >>> tokenize("Cliniques isolées", "fr")
    ('cliniques isolees', 'fr:cliniqu fr:isol')
    """
    analyzed = [_analyze(piece, language) for piece in _pieces(text)]
    return " ".join([words for words, _ in analyzed]), " ".join(
        [stems for _, stems in analyzed if stems]
    )


@lru_cache(_CACHED)
def _analyze(piece: str, language: str) -> tuple[str, str]:
    words: list[str] = []
    stems: list[str] = []
    for word, run in _parts(piece):
        words += character_pairs(fold(word)) if run else [fold(word)]
        if not run and language in STEMMERS:
            stems.append(stem(word, language))
    return " ".join(words), " ".join(stems)
