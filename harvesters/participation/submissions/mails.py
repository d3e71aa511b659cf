"""Write the messages to submitters, in their language, and queue them."""

from __future__ import annotations

from datetime import timedelta

from harvesters.ledger import outbox
from harvesters.ledger.models import Message
from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.models import Link, Purpose, Submission
from harvesters.notifications.delivery import MAIL
from harvesters.problems import Closed
from harvesters.site import Site
from languages.request_locale import use_language
from languages.translations import gettext

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
