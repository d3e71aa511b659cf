"""Find goals, targets and action lines that a text names by their number ("SDG 4", "ODD 4", "target
9.c", "هدف 4", "action line C7"), and add suggestions to records, without those that the record has
on another basis.

A number alone is no mention. Words that also mean something else ("goal 4", "target 1.5") count
only if words of the 2030 Agenda are near, or if they are all of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple

from harvesters.errors import HarvestError, import_optional
from harvesters.payloads.crosswalk_lookup import sort_claims
from harvesters.source import MODEL, NOTHING, Source
from vocab.curated import CONFIRMED, SUGGESTED, TopicDecision, resolve_concept
from vocab.initiative import Basis, Claim, Resource, Text
from vocab.iris import Iris
from vocab.lookup import SDG, action_line, goal
from vocab.schemes import concepts

METHOD, VERSION = "mention", "1"
LONGEST = 100_000  # A text of more characters is not read.
# The confidence of a word that only means the goals, and of one that does beside words of the Agenda.
SURE, LIKELY = 0.99, 0.9
_NEAR = 200  # So many characters before and after a mention are its context.


class Mention(NamedTuple):
    """A *concept* (IRI of a goal or target, code of an action line), the *words* that name it, and
    the *confidence* from 0 to 1.
    """

    concept: str
    words: str
    confidence: float


_PHRASES = (
    r"sustainable\s+development\s+goals?|objectifs?\s+de\s+développement\s+durable|objetivos?\s+de\s+desarrollo\s+sostenible"
    r"|цел[а-я]*\s+(?:в\s+области\s+)?устойчивого\s+развития|(?:أهداف|هدف)\s+التنمية\s+المستدامة"
)
_GOAL_WORDS = r"goals?|objectifs?|objetivos?|цел[иьюя][а-я]{0,2}|目标|(?:ال)?هدف|(?:ال)?أهداف"
_TARGET_WORDS = (
    r"targets?|indicators?|cibles?|indicateurs?|metas?|indicador(?:es)?|задач[а-я]{0,3}|показател[а-я]{1,3}"
    r"|具体目标|指标|(?:ال)?غاي(?:ة|ات)|(?:ال)?مؤشر"
)
_CONTEXT = re.compile(
    rf"\b(?:SDGs?|2030\s+agenda|agenda\s+2030|agenda\s+for\s+sustainable)\b|ЦУР|2030年议程|خطة\s+(?:عام\s+)?2030|{_PHRASES}"
    r"|sustainable\s+development|développement\s+durable|desarrollo\s+sostenible|устойчивого\s+развития|可持续发展|التنمية\s+المستدامة",
    re.IGNORECASE,
)
# Acronyms are written in capitals: "odd 4" is a number, "ods 4" a file.
_PREFIX = re.compile(
    rf"(?:(?<![^\W\d_])|(?=[\u4e00-\u9fff]))"  # Chinese has no spaces between words.
    rf"(?:(?P<acronym>\#?(?-i:SDGs?|ODD|ODS|ЦУР))|(?P<phrase>{_PHRASES}|可持续发展(?:具体)?目标)|(?P<target>{_TARGET_WORDS})|(?P<goal>{_GOAL_WORDS}))"
    rf"(?:[\s:_-]*(?:{_TARGET_WORDS}|{_GOAL_WORDS})(?![^\W\d_]))?[\s:\#_-]*(?:(?:no\.?|n°|nº|№|number)\s*)?(?=\d)",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"0?(?P<goal>1[0-7]|[1-9])(?!\d)(?:\s?\.\s?(?P<point>\d{1,2}|[a-d](?![^\W_]))(?:\.(?:\d{1,2}|[a-d])(?![^\W_]))?)?"
    r"(?!\.?\d)(?!,\d{3})",
    re.IGNORECASE,
)
_AND = re.compile(
    r"\s*(?:[,;/&+、،](?:\s*(?:and|et|y|и|和|و))?|and|et|y|и|和|及|و)\s*(?:\#?(?:SDGs?|ODD|ODS|ЦУР)[\s:-]*)?(?=\d)",
    re.IGNORECASE,
)
_ENDS_LIST = re.compile(r"\s*(?:\Z|[^\w\s]|(?:and|et|y|и|和|及|و)\s*\d)", re.IGNORECASE)
_UNIT = re.compile(
    r"\s?(?:[%°‰€$£]|(?:per\s?cent|pour\s?cent|por\s?ciento|процент|[kmg]?w(?:h|att)|million|billion|trillion|thousand|hundred|millones|miles|milliards?|mil\b|млн|млрд|тыс"
    r"|million|degrees?|degrés?|grados|градус|years?|months?|days?|weeks?|countries|people|projects?|targets?|goals?|indicators?|out\s+of|of\s+\d|个|项|亿|万|年|月|مليون|مليار|دول)"
    r"(?![^\W\d_])|[个项亿万年月])",
    re.IGNORECASE,
)
_OTHER_GOALS = re.compile(
    r"(?:millenn\w*|milen\w*|mill[ée]naire|тысячелет\w*|千年\w*|الألفية|MDGs?|OMD|ODM|ЦРТ)[^.;]{0,40}\Z",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"(?:\bexcept|\bother\s+than|\bunlike|\bnot\s+(?:\w+\s+){0,3}(?:to|with|for)|\bsauf|\bhormis|\bexcepto|\bsalvo|кроме|除了|باستثناء)\s+(?:the\s+|la\s+|le\s+|el\s+)?\Z",
    re.IGNORECASE,
)
# In other languages these acronyms mean other things.
_LANGUAGES = {"ODD": ("fr",), "ODS": ("es", "pt", "ca", "gl")}
_NAMED = re.compile(r"\s?[:–—-]\s*(?P<name>[^.;()\n]{3,300})")
_LINE_PREFIX = re.compile(
    r"(?<![^\W\d_])(?:(?:wsis|smsi|cmsi|ввуио)(?:\s+(?:action\s+lines?|al))?|action\s+lines?|(?-i:AL)|grandes?\s+orientations?|lignes?\s+d['’]action"
    r"|l[íi]neas?\s+de\s+acci[óo]n|направлени[а-я]{1,3}\s+деятельности|行动方面|خط(?:وط)?\s+العمل)[\s:\#-]*(?:wsis\s+|smsi\s+|cmsi\s+)?(?=[CcСс][\s.-]?\d)",
    re.IGNORECASE,
)
_LINE = re.compile(r"[CcСс][\s.-]?0?(?P<number>1[01]|[1-9])(?![\d]|\.\d|[^\W\d_])")
_LINE_AND = re.compile(
    r"\s*(?:[,;/&+、،](?:\s*(?:and|et|y|и|和|و))?|and|et|y|и|和|及|و)\s*(?=[CcСс][\s.-]?\d)",
    re.IGNORECASE,
)
_APPLICATION = re.compile(
    r"\s?[:–—(-]?\s*(?:ict\s+applications\s?[:–—(-]?\s*)?(?P<name>e-?\s?[a-z]{5,12})", re.IGNORECASE
)


def find_mentions(text: str, language: str | None = None) -> list[Mention]:
    """Return the first mention of each goal, target and action line in a *text* whose BCP 47
    *language* is known, or None.

    The codes of action lines are those of ``vocab.lookup``. A text over ``LONGEST``
    characters has none.

    >>> [mention.concept for mention in find_mentions("Supports SDGs 3 and 4, target 9.c and action line C7: e-health.")]
    ['http://metadata.un.org/sdg/3', 'http://metadata.un.org/sdg/4', 'http://metadata.un.org/sdg/9.c', 'C7-ehea']
    >>> find_mentions("Goal 4: hire 9 people. Limit warming to the target 1.5 degrees.")
    []
    """
    if len(text) > LONGEST:
        return []
    plain = re.sub(r"\d", lambda digit: str(int(digit[0])), unicodedata.normalize("NFKC", text))
    mentions: dict[str, Mention] = {}
    for mention in (*_goals(plain, (language or "").partition("-")[0].lower()), *_lines(plain)):
        known = mentions.get(mention.concept)
        if known is None or known.confidence < mention.confidence:
            mentions[mention.concept] = mention
    return list(mentions.values())


def _goals(text: str, language: str) -> Iterator[Mention]:
    def confidence(prefix: re.Match[str]) -> float | None:
        is_other = _OTHER_GOALS.search(text, max(0, prefix.start() - 60), prefix.start())
        return None if is_other else _mention_confidence(prefix, text, language)

    def name(
        prefix: re.Match[str], number: re.Match[str], is_first: bool
    ) -> tuple[str | None, int]:
        ends = is_first or _ENDS_LIST.match(text, number.end()) or _is_plural(prefix)
        is_goal = ends and not _UNIT.match(text, number.end())
        return (_concept(prefix, number, text), number.end()) if is_goal else (None, 0)

    return _lists(text, _PREFIX.finditer(text), _NUMBER.match, _AND.match, confidence, name)


def _lists(
    text: str,
    prefixes: Iterable[re.Match[str]],
    match_number: Callable[[str, int], re.Match[str] | None],
    match_separator: Callable[[str, int], re.Match[str] | None],
    confidence: Callable[[re.Match[str]], float | None],
    name: Callable[[re.Match[str], re.Match[str], bool], tuple[str | None, int]],
) -> Iterator[Mention]:
    """Yield a mention for each number of the lists behind *prefixes*. *name* returns the concept of
    a number, and where the number ends, 0 if it is none.
    """
    read = 0  # Lists are read up to this position.
    for prefix in prefixes:
        is_new = prefix.start() >= read and not _denied(text, prefix.start())
        sure = confidence(prefix) if is_new else None
        position = prefix.end() if sure is not None else None
        while position is not None and (number := match_number(text, position)):
            concept, end = name(prefix, number, position == prefix.end())
            if sure is not None and concept:
                yield Mention(concept, _words(prefix[0] + text[number.start() : end]), sure)
            read = end or read
            separator = match_separator(text, end) if end else None
            position = separator.end() if separator else None


def _denied(text: str, position: int) -> bool:
    return _DENIAL.search(text, max(0, position - 60), position) is not None


def _is_plural(prefix: re.Match[str]) -> bool:
    return prefix[0].rstrip(" :-").casefold().endswith("s") and not prefix[0].startswith(
        ("ODS", "#ODS")
    )


def _mention_confidence(prefix: re.Match[str], text: str, language: str) -> float | None:
    """Return how sure the words before a number mean the goals; None if they need other words
    beside them that are not there.
    """
    if prefix["phrase"]:
        return SURE
    acronym = (prefix["acronym"] or "").lstrip("#").upper()
    if acronym and language in _LANGUAGES.get(acronym, (language,)):
        return SURE
    near = (
        text[max(0, prefix.start() - _NEAR) : prefix.start()],
        text[prefix.end() : prefix.end() + _NEAR],
    )
    if any(map(_CONTEXT.search, near)):
        return LIKELY
    number = _NUMBER.match(text, prefix.end())
    if number is None or acronym:
        return None
    is_lettered = (number["point"] or "").isalpha()
    is_all = (
        not text[: prefix.start()].strip()
        and not text[number.end() :].strip()
        and bool(prefix["target"]) == bool(number["point"])
    )
    return LIKELY if is_lettered or is_all else None


def _concept(prefix: re.Match[str], number: re.Match[str], text: str) -> str | None:
    """Return the IRI that a number names after *prefix*; None for a number that no goal or target
    has, or another name beside it.
    """
    if number["point"]:
        iri = f"{SDG}{int(number['goal'])}.{number['point'].lower().lstrip('0')}"
        return iri if iri in concepts("sdg") else None
    if prefix["target"]:
        return None
    iri = f"{SDG}{int(number['goal'])}"
    named = _NAMED.match(text, number.end()) if prefix["goal"] else None
    return (
        iri
        if named is None or goal(f"{number['goal']} {named['name'][:300].strip()}") == iri
        else None
    )


def _lines(text: str) -> Iterator[Mention]:
    def name(_: re.Match[str], line: re.Match[str], __: bool) -> tuple[str | None, int]:
        end, code = line.end(), f"C{line['number']}"
        named = _APPLICATION.match(text, end) if code == "C7" else None
        application = action_line(f"C7: {named['name']}") if named else None
        return (application, named.end()) if named and application else (code, end)

    prefixes = _LINE_PREFIX.finditer(text)
    return _lists(text, prefixes, _LINE.match, _LINE_AND.match, lambda _: SURE, name)


def _words(text: str) -> str:
    return " ".join(text.split())


CURATOR = "curator"  # This is the method of a suggestion that a person confirmed.


def add_suggestions(resource: Resource, iris: Iris, source: Source) -> Resource:
    """Return a resource with a suggested claim for each goal, target and action line of its texts,
    as ``source.suggest`` and the table of the source say.

    What a curator refused is left out; what one confirmed stays, with the curator as its method,
    whatever the methods suggest now.
    """
    stated = (*resource.action_lines, *resource.goals, *resource.targets)
    known = {claim.concept for claim in stated}
    decisions = [item for item in source.decisions if item.key == resource.key]
    mentioned = _mentioned(resource, iris) if source.suggest != NOTHING else ()
    classified = _classified(resource) if source.suggest == MODEL else ()
    claims = [*mentioned, *classified, *_listed(resource, decisions, iris.base)]
    # The surest claim of each concept stays, the first of those that are as sure.
    claims.sort(key=lambda claim: claim.confidence or 0.0, reverse=True)
    results = {claim.concept: claim for claim in claims[::-1] if claim.concept not in known}
    _decide(results, known, decisions, iris.base)
    if not results:
        return resource
    return replace(resource, **sort_claims((*stated, *results.values())))


def _decide(
    results: dict[str, Claim], known: Collection[str], decisions: Iterable[TopicDecision], base: str
) -> None:
    """Apply what curators decided about a record to the suggestions by their concepts; *known* are
    its topics on another basis.
    """
    for item in decisions:
        resolved = resolve_concept(item.concept, base)
        if resolved is None or resolved[1] in known or item.decision == SUGGESTED:
            continue
        suggested = results.pop(resolved[1], None)
        if item.decision == CONFIRMED:
            word = suggested.word if suggested else item.comment or None
            results[resolved[1]] = Claim(
                resolved[1],
                Basis.SUGGESTED,
                word,
                1.0,
                method=CURATOR,
                author=item.author or None,
                day=item.day or None,
            )


def method_versions(source: Source) -> tuple[str, ...]:
    """Return the methods, with their versions, that suggest topics for the records of *source*; a
    new version maps them again.
    """
    model = _classification() if source.suggest == MODEL else None
    models = (f"{model.NAME} {model.load().version}",) if model else ()
    return (f"{METHOD} {VERSION}", *models)


def model_fault() -> str:
    """Return why the model cannot be used, and what to do; "" if it can be."""
    model = _classification()
    try:
        import_optional(model.PACKAGE, model.EXTRA)
    except HarvestError as error:
        return str(error)
    return ""


def _classification() -> Any:
    """Import the classifier on first use: NumPy takes a tenth of a second, which a listing should
    not wait for.
    """
    return import_module("harvesters.mappings.classifier")


def _mentioned(resource: Resource, iris: Iris) -> Iterator[Claim]:
    for text, language in _texts(resource):
        for concept, words, confidence in find_mentions(text, language):
            result = concept if concept.startswith(SDG) else iris.concept("action-line", concept)
            yield Claim(
                result,
                Basis.SUGGESTED,
                words,
                confidence,
                method=METHOD,
                method_version=VERSION,
            )


def _classified(resource: Resource) -> Iterator[Claim]:
    """Yield what the model finds in title and description of each language."""
    languages = dict.fromkeys(text.language for text in (*resource.descriptions, *resource.titles))
    for language in languages:
        texts = [
            text.value
            for text in (*resource.titles, *resource.descriptions)
            if text.language == language
        ]
        yield from _classification().classify("\n".join(texts), language)


def _listed(resource: Resource, decisions: Iterable[TopicDecision], base: str) -> Iterator[Claim]:
    """Yield the suggestions of the table, without those whose words the texts no longer have."""
    for item in decisions:
        resolved = resolve_concept(item.concept, base)
        if (
            item.decision == SUGGESTED
            and resolved is not None
            and any(item.comment in " ".join(text.value.split()) for text in _texts(resource))
        ):
            yield Claim(
                resolved[1],
                Basis.SUGGESTED,
                item.comment or None,
                float(item.confidence),
                method=item.method,
                method_version=item.version or None,
                author=item.author or None,
                day=item.day or None,
            )


def _texts(resource: Resource) -> Iterator[Text]:
    for part in (resource, *getattr(resource, "outcomes", ())):
        yield from (*part.titles, *part.descriptions)
    yield from filter(None, [getattr(resource, "content", None)])
