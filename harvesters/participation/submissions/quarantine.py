"""Hold back what a person sent if its score says that a program or a seller wrote it; moderators
decide about it apart from the queue.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from harvesters.ledger.participation.models import Content, SubmissionState, Submitter

THRESHOLD = 4  # points from which a submission is held back
FREE_LINKS = 2  # in all texts together: the pages have a field of their own
# from the first page of the form to the last: few persons read a dozen questions so fast
QUICK_SECONDS = 30
_LINK_POINTS, _TITLE_POINTS, _SCRIPT_POINTS, _SPEED_POINTS = 4, 2, 2, 2
_LETTERS = 40  # in which the script of a text shows
_LINK = re.compile(r"https?://|\bwww\.", re.IGNORECASE)
# of the languages of the form; of the others LATIN
_SCRIPTS = {"ar": "ARABIC", "ru": "CYRILLIC", "zh": "CJK"}
_TEXTS = ("title", "description", "content", "venue")


def suspicions(content: Content, seconds: float | None) -> dict[str, int]:
    """Return the signs of an unwanted submission, each with its points; *seconds* passed since its
    draft was begun, None without a draft.

    >>> title, text = {"en": "Buy at www.pills.example"}, {"ru": "Cheap pills for all who want to sleep, today and now."}
    >>> suspicions({"title": title, "description": text}, 9)
    {'link in the title': 2, 'script': 2, 'speed': 2}
    """
    texts = list(_texts(content))
    links = sum(len(_LINK.findall(text)) for _, text in texts)
    points = {
        "links": min(_LINK_POINTS, max(0, links - FREE_LINKS)),
        "link in the title": _TITLE_POINTS
        if any(_LINK.search(text) for text in content.get("title", {}).values())
        else 0,
        "script": _SCRIPT_POINTS
        if any(_is_foreign(language, text) for language, text in texts)
        else 0,
        "speed": _SPEED_POINTS if seconds is not None and seconds < QUICK_SECONDS else 0,
    }
    return {name: number for name, number in points.items() if number}


def triage(
    submitter: Submitter, content: Content, seconds: float | None = None
) -> tuple[SubmissionState, str]:
    """Return the state in which a submission waits, and why it is held back; organizations have a
    key, and are not scored.
    """
    points = suspicions(content, seconds) if submitter.mail else {}
    if sum(points.values()) < THRESHOLD:
        return SubmissionState.SUBMITTED, ""
    return SubmissionState.QUARANTINED, ", ".join(
        f"{name} {number}" for name, number in points.items()
    )


def _texts(content: Content) -> Iterator[tuple[str, str]]:
    """Yield each text with its language."""
    reasons: Mapping[str, Any] = content.get("why") or {}
    for texts in (*(content.get(name) or {} for name in _TEXTS), *reasons.values()):
        yield from texts.items()


def _is_foreign(language: str, text: str) -> bool:
    """Return whether most letters of a text are of another script than that of its language."""
    letters = [char for char in text[:2_000] if char.isalpha()]
    if len(letters) < _LETTERS or language not in ("en", "fr", "es", *_SCRIPTS):
        return False
    own = sum(
        unicodedata.name(char, "").startswith(_SCRIPTS.get(language, "LATIN")) for char in letters
    )
    return own < len(letters) / 2
