"""Compare names over languages and scripts: normalized, transliterated, without legal forms, and by
their acronyms.
"""

from __future__ import annotations

import re
from functools import lru_cache

from anyascii import anyascii

MAX_NAME = 300  # characters that are compared; longer names are cut
_ACRONYM = re.compile(r"[A-Z][A-Z0-9&.-]{1,9}\Z")
_PARENTHESIS = re.compile(r"\(([A-Z][A-Za-z0-9&.-]{1,9})\)")
_WORDS = re.compile(r"[a-z0-9]+")
# Words that say which kind of legal person it is, in the languages of the registries; dots are
# removed before.
_LEGAL_WORDS = (
    "ab ag aisbl as asbl bv co company corp corporation eurl gie gmbh inc incorporated limited limitada llc llp lp ltd ltda nv oao ooo "
    "oy oyj pao plc pte pty pvt private sa sarl sas sasu scrl se sl spa sprl srl zao"
)
# Words that acronyms leave out and that do not distinguish names: English, French, Spanish.
_COMMON_WORDS = "a al and d da das de del der des di do dos du e el en et for in into l la las le les los of on para pour s the to und y"
_LEGAL_FORMS, STOP_WORDS = frozenset(_LEGAL_WORDS.split()), frozenset(_COMMON_WORDS.split())


@lru_cache(maxsize=1 << 16)
def name_words(name: str) -> tuple[str, ...]:
    """Return the words of a name in Latin letters, without legal forms and the words that every
    name has.

    Source of the transliteration: https://github.com/anyascii/anyascii

    >>> name_words("Kenya ICT Action Network, Ltd."), name_words("Министерство здравоохранения")
    (('kenya', 'ict', 'action', 'network'), ('ministerstvo', 'zdravookhraneniya'))
    """
    words = _WORDS.findall(anyascii(name[:MAX_NAME]).lower().replace("'", " ").replace(".", ""))
    content = [word for word in words if word not in STOP_WORDS]
    return (
        tuple(word for word in content if word not in _LEGAL_FORMS)
        or tuple(content)
        or tuple(words)
    )


def acronyms(name: str) -> frozenset[str]:
    """Return the acronyms of a name: itself if it is one, one in parentheses, and the initials of
    three words or more.

    >>> sorted(acronyms("International Telecommunication Union (ITU)")), sorted(acronyms("UNICEF"))
    (['itu', 'itui'], ['unicef'])
    """
    cut = name[:MAX_NAME].strip()
    keys = {match.lower() for match in _PARENTHESIS.findall(cut)}
    if _ACRONYM.match(cut):
        keys.add(re.sub(r"[^a-z0-9]", "", cut.lower()))
    words = name_words(cut)
    if len(words) > 2:
        keys.add("".join(word[0] for word in words))
    return frozenset(keys)
