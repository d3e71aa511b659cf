"""Drafts of the form: anybody begins one, only its link opens it, and it is sent once an address is
confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from harvesters.errors import ParseError
from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.models import (
    SUBMITTER,
    Change,
    Content,
    Link,
    Purpose,
    Submission,
    SubmissionEvent,
    SubmissionState,
    Submitter,
)
from harvesters.ledger.participation.submissions import new_id
from harvesters.participation.submissions import actions
from harvesters.participation.submissions.check import Check, MemberFinding, check
from harvesters.participation.submissions.duplicates import DuplicateFinder
from harvesters.participation.submissions.model import InvalidMembersError, normalize, title_of
from harvesters.participation.submissions.questions import (
    LANGUAGE,
    Question,
    with_language,
    without_internal,
    without_removed_goals,
)
from harvesters.participation.submissions.submitters.identity import SubmissionContext, open_link
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.pipeline.record_processor import load_crosswalks
from harvesters.problems import InvalidValue, LinkInvalid, NotFound, VersionConflict
from languages.request_locale import LANGUAGES, current_locale
from languages.translations import gettext

LINK_AGE = timedelta(days=90)
# A person needs longer to answer the first question; a program that sends at once is refused.
MIN_SECONDS = 5
GONE = "There is no draft at this address: it was sent, or deleted after 30 days without a change."
# The member of a draft that changes a submission: the submission's id and the opened version.
REPLACES = "_replaces"


def begin(
    context: SubmissionContext, content: Content | None = None, submitter: Submitter | None = None
) -> str:
    """Store a new draft; return the secret of its link."""
    context.source()
    now, language = context.site.now(), current_locale().language
    draft = Submission(
        new_id(),
        submitter.id if submitter else None,
        SubmissionState.DRAFT,
        1,
        content or {},
        None,
        "",
        language,
        now,
        now,
    )
    submissions.add(context.site.ledger, draft, SubmissionEvent("begun", SUBMITTER, now))
    return create_link(context, draft)


def create_link(context: SubmissionContext, draft: Submission) -> str:
    now = context.site.now()
    return submissions.create_link(
        context.site.ledger, Link(Purpose.DRAFT, now, now + LINK_AGE, submission=draft.id)
    )


def begin_change(context: SubmissionContext, submitter: Submitter, submission: Submission) -> str:
    """Store a draft that changes a submission; return the secret of its link."""
    content = {
        **_with_codes(submission.content, context.site.base),
        REPLACES: {"id": submission.id, "version": submission.version},
    }
    language = next(iter(submission.content.get("title", {})), submission.language)
    return begin(context, {**content, LANGUAGE.member: language}, submitter)


def open_draft(context: SubmissionContext, secret: str) -> Submission:
    """Return the draft with this link; raise LinkInvalid if it was sent or deleted."""
    _, draft = open_link(context.site, secret, Purpose.DRAFT, GONE)
    if draft is None or draft.state is not SubmissionState.DRAFT:
        raise LinkInvalid(GONE)
    return draft


def language_of(draft: Submission) -> str:
    return str(draft.content.get(LANGUAGE.member) or draft.language)


def merged(draft: Submission, answer: Mapping[str, Any], base: str) -> Content:
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
    now = context.site.now()
    event = SubmissionEvent("saved", SUBMITTER, now, internal=True, version=draft.version + 1)
    change = Change(event, {"content": content, "title": title_of(content), "updated": now})
    return submissions.change(context.site.ledger, draft, change)


def missing(content: Content, question: Question) -> dict[str, str]:
    """Return the messages for missing answers of a page, by member: only the title is required."""
    asks_title = any(field.member == "title" for field in question.fields)
    return {"title": gettext("Write a title.")} if asks_title and not content.get("title") else {}


def findings_of(checked: Check, question: Question) -> dict[str, list[MemberFinding]]:
    """Return the findings about a question, by the name of the first field of each member."""
    names = {field.member: field.name for field in reversed(question.fields)}
    member_findings: dict[str, list[MemberFinding]] = {}
    for finding in checked.findings:
        if finding.member in names:
            member_findings.setdefault(names[finding.member], []).append(finding)
    return member_findings


def check_answer(
    context: SubmissionContext, content: Content, question: Question
) -> dict[str, list[MemberFinding]]:
    """Return the findings about the answer to a question of a draft.

    Without a title there are none, since the rules would then report every member as missing.
    """
    if not content.get("title"):
        return {}
    checked = check(
        context.site.ledger,
        without_internal(content),
        "draft",
        context.source(),
        context.site.base,
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
        content = normalize(without_internal(draft.content), context.site.base, language_of(draft))
    except (InvalidMembersError, ParseError) as error:
        raise InvalidValue(
            "The draft is not complete. Open it, and answer what is missing."
        ) from error
    replaced = draft.content.get(REPLACES)
    key = replaced["id"] if replaced else draft.id
    if not actions.check_content(context, content, key).is_valid:
        raise InvalidValue("The draft is not complete. Open it, and answer what is missing.")
    if replaced:
        current = actions.find_own(context, submitter, key)
        if current.version != replaced["version"]:
            raise VersionConflict(actions.CHANGED)
        sent = actions.update(context, submitter, current, content)
    else:
        seconds = (context.site.now() - draft.created).total_seconds()
        sent = actions.submit(context, submitter, content, draft.language, seconds)
    submissions.delete_draft(context.site.ledger, draft.id)
    return sent


def rebase(context: SubmissionContext, submitter: Submitter, draft: Submission) -> Submission:
    """Base a draft on the newest version of the submission that it replaces, once its author has
    seen the differences; return the draft.
    """
    replaced = draft.content.get(REPLACES)
    if not replaced:
        raise NotFound("This draft changes no submission.")
    newest = actions.find_own(context, submitter, replaced["id"])
    content = {**draft.content, REPLACES: {"id": newest.id, "version": newest.version}}
    save(context, draft, content)
    return submissions.find(context.site.ledger, draft.id) or draft


def check_pace(context: SubmissionContext, draft: Submission) -> None:
    """Refuse a draft that is sent so soon that a program must have written it."""
    if (context.site.now() - draft.created).total_seconds() < MIN_SECONDS:
        raise InvalidValue("This was very quick. Read the summary, then send it again.")


def _with_codes(content: Content, base: str) -> Content:
    """Return the content with its codes written as the form offers them."""
    lexicon = CrosswalkLookup(load_crosswalks(base))
    declared = lexicon.parse_declared(
        *(content.get(name, ()) for name in ("actionLine", "goal", "target"))
    )
    codes = {
        "actionLine": [claim.concept.rpartition("/")[2] for claim in declared.lines],
        "goal": [claim.concept.rpartition("/")[2] for claim in declared.goals],
        "target": [claim.concept.rpartition("/")[2] for claim in declared.targets],
        "country": [lexicon.country(word) for word in content.get("country", ())],
    }
    return {**content, **{name: words for name, words in codes.items() if words}}
