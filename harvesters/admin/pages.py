"""Render the admin templates: everything is escaped, no scripts run, browsers store nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from unicodedata import bidirectional
from urllib.parse import urlsplit

from markupsafe import Markup

from harvesters.admin.labels import ACTIONS, SENTENCES
from harvesters.admin.plans import NoticeView
from harvesters.ledger.operators import Scope
from harvesters.reasons import Reason, parse_reason, without_review
from languages.request_locale import current_locale
from languages.translations import (
    format_bytes,
    format_number,
    format_seconds,
    gettext,
)
from shapes.rules import translated_message
from vocab.iris import encode
from web.templating import Pages

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
        action_labels=ACTIONS,
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


def _describe_notice(notice: NoticeView) -> Markup:
    """Return a notice of a run, which the ledger has in English, in the language of the request."""
    if notice.key is not None and notice.source is not None and notice.other is not None:
        known = {"key": notice.key, "other": notice.other, "source": notice.source}
        return _describe_reasons([parse_reason(notice.text, ("same_page", "same_content"), known)])
    return _describe_reasons(
        [parse_reason(notice.text, ("override_used", "clock_set_back", "restores", "round_number"))]
    )


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
