"""Render the admin templates: everything is escaped, no scripts run, browsers store nothing.

States, counts, limits and actions have English labels here, which the pages translate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unicodedata import bidirectional
from urllib.parse import urlsplit

from markupsafe import Markup

from harvesters.ledger.models import SEEN, TOMBSTONED, Notice, Outcome, Scope
from harvesters.reasons import Reason, parse_reason, without_review
from languages.translations import (
    current_locale,
    format_bytes,
    format_number,
    format_seconds,
    gettext,
)
from shapes.rules import translated_message
from vocab.iris import encode
from vocab.provenance import METRICS
from vocab.schemes import label
from web.templating import Pages

MEANINGS: Mapping[Outcome, str] = {
    Outcome.NEW: "not yet published",
    Outcome.CHANGED: "published, with changes",
    Outcome.UNCHANGED: "same as published",
    Outcome.RETURNED: "were missing, now back",
    Outcome.REIDENTIFIED: "known content with a new identifier",
    Outcome.WITHHELD: "failed validation; the last good version stays",
    Outcome.UNREADABLE: "could not be read; the last good version stays",
    Outcome.DUPLICATE: "identifier seen twice in this run",
    Outcome.DELETED: "deleted at the source; a tombstone remains",
    Outcome.ABSENT: "deleted at the source, never published here",
    Outcome.VANISHED: "missing at the source (kept online, marked)",
    Outcome.MISSING: "still missing at the source (kept online, marked)",
    Outcome.LOST: "missing beyond the grace period; a tombstone remains",
    Outcome.REPLACED: "has a new identifier; a tombstone points to it",
}
# The counts of a run that add up several outcomes.
GROUPS: Mapping[str, tuple[Outcome, ...]] = {"fetched": SEEN, "gone": TOMBSTONED}
LIMITS: Mapping[str, str] = {
    "expect": "Records expected (at least)",
    "vanished": "Missing records (share)",
    "changed": "Changed records (share)",
    "reidentified": "Records with a new identifier (share)",
    "withheld": "Withheld records (share)",
    "misses": "Full harvests before removal",
    "grace": "Days before removal",
    "statements": "Statements of a record (at most)",
    "dates": "Dates of the recurring events of a file (at most)",
    "journal": "Journal bytes for each byte received (at most)",
}
# The parts of the portal that follow the journal, by their names in /health.
PARTS: Mapping[str, str] = {
    "store": "RDF store",
    "search": "Search index",
    "columns": "Statements, facets and history",
}
# The sentence that says what a person did, with %(who)s and %(object)s.
SENTENCES: Mapping[str, str] = {
    "approved": "%(who)s approved the change %(object)s.",
    "rejected": "%(who)s rejected the change %(object)s.",
    "approved first": "%(who)s approved the change %(object)s first; another person must approve it too.",
    "undone": "%(who)s undid the approval of %(object)s.",
    "held": "%(who)s put %(object)s on hold.",
    "released": "%(who)s resumed %(object)s.",
    "requested a run": "%(who)s requested a run of %(object)s.",
    "planned to remove all records": "%(who)s planned to remove all records of %(object)s.",
    "planned to retire the source": "%(who)s planned to retire %(object)s.",
    "planned to remove a record": "%(who)s planned to remove a record of %(object)s for good.",
    "resumed a retired source": "%(who)s resumed the retired source %(object)s.",
    "erased a removed record": "%(who)s erased a removed record of %(object)s.",
    "answered a problem": "%(who)s answered a reported problem of %(object)s.",
    "chose the concept of a word": "%(who)s chose the concept of a word of %(object)s.",
    "decided about a suggested topic": "%(who)s decided about a suggested topic of %(object)s.",
    "decided about a pair of records": "%(who)s decided whether two records are one thing.",
    "published the clusters": "%(who)s published the clusters.",
    "saved the definition": "%(who)s saved the definition of %(object)s.",
    "proposed a definition": "%(who)s proposed a definition of %(object)s.",
    "discarded a proposed definition": "%(who)s discarded a proposed definition of %(object)s.",
    "saved the alert rules": "%(who)s saved the rules of alerts.",
    "silenced alerts": "%(who)s silenced alerts %(object)s",
    "ended a silence": "%(who)s ended a silence.",
    "sent a test message": "%(who)s sent a test message.",
    "sent a message again": "%(who)s sent a message again.",
    "key created": "%(who)s created a key.",
    "key revoked": "%(who)s revoked a key.",
    "submission accepted": "%(who)s accepted a submission.",
    "submission accepted first": "%(who)s accepted a submission first; another person must accept it too.",
    "submission changes requested": "%(who)s asked for changes of a submission.",
    "submission rejected": "%(who)s rejected a submission.",
    "submission marked as spam": "%(who)s marked a submission as spam.",
    "submission withdrawn": "%(who)s withdrew a submission.",
    "comment accepted": "%(who)s accepted a comment.",
    "comment rejected": "%(who)s rejected a comment.",
    "comment marked as spam": "%(who)s marked a comment as spam.",
    "submission handed over": "%(who)s sent a link that hands a submission over.",
    "prize edition added": "%(who)s added an edition of the prizes.",
    "prize expert added": "%(who)s added an expert of the prizes.",
    "prize expert removed": "%(who)s removed an expert of the prizes.",
    "prize stage decided": "%(who)s decided about a nomination for a prize.",
}
# The condition under which a rule of alerts applies, with its limit.
CONDITIONS: Mapping[str, str] = {
    "plan_waits": "a change waits for approval, for %(limit)s hours or longer",
    "failing": "%(limit)s or more runs failed one after the other",
    "late": "a source is late",
    "withheld": "more than %(limit)s %% of the records of a run were withheld",
    "disk_low": "less than %(limit)s GB of disk space is free",
    "submission_waits": "a submission waits for a moderator",
    "comment_waits": "a comment waits for a moderator",
    "nomination_waits": "a nomination for a prize waits for a decision",
}


def run_labels(base: str) -> Mapping[str, Mapping[Any, str]]:
    """Return the labels of a run's page: of outcomes, their meanings, counts and limits.

    Counts have the names of the ontology at *base*, in the language of the request where it has
    one.
    """
    counts = {name: _count_label(name, base) for name in METRICS}
    missing = label(f"{base}operations#missingRecords", current_locale().language, base) or ""
    outcomes = {outcome: counts.get(outcome.value, missing) for outcome in Outcome}
    return {
        "labels": outcomes,
        "meanings": MEANINGS,
        "count_labels": counts,
        "limit_labels": LIMITS,
    }


def _count_label(name: str, base: str) -> str:
    return label(
        f"{base}operations#{METRICS[name]}", current_locale().language, base
    ) or name.replace("_", " ")


PACKAGE_DIR = Path(__file__).parent
BASE_PATH = "/admin"


def create_pages(*, demo: bool) -> Pages:
    """Return the templates of the admin pages; with *demo* each page says that its data are
    simulated.
    """
    return Pages(
        [PACKAGE_DIR / "templates"],
        BASE_PATH,
        {
            "encode": encode,
            "why": _describe_reasons,
            "each_why": _describe_each,
            "notice": _describe_notice,
            "size": format_bytes,
            "seconds": format_seconds,
        },
        Scope=Scope,
        user=None,
        demo=demo,
        sentences=SENTENCES,
    )


def local_path(path: str) -> str:
    r"""Return *path* if it is an admin path, else the inbox's: a form must not redirect to another
    site.

    >>> local_path("/admin/page/audit-log"), local_path("https://evil.example/"), local_path("/admin/../x"), local_path("/admin/\\\\evil")
    ('/admin/page/audit-log', '/admin/', '/admin/', '/admin/')
    """
    try:
        parts = urlsplit(path)
    except ValueError:
        return BASE_PATH + "/"
    safe = not parts.scheme and not parts.netloc and parts.path.startswith(BASE_PATH + "/")
    plain = (
        path.isascii()
        and path.isprintable()
        and ".." not in path
        and "\\" not in path
        and "//" not in path
    )
    return path if safe and plain else BASE_PATH + "/"


def _describe_reasons(reasons: Iterable[Reason]) -> Markup:
    """Return a run's reasons without the terminal command to review it: the page has buttons."""
    return Markup(gettext("; ")).join(_describe_each(reasons))


def _describe_notice(notice: Notice) -> Markup:
    """Return a notice of a run, which the ledger has in English, in the language of the request."""
    return _describe_reasons([parse_reason(notice.text, ("override_used", "restores"))])


def _describe_each(reasons: Iterable[Reason]) -> list[Markup]:
    return [
        Markup(
            reason.with_rule_message(_translate_message).describe(
                lambda text: Markup(gettext(text)), format_number, _isolate
            )
        )
        for reason in without_review(reasons)
    ]


def _translate_message(english: str) -> str:
    return translated_message(english, current_locale().language)


def _isolate(name: str) -> str:
    """Return a name or message so that it does not reorder an Arabic sentence around it."""
    if current_locale().direction == "ltr":
        return name
    is_rtl = any(bidirectional(char) in ("R", "AL") for char in name)
    return Markup('<bdi dir="{}">{}</bdi>').format("auto" if is_rtl else "ltr", name)
