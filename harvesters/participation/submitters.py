"""Identify submitters, an organization by its API key, a person by a confirmed mail address or by a provider of
OpenID Connect, and write the messages to them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote, urlsplit

from fastapi import Depends, Request

from harvesters.errors import LedgerError, SourceDefinitionError, require
from harvesters.ledger import outbox, submissions
from harvesters.ledger.database import Database
from harvesters.ledger.models import Message
from harvesters.ledger.participation import Link, Purpose, Submission, Submitter
from harvesters.ledger.submissions import new_id
from harvesters.notifications.delivery import MAIL
from harvesters.participation.check import DuplicateFinder
from harvesters.protocols.submissions import SubmissionsOptions
from harvesters.site import (
    Closed,
    Credentials,
    InvalidValue,
    LinkInvalid,
    RateLimited,
    Site,
    Unauthenticated,
    authenticate,
    client_address,
    count_failure,
)
from harvesters.source import Source, load
from languages.translations import current_locale, gettext, use_language
from vocab.addresses import is_mail_address
from web.middleware import Throttle
from web.sessions import SessionCookie

if TYPE_CHECKING:
    import httpx

SOURCE = "submissions"
SESSION = SessionCookie("submitter", "/submit", timedelta(hours=12))
TOKEN_PREFIX = "sub_"  # begins the token of a person; `stk_` begins a key
MAX_MAIL = 254  # characters of an address (RFC 5321)
_LINKS, _LINK_WINDOW = 3, timedelta(hours=1)  # links to one address
# How many requests are answered in so many seconds: changes from one network address and of one
# submitter, and checks while a person types from one network address.
_LIMITS = {"write": (60, 600.0), "change": (200, 3600.0), "check": (600, 600.0)}
INVALID = (
    "This link does not work: it has expired, was used before, or is mistyped. Ask for another one."
)


# Returns the organizations that a name may mean, each with its ``id`` and ``name``, the likeliest
# first.
FindOrganizations = Callable[[str], Sequence[Mapping[str, Any]]]
# Returns the quality of a published record in percent, by its IRI.
RecordQuality = Callable[[str], Coroutine[Any, Any, int | None]]


async def _no_quality(record: str) -> int | None:
    return None


_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class OpenIDProvider:
    """A provider: its issuer, the id and secret of this installation there, and the private hosts
    that requests may reach (*allow*).

    *transport* replaces the network in tests.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    allow: frozenset[str] = frozenset()
    transport: httpx.BaseTransport | None = None

    @property
    def host(self) -> str:
        """Return the host by which a person knows the provider."""
        return urlsplit(self.issuer).netloc


def parse_provider(url: str, allow: frozenset[str] = frozenset()) -> OpenIDProvider:
    """Parse the URL of a provider: its issuer with the client's id and secret as user and password.
    Raises ValueError.

    >>> parse_provider("https://stocktake:s%40fe@login.example/realms/all").issuer
    'https://login.example/realms/all'
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not parts.username or not parts.password or not host or parts.query or parts.fragment:
        raise ValueError(
            "use https://CLIENT:SECRET@HOST/PATH, the issuer with the id and secret of the client"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise ValueError("an issuer begins with https:")
    issuer = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return OpenIDProvider(issuer, unquote(parts.username), unquote(parts.password), allow)


@dataclass(slots=True)
class SubmissionContext(Site):
    """The site, for the pages and the API of submissions; ``channels.public_url`` is its address.

    *duplicates* finds records that a submission may repeat, *quality* measures a published record,
    and *organizations* finds those of the register by a name. Persons may sign in with *provider*,
    and send *comments* on posts if these are on.
    """

    duplicates: DuplicateFinder = field(default_factory=DuplicateFinder)
    quality: RecordQuality = _no_quality
    provider: OpenIDProvider | None = None
    organizations: FindOrganizations = lambda name: ()
    comments: bool = False
    throttles: Mapping[str, Throttle] = field(init=False)

    def __post_init__(self) -> None:
        Site.__post_init__(self)
        self.throttles = {what: Throttle(self.clock, *limit) for what, limit in _LIMITS.items()}

    @property
    def provider_name(self) -> str:
        """Return the host of the provider that persons may sign in with, "" if there is none."""
        return self.provider.host if self.provider else ""

    def _open_source(self) -> Source | None:
        with suppress(SourceDefinitionError):
            source = load(self.source_dir / f"{SOURCE}.toml")
            return source if source.enabled and source.protocol == SOURCE else None
        return None

    def submission_source(self) -> Source:
        """Return the source of submissions; raise Closed if nothing can be submitted here."""
        if source := self._open_source():
            return source
        raise Closed("Nothing can be submitted here: the operators have not opened it.")

    def is_open(self) -> bool:
        return self._open_source() is not None

    def takes_notifications(self) -> bool:
        """Return whether the inbox is open: submissions are, and other installations are named."""
        return self.is_open() and bool(SubmissionsOptions.of(self.submission_source()).inboxes)

    def waiting(self) -> tuple[int, datetime | None] | None:
        """Return how many submissions wait for a moderator, and the time since which the oldest
        does.

        None if nothing can be submitted here, or the ledger does not answer.
        """
        try:
            return submissions.waiting(self.ledger) if self.is_open() else None
        except LedgerError:
            return None


def get_submission_context(request: Request) -> SubmissionContext:
    context: SubmissionContext = request.app.state.context
    return context


def count_write(request: Request) -> None:
    """Count a request that changes something; raise RateLimited after too many from one network
    address.
    """
    _count(get_submission_context(request), "write", client_address(request))


def count_check(request: Request) -> None:
    """Count a check; raise RateLimited after too many from one network address."""
    _count(get_submission_context(request), "check", client_address(request))


def count_change(context: SubmissionContext, submitter: Submitter) -> None:
    """Count a change of a submitter; raise RateLimited after too many."""
    _count(context, "change", submitter.id)


def _count(context: SubmissionContext, what: str, client: str) -> None:
    throttle = context.throttles[what]
    if seconds := throttle.retry_after(client):
        raise RateLimited("Too many requests. Try again in %(seconds)s seconds.", seconds=seconds)
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
    now = context.now()
    return submissions.ensure_submitter(
        context.ledger, Submitter(new_id(), None, key.name, current_locale().language, now)
    )


def _of_session(context: SubmissionContext, request: Request, secret: str) -> Submitter:
    if submitter := find_session(context, secret):
        return submitter
    count_failure(context, client_address(request))
    raise Unauthenticated(
        "The token is mistyped or has expired. Confirm your address again.", token_sent=True
    )


def find_session(context: SubmissionContext, secret: str) -> Submitter | None:
    """Return the submitter of a session, None if there is none or it has expired."""
    link = submissions.find_link(context.ledger, secret, Purpose.SESSION) if secret else None
    if link is None or link.submitter is None or not link.works(context.now()):
        return None
    return submissions.submitter_of(context.ledger, id=link.submitter)


def request_confirmation(context: Site, mail: str, submission: str | None = None) -> str | None:
    """Send the link that confirms an address, whether it is known or not; with
    *submission*, confirming sends that draft. Raises InvalidValue, RateLimited, Closed.
    """
    now, address = context.now(), check_address(context, mail)
    link = Link(Purpose.CONFIRM, now, now + LINK_AGE, mail=address, submission=submission)
    return send_link(context, "/submit/confirm", link, "confirm", current_locale().language)


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
    link = require(link if link and link.works(site.now()) else None, LinkInvalid(text))
    return link, submissions.find(site.ledger, link.submission) if link.submission else None


def use_link(site: Site, secret: str, text: str = INVALID) -> None:
    """Mark a link as used; raise LinkInvalid with *text* if it was used before."""
    require(submissions.use_link(site.ledger, secret, site.now()), LinkInvalid(text))


def confirm(context: SubmissionContext, secret: str) -> tuple[Submitter, Link, str]:
    """Confirm an address with the secret of its link, once; return the submitter, the link, and the
    secret of a session.

    Raises LinkInvalid.
    """
    link, _ = open_link(context, secret, Purpose.CONFIRM)
    use_link(context, secret)
    submitter, session = begin_session(context, str(link.mail))
    return submitter, link, session


def begin_session(context: SubmissionContext, mail: str) -> tuple[Submitter, str]:
    """Return the submitter with a confirmed address, and the secret of a new session."""
    ledger, now = context.ledger, context.now()
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
LINK, NOTE = "%(link)s", "%(note)s"  # paragraphs that are values alone
_OPEN = "Open your submission with this link, which works once:"
# By its occasion, the subject and the paragraphs of a message.
MAILS: Mapping[str, tuple[str, ...]] = {
    "confirm": (
        "Confirm your e-mail address",
        "Somebody, probably you, gave this address to %(name)s.",
        "Open this link to confirm it. It works once, for 24 hours:",
        LINK,
        "If it was not you, ignore this message: nothing is stored then.",
    ),
    "transfer": (
        "A submission is handed over to you: %(title)s",
        "“%(title)s” at %(name)s is handed over to this address, to be kept up to date.",
        "Open this link to take it over. It works once, for 7 days:",
        LINK,
        "If you do not want it, ignore this message.",
    ),
    "reminder": (
        "Is it still true? %(title)s",
        "You reported “%(title)s”. Nobody confirmed it for a year.",
        "Open this link to confirm that it is still true, to correct or to withdraw it. It works once, for 60 days:",
        LINK,
    ),
    **{
        decision: ("Your submission: %(title)s", text, NOTE, _OPEN, LINK)
        for decision, text in {
            "accepted": "Your submission “%(title)s” was accepted. It is published with the next run.",
            "changes requested": "A moderator asks you to change your submission “%(title)s”:",
            "rejected": "Your submission “%(title)s” was not accepted:",
        }.items()
    },
}


def send_link(
    context: Site, page: str, link: Link, occasion: str, language: str, **values: str
) -> str | None:
    """Store a link to a *page* and send it to its address, in a message with *values*.

    Without a mail server, a demo returns the link, since its data are simulated; any other
    installation raises Closed.
    """
    if context.channels.mail is None and not context.demo:
        raise Closed(
            "This site cannot send mail, which is needed to confirm an address. An organization can submit with an API key."
        )
    address = f"{context.channels.public_url}{page}/{submissions.create_link(context.ledger, link)}"
    if context.channels.mail is None:
        return address
    values |= {"link": address, "name": context.channels.name}
    queue_mail(context.ledger, str(link.mail), occasion, language, context.now(), **values)
    return None


def send_answer(context: Site, submission: Submission, decision: str, note: str) -> None:
    """Send a moderator's *decision* to a person, with a note. Organizations read it by HTTP.

    Without a mail server nothing is sent; the decision is on the page of the submission.
    """
    author, now = submission.submitter, context.now()
    submitter = submissions.submitter_of(context.ledger, id=author) if author else None
    if submitter and submitter.mail and context.channels.mail:
        link = Link(Purpose.CONFIRM, now, now + ANSWER_AGE, submitter.mail, None, submission.id)
        values = {"title": submission.title, "note": note}
        send_link(context, "/submit/confirm", link, decision, submitter.language, **values)


def queue_mail(
    ledger: Database, mail: str, occasion: str, language: str, now: datetime, **values: str
) -> None:
    """Queue a message to a person; a paragraph without text is left out."""
    with use_language(language):
        subject, *lines = (gettext(text) % values for text in MAILS[occasion])
    text = "\n\n".join(filter(None, lines)) + "\n"
    outbox.queue_messages(ledger, [Message(MAIL, mail, TOPIC, subject, text)], now)
