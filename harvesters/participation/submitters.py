"""Identify submitters, an organization by its API key, a person by a confirmed mail address, and write
the messages to them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Request

from harvesters.errors import LedgerError, SourceDefinitionError
from harvesters.ledger import outbox, submissions
from harvesters.ledger.models import Message
from harvesters.ledger.participation import Link, Purpose, Submission, Submitter
from harvesters.ledger.submissions import new_id
from harvesters.notifications.delivery import MAIL
from harvesters.participation.check import DuplicateFinder
from harvesters.participation.provider import OpenIDProvider
from harvesters.problems import (
    Closed,
    InvalidValue,
    LinkInvalid,
    RateLimited,
    Unauthenticated,
)
from harvesters.site import Credentials, Site, authenticate, client_address, count_failure
from harvesters.source import Source, load
from languages.request_locale import current_locale, use_language
from languages.translations import gettext
from vocab.addresses import is_mail_address
from web.sessions import SessionCookie
from web.throttle import Throttle

SOURCE = "submissions"
SESSION = SessionCookie("submitter", "/submit", timedelta(hours=12))
TOKEN_PREFIX = "sub_"  # begins the token of a person; `stk_` begins a key
MAX_MAIL = 254  # characters of an address (RFC 5321)
_LINKS, _LINK_WINDOW = 3, timedelta(hours=1)  # links to one address
_WRITES, _WRITE_WINDOW = 60, 600.0  # changes from one network address, and seconds
_CHANGES, _CHANGE_WINDOW = 200, 3600.0  # changes of one submitter, and seconds
_CHECKS, _CHECK_WINDOW = 600, 600.0  # checks while typing from one network address, and seconds
INVALID = (
    "This link does not work: it has expired, was used before, or is mistyped. Ask for another one."
)
_LIMIT = "Too many requests. Try again in %(seconds)s seconds."


@dataclass(frozen=True, slots=True)
class KnownOrganization:
    """An organization of the register: its *iri* and its *name*."""

    iri: str
    name: str


# Returns the organizations that a name may mean, the likeliest first.
FindOrganizations = Callable[[str], Sequence[KnownOrganization]]
# Returns the quality of a published record in percent, by its IRI.
RecordQuality = Callable[[str], Coroutine[Any, Any, int | None]]


async def _no_quality(record: str) -> int | None:
    return None


@dataclass(slots=True)
class SubmissionContext:
    """The context of the pages and the API of submissions, at the public address *url* (without a
    slash at its end).

    *duplicates* finds records that a submission may repeat, *quality* measures a published record,
    and *organizations* finds those of the register by a name. Persons may sign in with *provider*,
    and send *comments* on posts if these are on.
    """

    site: Site
    url: str
    duplicates: DuplicateFinder = field(default_factory=DuplicateFinder)
    quality: RecordQuality = _no_quality
    provider: OpenIDProvider | None = None
    organizations: FindOrganizations = lambda name: ()
    comments: bool = False
    writes: Throttle = field(init=False)
    changes: Throttle = field(init=False)
    checks: Throttle = field(init=False)

    def __post_init__(self) -> None:
        self.writes = Throttle(self.site.clock, _WRITES, _WRITE_WINDOW)
        self.changes = Throttle(self.site.clock, _CHANGES, _CHANGE_WINDOW)
        self.checks = Throttle(self.site.clock, _CHECKS, _CHECK_WINDOW)

    @property
    def provider_name(self) -> str:
        """Return the host of the provider that persons may sign in with, "" if there is none."""
        return self.provider.host if self.provider else ""

    def source(self) -> Source:
        """Return the source of submissions; raise Closed if nothing can be submitted here."""
        try:
            source = load(self.site.source_dir / f"{SOURCE}.toml")
        except SourceDefinitionError:
            source = None
        if source is None or not source.enabled or source.protocol != SOURCE:
            raise Closed("Nothing can be submitted here: the operators have not opened it.")
        return source

    def is_open(self) -> bool:
        try:
            self.source()
        except Closed:
            return False
        return True

    def waiting(self) -> tuple[int, datetime | None] | None:
        """Return how many submissions wait for a moderator, and the time since which the oldest
        does.

        None if nothing can be submitted here, or the ledger does not answer.
        """
        try:
            self.source()
            return submissions.waiting(self.site.ledger)
        except (Closed, LedgerError):
            return None


def get_submission_context(request: Request) -> SubmissionContext:
    context: SubmissionContext = request.app.state.submissions
    return context


def count_write(request: Request) -> None:
    """Count a request that changes something; raise RateLimited after too many from one network
    address.
    """
    _count(get_submission_context(request).writes, client_address(request))


def count_check(request: Request) -> None:
    """Count a check; raise RateLimited after too many from one network address."""
    _count(get_submission_context(request).checks, client_address(request))


def count_change(context: SubmissionContext, submitter: Submitter) -> None:
    """Count a change of a submitter; raise RateLimited after too many."""
    _count(context.changes, submitter.id)


def _count(throttle: Throttle, client: str) -> None:
    if seconds := throttle.retry_after(client):
        raise RateLimited(_LIMIT, seconds=seconds)
    throttle.record_failure(client)


def require_submitter(request: Request, credentials: Credentials) -> Submitter:
    """Return the submitter whose token the request carries. Raises Unauthenticated, RateLimited."""
    context = get_submission_context(request)
    if credentials is None:
        raise Unauthenticated(
            "An organization's key or a person's token is required. Send it as `Authorization: Bearer TOKEN`.",
            token_sent=False,
        )
    token = credentials.credentials
    if token.startswith(TOKEN_PREFIX):
        return _of_session(context, request, token.removeprefix(TOKEN_PREFIX))
    key = authenticate(request, token)
    request.state.who = key.display_name
    now = context.site.now()
    return submissions.ensure_submitter(
        context.site.ledger, Submitter(new_id(), None, key.name, current_locale().language, now)
    )


def _of_session(context: SubmissionContext, request: Request, secret: str) -> Submitter:
    if submitter := find_session(context, secret):
        return submitter
    count_failure(context.site, client_address(request))
    raise Unauthenticated(
        "The token is mistyped or has expired. Confirm your address again.", token_sent=True
    )


def find_session(context: SubmissionContext, secret: str) -> Submitter | None:
    """Return the submitter of a session, None if there is none or it has expired."""
    link = submissions.find_link(context.site.ledger, secret, Purpose.SESSION) if secret else None
    if link is None or link.submitter is None or not link.works(context.site.now()):
        return None
    return submissions.submitter_of(context.site.ledger, id=link.submitter)


def request_confirmation(
    context: SubmissionContext, mail: str, submission: str | None = None
) -> str | None:
    """Send a link to an address, whether it is known or not; in a demo without a mail server,
    return the link instead.

    Raises InvalidValue, RateLimited, Closed.
    """
    return send_confirmation(
        context.site,
        context.url,
        check_address(context.site, mail),
        current_locale().language,
        submission,
    )


def check_address(context: Site, mail: str) -> str:
    """Return the address *mail* in its normal form. Raises InvalidValue, and RateLimited after too
    many links to it.
    """
    mail = mail.strip().lower()
    if len(mail) > MAX_MAIL or not is_mail_address(mail):
        raise InvalidValue("Write one e-mail address, such as name@example.org.")
    since = context.now() - _LINK_WINDOW
    if submissions.count_links(context.ledger, mail, since) >= _LINKS:
        raise RateLimited(
            "Too many links were sent to this address. Try again in %(seconds)s seconds.",
            seconds=int(_LINK_WINDOW.total_seconds()),
        )
    return mail


def open_link(
    site: Site, secret: str, purpose: Purpose, text: str = INVALID
) -> tuple[Link, Submission | None]:
    """Return the link with this secret and its submission, None without one; raise LinkInvalid with
    *text* if the link no longer works.
    """
    link = submissions.find_link(site.ledger, secret, purpose) if secret else None
    if link is None or not link.works(site.now()):
        raise LinkInvalid(text)
    return link, submissions.find(site.ledger, link.submission) if link.submission else None


def use_link(site: Site, secret: str, text: str = INVALID) -> None:
    """Mark a link as used; raise LinkInvalid with *text* if it was used before."""
    if not submissions.use_link(site.ledger, secret, site.now()):
        raise LinkInvalid(text)


def check_confirmation(context: SubmissionContext, secret: str) -> Link:
    """Return the link with this secret, without using it; raise LinkInvalid if it no longer works."""
    link, _ = open_link(context.site, secret, Purpose.CONFIRM)
    return link


def confirm(context: SubmissionContext, secret: str) -> tuple[Submitter, Link, str]:
    """Confirm an address with the secret of its link, once; return the submitter, the link, and the
    secret of a session.

    Raises LinkInvalid.
    """
    link = check_confirmation(context, secret)
    use_link(context.site, secret)
    submitter, session = begin_session(context, str(link.mail))
    return submitter, link, session


def begin_session(context: SubmissionContext, mail: str) -> tuple[Submitter, str]:
    """Return the submitter with a confirmed address, and the secret of a new session."""
    ledger, now = context.site.ledger, context.site.now()
    submitter = submissions.ensure_submitter(
        ledger, Submitter(new_id(), mail, None, current_locale().language, now)
    )
    return submitter, submissions.create_link(
        ledger, Link(Purpose.SESSION, now, now + SESSION.age, submitter=submitter.id)
    )


SubmissionContextDep = Annotated[SubmissionContext, Depends(get_submission_context)]
SubmitterDep = Annotated[Submitter, Depends(require_submitter)]


# ---- messages

LINK_AGE = timedelta(hours=24)  # validity of a link that confirms an address
ANSWER_AGE = timedelta(days=14)  # validity of a link in a moderator's answer
TOPIC = "submission"


def send_confirmation(
    context: Site,
    url: str,
    mail: str,
    language: str,
    submission: str | None = None,
    page: str = "/submit/confirm",
) -> str | None:
    """Send the link to a *page* that confirms an address; with *submission*, confirming sends that
    draft.

    Without a mail server, a demo returns the link, since its data are simulated; any other
    installation raises Closed.
    """
    _require_mail(context)
    link = f"{url}{page}/{_create_link(context, LINK_AGE, mail=mail, submission=submission)}"
    if context.channels.mail is None:
        return link
    with use_language(language):
        subject = gettext("Confirm your e-mail address")
        lines = [
            gettext("Somebody, probably you, gave this address to %(name)s.")
            % {"name": context.channels.name},
            gettext("Open this link to confirm it. It works once, for 24 hours:"),
            link,
            gettext("If it was not you, ignore this message: nothing is stored then."),
        ]
    queue_mail(context, mail, subject, lines)
    return None


def send_transfer(context: Site, url: str, link: Link, item: Submission) -> str | None:
    """Store and send the link that transfers a submission to the owner of an address.

    Without a mail server it does what ``send_confirmation`` does.
    """
    _require_mail(context)
    address = f"{url}/submit/transfer/{submissions.create_link(context.ledger, link)}"
    if context.channels.mail is None:
        return address
    with use_language(item.language):
        subject = gettext("A submission is handed over to you: %(title)s") % {"title": item.title}
        lines = [
            gettext(
                "“%(title)s” at %(name)s is handed over to this address, to be kept up to date."
            )
            % {"title": item.title, "name": context.channels.name},
            gettext("Open this link to take it over. It works once, for 7 days:"),
            address,
            gettext("If you do not want it, ignore this message."),
        ]
    queue_mail(context, str(link.mail), subject, lines)
    return None


def send_answer(context: Site, submission: Submission, subject: str, note: str) -> None:
    """Send a moderator's answer to a person: an English text of the catalogues and a note.
    Organizations read it by HTTP.

    Without a mail server nothing is sent; the decision is on the page of the submission.
    """
    submitter = (
        submissions.submitter_of(context.ledger, id=submission.submitter)
        if submission.submitter
        else None
    )
    if submitter is None or submitter.mail is None or context.channels.mail is None:
        return
    secret = _create_link(context, ANSWER_AGE, mail=submitter.mail, submission=submission.id)
    with use_language(submitter.language):
        lines = [
            gettext(subject) % {"title": submission.title},
            *([note] if note else []),
            gettext("Open your submission with this link, which works once:"),
            f"{context.channels.public_url}/submit/confirm/{secret}",
        ]
        title = gettext("Your submission: %(title)s") % {"title": submission.title}
    queue_mail(context, submitter.mail, title, lines)


def _require_mail(context: Site) -> None:
    if context.channels.mail is None and not context.demo:
        raise Closed(
            "This site cannot send mail, which is needed to confirm an address. An organization can submit with an API key."
        )


def _create_link(context: Site, age: timedelta, *, mail: str, submission: str | None) -> str:
    now = context.now()
    return submissions.create_link(
        context.ledger, Link(Purpose.CONFIRM, now, now + age, mail=mail, submission=submission)
    )


def queue_mail(context: Site, mail: str, subject: str, lines: list[str]) -> None:
    """Queue a message to a person; *lines* are its paragraphs."""
    outbox.queue_messages(
        context.ledger,
        [Message(MAIL, mail, TOPIC, subject, "\n\n".join(lines) + "\n")],
        context.now(),
    )
