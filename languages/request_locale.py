"""The language and the address of the request that is being answered, set by a middleware and read
by the templates.

Sources: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4 (Accept-Language),
https://www.rfc-editor.org/rfc/rfc4647#section-3.4 (lookup).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LANGUAGES = {
    "en": "English",
    "ar": "العربية",
    "zh": "中文",
    "fr": "Français",
    "ru": "Русский",
    "es": "Español",
}
COOKIE, PARAMETER = "language", "lang"
# Pages in frames of other sites store nothing in the visitor's browser.
_WITHOUT_COOKIE = "/embed/"
_YEAR = 31_536_000  # seconds that a choice is kept


@dataclass(frozen=True, slots=True)
class RequestLocale:
    """A request as templates see it: language, path (percent-encoded), query, method, and the
    scheme and authority of the site.
    """

    language: str = "en"
    path: str = "/"
    query: str = ""
    method: str = "GET"
    origin: str = ""

    @property
    def direction(self) -> str:
        return "rtl" if self.language == "ar" else "ltr"

    def url_with(self, **changed: str) -> str:
        """Return the address of this page with these parameters replaced; the value "" removes one."""
        parameters = [(name, value) for name, value in parse_qsl(self.query) if name not in changed]
        parameters += [(name, value) for name, value in changed.items() if value]
        return self.path + (f"?{urlencode(parameters)}" if parameters else "")


_current: ContextVar[RequestLocale] = ContextVar("locale", default=RequestLocale())  # noqa: B039 - frozen


def current_locale() -> RequestLocale:
    return _current.get()


@contextmanager
def use_language(language: str, within: RequestLocale | None = None) -> Iterator[None]:
    """Use a language within the context: outside of any request, or at the address of the request
    *within*.
    """
    token = _current.set(replace(within, language=language) if within else RequestLocale(language))
    try:
        yield
    finally:
        _current.reset(token)


def negotiate_language(query: str, cookies: str, accept: str) -> str:
    """Return the language: of the address, else of the cookie, else of the browser's
    Accept-Language, else English.

    >>> negotiate_language("lang=ar", "language=fr", "es")
    'ar'
    >>> negotiate_language("", "language=fr", "es")
    'fr'
    >>> negotiate_language("", "", "pt;q=0.9, es-MX;q=0.8, fr;q=0.1")
    'es'
    """
    requested = dict(parse_qsl(query)).get(PARAMETER, "")
    if requested in LANGUAGES:
        return requested
    stored = _language_cookie(cookies)
    return stored if stored in LANGUAGES else _accepted_language(accept)


def _language_cookie(cookies: str) -> str:
    try:
        cookie = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def _accepted_language(accept: str) -> str:
    ranked: list[tuple[float, int, str]] = []
    for position, part in enumerate(accept.split(",")[:50]):
        name, _, weight = part.partition(";")
        try:
            quality = float(weight.partition("=")[2] or 1) if weight else 1.0
        except ValueError:
            continue
        ranked.append((-quality, position, name.strip().partition("-")[0].lower()))
    return next(
        (name for quality, _, name in sorted(ranked) if name in LANGUAGES and quality < 0), "en"
    )


class LocaleMiddleware:
    """Set the locale of each request; a language that the address names is stored in a cookie and
    kept by redirects.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers, query = Headers(scope=scope), scope["query_string"].decode("latin-1")
        language = negotiate_language(
            query, headers.get("cookie", ""), headers.get("accept-language", "")
        )
        origin = f"{scope['scheme']}://{headers.get('host', '')}"
        # A key may contain %2F.
        path = scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1") or scope["path"]
        token = _current.set(RequestLocale(language, path, query, scope["method"], origin))
        is_chosen = dict(parse_qsl(query)).get(PARAMETER) == language and not scope[
            "path"
        ].startswith(_WITHOUT_COOKIE)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                _add_headers(headers, language)
                if is_chosen and (location := headers.get("location")):
                    headers["Location"] = _with_language(location, language)
                if is_chosen and (
                    _is_page(headers) or message["status"] == HTTPStatus.NOT_MODIFIED
                ):
                    headers.append(
                        "Set-Cookie", f"{COOKIE}={language}; Path=/; Max-Age={_YEAR}; SameSite=Lax"
                    )
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            _current.reset(token)


def _with_language(location: str, language: str) -> str:
    """Return the path *location* with the language as a parameter; an address elsewhere is
    unchanged.

    >>> _with_language("/initiative/a/1?tab=history#top", "ar")
    '/initiative/a/1?tab=history&lang=ar#top'
    """
    url = urlsplit(location)
    if url.netloc or not url.path.startswith("/") or PARAMETER in dict(parse_qsl(url.query)):
        return location
    return urlunsplit(
        url._replace(query="&".join(filter(None, (url.query, urlencode({PARAMETER: language})))))
    )


def _add_headers(headers: MutableHeaders, language: str) -> None:
    if _is_page(headers):
        headers["Content-Language"] = language
        headers.add_vary_header("Accept-Language")
        headers.add_vary_header("Cookie")


def _is_page(headers: MutableHeaders) -> bool:
    return headers.get("content-type", "").startswith("text/html")
