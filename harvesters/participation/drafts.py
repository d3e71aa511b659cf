"""Drafts of the form: anybody begins one, only its link opens it, and it is sent once an address is
confirmed. The form asks one question a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import orjson

from harvesters.errors import ParseError, require
from harvesters.ledger import submissions
from harvesters.ledger.participation import (
    SUBMITTER,
    Content,
    Link,
    Purpose,
    Submission,
    SubmissionEvent,
    SubmissionState,
    Submitter,
)
from harvesters.ledger.submissions import new_id, picture_of
from harvesters.participation import actions
from harvesters.participation.check import Check, DuplicateFinder, MemberFinding, check
from harvesters.participation.model import (
    FIELDS,
    MEMBERS,
    TYPES,
    Field,
    InvalidMembersError,
    normalize,
    title_of,
)
from harvesters.participation.submitters import (
    FindOrganizations,
    SubmissionContext,
    open_link,
)
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup, sort_claims
from harvesters.payloads.value_parsing import strip_contacts
from harvesters.pipeline.record_processor import load_crosswalks
from harvesters.site import InvalidValue, LinkInvalid, NotFound, VersionConflict
from languages.translations import LANGUAGES, current_locale, gettext
from vocab.lookup import fold

LINK_AGE = timedelta(days=90)
# A person needs longer to answer the first question; a program that sends at once is refused.
MIN_SECONDS = 5
GONE = "There is no draft at this address: it was sent, or deleted after 30 days without a change."
# The member of a draft that changes a submission: the submission's id and the opened version.
REPLACES = "_replaces"
POST = "_post"  # the member of a draft that comments on this post


def begin(
    context: SubmissionContext, content: Content | None = None, submitter: Submitter | None = None
) -> str:
    """Store a new draft; return the secret of its link."""
    context.submission_source()
    now, language = context.now(), current_locale().language
    draft = Submission(
        new_id(),
        submitter.id if submitter else None,
        SubmissionState.DRAFT,
        1,
        content or {},
        None,
        title_of(content or {}),
        language,
        now,
        now,
    )
    submissions.add(context.ledger, (draft, SubmissionEvent("begun", SUBMITTER, now)))
    return create_link(context, draft)


def create_link(context: SubmissionContext, draft: Submission) -> str:
    now = context.now()
    return submissions.create_link(
        context.ledger, Link(Purpose.DRAFT, now, now + LINK_AGE, submission=draft.id)
    )


def begin_change(context: SubmissionContext, submitter: Submitter, submission: Submission) -> str:
    """Store a draft that changes a submission; return the secret of its link."""
    content = {
        **_with_codes(submission.content, context.base),
        REPLACES: {"id": submission.id, "version": submission.version},
        **({POST: submission.post} if submission.post else {}),
    }
    language = next(iter(submission.content.get("title", {})), submission.language)
    return begin(context, {**content, LANGUAGE.member: language}, submitter)


def open_draft(context: SubmissionContext, secret: str) -> Submission:
    """Return the draft with this link; raise LinkInvalid if it was sent or deleted."""
    _, draft = open_link(context, secret, Purpose.DRAFT, GONE)
    return require(
        draft if draft and draft.state is SubmissionState.DRAFT else None, LinkInvalid(GONE)
    )


def language_of(draft: Submission) -> str:
    return str(draft.content.get(LANGUAGE.member) or draft.language)


def merge_answer(draft: Submission, answer: Mapping[str, Any], base: str) -> Content:
    """Return the content of a draft with the normalized answer of a page. Raises
    InvalidMembersError.
    """
    language = language_of(draft)
    content = dict(draft.content)
    chosen = answer.get(LANGUAGE.member)
    if chosen and chosen in LANGUAGES and chosen != language:
        content = dict(with_language(content, language, chosen))
        answer = with_language(answer, language, chosen)
    kind = answer.get("type") or content.get("type")
    sent = {
        name: value
        for name, value in answer.items()
        if name != LANGUAGE.member and value is not None
    }
    normalized = normalize({"type": kind, **sent}, base, language)
    for name in answer:
        content.pop(name, None)
    merged = {**content, **normalized, **({LANGUAGE.member: chosen} if chosen in LANGUAGES else {})}
    return without_removed_goals(draft.content, merged) if "goal" in answer else merged


def save(context: SubmissionContext, draft: Submission, content: Content) -> bool:
    """Store the content of a draft; return whether it still had its version."""
    now = context.now()
    event = SubmissionEvent("saved", SUBMITTER, now, internal=True, version=draft.version + 1)
    return submissions.change(
        context.ledger,
        draft,
        event,
        {"content": content, "title": title_of(content), "updated": now},
    )


def find_missing(content: Content, question: Question) -> dict[str, str]:
    """Return the messages for missing answers of a page, by member: only the title is required."""
    asks_title = any(field.member == "title" for field in question.fields)
    return {"title": gettext("Write a title.")} if asks_title and not content.get("title") else {}


def missing_caption(content: Content) -> dict[str, str]:
    """Return the message for a picture without a caption, by the name of the field."""
    if not picture_of(content) or content["picture"].get("caption"):
        return {}
    return {"picture-caption": gettext("Say what the picture shows, for those who cannot see it.")}


# Findings about a question, each with the name of the first field of its member.
Findings = Sequence[tuple[str, MemberFinding]]


def findings_of(checked: Check, question: Question) -> Findings:
    names = {field.member: field.name for field in reversed(question.fields)}
    return [
        (names[finding.member], finding) for finding in checked.findings if finding.member in names
    ]


def check_answer(context: SubmissionContext, content: Content, question: Question) -> Findings:
    """Return the findings about the answer to a question of a draft.

    Without a title there are none, since the rules would then report every member as missing.
    """
    if not content.get("title"):
        return []
    checked = check(
        context.ledger,
        without_internal(content),
        "draft",
        context.submission_source(),
        context.base,
        DuplicateFinder(),
    )
    return findings_of(checked, question)


def send(context: SubmissionContext, submitter: Submitter, draft: Submission) -> Submission:
    """Send a draft to the moderators: a new submission, or a change of the one that it replaces;
    the draft is deleted.

    Raises InvalidValue if a rule is violated, VersionConflict if somebody else changed the
    submission meanwhile.
    """
    try:
        content = normalize(without_internal(draft.content), context.base, language_of(draft))
    except (InvalidMembersError, ParseError) as error:
        raise InvalidValue(
            "The draft is not complete. Open it, and answer what is missing."
        ) from error
    post, replaced = draft.content.get(POST), draft.content.get(REPLACES)
    if post:
        texts = content.get("content", {}).items()
        content = {**content, "content": {tag: strip_contacts(text) for tag, text in texts}}
    key = replaced["id"] if replaced else draft.id
    if not actions.check_content(context, content, key).is_valid:
        raise InvalidValue("The draft is not complete. Open it, and answer what is missing.")
    if replaced:
        current = actions.find_own(context, submitter, key)
        require(current.version == replaced["version"], VersionConflict(actions.CHANGED))
        sent = actions.update(context, submitter, current, content)
    else:
        seconds = None if post else (context.now() - draft.created).total_seconds()
        sent = actions.submit(context, submitter, content, draft.language, seconds, post)
    submissions.delete_draft(context.ledger, draft.id)
    return sent


def rebase(context: SubmissionContext, submitter: Submitter, draft: Submission) -> Submission:
    """Base a draft on the newest version of the submission that it replaces, once its author has
    seen the differences; return the draft.
    """
    replaced = require(draft.content.get(REPLACES), NotFound("This draft changes no submission."))
    newest = actions.find_own(context, submitter, replaced["id"])
    content = {**draft.content, REPLACES: {"id": newest.id, "version": newest.version}}
    save(context, draft, content)
    return submissions.find(context.ledger, draft.id) or draft


def check_pace(context: SubmissionContext, draft: Submission) -> None:
    """Refuse a draft that is sent so soon that a program must have written it."""
    if (context.now() - draft.created).total_seconds() < MIN_SECONDS:
        raise InvalidValue("This was very quick. Read the summary, then send it again.")


def _with_codes(content: Content, base: str) -> Content:
    """Return the content with its codes written as the form offers them."""
    lexicon = CrosswalkLookup(load_crosswalks(base))
    names = ("actionLine", "goal", "target")
    pairs = zip(names, lexicon.declared.values(), strict=True)
    declared = [claim for name, match in pairs for w in content.get(name, ()) for claim in match(w)]
    codes = {
        name: [claim.concept.rpartition("/")[2] for claim in claims]
        for name, claims in zip(names, sort_claims(declared).values(), strict=True)
    }
    codes["country"] = [lexicon.country(word) for word in content.get("country", ())]
    return {**content, **{name: words for name, words in codes.items() if words}}


Form = Mapping[str, Sequence[str]]  # what was sent, by the name of the field
LANGUAGE = Field("_language", control="select", label="Language of your texts", choices="language")


@dataclass(frozen=True, slots=True)
class Question:
    """A page of the form: its *name* in the address, its English *text*, and its fields."""

    name: str
    text: str
    fields: tuple[Field, ...]


def _fields(*members: str) -> tuple[Field, ...]:
    return tuple(field for member in members for field in FIELDS.values() if field.member == member)


QUESTIONS = (
    Question("type", "What do you want to submit?", _fields("type")),
    Question("title", "What is its title?", (LANGUAGE, *_fields("title"))),
    Question("description", "What is it about?", _fields("description")),
    Question("content", "What does it say?", _fields("content")),
    Question("organization", "Which organization is responsible?", _fields("publisher")),
    Question("partners", "Who else takes part?", _fields("partner", "funder")),
    Question("countries", "In which countries?", _fields("country")),
    Question("action-lines", "Which WSIS action lines does it serve?", _fields("actionLine")),
    Question("goals", "Which Sustainable Development Goals does it serve?", _fields("goal")),
    Question("targets", "Which targets of these goals does it serve?", _fields("target")),
    Question("why", "How does it serve these goals?", ()),  # a field for each goal that was chosen
    Question("dates", "When?", _fields("start", "end", "issued", "status")),
    Question("venue", "Where?", _fields("venue")),
    Question("picture", "Is there a picture of it?", _fields("picture")),
    Question("links", "Where can one read more?", _fields("registration", "page", "license")),
)
SUMMARY = "summary"
PICTURE = "picture"  # the question whose answer has a file
SUGGESTED = ("action-lines", "goals", "targets")  # questions whose answers the texts may suggest
_INTERNAL = "_"  # begins the members of a draft that are not sent


def questions_of(content: Content) -> list[Question]:
    """Return the questions for a draft, each with the fields that its type has."""
    known = TYPES.get(str(content.get("type")), frozenset())
    goals = content.get("goal") or ()
    asked = {"type", *((known | {LANGUAGE.member}) if known else ())}
    asked -= set() if goals else {"target"}
    asked = {"content"} if POST in content else asked
    questions = []
    for question in QUESTIONS:
        fields = tuple(field for field in question.fields if field.member in asked)
        if question.name == "why" and "why" in asked:
            fields = tuple(replace(FIELDS["why.1"], part=str(goal)) for goal in goals)
        if fields:
            questions.append(replace(question, fields=fields))
    return questions


def values_of(content: Content, field: Field, language: str) -> list[str]:
    """Return the values of a field in a draft; of a text, the one in *language*, else the first."""
    if field.member == LANGUAGE.member:
        return [language]
    value: Any = content.get(field.member)
    if field.part:
        value = (value or {}).get(field.part)
    if isinstance(value, Mapping):  # a text by language
        return [str(text) for text in (value.get(language), *value.values()) if text][:1]
    if isinstance(value, list):
        return [item["name"] if isinstance(item, Mapping) else str(item) for item in value]
    return [] if value in (None, "") else [str(value)]


def read_answer(form: Form, question: Question, content: Content, language: str) -> dict[str, Any]:
    """Return the members that a page of the form sent, before they are normalized."""
    answer: dict[str, Any] = {}
    for field in question.fields:
        sent = form.get(field.name, ())
        lines = [line for value in sent for line in value.splitlines()]
        answers = lines if field.control == "lines" else sent
        values = [value for answer in answers if (value := answer.strip())]
        first: Any = next(iter(values), None)
        if field.part:
            parts = answer.setdefault(field.member, {})
            if first:
                parts[field.part] = {language: first} if field.is_text else first
        elif field.control in ("lines", "list", "checks"):
            answer[field.member] = values
        elif field.is_text:
            answer[field.member] = _by_language(content.get(field.member), values, language)
        else:
            answer[field.member] = first
    return {name: None if value == {} else value for name, value in answer.items()}


def _by_language(before: Any, values: list[str], language: str) -> dict[str, str]:
    """Return a text with a new value in the language of the draft; other languages stay."""
    others = {tag: text for tag, text in (before or {}).items() if tag != language}
    return {**({language: values[0]} if values else {}), **others}


def with_language(content: Content, before: str, after: str) -> Content:
    """Return a draft or an answer in which the language tag *before* is replaced by *after*.

    >>> with_language({"title": {"en": "Bonjour"}, "goal": ["4"]}, "en", "fr")
    {'title': {'fr': 'Bonjour'}, 'goal': ['4']}
    """

    def renamed(texts: Mapping[str, str]) -> dict[str, str]:
        return {after if tag == before else tag: text for tag, text in texts.items()}

    texts = (name for name, member in MEMBERS.items() if member.kind.is_text and content.get(name))
    changed: dict[str, Any] = {name: renamed(content[name]) for name in texts}
    if caption := content.get("picture", {}).get("caption"):
        changed["picture"] = {**content["picture"], "caption": renamed(caption)}
    if reasons := content.get("why"):
        changed["why"] = {goal: renamed(why) for goal, why in reasons.items()}
    return {**content, **changed}


def without_removed_goals(before: Content, after: Content) -> Content:
    """Return a draft without the targets and reasons of the goals that its author removed.

    >>> without_removed_goals({"goal": ["4", "5"]}, {"goal": ["5"], "target": ["4.1", "5.b"], "why": {"4": {"en": "Girls learn."}}})
    {'goal': ['5'], 'target': ['5.b']}
    """
    removed = {*before.get("goal", ())} - {*after.get("goal", ())}
    targets = [
        target for target in after.get("target", ()) if target.partition(".")[0] not in removed
    ]
    reasons = {goal: why for goal, why in after.get("why", {}).items() if goal not in removed}
    rest = {name: value for name, value in after.items() if name not in ("target", "why")}
    return {
        **rest,
        **({"target": targets} if targets else {}),
        **({"why": reasons} if reasons else {}),
    }


def fingerprint(content: Content, question: Question) -> str:
    """Return a digest of a page's answers, which shows whether they changed since the page was
    read.
    """
    answers = [
        content.get(member) for member in sorted({field.member for field in question.fields})
    ]
    return sha256(orjson.dumps(answers, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def without_internal(content: Content) -> Content:
    """Return the members of a draft without those that only the form needs."""
    return {name: value for name, value in content.items() if not name.startswith(_INTERNAL)}


ORGANIZATIONS = ("publisher", "partner", "funder")
_NAMES = 20  # names of a draft that are looked up
_SHOWN = 3  # organizations for one name


def match_names(content: Content, find: FindOrganizations) -> list[dict[str, Any]]:
    """Return each name of an organization in a draft that equals or resembles one of the register,
    with the organizations that it may mean, and whether these have the same name.
    """
    matches = []
    for name in list(dict.fromkeys(party["name"] for party in _parties(content)))[:_NAMES]:
        # Of organizations with the same name, the likeliest one is offered.
        by_name = {fold(item["name"]): item for item in reversed(find(name))}
        known = [*by_name.values()][::-1][:_SHOWN]
        same = [item for item in known if fold(item["name"]) == fold(name)]
        if known:
            matches.append({"name": name, "known": same or known, "is_same": bool(same)})
    return matches


def rename(content: Content, before: str, after: str) -> dict[str, Any]:
    """Return a draft in which each organization named *before* is named *after*.

    >>> rename({"partner": [{"name": "UNESCO"}, {"name": "FAO"}]}, "UNESCO", "United Nations Educational Organization")
    {'partner': [{'name': 'United Nations Educational Organization'}, {'name': 'FAO'}]}
    """

    def renamed(party: Mapping[str, str]) -> Mapping[str, str]:
        return {**party, "name": after} if party["name"] == before else party

    parties = {
        member: [*map(renamed, value)] if isinstance(value, list) else renamed(value)
        for member in ORGANIZATIONS
        if (value := content.get(member))
    }
    return {**content, **parties}


def _parties(content: Content) -> Iterator[Mapping[str, str]]:
    for member in ORGANIZATIONS:
        value = content.get(member) or []
        yield from value if isinstance(value, list) else [value]
