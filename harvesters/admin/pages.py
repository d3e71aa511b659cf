"""Render the admin templates: everything is escaped, no scripts run, browsers store nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from unicodedata import bidirectional
from urllib.parse import quote, urlsplit

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from harvesters.admin.access.key_store import Scope
from harvesters.admin.labels import ACTIONS, SENTENCES
from harvesters.admin.plans import NoticeView
from harvesters.reasons import Reason, parse_reason, without_review
from languages.request_locale import current_locale
from languages.translations import (
    format_bytes,
    format_number,
    format_seconds,
    gettext,
)
from languages.unsafe_text import finalize_invisible
from shapes.rules import translated_message
from vocab.iris import encode, is_web
from web.templating import create_environment

PACKAGE_DIR = Path(__file__).parent
BASE_PATH = "/admin"
# No scripts, no resources of other hosts, no framing, no forms sent elsewhere.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


class Pages:
    """Render the templates of *folder*, or of the first of several that has it, else those of the
    admin pages.

    Texts are in the language of the request. With *demo* each page says that its data are made up;
    *moderated* is whether there are pages of moderators, and *provider* the host that persons may
    sign in with.
    """

    def __init__(
        self,
        *,
        demo: bool = False,
        folder: Path | Sequence[Path] = (),
        root: str = BASE_PATH,
        moderated: bool = False,
        provider: str = "",
    ) -> None:
        folders = [folder] if isinstance(folder, Path) else folder
        self._templates = create_environment(
            [*folders, PACKAGE_DIR / "templates"], finalize_invisible
        )
        self._templates.globals.update(
            root=root,
            moderated=moderated,
            provider=provider,
            Scope=Scope,
            user=None,
            demo=demo,
            action_labels=ACTIONS,
            sentences=SENTENCES,
            language_link=partial(_language_link, root),
        )
        self._templates.filters.update(
            encode=encode,
            path=_site_path,
            segment=_quote_segment,
            why=_describe_reasons,
            each_why=_describe_each,
            notice=_describe_notice,
            size=format_bytes,
            seconds=format_seconds,
        )

    def render(
        self, template: str, values: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK
    ) -> HTMLResponse:
        """Render *template* with *values*."""
        return HTMLResponse(self._templates.get_template(template).render(values), status)

    def return_path(self, request: Request) -> str:
        """Return the path to go to after signing in: the requested page if the method was GET, else
        the overview.
        """
        return (
            local_path(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
            if request.method == "GET"
            else BASE_PATH + "/"
        )


def get_pages(request: Request) -> Pages:
    """Return the templates that the app was created with."""
    pages: Pages = request.app.state.pages
    return pages


def local_path(path: str) -> str:
    r"""Return *path* if it is an admin path, else that of the overview: a form must not redirect to
    other sites.

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


def _language_link(root: str, language: str) -> str:
    """Return the address of this page in *language*; that of the overview where this page answers a
    form.
    """
    locale = current_locale()
    return locale.url_with(lang=language) if locale.method == "GET" else f"{root}/?lang={language}"


def _site_path(address: str) -> str:
    """Return the path of an IRI of ours on this site; other addresses are links to nothing.

    >>> _site_path("https://w3id.org/wsis-stocktaking/record/kenya/p1"), _site_path("javascript:x")
    ('/record/kenya/p1', '')
    """
    match = re.search(r"/(?:record|id)/[^?#]+\Z", address)
    return match[0] if match and is_web(address) else ""


def _quote_segment(text: str) -> str:
    return quote(text, safe="")


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
