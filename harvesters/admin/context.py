"""Define the context of the admin app: the site, its sessions, and what other packages do for it; authenticate
requests, check what their key allows, and read the forms of signed-in users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Protocol

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.responses import RedirectResponse, Response

from harvesters.admin.pages import BASE_PATH, local_path
from harvesters.errors import require
from harvesters.ledger import operators
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Key, Scope
from harvesters.network.fetch import NetworkSettings
from harvesters.pipeline.record_processor import WorkerPool
from harvesters.runs.context import HarvestContext
from harvesters.site import (
    Credentials,
    InsufficientScope,
    SessionRequired,
    Site,
    Unauthenticated,
    authenticate,
    check_session,
    read_fields,
    render_errors_as_pages,
)
from journal.journal import Journal
from journal.store import Origin, read_origin
from vocab.iris import Iris
from web.sessions import MAX_AGE, SessionCookie, Sessions
from web.templating import PageRenderer


class SampleFields(Protocol):
    """The fields of a registry's sample: its *kind*, such as json or csv ("" if it cannot be read),
    the path of its *records*, the suggested path for each field of the form at `/join`, and all
    *paths* of its records with the first values as *examples*; *split* is the separator of the
    fields that have several values in one text.
    """

    @property
    def kind(self) -> str: ...
    @property
    def records(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, str]: ...
    @property
    def paths(self) -> tuple[str, ...]: ...
    @property
    def examples(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def split(self) -> Mapping[str, str]: ...


@dataclass(slots=True)
class AdminContext(Site):
    """The site, and the sessions of its operators.

    *network* has the settings with which previews fetch from registries. *positions* returns the
    newest journal entry that each store and index of the portal shows, by name. *suggest_fields*
    reads a sample. *fill_in* returns what the form of the portal's page `/join` shows for its
    parameters and a sample. *remap* maps the archived data of a source again, as a dry run or not,
    and returns its row of the run report, {} if that takes long.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    positions: Callable[[], Mapping[str, int]] = dict
    suggest_fields: Callable[[bytes], SampleFields] | None = None
    fill_in: Callable[[Mapping[str, str], bytes | None], Mapping[str, Any]] | None = None
    remap: Callable[[str, bool], Mapping[str, Any]] = lambda *_: {}
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        Site.__post_init__(self)
        self.sessions = Sessions(self.now)

    def origin(self) -> Origin | None:
        """Return the Stocktake that this one mirrors, or None. Raises JournalError."""
        return read_origin(self.data / "journal")

    def count_invalid_definitions(self) -> int:
        """Return the number of source definitions that have a fault."""
        return sum(1 for _ in self.source_dir.glob("*.toml")) - len(self.sources())

    def reader(self) -> HarvestContext:
        """Return a context to read with; it fails soon if the ledger is locked."""
        return self._harvest_context(self.ledger)

    @contextmanager
    def writer(self) -> Iterator[HarvestContext]:
        """Yield a context for a decision, which waits for the ledger while a harvest writes."""
        with closing(Ledger(self.url)) as ledger:
            yield self._harvest_context(ledger)

    def _harvest_context(self, ledger: Ledger) -> HarvestContext:
        """Create a context that neither uses the network nor validates."""
        iris, journal = Iris(self.base), Journal(self.data / "journal")
        return HarvestContext(
            self.data,
            ledger,
            journal,
            iris,
            WorkerPool(self.base, workers=0),
            now=self.now,
            source_dir=self.source_dir,
            name=self.channels.name,
        )


_MAX_FORM_BYTES = 60_000  # a source definition and a note
_MAX_FORM_FIELDS = 60  # a page of plans to approve together


async def read_form(request: Request) -> Mapping[str, str]:
    """Read a form of this site; of a field with several values, the last one."""
    fields = await read_fields(request, _MAX_FORM_BYTES, _MAX_FORM_FIELDS)
    return {name: values[-1] for name, values in fields.items()}


def redirect(path: str) -> Response:
    """Redirect to an admin page after a form."""
    return RedirectResponse(BASE_PATH + path, HTTPStatus.SEE_OTHER)


FormFields = Annotated[Mapping[str, str], Depends(read_form)]


SESSION = SessionCookie("admin", BASE_PATH, MAX_AGE, "strict")
log = structlog.get_logger(component="admin")


@dataclass(frozen=True, slots=True)
class User:
    """A person who has signed in at a browser."""

    key: Key
    csrf: str  # in each form

    def allows(self, scope: Scope) -> bool:
        """Return whether the key has *scope* or more."""
        return self.key.scope >= scope


def get_context(request: Request) -> AdminContext:
    """Return the context that the app was created with."""
    context: AdminContext = request.app.state.context
    return context


def key_with(scope: Scope) -> Callable[[Request, HTTPAuthorizationCredentials | None], Key]:
    """Return the dependency for a request whose key has *scope* or more."""

    def require_key(request: Request, credentials: Credentials) -> Key:
        if credentials is None:
            raise Unauthenticated(
                "A key is required. Send it as `Authorization: Bearer KEY`.", token_sent=False
            )
        key = authenticate(request, credentials.credentials)
        request.state.who = key.display_name
        require(key.scope >= scope, InsufficientScope(scope.label, key.scope.label))
        return key

    return require_key


def require_session(request: Request) -> User:
    """Return the signed-in user. The key is checked at each request, since it may have been
    revoked.
    """
    context = get_context(request)
    secret = SESSION.secret(request)
    key_id = require(
        context.sessions.find(secret), SessionRequired("Sign in with your key.", token_sent=False)
    )
    key = operators.find_key(context.ledger, key_id)
    if key is None or not key.is_valid(context.now()) or key.scope < Scope.READ:
        context.sessions.end(secret)
        raise SessionRequired("Your key was revoked or has expired.", token_sent=False)
    request.state.who = key.display_name
    return User(key, SESSION.token(request))


CurrentUser = Annotated[User, Depends(require_session)]


def open_page(request: Request, user: CurrentUser) -> PageRenderer:
    return PageRenderer(request, {"user": user})


RendererDep = Annotated[PageRenderer, Depends(open_page)]


def user_of_page(scope: Scope) -> Callable[[User], User]:
    """Return the dependency for a user whose key has *scope* or more."""

    def require_scope(user: CurrentUser) -> User:
        require(user.allows(scope), InsufficientScope(scope.label, user.key.scope.label))
        return user

    return require_scope


def user_of_form(scope: Scope) -> Callable[[User, Mapping[str, str], Request], User]:
    """Return the dependency for a user whose key has *scope* or more, and who sent the form from
    the same session.
    """

    def require_sender(user: CurrentUser, form: FormFields, request: Request) -> User:
        check_session(SESSION, request, form.get("csrf", ""))
        return user_of_page(scope)(user)

    return require_sender


Reader = Annotated[Key, Depends(key_with(Scope.READ))]
Operator = Annotated[Key, Depends(key_with(Scope.OPERATE))]
Administrator = Annotated[Key, Depends(key_with(Scope.ADMIN))]
PageAdministrator = Annotated[User, Depends(user_of_page(Scope.ADMIN))]
FormReader = Annotated[User, Depends(user_of_form(Scope.READ))]
FormOperator = Annotated[User, Depends(user_of_form(Scope.OPERATE))]
FormAdministrator = Annotated[User, Depends(user_of_form(Scope.ADMIN))]
ContextDep = Annotated[AdminContext, Depends(get_context)]


routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.post("/sign-in")
def sign_in(form: FormFields, request: Request, context: ContextDep) -> Response:
    """Start a session with a key."""
    try:
        key = authenticate(request, form.get("key", "").strip())
    except Unauthenticated as error:
        raise SessionRequired(
            "Sign-in failed: the key is mistyped, revoked or expired.", token_sent=True
        ) from error
    if key.scope < Scope.READ:
        raise SessionRequired(
            "This key is for submissions by HTTP; it opens no admin page.", token_sent=True
        )
    context.sessions.end(SESSION.secret(request))
    log.info("signed in", who=key.display_name)
    response = RedirectResponse(local_path(form.get("path", "")), HTTPStatus.SEE_OTHER)
    SESSION.set(request, response, context.sessions.create(key.id))
    return response


@routes.post("/sign-out")
def sign_out(request: Request, user: FormReader, context: ContextDep) -> Response:
    """End the session."""
    context.sessions.end(SESSION.secret(request))
    response = redirect("/")
    SESSION.delete(response)
    return response
